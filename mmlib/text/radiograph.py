"""Frontal chest X-rays: read a picture and measure lung fields, heart and opacities.

A small network outlines both lungs (:mod:`mmlib.text.lungs`); everything else is measured on these outlines. A
lung field is what the rib cage, the diaphragm and the mediastinum enclose, however white it is. What does not
look like a whole frontal chest X-ray is refused, with a reason. A radiologist's reading is another thing.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from scipy import ndimage
from skimage import measure, morphology

LONGER = 256  # pixels; measurements are made at this size
ZONES = tuple(f"{side}_{level}" for side in ("right", "left") for level in ("upper", "middle", "lower"))
MEASURES = ("lung_area", "right_share", "ratio", *ZONES)
SIDED = ("right_share", *ZONES)
FRONTAL = 1.5  # log odds below which a picture is refused
MIRRORED = 1.0  # log odds above which a picture is flagged


def read_image(path: str | Path) -> Image.Image:
    """Picture as it is meant to be looked at: PNG, JPEG, or DICOM if ``pydicom`` is installed.

    Raises
    ------
    OSError
        If it cannot be decoded to its end.
    """
    try:
        with open(path, "rb") as file:
            if file.read(132)[128:] == b"DICM":
                return _read_dicom(path)
        with Image.open(path) as image:
            image.load()
            return ImageOps.exif_transpose(image)
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise OSError(
            f"{path} could not be read as a picture ({error}); expected a whole JPEG, PNG or DICOM file."
        ) from error


def _read_dicom(path) -> Image.Image:
    try:
        import pydicom
        from pydicom.pixels import apply_modality_lut, apply_voi_lut
    except ImportError as error:
        raise OSError("a DICOM file, which needs the package pydicom") from error
    try:
        data = pydicom.dcmread(path)
        grey = np.asarray(apply_voi_lut(apply_modality_lut(data.pixel_array, data), data), float)
    except Exception as error:  # pydicom and its decoders raise errors of many kinds
        raise OSError(f"damaged or unknown DICOM: {error}") from error
    if grey.ndim != 2:
        raise OSError(f"a DICOM file of shape {grey.shape}; expected one grey picture")
    low, high = grey.min(), grey.max()
    grey = (grey - low) / max(high - low, 1e-9)
    if data.get("PhotometricInterpretation") == "MONOCHROME1":
        grey = 1 - grey
    return Image.fromarray((grey * 65535).round().astype(np.uint16))


def measuring_files() -> list[Path]:
    """Files that determine a measurement: these rules, the network and its weights."""
    here = Path(__file__)
    return [here, here.with_name("lungs.py"), here.with_name("lungs.safetensors")]


@dataclass(frozen=True)
class LungFields:
    """Outlines of both lungs, and how far they can be trusted.

    Parameters
    ----------
    picture : numpy.ndarray of shape (rows, columns)
        The picture at the size of measurement, 0 to 1, bright is dense.
    right, left : numpy.ndarray of shape (rows, columns), bool
        The patient's right lung is on the left of the picture.
    outcome : {"in full", "in part", "refused"}
    reason : str
        Why not in full; empty otherwise.
    doubtful : tuple of str
        What must not be measured: of ``"right"``, ``"left"`` and ``"sides"``.
    """

    picture: np.ndarray
    right: np.ndarray
    left: np.ndarray
    outcome: str
    reason: str = ""
    doubtful: tuple[str, ...] = ()


def measure_xray(image: Image.Image) -> dict[str, float | str]:
    """Measurements of a frontal chest X-ray (PA or AP), patient's right on the left of the picture.

    Parameters
    ----------
    image : PIL.Image.Image
        Bright is dense, or the reverse, which is noticed.

    Returns
    -------
    dict
        Rounded; NaN where they cannot be trusted: ``lung_area`` (% of the picture), ``right_share`` (%
        of the lung area), ``ratio`` (cardiothoracic: widest heart shadow over widest inner chest [Danzer1919]_),
        and for each of ``ZONES`` the density (%): 0 is the clearest lung of this picture, 100 its mediastinum.
        ``outcome`` is "in full", "in part" or "refused", and ``reason`` says why.
    """
    fields = outline_lungs(image)
    out = dict.fromkeys(MEASURES, np.nan) | {"outcome": fields.outcome, "reason": fields.reason}
    if fields.outcome == "refused":
        return out
    right, left, picture = fields.right, fields.left, fields.picture
    if not {"right", "left"} & set(fields.doubtful):
        both = right.sum() + left.sum()
        out["lung_area"] = float(round(both / picture.size * 100))
        out["right_share"] = _step(right.sum() / both * 100, 2)
        out["ratio"] = _step(_heart_ratio(right, left), 0.02)
    between = _between(right, left)
    clear = np.quantile(picture[right | left], 0.1)
    dense = np.quantile(picture[between], 0.75) if between.any() else np.nan
    if dense - clear > 0.05:
        for side, lung in (("right", right), ("left", left)):
            for level, zone in zip(("upper", "middle", "lower"), _thirds(lung), strict=True):
                share = (picture[zone].mean() - clear) / (dense - clear)
                out[f"{side}_{level}"] = _step(float(np.clip(share, 0, 1.2)) * 100, 5)
    unsure = [n for n in SIDED if "sides" in fields.doubtful or n.split("_")[0] in fields.doubtful]
    return out | dict.fromkeys(unsure, np.nan)


def _step(value: float, step: float) -> float:
    return float(np.round(np.round(value / step) * step, 6)) + 0.0


def outline_lungs(image: Image.Image) -> LungFields:
    """Outlines of both lungs, or the reason why this is no frontal chest X-ray.

    Parameters
    ----------
    image : PIL.Image.Image

    Returns
    -------
    LungFields
        At a size of at most ``LONGER`` pixels.
    """
    from mmlib.text import lungs  # here, so that reading ECGs does not wait for torch

    picture = prepare(image)
    right = left = np.zeros(picture.shape, bool)

    def refused(reason):
        return LungFields(picture, right, left, "refused", reason)

    if not picture.any():
        return refused("no contrast")
    rows, columns = picture.shape
    if rows > 1.5 * columns or columns > 1.65 * rows:
        return refused("half a picture, or a strip")
    answer = lungs.ask_lungs(picture)
    if answer.inverted > 0:
        other = lungs.ask_lungs(1 - picture)
        if other.inverted < 0:
            picture, answer = 1 - picture, other
    right, left = (smooth_outline(p) for p in answer.maps)
    if answer.frontal < FRONTAL:
        return refused("no whole frontal chest X-ray")
    if min(right.mean(), left.mean()) < 0.01:
        return refused("no two lungs")
    shapes = _shape(right), _shape(left)
    if reason := _impossible(right, left, shapes, answer.agreement):
        return refused(reason)
    mirrored, upside_down = lungs.turned_odds(picture, right, left)
    if upside_down > 0:
        return refused("upside down")
    doubts = _doubts(right.sum() / (right.sum() + left.sum()), shapes, answer.agreement, mirrored)
    outcome = "in part" if doubts else "in full"
    return LungFields(picture, right, left, outcome, "; ".join(doubts.values()), tuple(doubts))


def _impossible(right: np.ndarray, left: np.ndarray, shapes: tuple[dict, dict], agreement: tuple) -> str:
    """Why two regions are no lungs of one chest; empty if they may be."""
    sizes = np.array([right.mean(), left.mean()])
    one, two = shapes
    heights = np.array([one["height"], two["height"]])
    shared = (right.any(axis=1) & left.any(axis=1)).sum() / heights.min()
    apart = (two["centre"] - one["centre"]) / heights.mean()
    near = round(0.03 * len(right))
    if any(min(m[row].sum() / m.any(axis=0).sum() for m in (right, left)) > 0.5 for row in (near, -near - 1)):
        return "cut above or below"
    usual = (
        0.2 < sizes[0] / sizes.sum() < 0.8
        and sizes.sum() < 0.75
        and 0.4 < heights[0] / heights[1] < 2.5
        and shared > 0.5
        and 0.3 < apart < 1.6
        and all(0.8 < lung["slim"] < 5 and lung["solid"] > 0.6 for lung in (one, two))
        and max(agreement) > 0.5
    )
    return "" if usual else "no shape of two lungs"


def _doubts(right_share: float, shapes: tuple[dict, dict], agreements: tuple, mirrored: float) -> dict[str, str]:
    """List what must not be measured, and why."""
    doubts = {}
    sides, shares = ("right", "left"), (right_share, 1 - right_share)
    for side, part, lung, other, agreement in zip(sides, shares, shapes, shapes[::-1], agreements, strict=True):
        if lung["cut"] > 0.6:
            doubts[side] = f"{side} lung cut by the edge"
        elif agreement < 0.75 or part < 0.3 or lung["solid"] < 0.65 or lung["height"] < 0.55 * other["height"]:
            doubts[side] = f"{side} lung not clear"
    if mirrored > MIRRORED:
        doubts["sides"] = "looks mirrored"
    return doubts


def prepare(image: Image.Image) -> np.ndarray:
    """Shrink, smooth and stretch to 0..1; all zero for a picture without contrast."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        grey = image.convert("F") if image.mode.startswith("I") else image.convert("L").convert("F")
    scale = LONGER / max(grey.size)
    size = tuple(max(round(n * scale), 1) for n in grey.size)
    picture = np.asarray(
        grey.resize(size, Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR), float
    )
    low, high = np.quantile(picture, [0.01, 0.99])
    span = np.ptp(np.asarray(grey))
    if span == 0 or high - low < 8 * (1 if image.mode[0] not in "IF" else max(span / 256, 1e-9)):
        return np.zeros(picture.shape)
    return ndimage.gaussian_filter(np.clip((picture - low) / (high - low), 0, 1), 0.8)


