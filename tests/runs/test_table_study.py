"""The user's own table through every chapter, as the page on rerunning describes it."""

import numpy as np
import pandas as pd
import pytest
import yaml

from mmlib.runs import artefacts
from tests.chapters import ROOT, run_chapter

CHAPTERS = [notebook.stem for notebook in sorted((ROOT / "notebooks").glob("0[1-7]*.ipynb"))]  # those of a run


def visits(n=260):
    rng = np.random.default_rng(0)
    severity = rng.normal(size=n)
    return pd.DataFrame(
        {
            "visit": np.arange(n),
            "patient": rng.integers(0, n // 2, n),
            "readmitted": np.where(severity + rng.normal(size=n) > 0.3, "yes", "no"),
            "sex": rng.choice(["female", "male"], n),
            "age": rng.integers(20, 90, n),
            "albumin": np.where(rng.random(n) < 0.7, 4 - 0.4 * severity, np.nan).round(1),
            "bed": rng.integers(1, 9, n),
            "triage": np.where(severity > 0, "short of breath", "a sprained ankle"),
        }
    )


RUN = {
    "title": "My hospital",
    "run": "mine",
    "cohort": "table",
    "cohort_options": {
        "sample_id": "visit",
        "patient_id": "patient",
        "label": "readmitted",
        "positive": "yes",
        "task": "readmission",
        "protected": ["sex"],
        "modalities": {
            "history": {"age": {"timing": "before", "source": "asked at admission"}, "bed": None},
            "labs": {"albumin": {"label": "serum albumin", "unit": "g/dL", "decimals": 1}},
            "words": {"triage": {"kind": "text"}},
        },
    },
    "drop_fields": ["bed"],
    "protected": {"sex": "male"},
    "contrasts": {"sex": "female"},
    "intersections": {},
    "folds": 2,
    "seeds": 1,
    "retrainings": 1,
    "architecture": {"epochs": 1, "width": 8, "heads": 1},
    "dimensions": 4,
    "resamples": 20,
    "regime_resamples": 20,
    "realisations": 10,
    "permutations": 10,
    "note_sample": 60,
}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mine")
    visits().to_csv(folder / "visits.csv", index=False)
    (folder / "mine.yml").write_text(yaml.safe_dump(RUN | {"root": str(folder / "visits.csv")}))
    for name in CHAPTERS:
        run_chapter(name, folder / "mine.yml", results=str(folder))
    return folder


def test_a_table_goes_through_every_chapter(study):
    cohort = artefacts.read("mine", "cohort", root=study)
    assert cohort.label.sum() == (visits().readmitted == "yes").sum()
    assert (cohort.groupby("patient_id").fold.nunique() == 1).all()


def test_a_dropped_field_is_in_no_artefact(study):
    assert list(artefacts.read("mine", "fields", root=study).columns[:-1]) == [
        "history.age",
        "labs.albumin",
        "words.triage",
    ]
    assert "bed" not in set(artefacts.read("mine", "notes", root=study).field)
    assert not artefacts.read("mine", "audit", root=study).field.str.contains("bed").any()


def test_what_is_documented_decides_the_verdict(study):
    verdict = artefacts.read("mine", "audit", root=study).drop_duplicates("field").set_index("field").verdict
    assert verdict["words.triage"] == "unresolved" and verdict["history.age"] == "fine"
    encoding = artefacts.read("mine", "encoding", root=study)
    assert "network on sentences, without" in set(encoding.variant.dropna())
    assert "counted words and raw columns" in set(encoding.variant.dropna())
