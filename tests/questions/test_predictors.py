import numpy as np
import pytest
import xarray as xr
from scipy.special import expit, logit

from mmlib.measure.groups import Groups
from mmlib.measure.metrics import operating_point
from mmlib.questions.predictors import KEYS, PREDICTORS, decode, measure_outcomes, measure_predictors

SEX = Groups({"sex": "Male"}, {"sex": "Female"})


@pytest.fixture(scope="module")
def study(small_powerset):
    """The small power set; in its embeddings `c` tells the sexes apart, and women lack `b` more often."""
    powerset, cohort = small_powerset
    rng, female = np.random.default_rng(3), (cohort.sex == "Female").to_numpy()
    vectors = rng.normal(size=(len(cohort), 3, 4))
    vectors[:, 2, 0] += 6 * female
    present = np.ones((len(cohort), 3), bool)
    present[:, 1] = rng.random(len(cohort)) < np.where(female, 0.5, 0.9)
    embeddings = xr.Dataset(
        {
            "embedding": (("sample", "modality", "feature"), vectors),
            "present": (("sample", "modality"), present),
        },
        {"modality": ["a", "b", "c"]},
    )
    return powerset, embeddings, cohort


def measure(study, groups=SEX):
    return measure_predictors(*study, groups, measured=np.ones(len(study[2]), bool))


def test_predictors_change_sign_when_the_groups_change_places(study):
    there = measure(study)
    back = measure(study, Groups({"sex": "Female"}, {"sex": "Male"}))
    assert len(there) == 9 and not there[list(PREDICTORS)].isna().any(axis=None)
    np.testing.assert_allclose(there[list(PREDICTORS)], -back[list(PREDICTORS)], atol=1e-12)


def test_predictors_say_what_they_are_called(study):
    powerset, embeddings, cohort = study
    table = measure(study).set_index(["modality", "before"])
    female, label = (cohort.sex == "Female").to_numpy(), cohort.label.to_numpy()
    there = embeddings.present.values[:, 1]
    assert table.loc[("b", "a"), "presence"] == pytest.approx(there[female].mean() - there[~female].mean())
    base = label[female].mean() - label[~female].mean()
    assert table["label rate"].to_numpy() == pytest.approx(base)
    assert table.loc[("c", "a"), "decoding"] == pytest.approx(base, rel=0.01)  # decoded nearly without error
    assert abs(table.loc[("a", "b"), "decoding"]) < 0.3 * abs(base)
    assert table.loc[("c", "a"), "difference alone"] < -0.2  # c lowers the scores of women
    assert table.loc[("c", "a"), "difference alone"] == table.loc[("a", "c"), "difference in use"]


def test_late_fusion_adds_log_odds(study):
    powerset, _, cohort = study
    table = measure(study).set_index(["modality", "before"])
    one = powerset.sel(subset=["b", "c"])
    held = powerset.validation_score[0, 0].notnull().values
    fold, at = np.nonzero(held)
    y, female = cohort.label.to_numpy()[at], (cohort.sex == "Female").to_numpy()[at]
    changes = []
    for seed in (0, 1):
        b, c = (one.validation_score.sel(subset=m, seed=seed).values[fold, at] for m in ("b", "c"))
        fused = expit(logit(b) + logit(c) - logit(y.mean()))
        cut = {f: operating_point(y[fold == f], fused[fold == f]) for f in range(3)}
        old = one.threshold.sel(subset="b", seed=seed, rule="prevalence").values
        new, before = fused >= [cut[f] for f in fold], b >= old[fold]
        rate = [d[female & (y == 1)].mean() - d[~female & (y == 1)].mean() for d in (new, before)]
        changes.append(rate[0] - rate[1])
    assert table.loc[("c", "b"), "late fusion"] == pytest.approx(np.mean(changes))


