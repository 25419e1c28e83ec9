"""Twenty tables as new users bring them: what is in the file, what is in the run's YAML, and how the run ends."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

#: Few folds, epochs and resamples: the numbers mean nothing, only whether there are any.
SMALL = {
    "folds": 2,
    "seeds": 1,
    "retrainings": 1,
    "architecture": {"epochs": 1, "width": 8, "heads": 1},
    "variations": {},
    "rates": [0.0, 0.5, 1.0],
    "paper_rates": [0.1],
    "structured_rates": [0.2, 0.5],
    "missing_rates": [0.0, 0.5],
    "dimensions": 4,
    "resamples": 20,
    "regime_resamples": 20,
    "realisations": 10,
    "permutations": 10,
    "test_permutations": 19,
    "note_sample": 30,
}

OPTIONS = {
    "sample_id": "visit",
    "patient_id": "patient",
    "label": "readmitted",
    "protected": ["sex", "region"],
    "modalities": {
        "history": ["age", "smoker"],
        "labs": ["albumin", "sodium"],
        "triage": {"words": {"kind": "text"}},
    },
}


@dataclass(frozen=True)
class Table:
    """What a user brings, and how it ends: ``refused`` is a part of the one sentence, empty where there is a book."""

    change: Callable[[pd.DataFrame], pd.DataFrame] = lambda frame: frame
    rows: int = 240
    suffix: str = ".csv"
    options: dict = field(default_factory=dict)
    settings: dict = field(default_factory=dict)
    refused: str = ""
    encoding: str = "utf-8"


def visits(n: int) -> pd.DataFrame:
    """A row per visit: an outcome, two protected attributes, and columns of several kinds."""
    rng = np.random.default_rng(0)
    severity = rng.normal(size=n)
    return pd.DataFrame(
        {
            "visit": np.arange(n),
            "patient": rng.integers(0, 2 * n // 3, n),
            "readmitted": (severity + rng.normal(size=n) > 0.3).astype(int),
            "sex": rng.choice(["female", "male"], n),
            "region": rng.choice(["north", "south", "east"], n, p=[0.5, 0.3, 0.2]),
            "age": rng.integers(20, 90, n),
            "smoker": rng.choice(["yes", "no"], n),
            "albumin": np.where(rng.random(n) < 0.7, 4 - 0.4 * severity, np.nan).round(1),
            "sodium": (140 + 4 * rng.normal(size=n)).round(),
            "words": np.where(severity > 0, "short of breath", "a sprained ankle"),
            "arrived": pd.date_range("2020-03-01", periods=n, freq="h").strftime("%Y-%m-%d %H:%M"),
        }
    )


def write_run(name: str, table: Table, folder: Path) -> dict:
    """Write the file of a table into a folder; return what the YAML of its run says."""
    frame, file = table.change(visits(table.rows)), folder / f"{name}{table.suffix}"
    if table.suffix == ".parquet":
        frame.to_parquet(file)
    else:
        frame.to_csv(file, index=False, sep="\t" if table.suffix == ".tsv" else ",", encoding=table.encoding)
    given = {"title": name.replace("_", " "), "run": name, "cohort": "table", "root": str(file)}
    return given | SMALL | {"cohort_options": copy.deepcopy(OPTIONS) | table.options} | table.settings


def _rare(frame):
    rng = np.random.default_rng(1)
    frame["readmitted"] = (rng.random(len(frame)) < 0.02).astype(int)
    frame["region"] = np.where(
        np.arange(len(frame)) < 4, "island", np.where(frame.region == "north", "hills", "coast")
    )
    return frame


def _eight(frame):
    rng = np.random.default_rng(2)
    return frame.assign(
        readmitted=frame.readmitted.astype(float),
        **{f"test_{i}": rng.normal(size=len(frame)) for i in range(8)},
    )


def _quoted(frame):
    names = {"female": 'Frau "Ä"', "male": "Männer's"}
    frame = frame.rename(columns={"albumin": 'Eiweiß "total" (µg/l)', "sex": "Geschlecht"})
    return frame.assign(
        Geschlecht=frame.Geschlecht.map(names).astype("category"),
        smoker=frame.smoker.map({"yes": "ja, täglich", "no": "nie"}).astype("category"),
        readmitted=frame.readmitted.map({1: "ja", 0: "nein"}).astype("category"),
    )


def _html(frame):
    names = {"north": "<b>north</b>", "south": "a|b $x$ _y_ & c", "east": "<script>alert(1)</script>"}
    return frame.assign(
        region=frame.region.map(names), smoker=frame.smoker.map({"yes": "<20/day", "no": "{none} `x` $"})
    )


def _hostile(frame):
    return frame.assign(
        constant=1.0,
        words=frame.words + np.where(frame.visit % 3 == 0, "\nsecond line\r\n# third $line$", ""),
        region=frame.region.where(frame.visit % 7 > 0),
        sex=(frame.sex == "male").astype(float).where(frame.visit % 5 > 0),
    )


def _one_class(frame):
    healthy = (frame.visit % 5 == 0) & (frame.readmitted == 0)
    ill = (frame.visit % 5 == 1) & (frame.readmitted == 1)
    return frame.assign(region=frame.region.mask(healthy, "none").mask(ill, "west"))


MODALITIES = OPTIONS["modalities"]
REFERENCES = {
    "protected": {"sex": "male", "region": "north"},
    "contrasts": {"sex": "female", "region": "south"},
}

TABLES = {
    # eight that ended in a bare error
    "few_rows": Table(rows=120, settings=REFERENCES | {"folds": 5}),
    "rare_label": Table(
        _rare,
        rows=900,
        settings={
            "protected": {"sex": "male", "region": "coast"},
            "contrasts": {"region": "hills"},
            "folds": 5,
        },
    ),
    "no_contrasts": Table(settings={"protected": REFERENCES["protected"]}),
    "one_modality": Table(options={"modalities": {"labs": ["albumin", "sodium"]}}, settings=REFERENCES),
    "absent_modality": Table(
        lambda frame: frame.assign(scan=np.nan),
        options={"modalities": MODALITIES | {"imaging": ["scan"]}},
        settings=REFERENCES,
        refused="'imaging'",
    ),
    "other_contrast": Table(settings=REFERENCES | {"contrasts": {"region": "west"}}, refused="'west'"),
    "other_order": Table(
        settings=REFERENCES | {"intersections": {"sex+region": "north, male"}}, refused="'north, male'"
    ),
    "sixty_groups": Table(
        lambda frame: frame.assign(region=[f"ward {i % 60}" for i in range(len(frame))]),
        rows=360,
        settings={"protected": {"region": "ward 0"}, "contrasts": {"region": "ward 1"}},
        refused="60 groups",
    ),
    # six with every property of those that went through
    "two_modalities": Table(
        lambda frame: frame.assign(readmitted=frame.readmitted == 1),
        options={"modalities": {m: MODALITIES[m] for m in ("history", "labs")}, "positive": True},
        settings=REFERENCES,
        encoding="utf-8-sig",
    ),
    "eight_modalities": Table(
        _eight,
        suffix=".tsv",
        options={"modalities": {f"block_{i}": [f"test_{i}"] for i in range(8)}},
        settings=REFERENCES,
    ),
    "quotes": Table(
        _quoted,
        suffix=".parquet",
        options={
            "protected": ["Geschlecht"],
            "positive": "ja",
            "modalities": {"Labor": ['Eiweiß "total" (µg/l)', "sodium"], "Anamnese": ["age", "smoker"]},
        },
        settings={"protected": {"Geschlecht": "Männer's"}, "contrasts": {"Geschlecht": 'Frau "Ä"'}},
    ),
    "one_attribute": Table(options={"protected": ["sex"]}),
    "text_only": Table(
        options={"modalities": {"triage": {"words": {"kind": "text"}}, "history": ["age", "smoker"]}}
    ),
    "html": Table(_html, settings={"protected": {"region": "<b>north</b>", "sex": "male"}}),
    # six more
    "hostile_names": Table(
        _hostile,
        options={
            "modalities": {
                "vital signs": ["constant"],
                "3": ["albumin"],
                7: ["age"],
                "Überweisung": {"words": {"kind": "text"}},
            }
        },
    ),
    "one_class": Table(_one_class),
    "one_patient": Table(lambda frame: frame.assign(patient=frame.patient.where(frame.visit % 3 > 0, 1))),
    "three_labels": Table(
        lambda frame: frame.assign(readmitted=frame.readmitted + (frame.visit % 9 == 0)), refused="3 values"
    ),
    "decimal_comma": Table(
        lambda frame: frame.assign(
            albumin=frame.albumin.map("{:.1f}".format).str.replace(".", ",").replace("nan", None)
        ),
        refused="expected numbers with a decimal point",
    ),
    "many_modalities": Table(
        lambda frame: frame.assign(**{f"item_{i}": frame.age + i for i in range(21)}),
        options={"modalities": {f"block_{i}": [f"item_{i}"] for i in range(21)}},
        refused="21 modalities",
    ),
}
