"""Frontal chest X-rays: lung fields, heart and opacities, measured without a trained model.

Lungs are the dark regions inside the body. A lung that is partly filled is no longer dark there, so opacities
are measured in the *lung zones*: the hull of both lungs, each joined with the other's mirror image. These
rough measurements follow drawn or plain anatomy; they do not replace a radiologist's reading.
"""

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from scipy import ndimage
from skimage import filters, measure, morphology, segmentation

WIDTH = 160  # pixels; measurements are made at this size
ZONES = tuple(f"{side}_{level}" for side in ("right", "left") for level in ("upper", "middle", "lower"))


def read_image(path: str | Path) -> Image.Image:
    """Picture, turned as its file says.

    Raises
    ------
    OSError
        If it cannot be decoded to its end.
    """
    try:
        with Image.open(path) as image:
            image.load()
            return ImageOps.exif_transpose(image)
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise OSError(
            f"{path} could not be read as a picture ({error}); expected a whole JPEG or PNG."
        ) from error


def measure_xray(image: Image.Image) -> dict[str, float]:
    """Measurements of a frontal chest X-ray (PA or AP), patient's right on the left of the picture.

    Parameters
    ----------
    image : PIL.Image.Image
        Bright is dense.

    Returns
    -------
    dict
        Rounded; NaN where no two lung fields are found: ``lung_area`` (% of the picture), ``right_share`` (%
        of the lung area), ``ratio`` (cardiothoracic: widest heart shadow over widest inner chest [Danzer1919]_),
        and for each of ``ZONES`` the density (%): 0 is the clearest lung of this picture, 100 its mediastinum.
    """
    out = dict.fromkeys(("lung_area", "right_share", "ratio", *ZONES), np.nan)
    picture = _prepared(image)
    if picture is None:
        return out
    lungs = _lungs(picture)
    if lungs is None:
        return out
    right, left = lungs
    both = right.sum() + left.sum()
    out["lung_area"] = float(round(both / picture.size * 100))
    out["right_share"] = _step(right.sum() / both * 100, 2)
    rows = np.flatnonzero((right | left).any(axis=1))
    top, bottom = rows[0], rows[-1]
    fields = _fields(right, left)
    out["ratio"] = _step(_heart_ratio(lungs, fields, top, bottom), 0.02)
    clear = np.quantile(picture[right | left], 0.1)
    centre = (np.flatnonzero(right.any(axis=0)).mean() + np.flatnonzero(left.any(axis=0)).mean()) / 2
    middle = picture[top:bottom, max(round(centre) - 4, 0) : round(centre) + 4]
    dense = np.quantile(middle, 0.75)
    thirds = np.linspace(top, bottom + 1, 4).round().astype(int)
    for side, field in zip(("right", "left"), fields, strict=True):
        for level, low, high in zip(("upper", "middle", "lower"), thirds[:-1], thirds[1:], strict=True):
            inside = picture[low:high][field[low:high]]
            if len(inside) > 8 and dense > clear:
                share = (inside.mean() - clear) / (dense - clear)
                out[f"{side}_{level}"] = _step(float(np.clip(share, 0, 1.2)) * 100, 5)
    return out


def _step(value: float, step: float) -> float:
    return float(np.round(np.round(value / step) * step, 6)) + 0.0


def _prepared(image: Image.Image) -> np.ndarray | None:
    """Small, smoothed picture, stretched to 0..1; None for a picture without contrast."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        grey = image.convert("F") if image.mode.startswith("I") else image.convert("L")
    height = max(round(grey.height / grey.width * WIDTH), 32)
    picture = np.asarray(grey.resize((WIDTH, height), Image.Resampling.BOX), float)
    low, high = np.quantile(picture, [0.01, 0.99])
    if high - low < 8:
        return None
    return filters.gaussian(np.clip((picture - low) / (high - low), 0, 1), 1.2)


def _lungs(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Two dark regions inside the body, the patient's right one first."""
    body = slice(picture.shape[0] // 8, picture.shape[0] * 7 // 8), slice(WIDTH // 8, WIDTH * 7 // 8)
    dark = picture < filters.threshold_otsu(picture[body])
    dark = morphology.opening(segmentation.clear_border(dark), morphology.disk(2))
    regions = [r for r in measure.regionprops(measure.label(dark)) if r.area > 0.01 * picture.size]
    halves = []
    for inside in (lambda x: x < WIDTH / 2, lambda x: x >= WIDTH / 2):
        own = [r for r in regions if inside(r.centroid[1])]
        if not own:
            return None
        mask = np.zeros(picture.shape, bool)
        for region in own:
            mask[tuple(region.coords.T)] = True
        halves.append(ndimage.binary_fill_holes(mask))
    return halves[0], halves[1]


def _edges(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last column of a mask in each row; NaN where it is empty."""
    some = mask.any(axis=1)
    first = np.where(some, mask.argmax(axis=1), np.nan)
    last = np.where(some, mask.shape[1] - 1 - mask[:, ::-1].argmax(axis=1), np.nan)
    return first, last


def _heart_ratio(lungs, fields, top, bottom) -> float:
    """Widest gap between the lungs, at the heart's height, over the widest distance between their outer edges."""
    height = bottom - top
    level = slice(top + height // 2, top + round(0.8 * height))
    gap = _edges(lungs[1])[0][level] - _edges(lungs[0])[1][level]
    chest = _edges(fields[1])[1] - _edges(fields[0])[0]
    return float(np.nanmax(gap) / np.nanmax(chest)) if np.isfinite(gap).any() else np.nan


def _fields(right: np.ndarray, left: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Zone of each lung if it were clear: its hull, joined with the mirror image of the other's."""
    hulls = [morphology.convex_hull_image(mask) for mask in (right, left)]
    columns = [np.flatnonzero(hull.any(axis=0)) for hull in hulls]
    axis = columns[0][0] + columns[1][-1]  # twice the middle between the outer edges
    mirror = axis - np.arange(WIDTH)
    inside = (mirror >= 0) & (mirror < WIDTH)
    mirrored = [np.where(inside, hull[:, mirror.clip(0, WIDTH - 1)], False) for hull in hulls]
    return hulls[0] | mirrored[1], hulls[1] | mirrored[0]
