"""MIMIC-IV-Ext-MDS-ED 1.0.0 [LopezAlcaraz2024]_: a row per ECG in the first 90 minutes of a stay; credentialed."""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import pandas as pd

from mmlib.core.schema import Cohort, Field
from mmlib.data.ecg import open_memmap
from mmlib.data.edtables import ACUITY, AGE_STARTS, RACE_OPTIONS, race_groups, read_columns, tally
from mmlib.data.mimic_iv_ed import limited
from mmlib.data.table import age_groups, build, require

STATISTICS = {
    "mean": "mean",
    "median": "median",
    "min": "lowest",
    "max": "highest",
    "std": "spread of",
    "first": "first",
    "last": "last",
    "rate_change": "change per hour of",
    "coeff": "coefficient of variation of",
}
#: Label, unit, decimals, customary reference interval of adults.
VITALS = {
    "temperature": ("temperature", "degrees Celsius", 1, (35, 36, 38, 39.5)),
    "heartrate": ("heart rate", "beats per minute", 0, (40, 60, 100, 130)),
    "resprate": ("respiratory rate", "breaths per minute", 0, (8, 12, 20, 30)),
    "o2sat": ("oxygen saturation", "%", 0, (85, 94, None, None)),
    "sbp": ("systolic blood pressure", "mmHg", 0, (80, 90, 140, 180)),
    "dbp": ("diastolic blood pressure", "mmHg", 0, (40, 60, 90, 120)),
}
#: Unit, decimals and customary reference interval of common laboratory values; others have none.
LABS = {
    "albumin": ("g/dL", 1, (2, 3.5, 5.5, None)),
    "anion_gap": ("mmol/L", 0, (None, 8, 16, 25)),
    "bicarbonate": ("mmol/L", 0, (12, 22, 29, 40)),
    "bilirubin_total": ("mg/dL", 1, (None, None, 1.2, 5)),
    "chloride": ("mmol/L", 0, (80, 96, 106, 120)),
    "creatinine": ("mg/dL", 1, (None, 0.5, 1.3, 3)),
    "glucose": ("mg/dL", 0, (50, 70, 140, 300)),
    "hematocrit": ("%", 0, (20, 36, 50, 60)),
    "hemoglobin": ("g/dL", 1, (7, 12, 17, 20)),
    "inrpt": ("", 1, (None, 0.8, 1.2, 4)),
    "lactate": ("mmol/L", 1, (None, 0.5, 2, 4)),
    "magnesium": ("mg/dL", 1, (1, 1.6, 2.6, 4)),
    "ph": ("", 2, (7.2, 7.35, 7.45, 7.55)),
    "phosphate": ("mg/dL", 1, (1, 2.5, 4.5, 8)),
    "platelet_count": ("thousand per microlitre", 0, (50, 150, 400, 1000)),
    "potassium": ("mmol/L", 1, (2.5, 3.5, 5.1, 6.5)),
    "sodium": ("mmol/L", 0, (125, 135, 145, 155)),
    "troponin_t": ("ng/mL", 2, (None, None, 0.01, 0.1)),
    "urea_nitrogen": ("mg/dL", 0, (None, 6, 20, 60)),
    "white_blood_cells": ("thousand per microlitre", 1, (2, 4, 11, 20)),
}
GENERAL = [
    "subject_id",
    "ed_stay_id",
    "study_id",
    "race",
    "strat_fold",
    "ecg_no_within_stay",
    "data",
    "file_name",
]
BEFORE = -999  # the event happened before the prediction time
FOLDS = 20  # official folds: 0 to 17 training, 18 validation, 19 test
ECG = ("memmap", "wfdb", "none")
SOURCE = "MIMIC-IV-Ext-MDS-ED documentation: within 90 minutes of arrival"


