"""Operating characteristics of the audit: does it catch planted leaks, and leave clean cohorts alone?

``python -m tests.benchmarks.audit_characteristics --cohorts 200 --out book/tables/audit_characteristics.csv``
"""

import argparse
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
from statsmodels.stats.proportion import proportion_confint
from tqdm import tqdm

from mmlib.core.schema import Cohort, Field
from mmlib.data.splits import assign_folds
from mmlib.measure.bootstrap import resample_patients
from mmlib.questions import audit

#: What is planted -> in words. Every cohort, clean ones too, holds fields whose presence is informative.
KINDS = {
    "clean": "nothing planted: an alarm is a false one",
    "presence": "recorded more often, or only, because of the outcome; time unknown",
    "value": "a value that follows the outcome; time unknown",
    "misdated": "a value that nearly is the outcome, documented as early",
    "late": "documented as early, some recording times after the prediction",
}


def simulate(kind: str, seed: int) -> Cohort:
    """Draw a cohort: 800 to 3,000 samples of clustered patients, about 10 to 40 % positive.

    Parameters
    ----------
    kind : {"clean", "presence", "value", "misdated", "late"}
        What the field ``planted.x`` is; a clean cohort has none.
    seed : int

    Returns
    -------
    mmlib.core.schema.Cohort
    """
    rng = np.random.default_rng(seed)
    n = int(rng.integers(800, 3001))
    patient = np.sort(rng.integers(0, int(n / rng.uniform(1, 2)), n))
    severity = rng.normal(size=n) * 0.7 + rng.normal(size=patient.max() + 1)[patient] * 0.7
    y = (severity + rng.logistic(size=n) * 0.5 > np.quantile(severity, rng.uniform(0.6, 0.9))).astype(int)
    values, fields, times = {}, [], {}

    def add(modality, name, value, recorded, timing, hours=None):
        field = Field(modality, name, name, timing=timing, source="simulated")
        fields.append(field)
        values[field.column] = np.where(recorded, value, np.nan)
        if hours is not None:
            times[field.column] = np.where(recorded, hours, np.nan)

    def sometimes(share):
        return rng.random(n) < share

    for i in range(4):
        add("labs", f"noise{i}", rng.normal(size=n), sometimes(rng.uniform(0.4, 1)), "before")
        add("vitals", f"signal{i}", severity + rng.normal(size=n) * 2, sometimes(0.9), "before")
    for i in range(3):  # the sicker, the more (or the less) is measured, in time
        share = 1 / (1 + np.exp(rng.choice([-1, 1]) * severity * rng.uniform(0.5, 1.5)))
        add("labs", f"informative{i}", severity + rng.normal(size=n) * 3, sometimes(share), "before")
    for i in range(3):
        add("history", f"undated{i}", rng.normal(size=n), sometimes(rng.uniform(0.4, 1)), "unknown")
    add("vitals", "timed", rng.normal(size=n), sometimes(0.8), "unknown", -rng.exponential(5, n))

    if kind == "presence":
        base, more = rng.uniform(0, 0.5), rng.uniform(0.25, 0.5)
        add("planted", "x", rng.normal(size=n), sometimes(base + more * y), "unknown")
    elif kind == "value":
        add("planted", "x", y * rng.uniform(1, 3) + rng.normal(size=n), sometimes(0.8), "unknown")
    elif kind == "misdated":
        add("planted", "x", y * rng.uniform(6, 9) + rng.normal(size=n), sometimes(0.8), "before")
    elif kind == "late":
        late = sometimes(rng.uniform(0.01, 0.2))
        hours = np.where(late, rng.exponential(3, n), -rng.exponential(5, n))
        add("planted", "x", rng.normal(size=n), sometimes(0.8), "before", hours)
    samples = pd.DataFrame({"sample_id": np.arange(n).astype(str), "patient_id": patient.astype(str)})
    samples["label"] = y.astype("int8")
    return Cohort(
        "simulated", "outcome", samples, pd.DataFrame(values), tuple(fields), (), times=pd.DataFrame(times)
    )


def alarms(kind: str, seed: int, *, resamples: int = 200) -> bool:
    """Say whether the audit raises an alarm: on the planted field, or on any field or modality of a clean cohort."""
    cohort = simulate(kind, seed)
    samples = cohort.samples.assign(fold=assign_folds(cohort.samples, folds=5, seed=seed))
    patient_weights = resample_patients(samples.patient_id, resamples, seed)
    found = audit.predictiveness(cohort, samples, patient_weights)
    verdicts = audit.give_verdicts(cohort, found).set_index("field").verdict
    alarm = verdicts.isin(audit.VERDICTS[:2])
    return bool(alarm.any() if kind == "clean" else alarm["planted.x"])


def measure(cohorts: int, *, resamples: int = 200) -> pd.DataFrame:
    """Count alarms over so many cohorts of each kind, with Clopper and Pearson's 95 % interval."""
    rows = []
    for k, (kind, meaning) in enumerate(KINDS.items()):
        seeds = range(k * 1_000_000, k * 1_000_000 + cohorts)
        hits = sum(alarms(kind, seed, resamples=resamples) for seed in tqdm(seeds, desc=kind, disable=None))
        low, high = proportion_confint(hits, cohorts, method="beta")
        wanted = "at most 0.05" if kind == "clean" else "at least 0.95"
        rows.append((kind, meaning, cohorts, hits, hits / cohorts, low, high, wanted))
    columns = ["planted", "meaning", "cohorts", "alarms", "rate", "low", "high", "wanted"]
    return pd.DataFrame(rows, columns=columns)


def main() -> None:
    """Write the table with its date and command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cohorts", type=int, default=200)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    table = measure(options.cohorts).assign(
        date=date.today().isoformat(),
        command=f"python -m tests.benchmarks.audit_characteristics --cohorts {options.cohorts} --out {options.out}",
    )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(options.out, index=False, float_format="%.4f")
    print(table.drop(columns=["meaning", "command"]).to_string(index=False))


if __name__ == "__main__":
    main()
