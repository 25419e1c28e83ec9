"""How often a study reports that a modality of pure noise raises AUROC.

Every study has three modalities that tell something and one that tells nothing, which a fifth of the patients lack at
random. The noise is added to nothing, to each single modality and to all, and reported if any of these gains has a
simultaneous 95 % interval above 0. Right is a share whose exact interval reaches down to 5 % or less. Writes
``book/tables/noise_studies.csv``.

``python -m tests.benchmarks.noise_studies [--studies 200] [--cores 2]``
"""

import argparse
import datetime
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pandas as pd
from statsmodels.stats.proportion import proportion_confint
from tqdm import tqdm

from mmlib.measure.bootstrap import resample_patients
from mmlib.questions.noise import noise_gains, noise_subsets
from mmlib.twins.causal import Knobs
from tests.benchmarks.twin_study import train_twin

SIGNAL = {"triage": 0.5, "vitals": 0.6, "labs": 0.7}
KNOBS = Knobs(signal=SIGNAL | {"noise": 0.0}, missingness={"labs": 0.2, "noise": 0.2})
SIZES = {"training": 2500, "validation": 1500, "tested": 3000}
SEEDS, RESAMPLES = 2, 1000
OUT = Path(__file__).parents[2] / "book" / "tables" / "noise_studies.csv"


def study(seed: int) -> pd.DataFrame:
    """Gains from noise in one study: a row for each subset that it was added to."""
    pairs = noise_subsets(list(SIGNAL))
    twin = train_twin(KNOBS, seed, SIZES, seeds=SEEDS, subsets=[*pairs, *pairs.values()])
    tested = twin.part == "tested"
    scores, cohort = twin.powerset.isel(sample=tested), twin.cohort[tested].reset_index(drop=True)
    weights = resample_patients(cohort["patient_id"], RESAMPLES, seed)
    gains = noise_gains(scores, scores.sel(subset=list(pairs.values())), cohort, weights)
    return gains.frame(simultaneous=True).assign(study=seed)


def count(gains: pd.DataFrame) -> pd.DataFrame:
    """Studies in which noise is reported as raising AUROC, by what it was added to."""
    whole = "+".join(SIGNAL)
    kind = gains["subset"].map({"none": "nothing", whole: "all modalities"}).fillna("a single modality")
    gains = gains.assign(added_to=kind, raised=gains.low > 0)
    rows = []
    for added_to in ("anything", "nothing", "a single modality", "all modalities"):
        part = gains if added_to == "anything" else gains[gains.added_to == added_to]
        raised = part.groupby("study").raised.any()
        low, high = proportion_confint(raised.sum(), len(raised), method="beta")
        rows.append(
            {
                "added_to": added_to,
                "studies": len(raised),
                "raised": int(raised.sum()),
                "share": raised.mean(),
                "low": low,
                "high": high,
                "wanted": "low at most 0.05",
                "verdict": "in" if low <= 0.05 else "out",
                "mean_gain": part.estimate.mean(),
            }
        )
    return pd.DataFrame(rows)


def main(arguments=None):
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition(".")[0])
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args(arguments)
    # after torch has used threads a fork hangs
    with ProcessPoolExecutor(options.cores, multiprocessing.get_context("spawn")) as workers:
        every = workers.map(study, range(options.studies))
        gains = pd.concat(tqdm(every, total=options.studies, desc="studies", disable=None))
    table = count(gains)
    command = f"python -m tests.benchmarks.noise_studies --studies {options.studies}"
    table = table.assign(date=datetime.date.today(), command=command)
    table.to_csv(options.out, index=False, float_format="%.4f")
    print(table.to_string())


if __name__ == "__main__":
    main()
