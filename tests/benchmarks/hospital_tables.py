"""Time and memory from 400,000 emergency stays to cohort.parquet and notes.parquet.

``python tests/benchmarks/hospital_tables.py [STAYS] [FOLDER]``: writes a twin of MIMIC-IV-ED into a temporary
folder, loads it as chapter 1 does, and writes both artefacts. Only the loading and writing is timed. The table of
the book is ``book/tables/hospital_tables.csv``.
"""

import resource
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from mmlib.data.cohorts import load_cohort
from mmlib.data.splits import assign_folds
from mmlib.runs import artefacts
from mmlib.text.notes import write_notes
from mmlib.twins.write import write_twin

STAYS_PER_PATIENT = 4 / 3  # a quarter of the patients come again, and again


def main(stays: int = 400_000, folder: str | None = None) -> pd.DataFrame:
    """Measure, and print one row."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        root, started = Path(scratch), time.perf_counter()
        write_twin("mimic_iv_ed", root / "twin", patients=round(stays / STAYS_PER_PATIENT))
        written = time.perf_counter()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        cohort = load_cohort("mimic_iv_ed", root / "twin")
        loaded = time.perf_counter()
        samples = cohort.samples.assign(fold=assign_folds(cohort.samples))
        table = samples.join(cohort.present().add_prefix("present_"))
        artefacts.write(table, "bench", "cohort", root=root)
        notes = write_notes(cohort)
        artefacts.write(notes, "bench", "notes", root=root)
        done = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    row = {
        "stays": len(samples),
        "sentences": len(notes),
        "distinct": notes["sentence"].nunique(),
        "seconds to write the twin": round(written - started, 1),
        "seconds to load": round(loaded - written, 1),
        "seconds to write both artefacts": round(done - loaded, 1),
        "peak GiB, twin": round(before, 2),
        "peak GiB, all": round(peak, 2),
    }
    out = pd.DataFrame([row])
    print(out.T.to_string(header=False))
    if stays == 400_000:
        out.to_csv("book/tables/hospital_tables.csv", index=False)
    return out


if __name__ == "__main__":
    main(*(kind(value) for kind, value in zip((int, str), sys.argv[1:], strict=False)))
