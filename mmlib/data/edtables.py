"""Tidy tables of an emergency department: impossible or odd values are repaired and counted.

Bounds of vital signs are those of the public benchmark of MIMIC-IV-ED [Xie2022]_.
"""

import gzip
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mmlib.data.table import require

#: Columns that are read of each table; all others are ignored.
COLUMNS = {
    "edstays": ["subject_id", "hadm_id", "stay_id", "intime", "outtime", "gender", "race"]
    + ["arrival_transport", "disposition"],
    "triage": ["stay_id", "temperature", "heartrate", "resprate", "o2sat", "sbp", "dbp", "pain", "acuity"]
    + ["chiefcomplaint"],
    "vitalsign": ["stay_id", "charttime", "temperature", "heartrate", "resprate", "o2sat", "sbp", "dbp"]
    + ["rhythm", "pain"],
    "medrecon": ["stay_id", "charttime", "name", "etcdescription"],
    "pyxis": ["stay_id", "charttime", "name"],
    "diagnosis": ["stay_id", "icd_title"],
    "admissions": ["hadm_id", "insurance", "language", "marital_status", "hospital_expire_flag"],
    "icustays": ["hadm_id"],
    "patients": ["subject_id", "anchor_age", "anchor_year"],
}
TASKS = {
    "disposition": "admission from the emergency department",
    "icu": "stay in intensive care",
    "death": "death in hospital",
}
#: Lowest and highest possible value [Xie2022]_; temperature in degrees Fahrenheit (26 to 45 Celsius).
POSSIBLE = {
    "temperature": (78.8, 113),
    "heartrate": (0, 350),
    "resprate": (0, 300),
    "o2sat": (0, 100),
    "sbp": (0, 375),
    "dbp": (0, 375),
    "pain": (0, 10),
    "acuity": (1, 5),
}
#: Beginnings of the hospital's words for race; all other words are "Other".
RACES = {
    "WHITE": "White",
    "PORTUGUESE": "White",
    "BLACK": "Black",
    "HISPANIC": "Hispanic",
    "SOUTH AMERICAN": "Hispanic",
    "ASIAN": "Asian",
    "UNKNOWN": "Unknown",
    "UNABLE": "Unknown",
    "PATIENT DECLINED": "Unknown",
}
RACE_OPTIONS = ("grouped", "recorded", "binary")
AGE_STARTS = (18, 40, 65, 80)  # first years of the age groups
ACUITY = {1: "1, immediate", 2: "2, emergent", 3: "3, urgent", 4: "4, less urgent", 5: "5, not urgent"}


