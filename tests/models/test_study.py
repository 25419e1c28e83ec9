import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from sklearn.decomposition import PCA

from mmlib.models.study import prepare


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
    return prepare(*cohort_and_embeddings(), dimensions=4)


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
    study = prepare(cohort, embeddings)
    rows = study.training[0].numpy()
    column = embeddings.embedding.values[:, 0, 2]
    expected = (column - np.nanmean(column[rows])) / np.nanstd(column[rows])
    np.testing.assert_allclose(study.X[0, 6:, 0, 2], expected[6:].clip(-4, 4), atol=1e-5)
    assert study.X[0, 5, 0, 2] == 0


def test_the_columns_of_a_study_keep_the_order_of_the_cohort(study):
    part = study.columns(["c", "a"])
    assert part.modalities == ("a", "c")
    assert torch.equal(part.X, study.X[:, :, [0, 2]])
    assert torch.equal(part.present, study.present[:, [0, 2]])


def test_another_order_of_samples_is_refused():
    cohort, embeddings = cohort_and_embeddings()
    with pytest.raises(ValueError, match="samples of embeddings and cohort differ"):
        prepare(cohort.iloc[::-1], embeddings)


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
        prepare(cohort.assign(**change), embeddings, **settings)
    assert "\n" not in str(error.value)


def test_studies_of_other_modalities_join_on_the_same_splits(study):
    cohort, embeddings = cohort_and_embeddings()
    wide = embeddings.isel(modality=[1]).assign_coords(modality=["d"])
    joined = study.join(prepare(cohort, wide, dimensions=6))
    assert joined.modalities == ("a", "b", "c", "d") and joined.X.shape[2:] == (4, 6)
    assert torch.equal(joined.columns("abc").X[..., :4], study.X) and not joined.X[:, :, :3, 4:].any()
    assert torch.equal(joined.present[:, 3], study.present[:, 1]) and joined.kept.shape == (3, 4)
    with pytest.raises(ValueError, match="The modalities a, b, c cannot join a, b, c; expected other names"):
        study.join(study)
    with pytest.raises(ValueError, match="The modalities d cannot join"):
        study.join(prepare(cohort, wide, dimensions=6, seed=1))
