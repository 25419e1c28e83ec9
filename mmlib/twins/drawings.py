"""Drawings for the twins: chest X-rays with findings, and 12-lead ECGs from sums of Gaussians.

Neither would fool a physician. Their findings have known sizes, so that measurements can be compared with the
truth.
"""

import numpy as np
from PIL import Image, ImageDraw

SIDE = 224  # pixels
_ROW, _COLUMN = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j].astype(np.float32)


def draw_xray(
    *, opacity: float, heart: float, effusion: float, seed: int = 0, disturbance: float = 1.0
) -> np.ndarray:
    """Draw a frontal chest X-ray.

    Parameters
    ----------
    opacity : float
        Density of a patch in one lung, 0 (none) to 1 (as white as bone).
    heart : float
        Width of the heart over that of the chest; above one half is an enlarged heart.
    effusion : float
        Height of fluid in one pleural space over that of the lung, 0 to 1.
    seed : int
        Where the patch is, which side, how the picture was taken, and film noise.
    disturbance : float
        How far the picture is from an ideal one, 0 (upright, centred, evenly exposed, nothing on it) to 1: turned,
        shifted, shallow breath, collimated, over- or underexposed, with a letter, tubes and wires.

    Returns
    -------
    numpy.ndarray of shape (224, 224), uint8
        White is dense.
    """
    rng = np.random.default_rng(seed)
    side, other = rng.choice([-1, 1], 2)
    row, column = _seen(seed, disturbance)
    ribs = 0.05 * np.sin(28 * (row - 0.25 * column**2))
    lungs = np.maximum(*(_inside(row + 0.05, 0.68, column - s * 0.42, 0.3) for s in (-1, 1)))
    body = _inside(row - 0.3, 1.4, column, 0.95)
    film = 0.08 + 0.62 * body - (0.45 - ribs) * lungs
    film += 0.16 * np.exp(-((column / 0.09) ** 2))  # spine
    film = np.maximum(film, 0.68 * _heart(row, column, heart))
    if opacity > 0:
        at = rng.uniform(-0.35, 0.35), side * rng.uniform(0.32, 0.5)
        patch = np.exp(-(((row - at[0]) / 0.2) ** 2) - ((column - at[1]) / 0.16) ** 2)
        film += 0.5 * min(opacity, 1) * patch * lungs
    if effusion > 0:
        level = 0.63 - 1.36 * min(effusion, 1) - 0.5 * (np.abs(column) - 0.42) * (np.abs(column) > 0.42)
        fluid = lungs * (other * column > 0) / (1 + np.exp(-(row - level) * 40))
        film = film * (1 - fluid) + 0.74 * fluid
    if disturbance > 0:
        film = _disturbed(film, row, column, np.random.default_rng([seed, 2]), disturbance)
    film = film + rng.normal(0, 0.012, film.shape)
    return (255 * np.clip(film, 0, 1)).astype(np.uint8)


