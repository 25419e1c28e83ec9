"""How often does the study find the right sign of a planted oximeter bias?

    python tests/benchmarks/sign_recovery.py --twins 200

writes ``book/tables/sign_recovery.md``. Declared before the study: the oximeter reads high for Black patients, so
that they look healthier by half a standard deviation; triage and labs do not. The effect is knob on minus knob
off at paired seeds, for the same fitted model on a large fresh population. The study sees 3,000 tested patients:
right is a TPR difference (Black minus White) of the sign that the effect has. Models are logistic regressions.
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
from twin_study import GROUPS, SIZES, Twin, train_twin

from mmlib.measure.evaluation import evaluate
from mmlib.twins.causal import Knobs

SIGNAL = {"triage": 0.6, "oximeter": 0.6, "labs": 0.6}
SHIFT = -0.5  # of what the oximeter measures, in standard deviations


def contrasts(twin: Twin) -> np.ndarray:
    """TPR difference of the model with all modalities: on tested patients, and on the population."""
    everything = twin.powerset.isel(subset=[-1])
    weights, threshold = twin.patient_weights("tested", "fresh"), everything.threshold.sel(rule="prevalence")
    result = evaluate(everything.score, threshold, twin.cohort, weights, groups=GROUPS, metrics=("tpr",))
    return result.difference("tpr", "race").sel(group=GROUPS.contrasts["race"]).values.values[:, 0]


def sentence(found: dict) -> str:
    """Say what was found, with the date and the command."""
    shares = [
        f"{found[name]:.1%} [{found[f'{name} low']:.1%}, {found[f'{name} high']:.1%}]"
        for name in ("right", "right paired")
    ]
    return (
        f"Made on {date.today()} by `python {shlex.join(sys.argv)}`. Over {found['twins']} seeds the faulty oximeter "
        "changes the TPR difference (Black minus White) of the same models in the whole population by "
        f"{found['effect']:+.3f} on average. A study of {SIZES['tested']:,} tested patients finds "
        f"{found['found']:+.3f} on average (standard deviation {found['sd']:.3f}) and the right sign in {shares[0]}; "
        f"compared with its pair without the fault, in {shares[1]} (exact intervals).\n"
    )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--twins", type=int, default=200, help="seeds, each with the knob on and off")
    options = parser.parse_args()
    rows = []
    for seed in tqdm(range(options.twins), desc="twins", disable=None):
        shared = {"signal": SIGNAL, "fields": dict.fromkeys(SIGNAL, 1)}
        on, off = (
            contrasts(
                train_twin(Knobs(**shared, error={"oximeter": {"Black": shift}}), seed, SIZES, linear=True)
            )
            for shift in (SHIFT, 0.0)
        )
        rows.append({"found": on[0], "truth": on[1], "found off": off[0], "truth off": off[1]})
    table = pd.DataFrame(rows)
    effect = (table["truth"] - table["truth off"]).mean()
    out = {"twins": len(table), "effect": effect, "found": table["found"].mean(), "sd": table["found"].std()}
    for name, found in (("right", table["found"]), ("right paired", table["found"] - table["found off"])):
        right = int((np.sign(found) == np.sign(effect)).sum())
        low, high = proportion_confint(right, len(table), method="beta")
        out |= {name: right / len(table), f"{name} low": low, f"{name} high": high}
    Path("book/tables/sign_recovery.md").write_text(sentence(out), encoding="utf-8")


if __name__ == "__main__":
    main()
