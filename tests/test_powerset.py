import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from sklearn.decomposition import PCA

from mmlib import powerset
from mmlib.fusion import Architecture

SMALL = Architecture(width=8, heads=2, epochs=2, batch_size=64)


def cohort_and_embeddings(seed=0):
    """300 samples of 200 patients, three modalities of six features, the second one often absent."""
    rng = np.random.default_rng(seed)
    n = 300
    patient = rng.integers(0, 200, n)
    present = rng.random((n, 3)) > [0.0, 0.4, 0.1]
    data = np.where(present[..., None], rng.normal(size=(n, 3, 6)), 0).astype(np.float32)
    y = (rng.random(n) < 1 / (1 + np.exp(-2 * data[:, 0, 0] - data[:, 1, 1]))).astype("int8")
    cohort = pd.DataFrame(
        {
            "sample_id": np.arange(n).astype(str),
            "patient_id": patient.astype(str),
            "label": y,
            "fold": (patient % 3).astype("int8"),
        }
    )
    embeddings = xr.Dataset(
        {
            "embedding": (("sample", "modality", "feature"), data),
            "present": (("sample", "modality"), present),
        },
        {"sample": cohort.sample_id.to_numpy(object), "modality": ["a", "b", "c"]},
        {"encoder": "toy"},
    )
    return cohort, embeddings


@pytest.fixture(scope="module")
def study():
    return powerset.prepare(*cohort_and_embeddings(), dimensions=4)


@pytest.fixture(scope="module")
def trained(study):
    return powerset.train_powerset(study, SMALL, seeds=2)


def test_no_patient_is_on_two_sides(study):
    cohort, _ = cohort_and_embeddings()
    for fold in range(3):
        sides = [study.training[fold].numpy(), study.validation[fold].numpy(), study.tested[fold]]
        assert np.sum(sides, axis=0).tolist() == [1] * len(cohort)
        patients = [set(cohort.patient_id[s]) for s in sides]
        assert (
            not patients[0] & patients[1] and not patients[0] & patients[2] and not patients[1] & patients[2]
        )
        assert sides[1].sum() / (sides[0].sum() + sides[1].sum()) == pytest.approx(0.15, abs=0.05)


def test_reduction_is_that_of_scikit_learn_on_training_rows(study):
    _, embeddings = cohort_and_embeddings()
    rows = study.training[1].numpy() & embeddings.present.values[:, 1]
    x = embeddings.embedding.values[:, 1]
    z = PCA(4, svd_solver="covariance_eigh").fit(x[rows]).transform(x)
    expected = np.where(embeddings.present.values[:, [1]], z / z[rows].std(), 0)
    np.testing.assert_allclose(study.X[1, :, 1], expected, atol=1e-5)


def test_native_features_are_scaled_on_training_rows_and_absent_numbers_are_the_mean():
    cohort, embeddings = cohort_and_embeddings()
    embeddings["embedding"].values[5, 0, 2] = np.nan
    embeddings.attrs["encoder"] = "native"
    study = powerset.prepare(cohort, embeddings)
    rows = study.training[0].numpy()
    column = embeddings.embedding.values[:, 0, 2]
    expected = (column - np.nanmean(column[rows])) / np.nanstd(column[rows])
    np.testing.assert_allclose(study.X[0, 6:, 0, 2], expected[6:].clip(-4, 4), atol=1e-5)
    assert study.X[0, 5, 0, 2] == 0


def test_test_patients_leave_no_trace_in_the_models_that_score_them(study):
    cohort, embeddings = cohort_and_embeddings()
    tested = cohort.fold.to_numpy() == 0
    embeddings["embedding"].values[tested] = 99 * embeddings.present.values[tested][..., None]
    flipped = cohort.assign(label=np.where(tested, 1 - cohort.label, cohort.label).astype("int8"))
    # the folds' own stratification looks at labels of all patients outside fold 0 only
    other = powerset.prepare(flipped, embeddings, dimensions=4)
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
    changed = powerset.prepare(cohort_and_embeddings()[0], other, dimensions=4)
    scores, _ = powerset.train_powerset(changed, SMALL, seeds=2, subsets=["a+b"])
    xr.testing.assert_allclose(scores.score.sel(subset="a+b"), trained[0].score.sel(subset="a+b"))