def outline_xray(*, heart: float, seed: int = 0, disturbance: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Mark where the two lungs of a drawn chest X-ray are, whatever fills them.

    Parameters
    ----------
    heart, seed, disturbance
        As they were given to :func:`draw_xray`.

    Returns
    -------
    right, left : numpy.ndarray of shape (224, 224), bool
        The patient's right lung is on the left of the picture.
    """
    row, column = _seen(seed, disturbance)
    beside = _heart(row, column, heart) < 0.5
    right, left = (_inside(row + 0.05, 0.68, column - s * 0.42, 0.3) > 0.5 for s in (-1, 1))
    return right & beside, left & beside


def _seen(seed: int, disturbance: float) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of the chest in each pixel: turned, shifted, near or far, and flat after a shallow breath."""
    rng = np.random.default_rng([seed, 1])
    angle = disturbance * np.radians(np.clip(rng.normal(0, 4), -10, 10))
    size = 1 - disturbance * rng.uniform(-0.05, 0.15)
    down, aside = disturbance * rng.uniform(-0.06, 0.06, 2)
    depth = 1 - disturbance * rng.choice([0, 1]) * rng.uniform(0, 0.2)  # lying down
    y, x = (_ROW - down) / size, (_COLUMN - aside) / size
    return (np.cos(angle) * y + np.sin(angle) * x) / depth, np.cos(angle) * x - np.sin(angle) * y


def _heart(row, column, heart):
    chest = 0.95  # half the width of the drawn chest, in the same units as the heart's
    return _inside(row - 0.28, 0.38, column - 0.14 * heart, chest * heart)


def _disturbed(film, row, column, rng, disturbance):
    """Put on a film what lies on and around a patient, and expose it more or less well."""
    image = Image.new("L", (SIDE, SIDE))
    draw = ImageDraw.Draw(image)
    if rng.random() < 0.6 * disturbance:  # a letter that tells the side
        letter, at = ("L", 0.9) if rng.random() < 0.8 else ("R", 0.04)
        draw.text(
            (at * SIDE, rng.uniform(0.04, 0.5) * SIDE), letter, fill=230, font_size=int(rng.integers(10, 18))
        )
    if rng.random() < 0.4 * disturbance:  # a tube in the trachea, a line in a vein
        middle = SIDE * (0.5 + rng.uniform(-0.02, 0.02))
        draw.line([(middle, 0), (middle, SIDE * rng.uniform(0.25, 0.4))], fill=110, width=3)
        draw.line([(SIDE * 0.25, 0), (SIDE * 0.44, SIDE * 0.3), (SIDE * 0.46, SIDE * 0.5)], fill=120, width=1)
    for _ in range(
        rng.integers(0, 4) if rng.random() < 0.5 * disturbance else 0
    ):  # electrodes and their wires
        x, y = rng.uniform(0.15, 0.85, 2) * SIDE
        draw.ellipse([x - 3, y - 3, x + 3, y + 3], fill=150)
        draw.line([(x, y), (rng.uniform(0, 1) * SIDE, SIDE)], fill=90, width=1)
    film = film + 0.7 * np.asarray(image, np.float32) / 255
    gain, gamma = 1 - disturbance * rng.uniform(0, 0.4), np.exp(disturbance * rng.uniform(-0.4, 0.4))
    film = disturbance * rng.uniform(0, 0.15) + gain * np.clip(film, 0, 1) ** gamma
    top, bottom, left, right = np.where(rng.random(4) < 0.5 * disturbance, rng.uniform(0.88, 1, 4), 2)
    shown = (row > -top * 1.05) & (row < bottom) & (column > -left) & (column < right)
    return np.where(shown, film, 0.02)


def _inside(row, height, column, width):
    """Soft ellipse: 1 inside, 0 outside."""
    return 1 / (1 + np.exp(np.clip(((row / height) ** 2 + (column / width) ** 2 - 1) * 14, -60, 60)))


#: Directions of the limb leads in the frontal plane, and (R, S, T) in millivolts of the chest leads.
_ANGLES = np.radians([0, 60, 120, -150, -30, 90])
_CHEST = np.array(
    [(0.2, 0.9, 0.1), (0.4, 1.2, 0.4), (0.7, 0.8, 0.4), (1.1, 0.5, 0.35), (1.2, 0.2, 0.3), (1, 0.1, 0.25)]
)


def draw_ecgs(
    *, rate, pr, qrs, qt, axis, st, irregular, frequency: int = 100, seconds: int = 10, seed: int = 0
) -> np.ndarray:
    """Drawn 12-lead ECGs: each wave is a Gaussian, each beat a sum of them.

    Parameters
    ----------
    rate, pr, qrs, qt, axis, st : array-like of shape (n,)
        Beats per minute, three intervals in ms, the frontal axis of the QRS complex in degrees, and the
        elevation of the ST segment in the anterior leads in mV.
    irregular : array-like of shape (n,), bool
        Atrial fibrillation: irregular intervals, no P wave.
    frequency, seconds : int
    seed : int

    Returns
    -------
    numpy.ndarray of shape (n, frequency * seconds, 12), float32
        Millivolts, columns as ``mmlib.data.ecg.LEADS``.
    """
    rng = np.random.default_rng(seed)
    rate, pr, qrs, qt, axis, st, irregular = map(np.asarray, (rate, pr, qrs, qt, axis, st, irregular))
    n, beats = len(rate), int(np.ceil(seconds * np.max(rate) / 60 * 1.6)) + 3
    spread = np.where(irregular, 0.2, 0.015)[:, None]
    gaps = 60 / rate[:, None] * np.clip(1 + spread * rng.standard_normal((n, beats)), 0.6, 1.6)
    peaks = np.cumsum(gaps, 1) - gaps[:, :1] * (1 + rng.random((n, 1)))
    time = np.arange(frequency * seconds) / frequency
    # Waves are over before the beat after next, so each instant needs the beat before it and the one after.
    passed = sum((time >= peaks[:, k, None]).astype(int) for k in range(beats)).clip(1, beats - 1)
    wide, end = (qrs / 1000)[:, None], (qt - 0.45 * qrs)[:, None] / 1000 - 0.09  # width; peak of T after R
    start = 0.045 - (0.45 * qrs + pr)[:, None] / 1000  # peak of P after R
    p, r, q, t, plateau = (0, 0, 0, 0, 0)
    for beat in (passed - 1, passed):
        since = time - np.take_along_axis(peaks, beat, 1)
        p = p + np.where(irregular[:, None], 0, _wave(since, start, 0.02))
        r = r + _wave(since, 0, wide / 8)
        q = q + _wave(since, wide * 0.3, wide / 9)
        t = t + _wave(since, end, 0.042)
        plateau = plateau + _step(since - wide * 0.62) * _step(end - since)
    frontal = np.cos(_ANGLES[None] - np.radians(axis)[:, None])[:, None, :2]
    other = np.cos(_ANGLES - np.radians(50))[:2]
    limb = 1.1 * frontal * (r - 0.25 * q)[..., None] + other * (0.3 * t + 0.14 * p)[..., None]
    limb += 0.012 * rng.standard_normal(limb.shape)
    one, two = limb[..., 0], limb[..., 1]  # the other limb leads follow from these two
    out = np.empty((n, len(time), 12), np.float32)
    out[..., :6] = np.stack([one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2], -1)
    for lead, (up, down, repolarisation) in enumerate(_CHEST):
        raised = st[:, None] * plateau if lead < 4 else 0
        out[..., 6 + lead] = up * r - down * q + repolarisation * t + 0.08 * p + raised
    out[..., 6:] += 0.012 * rng.standard_normal((n, len(time), 6)).astype(np.float32)
    return out


def _wave(since, centre, width):
    return np.exp(-(((since - centre) / width) ** 2) / 2)


def _step(x):
    return 1 / (1 + np.exp(-np.clip(x * 120, -40, 40)))
