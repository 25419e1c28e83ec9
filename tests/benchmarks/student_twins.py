"""How often the method of the third lesson finds the fault of a student's twin, and how often it finds one in none."""

import tempfile
from collections import Counter
from pathlib import Path

import pandas as pd

from mmlib.data.cohorts import load_cohort
from mmlib.measure.exact import exact_interval
from mmlib.questions.lessons import compare_recorded, name_fault
from mmlib.twins.students import FAULTS, GROUP, faulty_knobs, write_twin

TWINS, PATIENTS = 40, 3000
OUT = Path("book/tables/student_twins.csv")


def named(fault: str, seed: int, patients: int = PATIENTS) -> str:
    """Fault that the method names in a twin with a given one."""
    with tempfile.TemporaryDirectory() as folder:
        knobs = faulty_knobs("mimic_iv_ed", fault)
        write_twin("mimic_iv_ed", Path(folder) / "twin", patients=patients, seed=seed, knobs=knobs)
        cohort = load_cohort("mimic_iv_ed", Path(folder) / "twin")
    return name_fault(compare_recorded(cohort, "race", GROUP, "White"))


def main() -> None:
    faults = [fault for fault in FAULTS if fault != "none"]
    planted = [(fault, seed) for seed in range(TWINS // len(faults)) for fault in faults]
    planted += [("none", TWINS + seed) for seed in range(TWINS)]
    found = Counter((fault, fault == named(fault, 1000 + seed)) for fault, seed in planted)
    rows = []
    for fault in [*faults, "any of the four", "none"]:
        kinds = faults if fault == "any of the four" else [fault]
        total = sum(found[k, right] for k in kinds for right in (True, False))
        right = sum(found[k, True] for k in kinds)
        low, high = exact_interval(right, total)
        rows.append((fault, total, right, f"{right / total:.2f} [{low:.2f}, {high:.2f}]"))
    columns = ["hidden fault", "twins", "named rightly", "share, exact 95 % interval"]
    pd.DataFrame(rows, columns=columns).to_csv(OUT, index=False)
    print(OUT.read_text())


if __name__ == "__main__":
    main()