def load(
    root: str | Path | None,
    *,
    label: str = "deterioration_icu_24h",
    ecg: str = "memmap",
    ecg_root: str | None = None,
    statistics: Sequence[str] = ("mean", "min", "max", "last"),
    race: str = "grouped",
    limit: int | None = None,
) -> Cohort:
    """Cohort MDS-ED: demographics, biometrics, vitals, labs and ecg, all known 90 minutes after arrival.

    Parameters
    ----------
    root : path
        Folder with ``mds_ed.csv``, or the file itself.
    label : str
        Any ``deterioration_*`` or ``diagnoses_*`` column. Rows with -999, where the event happened
        before the prediction time, are dropped and counted.
    ecg : {"memmap", "wfdb", "none"}
        The ECG as a record of the memmap, 100 Hz; as its WFDB record of MIMIC-IV-ECG, 500 Hz; or not at all.
    ecg_root : path, optional
        Folder of ``memmap.npy``, or the one that holds ``files/`` of MIMIC-IV-ECG; ``root`` if not given.
    statistics : sequence of str
        Which statistics of vital signs and laboratory values are inputs.
    race : {"grouped", "recorded", "binary"}
        See :func:`mmlib.data.edtables.race_groups`.
    limit : int, optional
        Keep this many patients, drawn with a fixed seed.

    Returns
    -------
    mmlib.core.schema.Cohort
        ``samples`` has ``split_fold``, the official fold. Of a stay in the official validation and test folds
        only the first ECG is kept.

    Raises
    ------
    FileNotFoundError, ValueError
        If the files are missing, or an option or the data do not fit; the message is one sentence.
    """
    for option, value, known in (("ecg", ecg, ECG), ("race", race, RACE_OPTIONS)):
        if value not in known:
            raise ValueError(f"{option} is {value!r}; expected one of {', '.join(known)}.")
    if isinstance(statistics, str) or not statistics or not set(statistics) <= set(STATISTICS):
        raise ValueError(f"statistics is {statistics!r}; expected a list of some of {', '.join(STATISTICS)}.")
    file = Path(root or "") / "mds_ed.csv" if not Path(root or "").is_file() else Path(root)
    if not file.is_file():
        raise FileNotFoundError(
            f"root is {str(root)!r}; expected the folder of MIMIC-IV-Ext-MDS-ED, with mds_ed.csv."
        )
    header = pd.read_csv(file, nrows=0).columns
    targets = [c for c in header if c.startswith(("deterioration_", "diagnoses_"))]
    if label not in targets:
        near = get_close_matches(str(label), targets, n=1, cutoff=0)
        hint = f"the nearest column of {file} is {near[0]!r}" if near else f"{file} has no such column"
        raise ValueError(f"label is {label!r}; expected a deterioration_* or diagnoses_* column; {hint}.")
    fields = _fields(header, statistics)
    general = [f"general_{name}" for name in GENERAL if ecg != "none" or name not in ("data", "file_name")]
    needed = [*general, "demographics_gender", "demographics_age", label]
    require(pd.DataFrame(columns=header), needed, file)
    frame = read_columns(file, list(dict.fromkeys([*needed, *fields])))
    counts: dict[str, int] = {}
    frame = _sampled(frame, label, file, counts)
    if limit is not None:
        frame = limited(frame, limit, "general_subject_id").reset_index(drop=True)
    values = pd.DataFrame({f.column: frame[column] for column, f in fields.items()})
    told = list(fields.values())
    if ecg != "none":
        field = Field("ecg", "recording", "12-lead ECG", kind="ecg", timing="before", source=SOURCE)
        told.append(field)
        values[field.column] = _recordings(frame, ecg, Path(ecg_root or file.parent), counts)
    lacking = [f for f in told if values[f.column].isna().all()]
    tally(counts, "columns without any value, left out", [True] * len(lacking))
    groups = pd.DataFrame(
        {
            "race": race_groups(frame["general_race"], race),
            "sex": frame["demographics_gender"].map({0: "Female", 1: "Male"}).fillna("Unknown"),
            "age_group": age_groups(frame["demographics_age"], AGE_STARTS),
        }
    )
    kind, _, name = label.partition("_")
    cohort = build(
        "mds_ed",
        {"deterioration": "deterioration", "diagnoses": "diagnosis"}[kind] + f": {name.replace('_', ' ')}",
        values=values,
        fields=[f for f in told if f not in lacking],
        groups=groups,
        label=frame[label] == 1,
        sample_id=frame["general_study_id"],
        patient_id=frame["general_subject_id"],
        counts=counts,
    )
    cohort.samples["split_fold"] = frame["general_strat_fold"].astype("int8")
    return cohort


