
import numpy as np
import pandas as pd
import pytest

from mmlib.core.schema import PLAIN, check_array
from mmlib.core.subsets import subset_masks
from mmlib.models.predictions import read_predictions
from tests.sentences import one_sentence

N = 60
GIVEN = {"protected": ["sex"]}


def table(seeds=1):
    rng, frames = np.random.default_rng(0), []
    label, sex = rng.integers(0, 2, N), rng.choice(["f", "m"], N)
    for seed in range(seeds):
        frame = pd.DataFrame({"sample_id": [f"s{i}" for i in range(N)], "label": label, "sex": sex})
        frames.append(frame.assign(fold=np.arange(N) % 3, seed=seed, score=rng.random(N).round(3)))
    return pd.concat(frames, ignore_index=True)


def whole(seeds=1):
    """Scores of both modalities, of every subset and under every pattern."""
    rng, frame = np.random.default_rng(1), table(seeds)
    scores = {f"{kind}_{name}": rng.random(len(frame)) for kind in ("score", "masked") for name in ("a", "b")}
    return frame.assign(**scores, **{"masked_none": 0.4, "masked_a+b": frame.score, "present_a": frame.index % 2 == 0})


BOTH = GIVEN | {"modalities": ["a", "b"]}


@pytest.fixture
def read(tmp_path):
    def write_and_read(frame, name="scores.parquet", **options):
        file = tmp_path / name
        frame.to_parquet(file) if name.endswith("parquet") else frame.to_csv(file, index=False)
        return read_predictions(file, **(GIVEN | options))

    return write_and_read


@pytest.mark.parametrize("name", ["scores.csv", "scores.parquet"])
def test_scores_become_the_artefacts_that_chapters_read(read, name):
    found = read(table(2), name)
    check_array(found.powerset, "powerset")
    check_array(found.masking, "masking")
    assert found.modalities == ("all",) and found.present.all()
    assert found.powerset.score.sel(subset="all", seed=1).values.tolist() == table(2).score[N:].tolist()
    assert found.masking.score.sel(regime=PLAIN, pattern="all", seed=0).values.tolist() == table().score.tolist()


def test_without_thresholds_each_selects_as_many_as_are_positive_and_is_counted(read):
    found, frame = read(table()), table()
    for fold, rows in frame.groupby("fold"):
        cut = float(found.powerset.threshold.sel(rule="prevalence").isel(subset=0, seed=0, fold=fold))
        assert (rows.score >= cut).sum() == rows.label.sum()
    assert found.counts == {"thresholds that the table lacks, chosen on tested samples": 3}


def test_thresholds_of_the_table_are_kept_under_the_rule_that_they_stand_for(read):
    found = read(table().assign(threshold=lambda d: d.fold / 10 + 0.1), rule="half")
    assert found.powerset.threshold.sel(rule="half").values.ravel().tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert found.powerset["rule"].values.tolist() == ["half"] and not found.counts


def test_subsets_and_patterns_have_their_own_seeds(read):
    frame = whole(3)
    frame.loc[frame.seed == 2, ["score", "score_a", "score_b"]] = np.nan
    found = read(frame, **BOTH)
    assert found.powerset["subset"].values.tolist() == subset_masks(["a", "b"])[0]
    assert (found.powerset.sizes["seed"], found.masking.sizes["seed"]) == (2, 3)
    assert found.powerset.score.sel(subset="b", seed=1).values.tolist() == frame.score_b[N : 2 * N].tolist()
    np.testing.assert_allclose(found.powerset.score.sel(subset="none"), table().label.mean())
    assert found.powerset.threshold.sel(subset="none", rule="prevalence").isnull().all()
    assert found.present[:, 0].tolist() == [True, False] * 30


