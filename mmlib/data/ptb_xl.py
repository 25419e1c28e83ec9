"""PTB-XL: 21,799 ECGs of 18,869 patients of German hospitals, 1989 to 1996 [Wagner2020]_; open, without an account.

A sample is an ECG, and its label a statement that a cardiologist made on reading this very ECG: there is no follow-up.
What is measured in the ECG comes from its signal (:mod:`mmlib.text.signals`), never from the report, which holds the
label in words.
"""

import ast
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from mmlib.core.schema import Cohort, Field
from mmlib.data.edtables import tally
from mmlib.data.mimic_iv_ed import limited
from mmlib.data.physionet import fetch_files
from mmlib.data.table import age_groups, build, read_table, require

PROJECT = "ptb-xl/1.0.3"
DATABASE, STATEMENTS = "ptbxl_database.csv", "scp_statements.csv"
SAMPLE = Path(__file__).with_suffix(".csv")
ROWS = {21837: "1.0.1", 21801: "1.0.2", 21799: "1.0.3"}  # the releases, by their number of rows
RECORDS = {100: "filename_lr", 500: "filename_hr"}
VIEWS = ("measured", "whole")
SUPERCLASSES = {
    "NORM": "normal ECG",
    "MI": "myocardial infarction",
    "STTC": "ST/T change",
    "CD": "conduction disturbance",
    "HYP": "hypertrophy",
}
OLDEST = 90  # years; older ages are 300 in the release, or given as they are
AGE_STARTS = (40, 65, 80, OLDEST)
PLAUSIBLE = {"height": (50, 230), "weight": (3, 300)}  # cm, kg: what lies outside is a slip of the pen
QUALITY = {
    "baseline_drift": "baseline drift",
    "static_noise": "static noise",
    "burst_noise": "burst noise",
    "electrodes_problems": "problems with electrodes",
    "pacemaker": "a pacemaker",
}
#: Modality -> what it tells of the ECG, as measured by ``measure_ecg``.
MEASURED = {
    "rhythm": ("rate", "rhythm", "p_wave", "pr"),
    "conduction": ("qrs", "axis", "voltage", "bundle_branch"),
    "repolarisation": (
        *("qtc", "st_anterior", "st_inferior", "st_lateral"),
        *("t_anterior", "t_inferior", "t_lateral"),
    ),
}
_ADMISSION = {"timing": "before", "source": "PTB-XL documentation: patient data kept with the ECG"}
_SIGNAL = {"timing": "before", "source": "the ECG's own signal, which the label is a reading of"}
_REPORT = {
    "timing": "after",
    "source": "PTB-XL documentation: the reading itself, from which the label was made",
}
FIELDS = (
    Field("demographics", "age", "age (90 stands for 90 or over)", "years", **_ADMISSION),
    Field("body", "height", "height", "cm", **_ADMISSION),
    Field("body", "weight", "weight", "kg", **_ADMISSION),
)
COLUMNS = (
    *("ecg_id", "patient_id", "age", "sex", "height", "weight", "site", "device", "report", "scp_codes"),
    *(*QUALITY, "strat_fold", "filename_lr", "filename_hr"),
)
CAUTION = (
    "PTB-XL: {n:,} rows of {release}. The label is a cardiologist's reading of this very ECG, without any "
    "follow-up, so a model learns to read as that person read; what nobody saw is not in it."
)


