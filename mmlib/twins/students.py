"""A twin for every student, with a fault to be found: ``python -m mmlib twins NAME FOLDER --students names.csv``."""

import csv
import re
import shutil
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from mmlib.twins.causal import Knobs
from mmlib.twins.write import KNOBS, write_twin

#: The group that a fault is about; all else is as in the reference group, White.
GROUP = "Black"
#: Fault to the knobs that make it.
FAULTS = {
    "none": {},
    "measurement": {"error": {"triage.o2sat": {GROUP: -0.4}, "vitals.o2sat": {GROUP: -0.4}}},
    "label": {"label_bias": {GROUP: -0.4}},
    "base rate": {"base_rate": {GROUP: 0.4}},
    "selection": {"missing_by_group": {"medrecon": {GROUP: 0.7}}},
}
#: What tells the truth about a twin, which students do not get.
TRUTH = ("truth.parquet", "twin.json")


def faulty_knobs(name: str, fault: str) -> Knobs:
    """Settings of a twin with one fault.

    Parameters
    ----------
    name : {"mimic_eye", "mimic_iv_ed"}
    fault : str
        A name of ``FAULTS``.
    """
    if name not in ("mimic_eye", "mimic_iv_ed") or fault not in FAULTS:
        raise ValueError(
            f"The twin is {name!r} and the fault {fault!r}; expected mimic_eye or mimic_iv_ed, and {', '.join(FAULTS)}."
        )
    return replace(KNOBS[name], **FAULTS[fault])


def write_student(
    name: str, folder: str | Path, student: str, *, patients: int = 3000, seed: int = 0, mess: float = 0.01
) -> str:
    """Write the twin of one student, without the truth, and give the name of its hidden fault.

    Parameters
    ----------
    name : {"mimic_eye", "mimic_iv_ed"}
    folder : path
        Must not exist, or be empty.
    student : str
        With the seed it decides everything: another student of the same class changes nothing.
    patients, seed, mess : int, int, float
        As in `mmlib.twins.write.write_twin`.

    Returns
    -------
    str
        A name of ``FAULTS``; each is as likely as the others.
    """
    own = np.random.default_rng([seed, zlib.crc32(student.encode())])
    fault = list(FAULTS)[own.integers(len(FAULTS))]
    knobs = faulty_knobs(name, fault)
    folder = write_twin(name, folder, patients=patients, seed=int(own.integers(2**31)), knobs=knobs, mess=mess)
    for file in TRUTH:
        (folder / file).unlink()
    return fault


def write_students(
    name: str, folder: str | Path, names: str | Path, *, patients: int = 3000, seed: int = 0, mess: float = 0.01
) -> Path:
    """Write a twin for every student of a list, and the teacher's key beside the folder.

    Parameters
    ----------
    name : {"mimic_eye", "mimic_iv_ed"}
    folder : path
        One folder per student, named as in the list; must not exist, or be empty.
    names : path
        CSV file with the students in its first column, under the heading ``student`` or ``name``.
    patients, seed, mess : int, int, float
        As in `write_student`.

    Returns
    -------
    pathlib.Path
        The key, ``<folder>-key.csv``: ``student, fault``.
    """
    folder, students = Path(folder), _students(names)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} exists; remove it or choose another folder for the twins.")
    options = {"patients": patients, "seed": seed, "mess": mess}
    try:
        found = [(s, write_student(name, folder / s, s, **options)) for s in students]
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    key = folder.with_name(f"{folder.name}-key.csv")
    pd.DataFrame(found, columns=["student", "fault"]).to_csv(key, index=False)
    return key


def _students(names) -> list[str]:
    """Names in the first column of a list, checked: each becomes a folder."""
    with open(names, newline="", encoding="utf-8-sig") as file:
        heading, *students = [row[0].strip() for row in csv.reader(file) if row and row[0].strip()] or [""]
    if heading.lower() not in ("student", "name"):
        raise ValueError(f"{names} begins with {heading!r}; expected a heading, student or name, then one name a line.")
    odd = [s for s in students if not re.fullmatch(r"[\w][\w .'-]*", s) or students.count(s) > 1]
    if odd or not students:
        found = f"{odd[0]!r}, twice or not fit for a folder" if odd else "no student"
        raise ValueError(f"{names} names {found}; expected a heading, then a different name in each line.")
    return students
