import numpy as np
import pytest
import torch
import xarray as xr

from mmlib.models import powerset
from mmlib.models.fusion import Architecture
from mmlib.models.study import prepare
from tests.models.test_study import cohort_and_embeddings

SMALL = Architecture(width=8, heads=2, epochs=2, batch_size=64)


@pytest.fixture(scope="module")
def study():
    return prepare(*cohort_and_embeddings(), dimensions=4)


@pytest.fixture(scope="module")
def trained(study):
    return powerset.train_powerset(study, SMALL, seeds=2)


def test_test_patients_leave_no_trace_in_the_models_that_score_them(study):
    cohort, embeddings = cohort_and_embeddings()
    tested = cohort.fold.to_numpy() == 0
    embeddings["embedding"].values[tested] = 99 * embeddings.present.values[tested][..., None]
    flipped = cohort.assign(label=np.where(tested, 1 - cohort.label, cohort.label).astype("int8"))
    # the folds' own stratification looks at labels of all patients outside fold 0 only
    other = prepare(flipped, embeddings, dimensions=4)
    one, two = (powerset.fit(s, SMALL, seeds=[0]) for s in (study, other))
    for name, tensor in one.parameters.items():
        assert torch.equal(tensor[0], two.parameters[name][0]), name
        assert not torch.equal(one.parameters["project"][1], two.parameters["project"][1])


def test_the_power_set_has_every_subset_and_the_empty_one_is_chance(study, trained):
    scores, full = trained
    assert scores.subset.values.tolist() == ["none", "a", "b", "a+b", "c", "a+c", "b+c", "a+b+c"]
    assert np.isfinite(scores.score.values).all()
    prior = study.y[study.training.any(axis=0)].mean()  # the same in all folds, so that nobody is ranked
    np.testing.assert_allclose(scores.score.sel(subset="none").values, prior, rtol=1e-6)
    assert scores.threshold.sel(subset="none", rule="prevalence").isnull().all()
    held = ~np.isnan(scores.validation_score.sel(subset="a", seed=0).values)
    np.testing.assert_array_equal(held, study.validation.numpy())
    assert len(full.fold) == 6


def test_a_subset_sees_nothing_but_its_modalities(study, trained):
    other = cohort_and_embeddings()[1]
    other["embedding"].values[:, 2] = np.where(other.present.values[:, [2]], 7.0, 0)
    changed = prepare(cohort_and_embeddings()[0], other, dimensions=4)
    scores, _ = powerset.train_powerset(changed, SMALL, seeds=2, subsets=["a+b"])
    xr.testing.assert_allclose(scores.score.sel(subset="a+b"), trained[0].score.sel(subset="a+b"))


def test_probabilities_are_calibrated_on_validation_rows(study, trained):
    _, full = trained
    scores = powerset.probabilities(full, study, where=study.validation.numpy())
    for f, score in zip(full.fold, scores, strict=True):
        rows = study.validation[f].numpy()
        assert score[rows].mean() == pytest.approx(float(study.y[rows].mean()), abs=0.02)


def test_variants_are_trained_alone_on_the_same_folds(study, trained):
    wide = Architecture(width=16, heads=4, epochs=1, batch_size=64)
    table = powerset.train_variants(
        {"small": (study, SMALL), "wide": (study.columns(["a", "c"]), wide)}, seeds=2
    )
    assert table.variant.values.tolist() == ["small", "wide"]
    as_before = trained[0].score.sel(subset="a+b+c")
    np.testing.assert_allclose(table.score.sel(variant="small"), as_before, rtol=1e-5)
    alone = powerset.fit(study.columns(["a", "c"]), wide, seeds=[0, 1], key=3)
    scores = powerset.probabilities(alone, study.columns(["a", "c"])).reshape(2, 3, -1)
    for fold in range(3):
        tested = study.fold == fold
        np.testing.assert_allclose(
            table.score.sel(variant="wide").values[:, tested], scores[:, fold, tested], rtol=1e-5
        )
    assert np.isnan(scores).sum() == 2 * 2 * len(study.y)  # each fold scores its own samples only


def test_subsets_trained_side_by_side_are_the_same(study, trained):
    cores = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        scores, full = powerset.train_powerset(study, SMALL, seeds=2)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(cores)
    xr.testing.assert_allclose(scores, trained[0], rtol=1e-4)
    torch.testing.assert_close(full.parameters, trained[1].parameters, rtol=1e-3, atol=1e-4)


def test_unknown_modalities_and_subsets_are_named(study):
    with pytest.raises(ValueError, match="no modality 'vitals'; expected some of a, b, c"):
        study.columns(["a", "vitals"])
    with pytest.raises(ValueError, match=r"no subset 'b\+a'; expected some of none, a, b, a\+b"):
        powerset.train_powerset(study, SMALL, subsets=["a", "b+a"])


@pytest.mark.parametrize("encoder", ["toy", "native"])
def test_a_modality_that_says_the_same_of_everybody_or_nothing_is_no_trouble(encoder):
    cohort, embeddings = cohort_and_embeddings()
    embeddings["embedding"].values[:, 0] = 0.1
    embeddings["embedding"].values[:, 1, 0] = np.nan if encoder == "native" else 0
    embeddings["present"].values[:, 2] = False
    embeddings["embedding"].values[:, 2] = 0
    embeddings.attrs["encoder"] = encoder
    study = prepare(cohort, embeddings, dimensions=4)
    assert torch.isfinite(study.X).all() and study.X.abs().max() < 20
    assert (study.X[:, :, 2] == 0).all()
    scores, _ = powerset.train_powerset(study, SMALL, subsets=["a", "c", "a+b+c"])
    assert np.isfinite(scores.score.values).all()
