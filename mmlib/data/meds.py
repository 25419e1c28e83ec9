"""Cohort from a dataset of the Medical Event Data Standard: a row per event, a label per prediction time.

An event counts if it is not later than the prediction, within the window of whatever names its code. Events without a
time (static ones) count where their code is named. Nothing else becomes an input.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from mmlib.core.schema import Cohort, Field
from mmlib.data.table import age_groups, build

STATISTICS = ("last", "first", "min", "max", "count", "present")
#: What an entry of a modality, and a protected attribute, may say.
ENTRY = ("codes", "window", "statistic", "label", "unit", "decimals", "words")
ATTRIBUTE = ("codes", "column", "ages")
SOURCE = "the time of the event, which is not after the prediction"


def load(
    root: str | Path | None,
    *,
    labels: str,
    modalities: Mapping[str, Sequence[str | Mapping]],
    protected: Mapping[str, str | Mapping],
    splits: str = "refold",
    task: str = "the label",
) -> Cohort:
    """Cohort from a folder with ``data/`` and ``metadata/``.

    Parameters
    ----------
    root : path
        The dataset.
    labels : str
        Pattern of the label files under ``root``, such as ``tasks/death/**/*.parquet``.
    modalities : mapping of str to list
        Modality -> patterns of codes such as ``LAB//*``, or mappings with ``codes`` (a pattern), ``window`` (hours
        before the prediction, by default all), ``statistic`` (one of ``STATISTICS``, by default the last value) and,
        for the sentence, ``label, unit, decimals`` or ``words``. Every code that is matched becomes a field of its own.
        Without a label it is called by its description in ``metadata/codes.parquet``.
    protected : mapping of str to str or mapping
        Attribute -> pattern of static codes such as ``GENDER//*``, whose rest is the group; or ``{column: race}`` of
        the data; or ``{ages: [18, 65]}``, first years of age groups, from ``MEDS_BIRTH``.
    splits : {"refold", "keep"}
        Whether folds are drawn anew by patient, or are those of ``metadata/subject_splits.parquet``.
    task : str
        The label in words.

    Returns
    -------
    mmlib.core.schema.Cohort

    Raises
    ------
    FileNotFoundError, ValueError
        In one sentence: the file, the column or option, what was found and what was expected.
    """
    root = Path(root or "")
    files = sorted((root / "data").rglob("*.parquet"))
    if not files:
        raise FileNotFoundError(f"{root}/data holds no Parquet file; expected the shards of a MEDS dataset.")
    entries = _entries(modalities)
    attributes = _attributes(protected)
    if splits not in ("refold", "keep"):
        raise ValueError(f"splits is {splits!r}; expected refold or keep.")
    columns = sorted({a["column"] for a in attributes.values() if "column" in a})
    schema = {file: _checked_shard(file, columns) for file in files}
    samples, counts = _predictions(root, labels)
    found = _all_codes(files)
    taken = {(m, place): _matching(e["codes"], found, f"modality {m!r}") for m, place, e in entries}
    groups = {a: _matching(o["codes"], found, f"attribute {a!r}") for a, o in attributes.items() if "codes" in o}
    wanted = set().union(*taken.values(), *groups.values())
    if any("ages" in a for a in attributes.values()):
        wanted.add("MEDS_BIRTH")
    parts, people, where = {}, [], {}
    for file in files:
        events = _events(file, schema[file], wanted, samples["subject"].unique(), columns)
        for subject in events["subject"].unique():
            if where.setdefault(subject, file) != file:
                raise ValueError(f"{file} and {where[subject]} have events of subject {subject}; expected one shard.")
        people.append(_people(events, attributes, groups))
        known = events[events["code"].isin(set().union(*taken.values()))]
        known = known.merge(samples[["subject", "moment", "row"]], on="subject")
        static = known["time"].isna()
        known["hours"] = (known["time"] - known["moment"]) / pd.Timedelta(hours=1)
        known = known[static | (known["hours"] <= 0)]
        for modality, place, entry in entries:
            own = known[known["code"].isin(taken[modality, place])]
            own = own[own["hours"].isna() | (own["hours"] >= -entry["window"])]
            for code, rows in own.groupby("code", observed=True, sort=False):
                parts.setdefault((modality, place, str(code)), []).append(_reduced(rows, entry["statistic"]))
    words, fields, values, times = _descriptions(root), [], {}, {}
    for modality, place, entry in entries:
        for code in taken[modality, place]:
            table = pd.concat(parts.get((modality, place, code), [pd.DataFrame({"value": [], "hours": []})]))
            field = _field(modality, code, entry, table, words)
            fields.append(field)
            values[field.column] = table["value"].reindex(samples["row"]).to_numpy()
            times[field.column] = table["hours"].reindex(samples["row"]).to_numpy(float)
    twice = [f.column for f in fields]
    if len(set(twice)) < len(twice):
        again = max(twice, key=twice.count)
        raise ValueError(f"modalities takes {again!r} twice with one statistic; expected each once.")
    told = _groups(samples, pd.concat(people), attributes)
    cohort = build(
        root.resolve().name,
        task,
        values=pd.DataFrame(values, index=samples["row"]),
        fields=fields,
        groups=told,
        label=samples["label"],
        sample_id=samples["sample"],
        patient_id=samples["subject"],
        counts=counts,
    )
    timed = pd.DataFrame(times)
    cohort = replace(cohort, times=timed.loc[:, timed.notna().any()])
    return replace(cohort, samples=_with_splits(cohort.samples, root)) if splits == "keep" else cohort


def _entries(modalities) -> list[tuple[str, int, dict]]:
    if not isinstance(modalities, Mapping) or not modalities:
        raise ValueError(f"modalities is {modalities!r}; expected a mapping of modality to patterns of codes.")
    found = []
    for modality, entries in modalities.items():
        if isinstance(entries, str) or not isinstance(entries, Sequence) or not entries:
            raise ValueError(f"Modality {modality!r} is {entries!r}; expected a list of patterns of codes.")
        for place, entry in enumerate(entries):
            entry = {"codes": entry} if isinstance(entry, str) else entry
            if not isinstance(entry, Mapping) or not isinstance(entry.get("codes"), str):
                raise ValueError(f"Modality {modality!r} lists {entry!r}; expected a pattern, or a mapping with codes.")
            if unknown := [name for name in entry if name not in ENTRY]:
                expected = ", ".join(ENTRY)
                raise ValueError(f"Modality {modality!r} has the option {unknown[0]!r}; expected some of {expected}.")
            entry = {"window": np.inf, "statistic": "last"} | dict(entry)
            if entry["statistic"] not in STATISTICS:
                given, expected = entry["statistic"], ", ".join(STATISTICS)
                raise ValueError(f"Modality {modality!r} has the statistic {given!r}; expected one of {expected}.")
            if not isinstance(entry["window"], int | float) or not entry["window"] > 0:
                raise ValueError(f"Modality {modality!r} has the window {entry['window']!r}; expected hours above 0.")
            found.append((str(modality), place, entry))
    return found


def _attributes(protected) -> dict[str, dict]:
    if not isinstance(protected, Mapping) or not protected:
        raise ValueError(f"protected is {protected!r}; expected a mapping of attribute to a pattern of static codes.")
    found = {}
    for name, given in protected.items():
        given = {"codes": given} if isinstance(given, str) else given
        if not isinstance(given, Mapping) or len(given) != 1 or next(iter(given)) not in ATTRIBUTE:
            raise ValueError(f"protected has {name}: {given!r}; expected a pattern, or one of {', '.join(ATTRIBUTE)}.")
        found[str(name)] = dict(given)
    return found


def _meds(schema: str, table: pa.Table, file) -> pa.Table:
    """Table, brought to a schema of the package ``meds``."""
    import meds
    from flexible_schema import SchemaValidationError, TableValidationError

    try:
        return getattr(meds, schema).align(table)
    except (SchemaValidationError, TableValidationError, pa.ArrowException) as error:
        first = str(error).strip().splitlines()[0]
        raise ValueError(f"{file} does not keep the {schema} of MEDS: {first}.") from None


def _read(file, **options) -> pa.Table:
    try:
        return pq.read_table(file, **options)
    except (OSError, pa.ArrowException) as error:
        raise ValueError(f"{file} cannot be read as Parquet: {str(error).splitlines()[0]}") from None


def _checked_shard(file, columns) -> pa.Schema:
    try:
        schema = pq.read_schema(file)
    except (OSError, pa.ArrowException) as error:
        raise ValueError(f"{file} cannot be read as Parquet: {str(error).splitlines()[0]}") from None
    _meds("DataSchema", schema.empty_table(), file)
    if lacking := [column for column in columns if column not in schema.names]:
        raise ValueError(f"{file} has no column {lacking[0]!r}; it has {', '.join(schema.names)}.")
    return schema


def _predictions(root: Path, pattern: str) -> tuple[pd.DataFrame, dict]:
    """A row per prediction: subject, moment, label, sample and row, in the order of subjects and times."""
    files = sorted(root.glob(str(pattern)))
    if not files:
        raise FileNotFoundError(f"labels is {pattern!r}, which matches no file in {root}; expected label files.")
    tables = []
    for file in files:
        table = _meds("LabelSchema", _read(file), file)
        if "boolean_value" not in table.column_names:
            raise ValueError(f"{file} has no boolean_value; it has {', '.join(table.column_names)}.")
        tables.append(table.select(["subject_id", "prediction_time", "boolean_value"]).to_pandas())
    table = pd.concat(tables, ignore_index=True)
    known = table["boolean_value"].notna()
    counts = {"predictions without a label, dropped": int((~known).sum())}
    table = table[known].sort_values(["subject_id", "prediction_time"], kind="stable", ignore_index=True)
    if (twice := table.duplicated(["subject_id", "prediction_time"])).any():
        row = table[twice].iloc[0]
        raise ValueError(f"{pattern}: subject {row.subject_id} has two labels at {row.prediction_time}; expected one.")
    number = table.groupby("subject_id").cumcount().astype(str)
    samples = pd.DataFrame({"subject": table["subject_id"], "moment": table["prediction_time"]})
    samples = samples.assign(label=table["boolean_value"].astype(bool), row=np.arange(len(table)))
    return samples.assign(sample=table["subject_id"].astype(str) + "-" + number), counts


def _all_codes(files) -> list[str]:
    found = set()
    for file in files:
        codes = _read(file, columns=["code"], read_dictionary=["code"])["code"]
        found |= set(pc.unique(codes).to_pylist())
    if None in found:
        raise ValueError("An event of the dataset has no code; expected one for each.")
    return sorted(found)


def _matching(pattern: str, codes: Iterable[str], where: str) -> list[str]:
    found = [code for code in codes if fnmatchcase(code, pattern)]
    if not found:
        raise ValueError(f"The pattern {pattern!r} of {where} matches no code of the data; expected one or more.")
    return found


def _events(file, schema, wanted, subjects, columns) -> pd.DataFrame:
    """Events of a shard that are asked for, in order of time within a subject; static ones have none."""
    kept = [c for c in ("subject_id", "time", "code", "numeric_value", "text_value") if c in schema.names]
    asked = ds.field("subject_id").isin(pa.array(subjects))
    if not columns:
        asked &= ds.field("code").isin(pa.array(sorted(wanted), pa.string()))
    # read row group by row group: what is not asked for is never in memory as a whole
    table = ds.dataset(file).to_table(columns=[*kept, *columns], filter=asked)
    table = _meds("DataSchema", table, file)
    frame = table.to_pandas(strings_to_categorical=True).rename(columns={"subject_id": "subject"})
    return frame.sort_values(["subject", "time"], kind="stable", na_position="first", ignore_index=True)


def _people(events, attributes, groups) -> pd.DataFrame:
    """What each subject's static codes and columns, and birth, say of every attribute."""
    found = pd.DataFrame(index=pd.Index(events["subject"].unique(), name="subject"))
    for name, given in attributes.items():
        if "codes" in given:
            own = events[events["code"].isin(groups[name]) & events["time"].isna()]
            prefix = given["codes"].partition("*")[0]
            found[name] = own.groupby("subject")["code"].first().astype(str).str.removeprefix(prefix)
        elif "column" in given:
            found[name] = events.groupby("subject")[given["column"]].first()
        else:
            found[name] = events[events["code"] == "MEDS_BIRTH"].groupby("subject")["time"].first()
    return found


