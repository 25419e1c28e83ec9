"""Inputs reduced per fold and modality, fitted on training rows alone, one modality in memory at a time."""

import numpy as np
import xarray as xr
from threadpoolctl import threadpool_limits


@threadpool_limits.wrap(limits=1, user_api="blas")  # the last digits depend on the number of threads
def principal_components(
    embedding: xr.DataArray, rows: np.ndarray, dimensions: int
) -> tuple[np.ndarray, np.ndarray]:
    """Principal components of each modality, divided by one number so that their mean variance is 1.

    The data may lie on disk (opened lazily); each modality is read once, as a whole.

    Parameters
    ----------
    embedding : xarray.DataArray of shape (n_samples, n_modalities, n_features)
    rows : numpy.ndarray of shape (n_folds, n_samples, n_modalities), bool
        Rows and modalities that each fold may learn from.
    dimensions : int
        Components kept, at most.

    Returns
    -------
    X : numpy.ndarray of shape (n_folds, n_samples, n_modalities, <= dimensions), float32
        Zero for a modality of which a fold has nothing, or always the same, to learn from.
    kept : numpy.ndarray of shape (n_folds, n_modalities)
        Share of the variance that the components hold.
    """
    from sklearn.decomposition import PCA

    folds, n, modalities = rows.shape
    count = rows.sum(axis=1)
    width = max(1, min(dimensions, embedding.shape[2], count.max()))
    X = np.zeros((folds, modalities, n, width), np.float32)  # modality first, as training reads
    kept = np.ones((folds, modalities))
    for m in range(modalities):
        x = embedding.isel(modality=m).values
        for f in range(folds):
            part = x[rows[f, :, m]]
            if (part == part[:1]).all():  # no rows, or a constant: nothing to learn
                continue
            centre = part.mean(axis=0)
            part -= centre  # so that the sums of squares lose no digits
            pca = PCA(min(width, len(part)), svd_solver="covariance_eigh").fit(part)
            kept[f, m] = pca.explained_variance_ratio_.sum()
            scale = np.sqrt(pca.explained_variance_.mean() * (1 - 1 / len(part)))
            X[f, m, :, : pca.n_components_] = (pca.transform(x) - pca.transform(centre[None])) / scale
    return X.transpose(0, 2, 1, 3), kept


def scaled_columns(embedding: xr.DataArray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Native features scaled by training mean and deviation; an absent number becomes the mean.

    Parameters and what is returned are those of `principal_components`; nothing is reduced.
    """
    x, (folds, n, modalities) = embedding.values, rows.shape
    X = np.zeros((folds, modalities, n, x.shape[2]), np.float32)
    for f in range(folds):
        for m in range(modalities):
            learn = rows[f, :, m]
            if learn.any():
                X[f, m] = _scale(x[:, m], learn)
    return X.transpose(0, 2, 1, 3), np.ones((folds, modalities))


def _scale(x, rows):
    values = np.where(np.isnan(x[rows]).all(axis=0), 0, x[rows])  # a column may be empty in these rows
    mean, sd = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
    z = np.divide(x - mean, sd, out=np.zeros_like(x), where=sd > 0)
    # heavy tails of laboratory values would otherwise dominate the gradient
    return np.clip(np.nan_to_num(z), -4, 4)
