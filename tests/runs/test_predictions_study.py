"""A power set's scores, written as a table and read back, give the tables that the scores themselves give."""

import numpy as np
import pandas as pd
import pytest
import yaml

from mmlib import Groups, resample_patients
from mmlib.questions import (
    addition_table,
    evaluate_subsets,
    group_levels,
    part_rows,
    shown_parts,
    signed_differences,
)
from mmlib.questions.fairness import evaluate_full_model
from mmlib.runs import artefacts
from tests.chapters import run_chapter

RUN = {
    "title": "Their scores",
    "run": "theirs",
    "cohort": "predictions",
    "cohort_options": {"protected": ["sex"], "patient_id": "patient_id", "modalities": ["a", "b", "c"]},
    "chapters": ["15_adding", "16_missing"],
    "protected": {"sex": "Male"},
    "contrasts": {"sex": "Female"},
    "intersections": {},
    "resamples": 30,
    "realisations": 10,
    "permutations": 10,
}
GROUPS = Groups({"sex": "Male"}, {"sex": "Female"})


@pytest.fixture(scope="module")
def study(small_powerset, tmp_path_factory):
    powerset, cohort = small_powerset
    folder, frames = tmp_path_factory.mktemp("theirs"), []
    for seed in (0, 1):
        frame = cohort.assign(seed=seed)
        for name in powerset["subset"].values:
            score, threshold = ("score", "threshold") if name == "a+b+c" else (f"score_{name}", f"threshold_{name}")
            frame[score] = powerset.score.sel(subset=name, seed=seed).values
            cut = powerset.threshold.sel(subset=name, seed=seed, rule="prevalence").values
            frame[threshold] = cut[cohort.fold]
            frame[f"masked_{name}"] = frame[score]
        frames.append(frame)
    pd.concat(frames).to_parquet(folder / "theirs.parquet", index=False)
    (folder / "theirs.yml").write_text(yaml.safe_dump(RUN | {"root": str(folder / "theirs.parquet")}))
    for name in ("14_predictions", *RUN["chapters"], "05_fairness"):
        run_chapter(name, folder / "theirs.yml", results=str(folder))
    return folder, powerset, cohort


def same(found, expected):
    """Compare the columns that both have, numbers to 1e-12."""
    columns = [c for c in expected if c in found and c != "run"]
    for column in columns:
        given, wanted = found[column], expected[column]
        if pd.api.types.is_numeric_dtype(wanted):
            np.testing.assert_allclose(given.astype(float), wanted.astype(float), rtol=0, atol=1e-12, err_msg=column)
        else:
            assert given.fillna("").tolist() == wanted.fillna("").tolist(), column


def test_adding_is_what_the_scores_themselves_give(study):
    folder, powerset, cohort = study
    settings = {"resamples": 30, "seed": 0}
    ranking = {"auroc": [], "observed_expected": ["sex"]}
    result = evaluate_subsets(powerset, cohort, GROUPS, ranking=ranking, **settings)
    full = evaluate_subsets(powerset, cohort, GROUPS, subsets=["a+b+c"], ranking={"auroc": ["sex"]}, **settings)
    parts = part_rows(shown_parts(powerset, cohort, GROUPS, "a", **settings), result, "a")
    expected = addition_table(result, full, "a", others={"parts": parts})
    same(artefacts.read("theirs", "rq1", root=folder), expected)


def test_fairness_is_what_the_scores_themselves_give(study):
    folder, powerset, cohort = study
    full = evaluate_full_model(powerset, cohort, resample_patients(cohort.patient_id, 30, 0), GROUPS)
    expected = pd.concat([group_levels(full), signed_differences(full)], ignore_index=True)
    same(artefacts.read("theirs", "fairness", root=folder), expected.drop(columns="verdict"))


def test_missing_starts_at_the_full_model_and_ends_at_none(study):
    folder, powerset, cohort = study
    rows = artefacts.read("theirs", "rq2", root=folder)
    auroc = rows[(rows.metric == "auroc") & (rows.mechanism == "at random") & rows.versus.isna()].set_index("rate")
    assert np.isclose(auroc.estimate[1.0], 0.5)
    full = evaluate_full_model(powerset, cohort, np.ones((1, len(cohort))), GROUPS).metric("auroc")
    assert np.isclose(auroc.estimate[0.0], float(full.value.item()))