def _reduced(rows: pd.DataFrame, statistic: str) -> pd.DataFrame:
    """Value and hours of a code by sample; rows are in order of time."""
    by = rows.groupby("row")
    value = "numeric_value" if rows.get("numeric_value", pd.Series(dtype=float)).notna().any() else "text_value"
    if statistic in ("count", "present") or value not in rows or rows[value].isna().all():
        counted = by.size()
        found = counted if statistic == "count" else counted.map(lambda _: "yes")
        return pd.DataFrame({"value": found, "hours": by["hours"].last()})
    rows = rows[rows[value].notna()]
    by = rows.groupby("row")
    if statistic in ("last", "first"):
        place = by.tail(1) if statistic == "last" else by.head(1)
        return place.set_index("row")[[value, "hours"]].set_axis(["value", "hours"], axis=1)
    if value == "text_value":
        code = str(rows["code"].iloc[0])
        raise ValueError(f"The code {code!r} has no numbers for {statistic}; expected last, first, count or present.")
    return pd.DataFrame({"value": by[value].agg(statistic), "hours": by["hours"].last()})


def _descriptions(root: Path) -> dict[str, str]:
    file = root / "metadata" / "codes.parquet"
    if not file.is_file():
        return {}
    table = _meds("CodeMetadataSchema", _read(file), file).to_pandas()
    return table.dropna(subset="description").set_index("code")["description"].to_dict()


