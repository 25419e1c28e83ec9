"""Write a synthetic twin of a data set: ``python -m mmlib twins mimic_eye FOLDER --patients 2000``.

Every table and file lies where the real data set has it, so that code that reads a twin also reads the real
data. ``truth.parquet`` and ``twin.json`` hold the true values and the settings. Nothing in a twin comes from
MIMIC.
"""

import argparse
import json
import os
import shutil
import sys
import uuid
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import yaml
from PIL import Image
from tqdm import tqdm

from mmlib.core.storage import digest_tree
from mmlib.twins import ed as twins_ed
from mmlib.twins import mds as twins_mds
from mmlib.twins.causal import Knobs, draw
from mmlib.twins.drawings import draw_xray

KNOBS = {"mimic_eye": twins_ed.KNOBS, "mimic_iv_ed": twins_ed.KNOBS, "mds_ed": twins_mds.KNOBS}
#: Where each table lies: in a patient's folder of MIMIC-Eye, and in MIMIC-IV-ED.
FOLDERS = dict.fromkeys(
    ["edstays", "triage", "vitalsign", "medrecon", "pyxis", "diagnosis"], ("ED", "ed")
) | {
    "admissions": ("Hosp", "hosp"),
    "icustays": ("ICU", "icu"),
}


def write_twin(
    name: str,
    folder: str | Path,
    *,
    patients: int = 2000,
    seed: int = 0,
    knobs: Knobs | None = None,
    mess: float = 0.01,
    wfdb: bool = False,
) -> Path:
    """Folder of a synthetic twin; it appears only when it is complete.

    Parameters
    ----------
    name : {"mimic_eye", "mimic_iv_ed", "mds_ed"}
    folder : path
        Must not exist, or be empty.
    patients : int
        Number of patients; a patient may have several stays.
    seed : int
    knobs : mmlib.twins.causal.Knobs, optional
        By default those of ``KNOBS``; modalities and fields have to be the same.
    mess : float
        Share of rows that are untidy: duplicates, impossible values, free text; and of damaged images.
    wfdb : bool
        For ``mds_ed``: also write every ECG as a WFDB record of 500 Hz.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    ValueError, FileExistsError
    """
    if name not in KNOBS:
        raise ValueError(f"There is no twin of {name!r}; expected one of {', '.join(KNOBS)}.")
    if patients < 1 or not 0 <= mess < 0.5:
        raise ValueError(
            f"patients is {patients} and mess {mess}; expected 1 or more, and a share below 0.5."
        )
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} exists; remove it or choose another folder for the twin.")
    knobs = KNOBS[name] if knobs is None else knobs
    if {m: knobs.names(m) for m in knobs.signal} != {m: KNOBS[name].names(m) for m in KNOBS[name].signal}:
        raise ValueError(f"The knobs name other modalities or fields than the twin of {name} has.")
    population = draw(patients, knobs, seed)
    part = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}")
    try:
        part.mkdir(parents=True)
        if name == "mds_ed":
            truth = twins_mds.write_mds_ed(population, part, seed=seed, mess=mess, wfdb=wfdb)
        else:
            made = twins_ed.tables(population, seed=seed, mess=mess)
            truth = made.pop("truth")
            (_write_eye if name == "mimic_eye" else _write_ed)(
                made, part, np.random.default_rng([seed, 3]), mess
            )
        truth.to_parquet(part / "truth.parquet", index=False)
        about = {"twin": name, "patients": patients, "seed": seed, "mess": mess, "knobs": asdict(knobs)}
        about["sha256"] = digest_tree(part)
        (part / "twin.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
        os.replace(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def _write_ed(made, root, *_):
    for folder in ("ed", "hosp", "icu"):
        (root / folder).mkdir()
    for table in ("edstays", "triage", "vitalsign", "medrecon", "pyxis", "diagnosis"):
        _write_csv(made[table], root / "ed" / f"{table}.csv.gz")
    for folder, table in (("hosp", "admissions"), ("hosp", "patients"), ("icu", "icustays")):
        _write_csv(made[table], root / folder / f"{table}.csv.gz")


def _write_csv(table, path):
    with pa.output_stream(path, compression="gzip" if path.suffix == ".gz" else None) as stream:
        options = pa.csv.WriteOptions(quoting_style="needed")
        pa.csv.write_csv(pa.Table.from_pandas(_text_times(table), preserve_index=False), stream, options)


def _text_times(table):
    times = table.select_dtypes("datetime")
    return table.assign(**{c: times[c].astype("datetime64[s]") for c in times})


def _write_eye(made, root, rng, mess):
    """Write one folder per patient, and images and reports."""
    (root / "spreadsheets" / "Hosp").mkdir(parents=True)
    _write_csv(made.pop("patients"), root / "spreadsheets" / "Hosp" / "patients.csv")
    cxr = made.pop("cxr")
    for table, rows in made.items():
        _write_split(rows, root, f"{FOLDERS[table][0]}/{table}.csv")
    lateral = cxr[rng.random(len(cxr)) < 0.25]
    view = np.r_[rng.choice(["PA", "AP"], len(cxr)), np.full(len(lateral), "LATERAL")]
    meta = pd.concat([cxr, lateral], ignore_index=True)
    letters = rng.integers(0, 16**8, (len(meta), 5))
    meta.insert(0, "dicom_id", ["-".join(f"{part:08x}" for part in line) for line in letters])
    meta["ViewPosition"] = view
    meta["StudyDate"] = meta["taken"].dt.strftime("%Y%m%d").astype(int)
    meta["StudyTime"] = meta["taken"].dt.strftime("%H%M%S.000")
    columns = ["dicom_id", "subject_id", "study_id", "ViewPosition", "StudyDate", "StudyTime", "stay_id"]
    _write_split(meta[columns], root, "CXR-JPG/cxr_meta.csv")
    _write_csv(meta[columns], root / "spreadsheets" / "cxr_meta_with_stay_id_only.csv")
    lost = rng.random(len(meta)) < mess
    for i, row in enumerate(tqdm(meta.itertuples(), total=len(meta), desc="X-rays", disable=None)):
        patient = root / f"patient_{row.subject_id}"
        findings = findings_of(row.opacity, row.heart, row.effusion)
        image = patient / "CXR-JPG" / f"s{row.study_id}" / f"{row.dicom_id}.jpg"
        image.parent.mkdir(parents=True, exist_ok=True)
        report = patient / "CXR-DICOM" / f"s{row.study_id}.txt"
        report.parent.mkdir(exist_ok=True)
        report.write_text(report_of(**findings), encoding="utf-8")
        if lost[i] and i % 2:
            continue  # listed in the metadata, but without a file
        Image.fromarray(draw_xray(**findings, seed=int(letters[i, 0]))).save(image, quality=90)
        if lost[i]:
            os.truncate(image, image.stat().st_size // 2)


def findings_of(opacity: float, heart: float, effusion: float) -> dict[str, float]:
    """Parameters of ``draw_xray``, from signs in standard deviations."""
    return {
        "opacity": round(float(np.clip(0.45 * (opacity - 0.3), 0, 1)), 3),
        "heart": round(float(np.clip(0.45 + 0.055 * heart, 0.34, 0.7)), 3),
        "effusion": round(float(np.clip(0.2 * (effusion - 0.8), 0, 0.6)), 3),
    }


def report_of(opacity: float, heart: float, effusion: float) -> str:
    """Text of a report on the drawn findings, in a radiologist's format."""
    found = []
    if heart > 0.5:
        found.append(f"{'Moderate to severe' if heart > 0.57 else 'Mild'} cardiomegaly.")
    if opacity > 0.1:
        found.append(
            f"{'Dense' if opacity > 0.5 else 'Faint'} opacity in one lung, which may reflect pneumonia."
        )
    if effusion > 0.05:
        found.append(f"{'Large' if effusion > 0.3 else 'Small'} pleural effusion.")
    impression = " ".join(found) or "No acute cardiopulmonary process."
    size = "enlarged" if heart > 0.5 else "normal in size"
    return (
        "                                 FINAL REPORT\n EXAMINATION:  CHEST (SINGLE VIEW)\n\n FINDINGS: \n \n "
        f"The heart is {size}. {'Lungs are clear. ' if opacity <= 0.1 else ''}No pneumothorax.\n \n IMPRESSION: \n \n "
        f"{impression}\n"
    )


def _write_split(table, root, place):
    """Write each patient's rows of a table to that patient's folder."""
    table = table.sort_values("subject_id", kind="stable")
    header, *lines = _text_times(table).to_csv(index=False).splitlines(keepends=True)
    subjects, starts = np.unique(table["subject_id"].to_numpy(), return_index=True)
    for subject, start, stop in zip(subjects, starts, [*starts[1:], len(lines)], strict=True):
        file = root / f"patient_{subject}" / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(header + "".join(lines[start:stop]), encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Exit code of the command line: 0 if all went well, 1 after a message that says what failed."""
    parser = argparse.ArgumentParser(
        prog="python -m mmlib twins", description=__doc__.partition(":")[0]
    )
    parser.add_argument("name", choices=list(KNOBS))
    parser.add_argument("folder", type=Path, help="folder of the twin; must not exist, or be empty")
    parser.add_argument("--patients", type=int, help="2,000; for students 3,000")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--mess", type=float, default=0.01, help="share of untidy rows")
    parser.add_argument("--wfdb", action="store_true", help="write ECGs as WFDB records too")
    parser.add_argument(
        "--students",
        type=Path,
        metavar="CSV",
        help="a list of names: each gets a folder with a twin that hides a fault; a key lies beside FOLDER",
    )
    parser.add_argument(
        "--knob",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "YAML"),
        help="a knob of the causal model, for example: error '{vitals.o2sat: {Black: -0.5}}'; may be repeated",
    )
    options = parser.parse_args(arguments)
    try:
        known = {f.name for f in fields(Knobs)}
        turned = {}
        for name, text in options.knob:
            if name not in known:
                raise ValueError(f"There is no knob {name!r}; expected one of {', '.join(sorted(known))}.")
            turned[name] = yaml.safe_load(text)
        size = {} if options.patients is None else {"patients": options.patients}
        if options.students:
            from mmlib.twins.students import write_students  # it writes each twin by `write_twin`

            if turned or options.wfdb:
                raise ValueError("--students takes neither --knob nor --wfdb: each twin hides a fault of its own.")
            shared = {"seed": options.seed, "mess": options.mess}
            key = write_students(options.name, options.folder, options.students, **size, **shared)
            print(f"{options.folder} holds the twins, without the truth; {key} is for the teacher.")
            return 0
        write_twin(
            options.name,
            options.folder,
            **size,
            seed=options.seed,
            knobs=replace(KNOBS[options.name], **turned),
            mess=options.mess,
            wfdb=options.wfdb,
        )
    except (OSError, ValueError, TypeError, AttributeError, yaml.YAMLError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0
