"""How often the intervals of rates and of their differences cover where rates are near 0, one half and near 1.

Every study has a reference group and four groups of one size, whose true rates are known: the positives of a group are
found with its rate. Clustered studies have one to three rows a patient, half alike. The library does the rest:
the bootstrap where a group has ten events and ten non-events, exact and Newcombe's intervals elsewhere. Counted are the
studies in which all four intervals hold at once. Writes ``book/tables/rate_coverage.csv``, pooled over group
sizes and clustering by the kind of interval that a size leads to; a pooled cell is out only if its Monte Carlo
interval excludes the band.

``python -m tests.benchmarks.rate_coverage [--studies 400] [--cores 2]``
"""

import argparse
import datetime
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from scipy.stats import norm
from statsmodels.stats.proportion import proportion_confint
from tqdm import tqdm

from mmlib.core.schema import MINIMUM_EVENTS
from mmlib.measure.bootstrap import resample_patients
from mmlib.measure.evaluation import evaluate
from mmlib.measure.groups import Groups

RATES, SIZES, LIKE = (0.1, 0.5, 0.9), (12, 20, 30, 60, 100, 300), 0.5
BLOCK = 50
OUT = Path(__file__).parents[2] / "book" / "tables" / "rate_coverage.csv"


def study(rate, size, clustered, rng):
    """Patients of five groups, all with a positive label, and the scores of BLOCK fixed models that find ``rate``."""
    patients = np.repeat(np.arange(5), [3 * size, *[size] * 4])
    rows = rng.integers(1, 4, len(patients)) if clustered else np.ones(len(patients), int)
    patient, member = np.repeat(np.arange(len(patients)), rows), np.repeat(patients, rows)
    noise = np.sqrt(LIKE) * rng.normal(size=(BLOCK, len(patients)))[:, patient]
    noise += np.sqrt(1 - LIKE) * rng.normal(size=(BLOCK, len(member)))
    cohort = pd.DataFrame({"patient_id": patient.astype(str), "label": 1, "fold": 0, "group": member.astype(str)})
    negative = cohort.assign(label=0)  # so that every group has both labels
    cohort = pd.concat([cohort, negative.drop_duplicates("group")], ignore_index=True)
    selected = np.pad(norm.cdf(noise) < rate, ((0, 0), (0, len(cohort) - len(member))))
    score = xr.DataArray(selected[None].astype(float), {"study": range(BLOCK)}, ("seed", "study", "sample"))
    return cohort, score, xr.DataArray(np.full((1, 1), 0.5), dims=("seed", "fold"))


def count(cell):
    """Count the intervals of rates, and the studies with all four intervals of differences, that hold."""
    rate, size, clustered, studies, resamples, seed = cell
    rng, held = np.random.default_rng(seed), {"rate": [0, 0], "difference": [0, 0]}
    for block in range(max(1, studies // BLOCK)):
        cohort, score, cut = study(rate, size, clustered, rng)
        weights = resample_patients(cohort.patient_id, resamples, seed + block)
        result = evaluate(score, cut, cohort, weights, groups=Groups({"group": "0"}), metrics=("tpr",))
        low, high = result.metric("tpr", "group").sel(group=["1", "2", "3", "4"]).interval()
        holds = ((low <= rate) & (rate <= high)).values
        held["rate"][0], held["rate"][1] = held["rate"][0] + holds.sum(), held["rate"][1] + holds.size
        low, high = result.difference("tpr", "group").interval(simultaneous="group")
        holds = ((low <= 0) & (high >= 0)).all("group").values
        held["difference"][0] += holds.sum()
        held["difference"][1] += holds.size
    # by design, not by draw: an interval that is only used where the draw was odd holds less often
    expected = size * (2 if clustered else 1) * min(rate, 1 - rate)
    kind = "exact, Newcombe" if expected < MINIMUM_EVENTS else "bootstrap, max-T"
    return [(quantity, kind, rate, size, clustered, *map(int, hits)) for quantity, hits in held.items()]


def pool(rows) -> pd.DataFrame:
    """Pool over group sizes and clustering, with the Monte Carlo interval of the pooled coverage."""
    columns = ["quantity", "interval", "rate", "positives", "clustered", "held", "studies"]
    table = pd.DataFrame(rows, columns=columns)
    pooled = table.groupby(["quantity", "interval", "rate"], sort=False)[["held", "studies"]].sum().reset_index()
    pooled = pooled[pooled.studies > 0].reset_index(drop=True)
    low, high = proportion_confint(pooled.held, pooled.studies, method="beta")
    top = np.where(pooled.interval.str.startswith("bootstrap"), 0.97, 1.0)
    pooled["coverage"] = (pooled.held / pooled.studies).round(4)
    pooled["low"], pooled["high"] = np.round(low, 4), np.round(high, 4)
    pooled["band"] = np.where(top < 1, "93% to 97%", "93% or more")
    pooled["verdict"] = np.where((low <= top) & (high >= 0.93), "in", "out")
    return pooled


def main(arguments=None):
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition(".")[0])
    parser.add_argument("--studies", type=int, default=400, help="of each cell")
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args(arguments)
    cells = [
        (rate, size, clustered, options.studies, options.resamples, 1000 * i)
        for i, (rate, size, clustered) in enumerate(product(RATES, SIZES, (False, True)))
    ]
    rows = []
    with ProcessPoolExecutor(options.cores) as workers:
        for found in tqdm(workers.map(count, cells), total=len(cells), desc="cells", disable=None):
            rows += found
    table = pool(rows)
    command = f"python -m tests.benchmarks.rate_coverage --studies {options.studies}"
    table = table.assign(date=datetime.date.today(), command=command)
    table.to_csv(options.out, index=False)
    print(table.to_string())
    detail = pd.DataFrame(rows, columns=["quantity", "interval", "rate", "positives", "clustered", "held", "studies"])
    print(detail.assign(coverage=detail.held / detail.studies.clip(lower=1)).to_string())


if __name__ == "__main__":
    main()