def meds():
    times = pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(N), unit="h")
    score = np.random.default_rng(0).random(N)
    frame = pd.DataFrame({"subject_id": np.arange(N) // 2, "prediction_time": times})
    return frame.assign(boolean_value=np.arange(N) % 3 == 0, predicted_boolean_probability=score)


def test_predictions_of_the_meds_evaluation_project_take_groups_from_a_table_beside_them(read, tmp_path):
    groups = pd.DataFrame({"subject_id": range(30), "sex": ["f", None, "m"] * 10})
    groups.to_csv(tmp_path / "groups.csv", index=False)
    found = read(meds(), groups=tmp_path / "groups.csv")
    assert found.cohort.patient_id.nunique() == 30 and found.cohort.label.sum() == 20
    assert found.cohort.sex[:4].tolist() == ["f", "f", "Unknown", "Unknown"]


WRONG = {
    "no score": (lambda d: d.drop(columns="score"), {}, "has no column score; it has sample_id"),
    "no label": (lambda d: d.drop(columns="label"), {}, r"lacks the column\(s\) label"),
    "no id": (lambda d: d.drop(columns="sample_id"), {}, r"lacks the column\(s\) sample_id"),
    "no group": (lambda d: d, {"protected": ["race"]}, r"lacks the column\(s\) race"),
    "protected is no list": (lambda d: d, {"protected": "sex"}, "protected is 'sex'; expected a list"),
    "protected is a fold": (lambda d: d, {"protected": ["fold"]}, "protected names 'fold'"),
    "above one": (lambda d: d.assign(score=[1.2] + [0.5] * 59), {}, "score holds 1.2 in row 0; expected probab"),
    "a log-odds": (lambda d: d.assign(score=d.score * 6 - 3), {}, r"score holds -\d.*; expected probabilities"),
    "words": (lambda d: d.assign(score=["high"] + ["0.5"] * 59), {}, "score holds 'high' in row 0"),
    "missing scores": (lambda d: d.assign(score=[None] * 2 + [0.5] * 58), {}, "2 values of score are missing"),
    "three labels": (lambda d: d.assign(label=[2] + [0, 1] * 29 + [1]), {}, "label 'label' holds 2; expected 0 and 1"),
    "one label": (lambda d: d.assign(label=1), {}, "the label 'label' has 1 values; expected both"),
    "no known label": (lambda d: d.assign(label=None), {}, "the label 'label' has 0 values"),
    "twice": (lambda d: d.assign(sample_id="x"), {}, "sample_id 'x' has two rows"),
    "id missing": (lambda d: d.assign(sample_id=[None] + ["a"] * 59), {}, "1 values of 'sample_id' are missing"),
    "no patient": (lambda d: d, {"patient_id": "person"}, r"lacks the column\(s\) person"),
    "fold 1 to 3": (lambda d: d.assign(fold=d.fold + 1), {}, r"fold holds \[1, 2, 3\]; expected 0, 1"),
    "fold in words": (lambda d: d.assign(fold="first"), {}, "fold holds 'first'; expected whole numbers"),
    "a fold of one label": (lambda d: d.assign(fold=d.label), {}, "a fold has samples of one label only"),
    "patient in two folds": (lambda d: d.assign(p=d.index // 2), {"patient_id": "p"}, "a patient is in two folds"),
    "seed from 1": (lambda d: d.assign(seed=1), {}, r"seed holds \[1\]; expected 0, 1"),
    "seed with a gap": (lambda d: pd.concat([d, d.assign(seed=1).iloc[1:]]), {}, "1 rows are missing; expected each"),
    "label by seed": (lambda d: pd.concat([d, d.assign(seed=1, label=1 - d.label)]), {}, "'label' of a sample differs"),
    "two thresholds": (lambda d: d.assign(threshold=d.score), {}, "threshold has 20 values in fold 0 of seed 0"),
    "no threshold": (lambda d: d.assign(threshold=np.nan), {}, "threshold has 1 values in fold 0 .*1 missing"),
    "an unknown rule": (lambda d: d, {"rule": "youden"}, "rule is 'youden'; expected one of prevalence"),
    "an unknown subset": (lambda d: d.assign(score_labs=0.5), {}, "column score_labs is of no subset of .* all"),
    "another order": (lambda d: whole().assign(**{"score_b+a": 0.5}), BOTH, r"column score_b\+a is of no subset"),
    "a subset is lacking": (lambda d: whole().drop(columns="score_b"), BOTH, "lacks score_b beside 2 other columns"),
    "a pattern is lacking": (lambda d: whole().drop(columns="masked_none"), BOTH, "lacks masked_none beside 3"),
    "full twice": (lambda d: whole().assign(**{"score_a+b": 0.5}), BOTH, r"both score and score_a\+b"),
    "a threshold is lacking": (lambda d: whole().assign(threshold=0.5), BOTH, "lacks threshold_a beside other"),
    "presence in words": (lambda d: whole().assign(present_a="some"), BOTH, "present_a holds 'some'; expected true"),
    "presence of what": (lambda d: whole().assign(present_c=True), BOTH, "column present_c is of no subset"),
    "modality with a plus": (lambda d: d, {"modalities": ["a+b"]}, r"modalities lists 'a\+b'; expected"),
    "eleven modalities": (lambda d: d, {"modalities": list("abcdefghijk")}, "lists 11 names; expected at most 10"),
    "no time": (lambda d: meds().assign(prediction_time=pd.NaT), {}, "60 rows have no prediction_time"),
    "meds without label": (lambda d: meds().drop(columns="boolean_value"), {}, r"lacks the column\(s\) boolean_value"),
}


@pytest.mark.bad_input
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_table_is_one_sentence(read, name):
    change, options, message = WRONG[name]
    with one_sentence(message):
        read(change(table()), **options)


def test_wrong_files_and_tables_of_groups_are_one_sentence(read, tmp_path):
    for name, content, message in (
        ("x.xlsx", b"", "suffix '.xlsx'"),
        ("half.parquet", b"PAR1 no more", "cannot be read as a table"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=message):
            read_predictions(tmp_path / name, **GIVEN)
    with pytest.raises(FileNotFoundError, match="nowhere.csv' is not a file; expected"):
        read_predictions(tmp_path / "nowhere.csv", **GIVEN)
    groups = pd.DataFrame({"subject_id": range(30), "sex": "f"})
    for wrong, message in ((groups[1:], "lacks 2 of the patient_id"), (pd.concat([groups] * 2), "has two rows")):
        wrong.to_csv(tmp_path / "groups.csv", index=False)
        with pytest.raises(ValueError, match=message):
            read(meds(), groups=tmp_path / "groups.csv")