def read_columns(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Some columns of a CSV file, gzipped or not; the others take no memory.

    Raises
    ------
    ValueError
        If the file is damaged or lacks a column.
    """
    try:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8") as file:
            header = pd.read_csv(file, nrows=0)
        require(header, columns, path)
        return pd.read_csv(path, usecols=list(columns), engine="pyarrow")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, pd.errors.ParserError) as error:
        raise ValueError(f"{path} cannot be read as a table: {str(error).splitlines()[0]}") from error
    except pd.errors.EmptyDataError as error:
        raise ValueError(f"{path} is empty; expected a table with {', '.join(columns)}.") from error


def tidy_stays(stays: pd.DataFrame, counts: dict[str, int]) -> pd.DataFrame:
    """Stays with their dates, without those listed twice or with impossible dates."""
    twice = stays["stay_id"].duplicated()
    stays = stays[~twice].assign(
        intime=lambda s: pd.to_datetime(s["intime"], errors="coerce"),
        outtime=lambda s: pd.to_datetime(s["outtime"], errors="coerce"),
    )
    unreadable = stays["intime"].isna() | stays["outtime"].isna()
    backwards = stays["outtime"] < stays["intime"]
    tally(counts, "stays listed more than once, dropped", twice)
    tally(counts, "stays without a readable date, dropped", unreadable)
    tally(counts, "stays that end before they begin, dropped", backwards)
    return stays[~(unreadable | backwards)].reset_index(drop=True)


def label_stays(
    stays: pd.DataFrame, task: str, tables: Mapping[str, pd.DataFrame | None], counts: dict[str, int]
) -> tuple[pd.DataFrame, pd.Series]:
    """Stays that end at home, in the hospital or in death, and their labels.

    Returns
    -------
    stays : pandas.DataFrame
    positive : pandas.Series of bool
    """
    admitted = stays["disposition"].isin(["ADMITTED", "EXPIRED"])
    decided = admitted | (stays["disposition"] == "HOME")
    tally(counts, "stays with another disposition than home, admitted or expired, dropped", ~decided)
    stays = stays[decided].reset_index(drop=True)
    if task == "disposition":
        return stays, admitted[decided].reset_index(drop=True)
    table, column = ("icustays", "hadm_id") if task == "icu" else ("admissions", "hospital_expire_flag")
    rows = needed(tables, table, f"task {task!r}")
    if task == "death":
        rows = rows[rows[column] == 1]
    linked = stays["hadm_id"].isin(rows["hadm_id"].dropna()) & stays["hadm_id"].notna()
    return stays, linked | ((stays["disposition"] == "EXPIRED") & (task == "death"))


def needed(tables: Mapping[str, pd.DataFrame | None], table: str, what: str) -> pd.DataFrame:
    """Table of that name; if it is missing, a `ValueError` says what cannot be done without it."""
    if tables.get(table) is None:
        raise ValueError(
            f"{what} needs the table {table}, which was not found; download it or choose otherwise."
        )
    return tables[table]


def ages(stays: pd.DataFrame, patients: pd.DataFrame | None, counts: dict[str, int]) -> pd.Series | None:
    """Age at each stay in years, from the anchor year of the patient; None without the table."""
    if patients is None:
        return None
    own = stays[["subject_id"]].merge(patients.drop_duplicates("subject_id"), on="subject_id", how="left")
    age = own["anchor_age"] + stays["intime"].dt.year - own["anchor_year"]
    tally(counts, "stays without an age", age.isna())
    return age.astype(float)


def race_groups(recorded: pd.Series, option: str) -> pd.Series:
    """Race groups, from race as the hospital recorded it.

    Parameters
    ----------
    recorded : pandas.Series of str
    option : {"grouped", "recorded", "binary"}
        White, Black, Hispanic, Asian, Other, Unknown; the hospital's own words; or White and Non-White, where
        whoever is not recorded as White is Non-White, unknown included, as far as [Sampath2025]_ reports.
    """
    words = recorded.astype("str").str.strip().str.upper().fillna("UNKNOWN")
    if option == "recorded":
        return words.str.capitalize()
    group = pd.Series("Other", words.index)
    for beginning, name in RACES.items():
        group[words.str.startswith(beginning)] = name
    return group if option == "grouped" else group.where(group == "White", "Non-White")


def possible(rows: pd.DataFrame, table: str, counts: dict[str, int]) -> pd.DataFrame:
    """Vital signs as numbers: impossible ones become missing, degrees Celsius become Fahrenheit."""
    rows = rows.copy()
    for column, (low, high) in POSSIBLE.items():
        if column not in rows:
            continue
        text = rows[column]
        numbers = pain(text) if column == "pain" else pd.to_numeric(text, errors="coerce").astype(float)
        tally(counts, f"{table}: {column} that is no number, dropped", numbers.isna() & text.notna())
        if column == "temperature":
            celsius = numbers.between(26, 45)
            tally(counts, f"{table}: temperature in degrees Celsius, converted", celsius)
            numbers = numbers.where(~celsius, numbers * 1.8 + 32)
        beyond = numbers.notna() & ~numbers.between(low, high)
        tally(counts, f"{table}: {column} beyond what is possible, dropped", beyond)
        rows[column] = numbers.where(~beyond)
    return rows


def pain(text: pd.Series) -> pd.Series:
    """Pain as a number: ``"7"``, ``"7/10"``, or the middle of ``"6-8"``; other words become missing."""
    parts = text.astype("str").str.extract(
        r"^\s*(\d+(?:\.\d+)?)(?:\s*-\s*(\d+(?:\.\d+)?))?\s*(?:/\s*10)?\s*$"
    )
    low, high = (pd.to_numeric(parts[i]) for i in (0, 1))
    return ((low + high.fillna(low)) / 2).astype(float)


def tally(counts: dict[str, int], what: str, mask) -> None:
    """Add the number of true values to a count, if there are any."""
    number = int(np.asarray(mask).sum())
    if number:
        counts[what] = counts.get(what, 0) + number
