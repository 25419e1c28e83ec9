"""MIMIC-Eye 1.0.0 [Hsieh2023]_: per patient, emergency department records and chest X-rays; credentialed."""

from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from tqdm import tqdm

from mmlib.core.schema import Cohort
from mmlib.data.edrecords import assemble
from mmlib.data.edtables import COLUMNS, read_columns, tally
from mmlib.data.reports import impression
from mmlib.data.table import require

#: Where each table lies in a patient's folder; the hospital's folder is spelt in two ways.
PLACES = {
    "edstays": ["ED"],
    "triage": ["ED"],
    "vitalsign": ["ED"],
    "medrecon": ["ED"],
    "pyxis": ["ED"],
    "diagnosis": ["ED"],
    "admissions": ["Hosp", "Hsop"],
    "icustays": ["ICU"],
    "cxr_meta": ["CXR-JPG"],
}
META = ["dicom_id", "subject_id", "study_id", "ViewPosition", "StudyDate", "StudyTime", "stay_id"]
CXR = ("image", "report", "none")
FRONTAL = ("PA", "AP")


def load(
    root: str | Path | None,
    *,
    task: str = "disposition",
    prediction_time: str = "unrestricted",
    arrival_fields: str = "registration",
    race: str = "grouped",
    cxr: str = "image",
    limit: int | None = None,
) -> Cohort:
    """Cohort MIMIC-Eye: arrival, triage, medrecon, vitals, codes, pyxis and cxr.

    Parameters
    ----------
    root : path
        Folder with ``patient_<subject_id>/`` and ``spreadsheets/``. Whatever a patient's folder lacks is
        absent for that patient.
    task, prediction_time, arrival_fields, race
        See :func:`mmlib.data.edrecords.assemble`.
    cxr : {"image", "report", "none"}
        The last frontal chest X-ray of the stay: as a picture, to be described; as the impression of the
        radiologist's report, or its findings if there is none; or not at all.
    limit : int, optional
        Keep this many patients, drawn with a fixed seed.

    Returns
    -------
    mmlib.core.schema.Cohort

    Raises
    ------
    FileNotFoundError, ValueError
        If the files are missing, or an option or the data do not fit; the message is one sentence.
    """
    if cxr not in CXR:
        raise ValueError(f"cxr is {cxr!r}; expected one of {', '.join(CXR)}.")
    root = Path(root) if root is not None else None
    patients = sorted(root.glob("patient_*")) if root is not None and root.is_dir() else []
    if not patients:
        raise FileNotFoundError(
            f"root is {str(root)!r}; expected the folder of MIMIC-Eye, with patient_<subject_id>/."
        )
    if limit is not None:
        if type(limit) is not int or limit < 1:
            raise ValueError(f"limit is {limit!r}; expected a whole number of patients, 1 or more.")
        patients = sorted(np.random.default_rng(0).permutation(patients)[:limit])
    tables, counts = {}, {}
    for name in tqdm([n for n in PLACES if n != "cxr_meta" or cxr != "none"], desc="tables", disable=None):
        tables[name], lacking = _gather(patients, name)
        if lacking:
            counts[f"patients without {PLACES[name][0]}/{name}.csv"] = lacking
    if tables["edstays"] is None:
        raise FileNotFoundError(
            f"No patient folder of {root} holds ED/edstays.csv; is the download complete?"
        )
    people = root / "spreadsheets" / "Hosp" / "patients.csv"
    people = people if people.is_file() else root / "spreadsheets" / "Hsop" / "patients.csv"
    tables["patients"] = read_columns(people, COLUMNS["patients"]) if people.is_file() else None
    if not people.is_file():
        counts["tables that were not found: spreadsheets/Hosp/patients.csv"] = 1
    meta = tables.pop("cxr_meta", None)
    return assemble(
        "mimic_eye",
        tables,
        counts,
        task=task,
        race=race,
        prediction_time=prediction_time,
        arrival_fields=arrival_fields,
        images=None if meta is None else _studies(meta, root, cxr, counts),
    )


def _gather(patients, name):
    """One table with the rows of all patients, and the number of patients without it.

    Files are joined as text and read at once: thousands of small files would otherwise take minutes.
    """
    columns = META if name == "cxr_meta" else COLUMNS[name]
    texts, lacking = {}, 0
    for patient in patients:
        files = [f for f in (patient / folder / f"{name}.csv" for folder in PLACES[name]) if f.is_file()]
        if not files:
            lacking += 1
            continue
        header, _, body = files[0].read_text(encoding="utf-8").partition("\n")
        if header not in texts:
            require(pd.DataFrame(columns=[c.strip('" \r') for c in header.split(",")]), columns, files[0])
        texts.setdefault(header, []).append(body if body.endswith("\n") or not body else body + "\n")
    frames = [
        pd.read_csv(StringIO(f"{header}\n{''.join(bodies)}"), usecols=columns, low_memory=False)
        for header, bodies in texts.items()
    ]
    return (pd.concat(frames, ignore_index=True) if frames else None), lacking


def _studies(meta, root, cxr, counts):
    """Rows of the X-ray studies of emergency department stays: their picture or report, and whether it is usable."""
    meta = meta.dropna(subset="stay_id").drop_duplicates("dicom_id")
    clock = pd.to_numeric(meta["StudyTime"], errors="coerce").fillna(0).astype(int).astype(str).str.zfill(6)
    taken = pd.to_datetime(meta["StudyDate"].astype(str) + clock, format="%Y%m%d%H%M%S", errors="coerce")
    rows = meta.assign(taken=taken, frontal=meta["ViewPosition"].isin(FRONTAL))
    patient = [root / f"patient_{subject}" for subject in rows["subject_id"]]
    if cxr == "report":
        files = [
            p / "CXR-DICOM" / f"s{study}.txt" for p, study in zip(patient, rows["study_id"], strict=True)
        ]
        told = pd.DataFrame([_told(file) for file in files], rows.index, columns=["outcome", "report"])
        tally(counts, "radiology reports that were not found", told["outcome"] == "no file")
        return rows.join(told).assign(usable=told["report"].notna())
    files = [
        p / "CXR-JPG" / f"s{study}" / f"{dicom}.jpg"
        for p, study, dicom in zip(patient, rows["study_id"], rows["dicom_id"], strict=True)
    ]
    there = np.array([file.is_file() for file in files])
    tally(counts, "chest X-rays that were not found", ~there)
    whole = np.array([ok and is_whole(file) for file, ok in zip(files, there, strict=True)])
    tally(counts, "chest X-rays that are damaged", there & ~whole)
    return rows.assign(image=[str(file) for file in files], usable=whole)


def _told(file: Path) -> tuple[str, str | None]:
    """What became of a report, and its impression or else its findings."""
    if not file.is_file():
        return "no file", None
    try:
        text = impression(file.read_text(encoding="utf-8", errors="replace"), or_findings=True)
    except OSError:
        return "unreadable", None
    return ("refused", None) if text is None else ("measured in full", text)


def is_whole(file: Path) -> bool:
    """Whether a JPEG can be opened and has its end marker, without decoding it."""
    try:
        with Image.open(file) as image:
            image.verify()
        with open(file, "rb") as content:
            content.seek(-min(64, file.stat().st_size), 2)
            return b"\xff\xd9" in content.read()
    except (OSError, SyntaxError):
        return False
