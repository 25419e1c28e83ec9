"""How often the comparison of absent with masked modalities finds a difference where there is none.

Samples that have a modality are compared with others that have it: some, drawn on the covariates, play those who
lack it. Right is an interval that includes 0. Writes ``book/tables/absence_placebo.csv``: a row per run, modality
and metric with the share over all draws, its exact interval, and beside it what the real absence shows.

``python -m tests.benchmarks.absence_placebo --run support2 [--results results] [--draws 200]``
"""

import argparse
import datetime
import shlex
import sys
from pathlib import Path

import pandas as pd
from statsmodels.stats.proportion import proportion_confint
from tqdm import tqdm

from mmlib.measure.bootstrap import resample_patients
from mmlib.questions.absence import observed_absence, placebo
from mmlib.runs.run import Run

BAND = (0.93, 0.97)
OUT = Path(__file__).parents[2] / "book" / "tables" / "absence_placebo.csv"


def measure(run: Run, *, regime: str, rule: str, draws: int, resamples: int) -> pd.DataFrame:
    """Placebo shares of every modality of a run that can be compared, and the differences observed."""
    cohort, masking = run.read("cohort"), run.read("masking").sel(rule=rule)
    weights = resample_patients(cohort["patient_id"], resamples)
    found = observed_absence(masking["score"], masking["threshold"], cohort, weights)
    one = masking.sel(regime=[regime])
    rows = []
    for modality in found.blocks.loc[found.blocks.computed, "modality"]:
        every = placebo(one["score"], one["threshold"], cohort, weights, modality, realisations=draws)
        tables = pd.concat(tqdm(every, desc=f"{run.name}, {modality}", total=draws, disable=None))
        for metric, table in tables.groupby("metric", sort=False):
            held = int(table.holds.sum())
            low, high = proportion_confint(held, draws, method="beta")
            real = found.difference(metric).sel(regime=regime, modality=modality).frame().iloc[0]
            rows.append(
                {
                    "run": run.name,
                    "modality": modality,
                    "metric": metric,
                    "draws": draws,
                    "holds_zero": held / draws,
                    "low": low,
                    "high": high,
                    "band": "{:.0%} to {:.0%}".format(*BAND),
                    "verdict": "in" if low <= BAND[1] and high >= BAND[0] else "out",
                    "mean_placebo": table.estimate.mean(),
                    "observed": real.estimate,
                    "observed_low": real.low,
                    "observed_high": real.high,
                }
            )
    return pd.DataFrame(rows)


def main(arguments=None):
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition(".")[0])
    parser.add_argument("--run", nargs="+", default=["support2"], help="runs whose chapters 1 to 4 are made")
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--regime", default="plain, mask")
    parser.add_argument("--rule", default="prevalence")
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args(arguments)
    settings = {name: getattr(options, name) for name in ("regime", "rule", "draws", "resamples")}
    table = pd.concat([measure(Run(name, options.results), **settings) for name in options.run])
    given = shlex.join(sys.argv[1:] if arguments is None else arguments)
    command = f"python -m tests.benchmarks.absence_placebo {given}".rstrip()
    table = table.assign(date=datetime.date.today(), command=command)
    table.to_csv(options.out, index=False, float_format="%.4f")
    print(table.to_string())


if __name__ == "__main__":
    main()