def smooth_outline(probability: np.ndarray) -> np.ndarray:
    """One smooth region without holes."""
    mask = ndimage.gaussian_filter(probability, 2) > 0.5
    pieces = measure.label(mask)
    if pieces.max() == 0:
        return mask
    return ndimage.binary_fill_holes(pieces == 1 + np.bincount(pieces.flat)[1:].argmax())


def _shape(mask: np.ndarray) -> dict[str, float]:
    """Numbers about one lung that do not depend on the size of the picture."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    height, width = len(rows), len(columns)
    hull = morphology.convex_hull_image(mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    return {
        "slim": height / width,
        "solid": mask.sum() / hull.sum(),
        "height": height,
        "centre": float(np.mean(np.nonzero(mask)[1])),
        "cut": max(mask[0].sum() / width, mask[:, 0].sum() / height, mask[:, -1].sum() / height),
    }


def _between(right: np.ndarray, left: np.ndarray) -> np.ndarray:
    """Mark the mediastinum: what lies between both lungs, in rows that both reach."""
    rows = right.any(axis=1) & left.any(axis=1)
    inner, outer = _edges(right)[1], _edges(left)[0]
    columns = np.arange(right.shape[1])
    with np.errstate(invalid="ignore"):
        return rows[:, None] & (columns > inner[:, None] + 1) & (columns < outer[:, None] - 1)


def _edges(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last column of a mask in each row; NaN where it is empty."""
    some = mask.any(axis=1)
    first = np.where(some, mask.argmax(axis=1), np.nan)
    last = np.where(some, mask.shape[1] - 1 - mask[:, ::-1].argmax(axis=1), np.nan)
    return first, last