def load(
    root: str | Path | None = None,
    *,
    label: str = "MI",
    likelihood: float = 0,
    frequency: int = 100,
    view: str = "measured",
    report: bool = False,
    recording: bool = False,
    ecg_ids: str | Sequence[int] | None = None,
    limit: int | None = None,
) -> Cohort:
    """Load PTB-XL: demographics, body, rhythm, conduction and repolarisation; on demand report and recording.

    Parameters
    ----------
    root : path, optional
        The folder as published, of release 1.0.1 to 1.0.3. Without it, what is needed of release 1.0.3 is fetched
        from PhysioNet into the user's cache.
    label : str
        A diagnostic superclass (NORM, MI, STTC, CD, HYP) or any statement of ``scp_statements.csv``, such as AFIB.
    likelihood : float
        Least likelihood in percent from which a statement counts. Zero, the default, counts every statement that was
        made; 0 in the data means that the likelihood is unknown. Above zero, ECGs whose only such statements are
        less likely, or of unknown likelihood, are dropped and counted.
    frequency : {100, 500}
        Which of the two published recordings is read.
    view : {"measured", "whole"}
        Three modalities, each told by its own measurements in the ECG; or one modality ``ecg`` that holds the
        recording, for a vision-language model.
    report : bool
        Also the report, mostly in German, as a modality. It holds the label in words: a leak, for the audit to find.
    recording : bool
        Also site and device, as a modality.
    ecg_ids : "sample", path, or sequence of int, optional
        Keep these ECGs only: those of the sample that this book is built from, a CSV with the column ``ecg_id``, or
        numbers.
    limit : int, optional
        Keep this many patients, drawn with a fixed seed.

    Returns
    -------
    mmlib.core.schema.Cohort
        ``samples`` has ``split_fold``, the official ``strat_fold``, and ``site`` and ``device``, which are no inputs
        unless asked for.

    Raises
    ------
    FileNotFoundError, ValueError, ConnectionError
        In one sentence.
    """
    if frequency not in RECORDS:
        raise ValueError(f"frequency is {frequency!r}; expected 100 or 500.")
    if view not in VIEWS:
        raise ValueError(f"view is {view!r}; expected one of {', '.join(VIEWS)}.")
    if not isinstance(likelihood, int | float) or not 0 <= likelihood <= 100:
        raise ValueError(f"likelihood is {likelihood!r}; expected a percentage from 0 to 100.")
    folder = fetch_files(PROJECT, [DATABASE, STATEMENTS]) if root is None else Path(root)
    file = folder / DATABASE
    if not file.is_file():
        raise FileNotFoundError(f"root is {str(root)!r}; expected the folder of PTB-XL, with {DATABASE}.")
    frame = read_table(file)
    require(frame, COLUMNS, file)
    caution = CAUTION.format(n=len(frame), release=_release(frame))
    counts: dict[str, int] = {}
    if ecg_ids is not None:
        frame = _listed(frame, ecg_ids, file, counts)
    if limit is not None:
        frame = limited(frame, limit, "patient_id").reset_index(drop=True)
    _check_folds(frame, file)
    positive, uncertain, task = _labels(frame, label, likelihood, folder)
    tally(counts, f"ECGs of which {label} is stated below the likelihood asked for, dropped", uncertain)
    frame, positive = frame[~uncertain].reset_index(drop=True), positive[~uncertain]
    if root is None:
        needed = [f"{name}{suffix}" for name in frame[RECORDS[frequency]] for suffix in (".hea", ".dat")]
        fetch_files(PROJECT, needed)
    for column, words in QUALITY.items():
        tally(counts, f"ECGs on which {words} was noted, kept", frame[column].notna())
    values, groups = _persons(frame, counts)
    fields = list(FIELDS)
    paths = _recordings(frame[RECORDS[frequency]], folder, frequency, counts)
    views = MEASURED if view == "measured" else {"ecg": None}
    for modality, measures in views.items():
        # the name before each measurement: "rhythm.ecg_rate"
        field = Field(modality, "ecg", "12-lead ECG", kind="ecg", measures=measures, **_SIGNAL)
        fields.append(field)
        values[field.column] = paths
    places = pd.DataFrame(
        {
            "site": "site " + frame["site"].astype("Int64").astype("string"),
            "device": frame["device"].astype("string").str.split().str.join(" "),
        }
    ).astype(object)
    if recording:
        for name in places:
            fields.append(Field("recording", name, name, kind="category", **_ADMISSION))
            values[f"recording.{name}"] = places[name]
    if report:
        fields.append(Field("report", "text", "report", kind="text", **_REPORT))
        values["report.text"] = frame["report"]
    cohort = build(
        "ptb_xl",
        task,
        values=values,
        fields=[f for f in fields if values[f.column].notna().any()],
        groups=groups,
        label=positive,
        sample_id=frame["ecg_id"],
        patient_id=frame["patient_id"].astype("int64"),
        counts=counts,
        caution=caution,
    )
    samples = cohort.samples.join(places).assign(split_fold=frame["strat_fold"].astype("int8"))
    return replace(cohort, samples=samples)


def _release(frame: pd.DataFrame) -> str:
    """Name the release in words, as far as its rows tell."""
    if len(frame) in ROWS:
        return f"release {ROWS[len(frame)]}"
    later = (frame["age"] > 150).any()
    return "a part of release 1.0.3" if later else "a part of a release from 1.0.1 to 1.0.3"


