"""A twin of the causal model, written as a dataset of the Medical Event Data Standard, and the same as a table."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mmlib.twins.causal import Knobs, draw

KNOBS = Knobs({"vitals": 0.6, "labs": 0.7}, missingness={"labs": 0.3}, another_stay=0.2)
START, BETWEEN = pd.Timestamp("2150-01-01"), pd.Timedelta(days=60)
SCHEMA = pa.schema(
    [
        ("subject_id", pa.int64()),
        ("time", pa.timestamp("us")),
        ("code", pa.string()),
        ("numeric_value", pa.float32()),
        ("race", pa.string()),
    ]
)
#: Options of the loader, for the dataset and for the table.
MEDS = {
    "labels": "tasks/admission/**/*.parquet",
    "task": "admission",
    "modalities": {
        "vitals": [{"codes": "VITAL//*", "window": 240, "decimals": 1}],
        "labs": [{"codes": "LAB//*", "window": 240, "decimals": 1}],
    },
    "protected": {"sex": "GENDER//*", "race": {"column": "race"}},
}
TABLE = {
    "label": "admitted",
    "task": "admission",
    "sample_id": "sample",
    "patient_id": "patient",
    "protected": ["sex", "race"],
}


def write_meds(folder: Path, patients: int = 300, *, repeats: int = 2, shards: int = 3, seed: int = 0) -> Path:
    """Write the dataset and ``visits.parquet``; each last value follows ``repeats`` earlier ones."""
    twin, rng = draw(patients, KNOBS, seed), np.random.default_rng(seed)
    patient = twin.patient
    stay = pd.Series(patient).groupby(patient).cumcount().to_numpy()
    moment = START + stay * BETWEEN
    static = pd.DataFrame({"subject_id": patient, "code": "GENDER//" + pd.Series(twin.sex), "race": twin.race})
    events, table = [static.drop_duplicates("subject_id")], {}
    for modality, prefix in (("vitals", "VITAL"), ("labs", "LAB")):
        there = twin.present[modality]
        for place, name in enumerate(twin.knobs.names(modality)):
            value = twin.measured[modality][:, place].round(1)
            table[f"{modality}.{prefix}//{name}"] = np.where(there, value, np.nan)
            for back in range(repeats + 1):
                shift = pd.to_timedelta((-back * 3600 - rng.integers(0, 3600, there.sum())) * (back > 0), unit="s")
                given = value[there] + np.float32(back)
                own = {"subject_id": patient[there], "time": moment[there] + shift, "numeric_value": given}
                events.append(pd.DataFrame(own).assign(code=f"{prefix}//{name}"))
    frame = pd.concat(events, ignore_index=True)
    frame["race"] = frame["race"].fillna(frame["subject_id"].map(dict(zip(patient, twin.race, strict=True))))
    frame = frame.sort_values(["subject_id", "time"], kind="stable", na_position="first", ignore_index=True)
    for shard in range(shards):
        write_shard(folder, shard, frame[frame["subject_id"] % shards == shard])
    labels = pd.DataFrame({"subject_id": patient, "prediction_time": moment, "boolean_value": twin.decided})
    types = [("subject_id", pa.int64()), ("prediction_time", pa.timestamp("us")), ("boolean_value", pa.bool_())]
    put(folder / "tasks" / "admission" / "0.parquet", labels, pa.schema(types))
    codes = sorted(frame["code"].unique())
    about = pd.DataFrame({"code": codes, "description": [code.partition("//")[2].replace("_", " ") for code in codes]})
    about["parent_codes"] = None
    types = [("code", pa.string()), ("description", pa.string()), ("parent_codes", pa.list_(pa.string()))]
    put(folder / "metadata" / "codes.parquet", about, pa.schema(types))
    split = pd.DataFrame({"subject_id": np.unique(patient)})
    split["split"] = np.array(["train", "tuning", "held_out"])[split["subject_id"] % 3]
    put(
        folder / "metadata" / "subject_splits.parquet",
        split,
        pa.schema([("subject_id", pa.int64()), ("split", pa.string())]),
    )
    (folder / "metadata" / "dataset.json").write_text(json.dumps({"dataset_name": "twin", "meds_version": "0.4.1"}))
    visits = pd.DataFrame(table).assign(sex=twin.sex, race=twin.race, admitted=twin.decided.astype(int))
    visits = visits.assign(patient=patient, sample=[f"{p}-{s}" for p, s in zip(patient, stay, strict=True)])
    visits.to_parquet(folder / "visits.parquet", index=False)
    return folder


def write_shard(folder: Path, shard: int, frame: pd.DataFrame) -> None:
    """Write one file of events."""
    put(folder / "data" / f"{shard}.parquet", frame.reindex(columns=SCHEMA.names), SCHEMA)


def put(file: Path, frame: pd.DataFrame, schema: pa.Schema) -> None:
    """Write a frame with a schema."""
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pandas(frame, schema, preserve_index=False), file)


def table_options(folder: Path) -> dict:
    """Options that read ``visits.parquet`` as the same cohort."""
    columns = [c for c in pd.read_parquet(folder / "visits.parquet") if "//" in c]
    modalities = {}
    for column in columns:
        modality, _, code = column.partition(".")
        about = {"label": code.partition("//")[2].replace("_", " "), "decimals": 1}
        modalities.setdefault(modality, {})[column] = about
    return TABLE | {"modalities": modalities}