def test_no_predictor_looks_at_the_joint_model_or_at_other_patients(study):
    powerset, embeddings, cohort = study
    half = np.arange(len(cohort)) % 2 == 0
    known = measure_predictors(powerset, embeddings, cohort, SEX, measured=half)
    changed = powerset.copy(deep=True)
    changed.score[:] = 0.5
    changed.validation_score.loc[{"subset": "a+b+c"}] = changed.validation_score.sel(subset="a").values
    flipped = cohort.assign(label=np.where(half, cohort.label, 1 - cohort.label).astype("int8"))
    again = measure_predictors(changed, embeddings, flipped, SEX, measured=half)
    np.testing.assert_array_equal(known[list(PREDICTORS)], again[list(PREDICTORS)])


def test_outcomes_are_changes_of_the_difference_among_weighted_patients(study):
    powerset, _, cohort = study
    half = (np.arange(len(cohort)) % 2 == 0).astype(float)
    found = measure_outcomes(powerset, cohort, SEX, patient_weights=half[None])[0]
    rows = measure(study)
    at = rows.index[(rows.modality == "c") & (rows.before == "a")][0]
    difference = {}
    for name in ("a", "a+c"):
        by_seed = []
        for seed in (0, 1):
            score = powerset.score.sel(subset=name, seed=seed).values
            cut = powerset.threshold.sel(subset=name, seed=seed, rule="prevalence").values[cohort.fold]
            hit = cohort.assign(hit=score >= cut)[(half == 1) & (cohort.label == 1)].groupby("sex").hit.mean()
            by_seed.append(hit["Female"] - hit["Male"])
        difference[name] = np.mean(by_seed)
    assert found[at] == pytest.approx(difference["a+c"] - difference["a"])


def test_without_a_model_in_use_or_a_contrast_nothing_is_predicted(study):
    powerset, embeddings, cohort = study
    one = powerset.sel(subset=["none", "a"]), embeddings.sel(modality=["a"]), cohort
    for part, groups in ((one, SEX), (study, Groups({"sex": "Male"}))):
        assert measure(part, groups).empty and list(measure(part, groups)) == [*KEYS, *PREDICTORS]
        found = measure_outcomes(part[0], cohort, groups, patient_weights=np.ones((2, len(cohort))))
        assert found.shape == (2, 0)


def test_decoding_finds_what_is_there_and_nothing_else():
    rng = np.random.default_rng(0)
    group, there = rng.random(600) < 0.3, np.ones(600, bool)
    X = rng.normal(size=(600, 5))
    noise = decode(X, there, (group, ~group), np.arange(600))
    X[:, 0] += 2 * group
    assert 0.5 <= noise < 0.58 and decode(X, there, (group, ~group), np.arange(600)) > 0.85
    few = there & (~group | (np.cumsum(group) < 20))
    assert decode(X, few, (group, ~group), np.arange(600)) == 0.5
    assert decode(np.zeros((600, 2)), there, (group, ~group), np.arange(600)) == 0.5
    wide, big = rng.normal(size=(100, 40)), np.where(np.arange(100) < 70, 0, np.arange(100))
    assert 0.5 <= decode(wide, there[:100], (group[:100], ~group[:100]), big) <= 1  # learns from 30 samples at once
    assert decode(wide, there[:100], (big == 0, big > 0), np.minimum(big, 71)) == 0.5  # three patients, one a group
    twice = np.repeat(np.arange(300), 2)  # a patient's rows are alike: they must not be learnt by heart
    alike, own = rng.normal(size=(300, 40)), rng.random(300) < 0.5
    assert decode(alike[twice], there, (own[twice], ~own[twice]), twice) < 0.6


def test_decoding_many_numbers_gives_the_same_every_time():
    rng = np.random.default_rng(0)
    X, group = rng.normal(size=(1200, 384)), rng.random(1200) < 0.4
    X[group, :40] += 0.3
    asked = X, np.ones(1200, bool), (group, ~group), np.arange(1200)
    assert 0.6 < decode(*asked) == decode(*asked) < 0.99