def _field(modality, code, entry, table, words) -> Field:
    said = {name: entry[name] for name in ("label", "unit", "decimals", "words") if name in entry}
    told = words.get(code, code.replace("//", " ").replace("_", " "))
    statistic = entry["statistic"]
    if statistic != "last":
        told = {"count": f"number of {told}", "present": told}.get(statistic, f"{statistic} {told}")
    number = pd.api.types.is_numeric_dtype(table["value"]) and len(table) > 0
    if number and "decimals" not in said:
        said["decimals"] = 0 if (table["value"].dropna() % 1 == 0).all() else 1
    static = table["hours"].isna().any()  # when it was fixed, nobody says
    timing = {} if static else {"timing": "before", "source": SOURCE}
    name = code if statistic == "last" else f"{code} {statistic}"
    return Field(modality, name, **({"label": told, "kind": "number" if number else "category"} | said | timing))


def _groups(samples, people, attributes) -> pd.DataFrame:
    own = people.reindex(samples["subject"]).reset_index(drop=True)
    for name, given in attributes.items():
        if "ages" in given:
            if not isinstance(given["ages"], Sequence) or not given["ages"]:
                raise ValueError(f"protected has ages {given['ages']!r} of {name!r}; expected first years of groups.")
            born = pd.to_datetime(own[name])
            years = (samples["moment"].reset_index(drop=True) - born) / pd.Timedelta(days=365.25)
            own[name] = age_groups(years, given["ages"])
    return own.astype("object").where(own.notna(), "Unknown").astype(str)


def _with_splits(samples, root):
    file = root / "metadata" / "subject_splits.parquet"
    if not file.is_file():
        raise FileNotFoundError(f"{file} does not exist, which splits: keep needs; expected it, or splits: refold.")
    table = _meds("SubjectSplitSchema", _read(file), file).to_pandas()
    split = samples["patient_id"].map(dict(zip(table["subject_id"].astype(str), table["split"], strict=True)))
    if split.isna().any():
        raise ValueError(f"{file} lacks {int(split.isna().sum())} samples' subjects; expected a split for each.")
    return samples.assign(split_fold=pd.factorize(split, sort=True)[0])