def _fields(header, statistics) -> dict[str, Field]:
    """Column -> field, for those columns that are there."""
    place = {"timing": "before", "source": SOURCE}
    out = {"demographics_age": Field("demographics", "age", "age", "years", **place)}
    for name, label, unit in (
        ("bmi", "body mass index", "kg/m2"),
        ("weight", "weight", "kg"),
        ("height", "height", "cm"),
    ):
        out[f"biometrics_{name}"] = Field("biometrics", name, label, unit, 1 if name == "bmi" else 0, **place)
    for column in header:
        modality, _, rest = column.partition("_")
        statistic = next((s for s in statistics if rest.endswith(f"_{s}")), None)
        if statistic is None or modality not in ("vitals", "labvalues"):
            continue
        sign = rest.removesuffix(f"_{statistic}")
        if modality == "vitals":
            label, unit, decimals, reference = VITALS.get(sign, (sign, "", 1, None))
        else:
            label, (unit, decimals, reference) = sign.replace("_", " "), LABS.get(sign, ("", 1, None))
        if statistic in ("std", "rate_change", "coeff"):
            unit, decimals, reference = ("" if statistic == "coeff" else unit), 2, None
        out[column] = Field(
            "vitals" if modality == "vitals" else "labs",
            rest,
            f"{STATISTICS[statistic]} {label}",
            unit,
            decimals,
            reference=reference,
            **place,
        )
    if "vitals_acuity" in header:
        out["vitals_acuity"] = Field("vitals", "acuity", "acuity", words=ACUITY, **place)
    return {column: field for column, field in out.items() if column in header}


def _sampled(frame, label, file, counts):
    """Rows with a known target; in the validation and test folds only the first ECG of a stay."""
    fold, target = frame["general_strat_fold"], frame[label]
    if not fold.isin(range(FOLDS)).all():
        raise ValueError(
            f"{file}: general_strat_fold holds {fold[~fold.isin(range(FOLDS))].iloc[0]:g}; expected 0 to 19."
        )
    split = frame.groupby("general_subject_id")["general_strat_fold"].nunique()
    if split.max() > 1:
        raise ValueError(
            f"{file}: {(split > 1).sum()} patients are in two official folds; expected each in one."
        )
    odd = target.notna() & ~target.isin([0, 1, BEFORE])
    if odd.any():
        raise ValueError(f"{file}: {label} holds {target[odd].iloc[0]:g}; expected 0, 1 or {BEFORE}.")
    twice = frame["general_study_id"].duplicated()
    before, unknown = target == BEFORE, target.isna()
    later = (fold >= FOLDS - 2) & (frame["general_ecg_no_within_stay"] != 0)
    tally(counts, "ECGs listed more than once, dropped", twice)
    tally(counts, "rows where it happened before the prediction time, dropped", before)
    tally(counts, "rows without a label, dropped", unknown)
    tally(counts, "later ECGs of a stay in the validation and test folds, dropped", later)
    return frame[~(twice | before | unknown | later)].reset_index(drop=True)


def _recordings(frame, ecg, root, counts):
    """Path of the ECG of each row, whether it is there or not; None where the memmap has no such record."""
    if ecg == "wfdb":
        paths = [root / str(name) for name in frame["general_file_name"]]
        there = np.array([path.with_name(path.name + ".hea").is_file() for path in paths])
        names = pd.Series([str(path) for path in paths])
    else:
        memmap, row = root / "memmap.npy", pd.to_numeric(frame["general_data"], errors="coerce")
        if not memmap.is_file():
            raise FileNotFoundError(
                f"{memmap} was not found; give ecg_root its folder, or set ecg to wfdb or none."
            )
        _, start, _ = open_memmap(memmap)
        there = row.between(0, len(start) - 1).to_numpy()
        names = f"{memmap}#" + row.fillna(-1).astype(int).astype(str)
    tally(counts, "ECGs that were not found", ~there)
    return names if ecg == "wfdb" else names.where(there)
