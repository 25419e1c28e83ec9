"""How often does selection flag the modality that truly raises a difference, and how often a harmless one?

    python tests/benchmarks/flag_modalities.py --twins 200

writes ``book/tables/flags.csv``. The effect was declared before the study: in every twin *labs* read too low in one
group, so that its members look healthier (by a quarter of a standard deviation, and in a second arm by half),
*triage* and *vitals* do not. The same seeds without the effect are the null. Models are logistic regressions.
A modality is flagged if the interval of its Shapley value of the signed TPR difference, simultaneous over
modalities, lies wholly below zero: it makes the group's positives be missed more.
"""

import argparse
import shlex
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
from statsmodels.stats.proportion import proportion_confint
from tqdm import tqdm
from twin_study import CONTRASTS, SIZES, Twin, train_twin

from mmlib.measure.bootstrap import resample_patients, simultaneous_interval
from mmlib.measure.evaluate import evaluate
from mmlib.questions.additions import shapley
from mmlib.questions.choose import choose, upper_limit, validation_rows
from mmlib.twins.causal import Knobs

SIGNAL = {"triage": 0.6, "vitals": 0.6, "labs": 0.6}
HARMFUL, EFFECTS = "labs", (-0.25, -0.5, 0.0)
MARGIN = 0.1  # of the constrained choice, on the upper limit of the difference
RESAMPLES = 200


def measure(twin: Twin, seed: int) -> dict:
    """Flag modalities on tested patients, choose on validation patients, and look the truth up in the population."""
    names, modalities = [str(s) for s in twin.powerset.subset.values], list(SIGNAL)
    patient_weights = resample_patients(twin.cohort["patient_id"], RESAMPLES, seed)
    tested, fresh = twin.patient_weights("tested", "fresh")
    threshold = twin.powerset.threshold.sel(rule="prevalence")

    def contrast(score, cohort, w, **wanted):
        result = evaluate(score, threshold, cohort, w, attributes=["race"], metrics=("tpr",), **wanted)
        return result.contrast("tpr", "race", *CONTRASTS["race"]), result

    def shares(w):
        return shapley(contrast(twin.powerset.score, twin.cohort, w)[0], names)

    found, truth = shares(patient_weights * tested), shares(fresh[None])[0]
    _, high = simultaneous_interval(found)
    score, rows = validation_rows(twin.powerset, twin.cohort)
    limit = upper_limit(contrast(score, rows, patient_weights[:, rows["position"]])[0][..., None])
    auroc = contrast(score, rows, np.ones((1, len(rows))), ranking={"auroc": []})[1].overall("auroc")[0]
    chosen = choose(auroc, limit, names, margin=MARGIN, tolerance=0, costs={})["constrained"]
    row = {}
    for m, modality in enumerate(modalities):
        row |= {
            f"{modality} flagged": high[m] < 0,
            f"{modality} left out": modality not in chosen.split("+"),
            f"{modality} share": found[0, m],
            f"{modality} truth": truth[m],
        }
    return row | {"kept the margin": limit[names.index(chosen)] <= MARGIN}


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
                count = int(part[f"{m} {what}"].sum())
                low, high = proportion_confint(count, len(part), method="beta")
                row |= {what: count / len(part), f"{what} low": low, f"{what} high": high}
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