def _listed(frame, ecg_ids, file, counts):
    """Keep the ECGs that were asked for."""
    if isinstance(ecg_ids, str | Path):
        path = SAMPLE if ecg_ids == "sample" else Path(ecg_ids)
        if not path.is_file():
            raise FileNotFoundError(
                f"ecg_ids is {str(ecg_ids)!r}; expected sample, a CSV file, or a list of numbers."
            )
        wanted = read_table(path)
        require(wanted, ["ecg_id"], path)
        ecg_ids = wanted["ecg_id"].tolist()
    wanted = set(ecg_ids)
    there = frame["ecg_id"].isin(wanted)
    if not there.any():
        raise ValueError(f"{file} has none of the {len(wanted):,} ECGs that ecg_ids names.")
    tally(counts, "ECGs asked for that the database lacks", [True] * (len(wanted) - int(there.sum())))
    return frame[there].reset_index(drop=True)


def _check_folds(frame, file):
    fold = frame["strat_fold"]
    if not fold.isin(range(1, 11)).all():
        raise ValueError(
            f"{file}: strat_fold holds {fold[~fold.isin(range(1, 11))].iloc[0]}; expected 1 to 10."
        )
    split = frame.groupby("patient_id")["strat_fold"].nunique()
    if split.max() > 1:
        raise ValueError(f"{file}: {(split > 1).sum()} patients are in two folds; expected each in one.")


def _labels(frame, label, likelihood, folder):
    """Whether the label was stated, whether that is uncertain, and the label in words."""
    file = folder / STATEMENTS
    if not file.is_file():
        raise FileNotFoundError(
            f"{file} was not found; expected {STATEMENTS} of the same release beside {DATABASE}."
        )
    known = read_table(file)
    known = known.rename(columns={known.columns[0]: "code"})
    require(known, ["code", "description", "diagnostic_class"], file)
    if label in SUPERCLASSES:
        codes, task = set(known.loc[known["diagnostic_class"] == label, "code"]), SUPERCLASSES[label]
    elif label in set(known["code"]):
        codes, task = {label}, str(known.set_index("code").loc[label, "description"])
    else:
        raise ValueError(
            f"label is {label!r}; expected {', '.join(SUPERCLASSES)}, or a statement of {file}, such as AFIB."
        )
    highest = []
    for row, said in enumerate(frame["scp_codes"]):
        try:
            statements = ast.literal_eval(said)
            highest.append(max((float(v) for k, v in statements.items() if k in codes), default=np.nan))
        except (ValueError, SyntaxError, AttributeError, TypeError):
            raise ValueError(
                f"{folder / DATABASE}: scp_codes of ECG {frame['ecg_id'][row]} is {str(said)[:40]!r}; expected a "
                "dictionary of statements and likelihoods."
            ) from None
    highest = np.array(highest)
    positive = highest >= likelihood
    return positive, np.isfinite(highest) & ~positive, f"{task} on the ECG"


def _persons(frame, counts):
    """Values of age, height and weight, and the protected groups."""
    values = pd.DataFrame({"demographics.age": frame["age"].clip(upper=OLDEST)})
    for name, (low, high) in PLAUSIBLE.items():
        odd = frame[name].notna() & ~frame[name].between(low, high)
        tally(counts, f"values of {name} outside {low} to {high}, taken as missing", odd)
        values[f"body.{name}"] = frame[name].mask(odd)
    age = values["demographics.age"]
    groups = pd.DataFrame(
        {
            "sex": frame["sex"].map({0: "Male", 1: "Female"}).fillna("Unknown"),
            "age_group": age_groups(age, AGE_STARTS).replace(f"{OLDEST} and over", f"{OLDEST} or over"),
        }
    )
    return values, groups


def _recordings(names, folder, frequency, counts):
    """Where the recording of each row lies, or should lie."""
    there = np.array([(folder / f"{name}.hea").is_file() for name in names])
    if not there.any():
        other = next(f for f in RECORDS if f != frequency)
        hint = f"; set frequency to {other}" if (folder / f"records{other}").is_dir() else ""
        raise FileNotFoundError(
            f"frequency is {frequency}, but {folder} has none of the {len(names):,} recordings that {DATABASE} names "
            f"under records{frequency}{hint}."
        )
    tally(counts, "ECGs whose recording was not found", ~there)
    return pd.Series([str(folder / name) for name in names])
