"""How often does selection flag the modality that truly raises a difference, and how often a harmless one?

    python tests/benchmarks/flag_modalities.py --twins 200

writes ``book/tables/flags.csv``. The effect was declared before the study: in every twin *labs* read too low in one
group, so that its members look healthier (by a quarter of a standard deviation, and in a second arm by half),
*triage* and *vitals* do not. The same seeds without the effect are the null. Models are logistic regressions.
A modality is flagged if the interval of its Shapley value of the signed TPR difference, simultaneous over
modalities, lies wholly below zero: it makes the group's positives be missed more. Whether the bounded choice leaves a
modality out is counted among the twins in which some subset keeps the margin.
"""

import argparse
import shlex
import sys
from datetime import date
from pathlib import Path

import pandas as pd
from statsmodels.stats.proportion import proportion_confint
from tqdm import tqdm
from twin_study import SIZES, Twin, train_twin

from mmlib.core.subsets import members
from mmlib.measure.bootstrap import resample_patients
from mmlib.measure.evaluation import evaluate
from mmlib.measure.groups import Groups
from mmlib.questions.additions import shapley
from mmlib.questions.choose import choose_by_rule, upper_limit, validation_rows
from mmlib.twins.causal import Knobs

RACE = Groups({"race": "White"}, {"race": "Black"})
SIGNAL = {"triage": 0.6, "vitals": 0.6, "labs": 0.6}
HARMFUL, EFFECTS = "labs", (-0.25, -0.5, 0.0)
MARGIN = 0.1  # of the bounded choice, on the upper limit of the difference
RESAMPLES = 200


def measure(twin: Twin, seed: int) -> dict:
    """Flag modalities on tested patients, choose on validation patients, and look the truth up in the population."""
    weights = resample_patients(twin.cohort["patient_id"], RESAMPLES, seed)
    tested, fresh = twin.patient_weights("tested", "fresh")
    threshold = twin.powerset.threshold.sel(rule="prevalence")

    def rated(score, cohort, w, **wanted):
        return evaluate(score, threshold, cohort, w, groups=RACE, metrics=("tpr",), **wanted)

    def difference(result):
        return result.difference("tpr", "race").sel(group=RACE.contrasts["race"])

    shares = [shapley(difference(rated(twin.powerset.score, twin.cohort, w))) for w in (weights * tested, fresh[None])]
    clear = shares[0].clear(simultaneous=True)
    score, rows = validation_rows(twin.powerset, twin.cohort, RACE)
    held = rated(score, rows, weights[:, rows["position"]], ranking={"auroc": []})
    limit, auroc = upper_limit({"race": difference(held)}), held.metric("auroc").value.values
    chosen = choose_by_rule(auroc, limit, list(limit.index), margin=MARGIN, tolerance=0, costs={})["bounded"]
    row = {}
    for modality in SIGNAL:
        found, truth = (float(share.sel(modality=modality)) for share in shares)
        row |= {
            f"{modality} flagged": bool(clear.sel(modality=modality) < 0),
            f"{modality} left out": float("nan") if chosen is None else float(modality not in members(chosen)),
            f"{modality} share": found,
            f"{modality} truth": truth,
        }
    return row | {"kept the margin": chosen is not None}


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Turn the rows of all twins into rates with exact intervals, and true effects as knob on minus knob off."""
    pairs = table.pivot(index="seed", columns="effect")
    rows = []
    for effect in EFFECTS:
        part = table[table["effect"] == effect]
        for m in SIGNAL:
            role = "harmful" if effect and m == HARMFUL else "harmless"
            row = {"effect": effect, "modality": m, "role": role, "twins": len(part)}
            for what in ("flagged", "left out"):
                known = part[f"{m} {what}"].dropna()
                count = int(known.sum())
                low, high = proportion_confint(count, len(known), method="beta")
                row |= {what: count / len(known), f"{what} low": low, f"{what} high": high}
            row["found"] = part[f"{m} share"].mean()
            row["truth"] = part[f"{m} truth"].mean()
            row["caused"] = (pairs[f"{m} truth", effect] - pairs[f"{m} truth", 0.0]).mean()
            rows.append(row | {"kept the margin": part["kept the margin"].mean()})
    return pd.DataFrame(rows)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--twins", type=int, default=200, help="seeds, each with every effect")
    options = parser.parse_args()
    kept = Path("results/flag_twins")
    kept.mkdir(parents=True, exist_ok=True)
    rows = []
    for seed in tqdm(range(options.twins), desc="twins", disable=None):
        file = kept / f"{seed}.parquet"
        if not file.is_file():
            pair = []
            for effect in EFFECTS:
                knobs = Knobs(signal=SIGNAL, error={HARMFUL: {"Black": effect}})
                twin = train_twin(knobs, seed, SIZES | {"fresh": 10_000}, linear=True)
                pair.append({"seed": seed, "effect": effect} | measure(twin, seed))
            pd.DataFrame(pair).to_parquet(file.with_suffix(".part"))
            file.with_suffix(".part").rename(file)
        rows.append(pd.read_parquet(file))
    head = f"# {date.today()}: python {shlex.join(sys.argv)}\n"
    table = summarise(pd.concat(rows, ignore_index=True)).to_csv(index=False, float_format="%.4f")
    target = Path("book/tables/flags.csv")
    target.parent.mkdir(exist_ok=True)
    target.write_text(head + table, encoding="utf-8")


if __name__ == "__main__":
    main()
