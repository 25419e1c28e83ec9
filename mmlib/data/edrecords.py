"""Cohort from the records of an emergency department: the code that MIMIC-Eye and MIMIC-IV-ED share.

The modalities are those of [Sampath2025]_; their sentences follow the pseudo-notes of [Lee2024]_.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from mmlib.core.schema import Cohort, Field
from mmlib.data.edtables import (
    ACUITY,
    AGE_STARTS,
    RACE_OPTIONS,
    TASKS,
    ages,
    label_stays,
    needed,
    possible,
    race_groups,
    tally,
    tidy_stays,
)
from mmlib.data.table import age_groups, build

PREDICTION_TIMES = ("triage", "90min", "disposition", "unrestricted")
ARRIVAL_FIELDS = ("registration", "lineage")
#: Label, unit, decimals, customary reference interval of adults.
SIGNS = {
    "temperature": ("temperature", "degrees Fahrenheit", 1, (93, 96.8, 100.4, 104)),
    "heartrate": ("heart rate", "beats per minute", 0, (40, 60, 100, 130)),
    "resprate": ("respiratory rate", "breaths per minute", 0, (8, 12, 20, 30)),
    "o2sat": ("oxygen saturation", "%", 0, (85, 94, None, None)),
    "sbp": ("systolic blood pressure", "mmHg", 0, (80, 90, 140, 180)),
    "dbp": ("diastolic blood pressure", "mmHg", 0, (40, 60, 90, 120)),
}
#: Modality: table, column, short name and label of an entry, of all entries.
LISTS = {
    "medrecon": ("medrecon", "name", "medication", "home medication", "home medications"),
    "codes": ("diagnosis", "icd_title", "diagnosis", "diagnosis", "diagnoses"),
    "pyxis": ("pyxis", "name", "dispensed", "medication given", "medications given"),
}
ED = "MIMIC-IV-ED documentation"
Told = tuple[Field, pd.Series, pd.Series | None]  # a field, its values, hours from the prediction time


def assemble(
    name: str,
    tables: Mapping[str, pd.DataFrame | None],
    counts: dict[str, int],
    *,
    task: str,
    race: str,
    prediction_time: str,
    arrival_fields: str,
    images: pd.DataFrame | None = None,
) -> Cohort:
    """Cohort of stays, from the tables of an emergency department.

    Parameters
    ----------
    name : str
    tables : mapping of str to pandas.DataFrame or None
        With the columns of ``edtables.COLUMNS``; None for a table that is not there. ``edstays`` has to be.
    counts : dict of str to int
        Counts so far; this function adds to them.
    task : {"disposition", "icu", "death"}
        Admitted (or dead) rather than sent home, intensive care after the stay, death in hospital. Stays with
        another disposition are dropped and counted.
    race : {"grouped", "recorded", "binary"}
        See :func:`mmlib.data.edtables.race_groups`.
    prediction_time : {"triage", "90min", "disposition", "unrestricted"}
        Latest time of a recording: arrival, 90 minutes after it, departure, or no limit. Later rows are
        dropped. Diagnosis codes are made after the stay and remain only without a limit.
    arrival_fields : {"registration", "lineage"}
        ``lineage`` adds insurance, language and marital status as the public pseudo-notes do: from the
        hospital's admission record, which few patients who are sent home have.
    images : pandas.DataFrame, optional
        ``stay_id``, ``taken``, ``frontal`` and ``usable`` of chest X-rays, and ``image`` (a path), or ``report`` (its
        text) and ``outcome``.

    Returns
    -------
    mmlib.core.schema.Cohort
    """
    for option, value, known in (
        ("task", task, TASKS),
        ("race", race, RACE_OPTIONS),
        ("prediction_time", prediction_time, PREDICTION_TIMES),
        ("arrival_fields", arrival_fields, ARRIVAL_FIELDS),
    ):
        if value not in known:
            raise ValueError(f"{option} is {value!r}; expected one of {', '.join(known)}.")
    stays, positive = label_stays(tidy_stays(tables["edstays"], counts), task, tables, counts)
    age = ages(stays, tables.get("patients"), counts)
    told = [*_arrival(stays, age, tables, arrival_fields)]
    if tables.get("triage") is not None:
        told += _triage(_rows(tables["triage"].drop_duplicates("stay_id"), stays), len(stays), counts)
    until = {"triage": stays["intime"], "90min": stays["intime"] + pd.Timedelta(minutes=90)}
    until = until.get(prediction_time, stays["outtime"]).where(
        lambda t: t < stays["outtime"], stays["outtime"]
    )
    cut = prediction_time != "unrestricted"
    # The decision itself has no time. It is made before the patient leaves, but how long before is not known.
    timing = "before" if prediction_time in ("triage", "90min") else "unknown"

    def recorded(table, time="charttime"):
        return _by(_rows(table, stays), until, time, cut, counts)

    for modality in ("medrecon", "vitals", "codes", "pyxis"):
        table = LISTS[modality][0] if modality in LISTS else "vitalsign"
        if tables.get(table) is None or (modality == "codes" and cut):
            continue
        if modality == "vitals":
            told += _vitals(possible(recorded(tables[table]), table, counts), len(stays), timing)
            continue
        rows = _rows(tables[table], stays) if modality == "codes" else recorded(tables[table])
        told += _list(modality, rows, len(stays), timing)
    outcomes = {}
    if images is not None:
        told += _images(recorded(images, "taken"), len(stays), timing, outcomes)
    there = {f.modality for f, column, _ in told if column.notna().any()}
    for modality in dict.fromkeys(f.modality for f, *_ in told if f.modality not in there):
        counts[f"modalities without any record by the prediction time, left out: {modality}"] = 1
    told = [t for t in told if t[0].modality in there]

    groups = {"race": race_groups(stays["race"], race)}
    groups["sex"] = stays["gender"].map({"F": "Female", "M": "Male"}).fillna("Unknown")
    if age is not None:
        groups["age_group"] = age_groups(age, AGE_STARTS)
    cohort = build(
        name,
        TASKS[task],
        values=pd.DataFrame({f.column: column for f, column, _ in told}),
        fields=[f for f, *_ in told],
        groups=pd.DataFrame(groups),
        label=positive,
        sample_id=stays["stay_id"],
        patient_id=stays["subject_id"],
        counts=counts,
    )
    times = pd.DataFrame(
        {f.column: hours for f, _, hours in told if hours is not None}, index=cohort.values.index
    )
    outcomes = pd.DataFrame({c: column for c, column in outcomes.items() if c in cohort.values})
    return replace(cohort, times=times.where(cohort.values[times.columns].notna()), outcomes=outcomes)


def _arrival(stays, age, tables, arrival_fields) -> Iterator[Told]:
    place = {"timing": "before", "source": f"{ED}, edstays: at registration"}
    if age is not None:
        yield Field("arrival", "age", "age", "years", **place), age, None
    yield (
        Field("arrival", "transport", "arrived by", kind="category", **place),
        stays["arrival_transport"].astype("str").str.strip().str.lower(),
        None,
    )
    if arrival_fields == "registration":
        return
    source = "MIMIC-IV documentation, admissions: a row exists only where the stay led to a hospital record"
    joined = needed(tables, "admissions", "arrival_fields 'lineage'").dropna(subset="hadm_id")
    joined = stays[["hadm_id"]].merge(joined.drop_duplicates("hadm_id"), on="hadm_id", how="left")
    for column in ("insurance", "language", "marital_status"):
        field = Field(
            "arrival", column, column.replace("_", " "), kind="category", timing="after", source=source
        )
        yield field, joined[column].astype("str").str.strip().str.lower(), None


def _triage(rows, n, counts) -> Iterator[Told]:
    rows = possible(rows, "triage", counts)
    place = {"timing": "before", "source": f"{ED}, triage: on arrival"}
    for sign, (label, unit, decimals, reference) in SIGNS.items():
        field = Field("triage", sign, label, unit, decimals, reference=reference, **place)
        yield field, _spread(rows[sign], rows["at"], n), None
    yield Field("triage", "pain", "pain", "of 10", **place), _spread(rows["pain"], rows["at"], n), None
    acuity = _spread(rows["acuity"], rows["at"], n)
    yield Field("triage", "acuity", "acuity", words=ACUITY, **place), acuity, None
    complaint = "Chief complaint: " + rows["chiefcomplaint"].astype("str").str.strip().str.lower() + "."
    field = Field("triage", "complaint", "chief complaint", kind="text", **place)
    yield field, _spread(complaint, rows["at"], n), None


def _vitals(rows, n, timing) -> Iterator[Told]:
    """Fields of the lowest and highest value of each sign, the last rhythm and the last pain."""
    place = {"timing": timing, "source": f"{ED}, vitalsign: charted up to departure"}
    grouped = rows.sort_values("hours", kind="stable").groupby("at")
    hours = _spread(grouped["hours"].max(), None, n)
    for sign, (label, unit, decimals, reference) in SIGNS.items():
        for which, column in (("lowest", grouped[sign].min()), ("highest", grouped[sign].max())):
            field = Field(
                "vitals", f"{sign}_{which}", f"{which} {label}", unit, decimals, reference=reference, **place
            )
            yield field, _spread(column, None, n), hours
    yield (
        Field("vitals", "pain", "last pain", "of 10", **place),
        _spread(grouped["pain"].last(), None, n),
        hours,
    )
    rhythm = rows.assign(rhythm=rows["rhythm"].astype("str").str.strip().str.lower())
    rhythm = rhythm.dropna(subset="rhythm").sort_values("hours", kind="stable").groupby("at")["rhythm"].last()
    field = Field("vitals", "rhythm", "last rhythm", kind="category", **place)
    yield field, _spread(rhythm, None, n), hours


def _list(modality, rows, n, timing) -> Iterator[Told]:
    """Fields of the number of different entries, and of the entries."""
    table, column, short, label, plural = LISTS[modality]
    timing = {"medrecon": "before", "codes": "after"}.get(modality, timing)
    known = {"medrecon": "taken before the stay", "codes": "billed codes, made after the stay"}
    place = {"timing": timing, "source": f"{ED}, {table}: {known.get(modality, 'dispensed during the stay')}"}
    item = rows[column].astype("str").str.strip().str.lower()
    if modality == "medrecon":
        kind = rows["etcdescription"].astype("str").str.strip().str.lower()
        item = item.where(kind.isna(), item + " (" + kind + ")")
    rows = rows.assign(item=item).dropna(subset="item").drop_duplicates(["at", "item"])
    grouped = rows.groupby("at")
    hours = _spread(grouped["hours"].max(), None, n) if "hours" in rows else None
    yield (
        Field(modality, "number", f"number of {plural}", **place),
        _spread(grouped["item"].size(), None, n),
        hours,
    )
    entries = _spread(grouped["item"].agg("\n".join), None, n)
    yield Field(modality, short, label, kind="list", **place), entries, hours


def _images(rows, n, timing, outcomes) -> Iterator[Told]:
    """Field of the last X-ray, a usable one if there is any, and of these a frontal one."""
    place = {"timing": timing, "source": "MIMIC-CXR documentation: time of the study"}
    last = rows.sort_values(["usable", "frontal", "hours"], kind="stable").drop_duplicates("at", keep="last")
    hours = _spread(last["hours"], last["at"], n)
    if "report" in rows:
        field = Field("cxr", "report", "radiology report", kind="text", **place)
        outcomes[field.column] = _spread(last["outcome"], last["at"], n).fillna("no file")
        yield field, _spread(last["report"], last["at"], n), hours
    else:
        yield (
            Field("cxr", "image", "chest X-ray", kind="image", **place),
            _spread(last["image"], last["at"], n),
            hours,
        )


def _rows(table, stays):
    """Rows of these stays, with the position of the stay."""
    at = table["stay_id"].map(pd.Series(np.arange(len(stays)), stays["stay_id"]))
    return table[at.notna()].assign(at=at[at.notna()].astype(int))


def _by(rows, until, time, cut, counts):
    """Rows and their hours from the prediction time; if ``cut``, only those that lie before it."""
    when = pd.to_datetime(rows[time], errors="coerce")
    hours = (when - until.iloc[rows["at"]].set_axis(rows.index)) / pd.Timedelta(hours=1)
    tally(counts, f"rows without a readable {time}", hours.isna())
    if cut:
        tally(counts, "rows recorded after the prediction time, dropped", hours > 0)
    keep = hours <= 0 if cut else slice(None)
    return rows.assign(hours=hours)[keep]


def _spread(column, at, n):
    """Values at the positions of their stays; ``column`` is indexed by position if ``at`` is None."""
    return (column if at is None else column.set_axis(at)).reindex(range(n))