def _thirds(mask: np.ndarray) -> list[np.ndarray]:
    """Upper, middle and lower third of a lung's height."""
    rows = np.flatnonzero(mask.any(axis=1))
    bounds = np.linspace(rows[0], rows[-1] + 1, 4).round().astype(int)
    number = np.arange(len(mask))[:, None]
    return [
        mask & (number >= low) & (number < high) for low, high in zip(bounds[:-1], bounds[1:], strict=True)
    ]


def _heart_ratio(right: np.ndarray, left: np.ndarray) -> float:
    """Widest gap between the lungs, above the diaphragm, over the widest distance between their outer edges."""
    rows = np.flatnonzero(right.any(axis=1) & left.any(axis=1))
    height = rows[-1] - rows[0]
    inner, outer = _edges(right)[1], _edges(left)[0]
    low = rows[0] + round(0.7 * height)
    stop = min(_diaphragm(-inner, low, rows[-1]), _diaphragm(outer, low, rows[-1]))
    gap = (outer - inner)[rows[0] + height // 2 : stop]
    chest = np.nanmax(_edges(left)[1] - _edges(right)[0])
    return float(np.nanmax(gap) / chest) if len(gap) and np.isfinite(gap).any() else np.nan


def _diaphragm(edge: np.ndarray, start: int, stop: int) -> int:
    """Row below ``start`` from which a lung's inner edge runs outward along the diaphragm: over two columns a row.

    An edge that runs outward at ``start`` already is a round heart's upper edge.
    """
    step = 3
    steep = edge[start + step : stop] - edge[start : stop - step] > 2 * step
    begins = np.flatnonzero(steep[1:] & ~steep[:-1]) + 1
    return start + int(begins[0]) + 1 if len(begins) else stop - (stop - start) // 5