def test_stored_models_score_as_before(study, trained):
    scores, full = trained
    restored = powerset.restore(full.parameters, study, SMALL)
    masking = powerset.score_patterns({"plain": restored}, study, seeds=2)
    np.testing.assert_allclose(
        masking.score.sel(regime="plain", pattern="a+b+c"), scores.score.sel(subset="a+b+c"), atol=1e-6
    )
    np.testing.assert_allclose(
        masking.threshold.sel(regime="plain"), scores.threshold.sel(subset="a+b+c"), atol=1e-6
    )
    lacking = ~study.present[:, 1].numpy()
    with_b, without = masking.score.sel(regime="plain", pattern=["a+b", "a"]).transpose("pattern", ...).values
    np.testing.assert_allclose(with_b[:, lacking], without[:, lacking], atol=1e-6)
    with pytest.raises(ValueError, match="width 8; expected 3, 4 and 16 .* run 03_rq1_addition again"):
        powerset.restore(full.parameters, study, Architecture(width=16))


def test_probabilities_are_calibrated_on_validation_rows(study, trained):
    _, full = trained
    scores = powerset.probabilities(full, study, where=study.validation.numpy())
    for f, score in zip(full.fold, scores, strict=True):
        rows = study.validation[f].numpy()
        assert score[rows].mean() == pytest.approx(float(study.y[rows].mean()), abs=0.02)


def test_five_regimes_and_the_plain_ones_share_weights(study, trained):
    regimes = powerset.masking_regimes(study, trained[1], modality_dropout=0.3, seeds=3)
    assert list(regimes) == ["plain, mask", "plain, zero", "plain, mean", "dropout, mask", "dropout, token"]
    plain, zero = regimes["plain, mask"], regimes["plain, zero"]
    assert torch.equal(plain.parameters["qkv"], zero.parameters["qkv"])
    assert torch.equal(plain.parameters["qkv"][:6], trained[1].parameters["qkv"])
    again = powerset.fit(study, SMALL, seeds=[2], key=7)
    torch.testing.assert_close(plain.parameters["qkv"][6:], again.parameters["qkv"])
    assert "token" in regimes["dropout, token"].parameters


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


def test_the_columns_of_a_study_keep_the_order_of_the_cohort(study):
    part = study.columns(["c", "a"])
    assert part.modalities == ("a", "c")
    assert torch.equal(part.X, study.X[:, :, [0, 2]])
    assert torch.equal(part.present, study.present[:, [0, 2]])


def test_another_order_of_samples_is_refused():
    cohort, embeddings = cohort_and_embeddings()
    with pytest.raises(ValueError, match="samples of embeddings and cohort differ"):
        powerset.prepare(cohort.iloc[::-1], embeddings)


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        ({"fold": 2}, {}, r"fold holds \[2\]; expected 0, 1"),
        ({}, {"validation": 0}, "validation is 0 "),
        ({}, {"validation": 0.8}, "validation is 0.8 "),
        ({}, {"dimensions": 0}, "dimensions 0"),
        (
            {"label": [1] + [0] * 299},
            {},
            r"Fold \d has [01] training samples of the rarer label, too few",
        ),
    ],
)
def test_what_cannot_be_split_is_one_sentence(change, settings, message):
    cohort, embeddings = cohort_and_embeddings()
    with pytest.raises(ValueError, match=message) as error:
        powerset.prepare(cohort.assign(**change), embeddings, **settings)
    assert "\n" not in str(error.value)


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
    study = powerset.prepare(cohort, embeddings, dimensions=4)
    assert torch.isfinite(study.X).all() and study.X.abs().max() < 20
    assert (study.X[:, :, 2] == 0).all()
    scores, _ = powerset.train_powerset(study, SMALL, subsets=["a", "c", "a+b+c"])
    assert np.isfinite(scores.score.values).all()
