"""MIMIC-IV-ED 2.2 beside MIMIC-IV: about 425,000 emergency department stays [Johnson2023]_; credentialed.

A demo of 222 stays is open.
"""

from pathlib import Path

import numpy as np

from mmlib.core.schema import Cohort
from mmlib.data.edrecords import assemble
from mmlib.data.edtables import COLUMNS, read_columns
from mmlib.data.physionet import fetch_files

DEMO = "mimic-iv-ed-demo/2.2"
FOLDERS = {"admissions": "hosp", "patients": "hosp", "icustays": "icu"}  # all others: ed


def load(
    root: str | Path | None,
    *,
    demo: bool = False,
    mimic_iv: str | None = None,
    task: str = "disposition",
    prediction_time: str = "unrestricted",
    arrival_fields: str = "registration",
    race: str = "grouped",
    limit: int | None = None,
) -> Cohort:
    """Cohort MIMIC-IV-ED: arrival, triage, medrecon, vitals, codes and pyxis. There are no images.

    Parameters
    ----------
    root : path
        Folder with ``ed/edstays.csv.gz`` and the other tables; ``.csv`` works as well. Tables may be absent.
    demo : bool
        Without ``root``, fetch the open demo from PhysioNet: tables of the same form, of 64 patients.
    mimic_iv : path, optional
        Folder with ``hosp/`` and ``icu/``, if they are not beside ``ed/``.
    task, prediction_time, arrival_fields, race
        See :func:`mmlib.data.edrecords.assemble`.
    limit : int, optional
        Keep this many patients, drawn with a fixed seed.

    Returns
    -------
    mmlib.core.schema.Cohort

    Raises
    ------
    FileNotFoundError, ValueError, ConnectionError
        If the files are missing, or an option or the data do not fit; the message is one sentence.
    """
    if root is None and demo:
        root = fetch_files(DEMO, [f"ed/{name}.csv.gz" for name in COLUMNS if name not in FOLDERS])
    if root is None or not Path(root).is_dir():
        raise FileNotFoundError(
            f"root is {str(root)!r}, which is no folder; expected that of MIMIC-IV-ED, with ed/."
        )
    tables, counts = {}, {}
    for name, columns in COLUMNS.items():
        folder = Path(mimic_iv if mimic_iv and name in FOLDERS else root) / FOLDERS.get(name, "ed")
        files = [f for f in (folder / f"{name}.csv.gz", folder / f"{name}.csv") if f.is_file()]
        tables[name] = read_columns(files[0], columns) if files else None
        if not files:
            counts[f"tables that were not found: {name}"] = 1
    if tables["edstays"] is None:
        raise FileNotFoundError(
            f"{root} holds no ed/edstays.csv.gz; expected the folder of MIMIC-IV-ED, with ed/."
        )
    if limit is not None:
        tables["edstays"] = limited(tables["edstays"], limit)
    return assemble(
        "mimic_iv_ed",
        tables,
        counts,
        task=task,
        race=race,
        prediction_time=prediction_time,
        arrival_fields=arrival_fields,
    )


def limited(stays, limit, column="subject_id"):
    """Rows of ``limit`` patients, drawn with a fixed seed."""
    if type(limit) is not int or limit < 1:
        raise ValueError(f"limit is {limit!r}; expected a whole number of patients, 1 or more.")
    patients = np.unique(stays[column])
    chosen = np.random.default_rng(0).permutation(patients)[:limit]
    return stays[stays[column].isin(chosen)]
