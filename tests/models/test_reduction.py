import numpy as np
import pytest
import xarray as xr
from sklearn.decomposition import PCA
from threadpoolctl import threadpool_limits

from mmlib.models import reduction


@pytest.fixture(scope="module")
def inputs():
    """500 samples, two modalities of twelve correlated features; two folds that learn from different rows."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 2, 12)) @ rng.normal(size=(12, 12)) + 50
    rows = rng.random((2, 500, 2)) < 0.6
    return xr.DataArray(x.astype(np.float32), dims=("sample", "modality", "feature"), name="x"), rows


def by_scikit_learn(x, rows, size):
    pca = PCA(size, svd_solver="full").fit(x[rows].astype(float))
    z = pca.transform(x.astype(float))
    return z / z[rows].std(), pca.explained_variance_ratio_.sum()


@pytest.mark.parametrize("size", [3, 12, 40])
def test_components_of_each_fold_and_modality_are_those_of_scikit_learn(inputs, size):
    embedding, rows = inputs
    X, kept = reduction.principal_components(embedding, rows, size)
    for f in range(2):
        for m in range(2):
            expected, share = by_scikit_learn(embedding.values[:, m], rows[f, :, m], min(size, 12))
            np.testing.assert_allclose(X[f, :, m], expected, atol=1e-3)
            assert kept[f, m] == pytest.approx(share, abs=1e-5)


def test_the_number_of_threads_changes_nothing():
    x = np.random.default_rng(0).normal(size=(2500, 1, 384)).astype(np.float32)
    embedding, rows = xr.DataArray(x, dims=("sample", "modality", "feature")), np.ones((1, 2500, 1), bool)
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads, user_api="blas"):
            found.append(reduction.principal_components(embedding, rows, 64)[0])
    np.testing.assert_array_equal(*found)


def test_what_lies_on_disk_is_read_by_modality_and_gives_the_same(inputs, tmp_path):
    embedding, rows = inputs
    embedding.to_dataset(name="x").to_netcdf(tmp_path / "x.nc", engine="h5netcdf")
    expected, kept = reduction.principal_components(embedding, rows, 4)
    with xr.open_dataset(tmp_path / "x.nc", engine="h5netcdf") as data:
        X, share = reduction.principal_components(data.x, rows, 4)
        assert not data.x.variable._in_memory  # it was never loaded as a whole
    np.testing.assert_array_equal(X, expected)
    np.testing.assert_array_equal(share, kept)


def test_a_fold_learns_nothing_from_other_rows(inputs):
    embedding, rows = inputs
    changed = embedding.copy(deep=True)
    changed.values[~rows[0]] = 7
    one, two = (reduction.principal_components(x, rows, 4)[0] for x in (embedding, changed))
    assert (one[0][rows[0]] == two[0][rows[0]]).all()
    assert not np.allclose(one[1][rows[0]], two[1][rows[0]])


def test_a_modality_without_rows_or_always_the_same_is_zero(inputs):
    embedding, rows = inputs
    rows = rows.copy()
    rows[0, :, 0] = False
    X, kept = reduction.principal_components(embedding.where(xr.DataArray([True, False], dims="modality"), 3), rows, 4)
    assert (X[0] == 0).all() and (X[1, :, 1] == 0).all() and X[1, :, 0].any()
    assert kept[0].tolist() == [1, 1] and kept[1, 1] == 1
