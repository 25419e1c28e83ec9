"""Inputs reduced per fold and modality, fitted on training rows alone, with few of them in memory at once."""

import numpy as np
import xarray as xr
from scipy.linalg import eigh
from tqdm import tqdm

CHUNK = 2048  # samples in memory at once


def principal_components(
    embedding: xr.DataArray, rows: np.ndarray, dimensions: int
) -> tuple[np.ndarray, np.ndarray]:
    """Principal components of each modality, divided by one number so that their mean variance is 1.

    The data are read twice, a few thousand samples at a time: once for the covariances, once to project. So they
    may lie on disk (opened lazily) and be larger than memory.

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
    folds, n, modalities = rows.shape
    features = embedding.shape[2]
    cells = [(f, m) for f in range(folds) for m in range(modalities)]
    count = rows.sum(axis=1)
    first = rows.argmax(axis=1)
    # Centred roughly, on one training row, so that the sums of squares lose no digits.
    centre = {(f, m): _values(embedding, first[f, m], m) for f, m in cells}
    sums = np.zeros((folds, modalities, features))
    squares = np.zeros((folds, modalities, features, features))
    for start, x in _chunks(embedding, "covariances"):
        for f, m in cells:
            part = x[rows[f, start : start + len(x), m], m] - centre[f, m]
            sums[f, m] += part.sum(axis=0, dtype=float)
            squares[f, m] += part.T @ part
    axes, kept = {}, np.ones((folds, modalities))
    for f, m in cells:
        if not squares[f, m].any():  # no rows, or a constant: nothing to learn
            continue
        mean = sums[f, m] / count[f, m]
        covariance = squares[f, m] / count[f, m] - np.outer(mean, mean)
        size = min(dimensions, features, int(count[f, m]))
        variance, axis = eigh(covariance, subset_by_index=[features - size, features - 1])
        variance, axis = variance[::-1].clip(0), axis[:, ::-1]
        axis = axis * np.sign(axis[np.abs(axis).argmax(axis=0), range(size)])  # signs as scikit-learn's
        kept[f, m] = variance.sum() / np.trace(covariance)
        axes[f, m] = (
            (centre[f, m] + mean).astype(np.float32),
            (axis / np.sqrt(variance.mean())).astype(np.float32),
        )
    width = max((axis.shape[1] for _, axis in axes.values()), default=1)
    X = np.zeros((folds, modalities, n, width), np.float32)  # modality first, as training reads
    for start, x in _chunks(embedding, "projections"):
        for (f, m), (mean, axis) in axes.items():
            X[f, m, start : start + len(x), : axis.shape[1]] = (x[:, m] - mean) @ axis
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


def _values(embedding, sample, modality):
    return embedding.isel(sample=int(sample), modality=modality).values


def _chunks(embedding, name):
    n = embedding.sizes["sample"]
    # no bar for short loops
    silent = True if n < 20 * CHUNK else None
    for start in tqdm(range(0, n, CHUNK), desc=name, disable=silent):
        yield start, embedding.isel(sample=slice(start, start + CHUNK)).values
