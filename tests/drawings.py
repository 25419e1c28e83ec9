"""ECGs and chest X-rays drawn from known numbers, for tests."""

import numpy as np

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
ANGLES = {"I": 0, "II": 60, "III": 120, "aVR": -150, "aVL": -30, "aVF": 90}  # degrees, frontal plane
CHEST = {
    "V1": (-1.0, 0.3),
    "V2": (-1.2, 0.9),
    "V3": (-0.8, 1.1),
    "V4": (-0.4, 1.3),
    "V5": (-0.2, 1.2),
    "V6": (-0.1, 1.0),
}


def _wave(t, start, length, height):
    """A wave with a beginning and an end: a raised cosine."""
    inside = (t >= start) & (t < start + length)
    return np.where(inside, height * (1 - np.cos(2 * np.pi * (t - start) / length)) / 2, 0)


def draw_ecg(
    *,
    rate=75,
    pr=160,
    qrs=96,
    qt=380,
    axis=45,
    st=0.0,
    p=0.15,
    irregular=0.0,
    noise=0.01,
    frequency=500,
    seconds=10,
    seed=0,
):
    """Draw 12 leads (12, n) in mV; intervals in ms, ``st`` in mV in the anterior leads."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * frequency)) / frequency
    depolarisation, early, recovery, atria, offset = (np.zeros_like(t) for _ in range(5))
    onset = 0.35
    while onset < seconds + 1:
        q = qrs / 1000
        depolarisation += _wave(t, onset + 0.15 * q, 0.6 * q, 1.0) - _wave(
            t, onset + 0.65 * q, 0.35 * q, 0.25
        )
        early += _wave(t, onset, 0.3 * q, 0.15) - _wave(t, onset + 0.4 * q, 0.6 * q, 0.8)
        recovery += _wave(t, onset + qt / 1000 - 0.18, 0.18, 0.3)
        atria += _wave(t, onset - pr / 1000, min(0.09, pr / 1000 - 0.02), p)
        plateau = np.clip((t - onset - q) / 0.01, 0, 1) * np.clip((onset + qt / 1000 - 0.09 - t) / 0.04, 0, 1)
        offset += np.where(t > onset + q, plateau, 0) * (t < onset + qt / 1000)
        onset += 60 / rate * (1 + irregular * rng.uniform(-1, 1))
    data = {}
    for lead, angle in ANGLES.items():
        gain = 1 if lead in ("I", "II", "III") else np.sqrt(3) / 2
        frontal = np.cos(np.radians(angle - axis)) * depolarisation
        rest = np.cos(np.radians(angle - 50)) * (recovery + atria)
        data[lead] = gain * (frontal + rest)
    for lead, (right, left) in CHEST.items():
        data[lead] = left * depolarisation - right * early + 0.8 * recovery + 0.6 * atria
    for lead in ("V1", "V2", "V3", "V4"):
        data[lead] = data[lead] + st * offset
    noisy = np.stack([data[k] for k in LEADS]) + noise * rng.normal(size=(len(LEADS), len(t)))
    # limb leads stay what the relations between them say
    one, two = noisy[0], noisy[1]
    noisy[2:6] = two - one, -(one + two) / 2, one - two / 2, two - one / 2
    return noisy


def draw_xray(*, heart=0.45, opacity=None, effusion=None, size=320, air=True, noise=0.02, seed=0):
    """Draw a frontal chest X-ray (size, size) in 0..255; the patient's right is on the left.

    ``heart`` is its width as a share of the chest's; ``opacity`` maps a zone ("right_lower", ...) to a density
    from 0 to 1; ``effusion`` is the side whose base is filled.
    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:size, 0:size] / size - 0.5
    picture = np.where((np.abs(x) < 0.46 - 0.1 * (y < -0.3)) | (not air), 0.62, 0.02)
    picture = np.where(np.abs(x) < 0.05, 0.85, picture)
    half = 0.38  # of the inner chest's width
    middle, lungs = {"right": -0.21, "left": 0.21}, {}
    for side, centre in middle.items():
        lungs[side] = ((x - centre) / (half - 0.21)) ** 2 + ((y + 0.02) / 0.36) ** 2 < 1
    field = lungs["right"] | lungs["left"]
    ribs = 0.05 * (np.sin(2 * np.pi * (y + 0.3 * x**2) / 0.085) > 0.4)
    density = np.where(field, 0.18 + ribs, picture)
    zones = {"upper": (-0.38, -0.14), "middle": (-0.14, 0.1), "lower": (0.1, 0.34)}
    for name, amount in (opacity or {}).items():
        side, level = name.split("_")
        low, high = zones[level]
        shape = np.exp(-(((x - middle[side]) / 0.13) ** 2) - ((y - (low + high) / 2) / 0.1) ** 2)
        density = np.where(lungs[side], density + amount * 0.6 * shape, density)
    if effusion:
        density = np.where(lungs[effusion] & (y > 0.14 - 0.1 * np.abs(x)), 0.75, density)
    wide = heart * 2 * half
    shadow = ((x - 0.04) / (wide / 2)) ** 2 + ((y - 0.14) / 0.17) ** 2 < 1
    density = np.where(shadow, 0.8, density)
    density = np.where(
        y > 0.36 - 0.35 * (0.2 - (np.abs(x) - 0.2) ** 2) + 0.07, np.maximum(density, 0.72), density
    )
    density = density + noise * rng.normal(size=density.shape)
    return (np.clip(density, 0, 1) * 255).astype(np.uint8)


def draw_lateral(size=320, seed=0):
    """Draw a chest from the side: one dark field, the heart before it, the spine behind it."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:size, 0:size] / size - 0.5
    body = ((x / 0.38) ** 2 + ((y - 0.1) / 0.75) ** 2) < 1
    lung = ((x + 0.03) / 0.26) ** 2 + ((y + 0.05) / 0.36) ** 2 < 1
    density = np.where(body, 0.6, 0.03)
    density = np.where(lung & (y < 0.2 + 0.5 * x), 0.25, density)
    density += 0.3 * np.exp(-(((x + 0.1) / 0.12) ** 2) - ((y - 0.1) / 0.13) ** 2) * body
    spine = np.exp(-(((x - 0.22 - 0.1 * y) / 0.05) ** 2)) * (0.8 + 0.2 * np.sin(70 * y))
    density = density + 0.25 * spine * body + 0.02 * rng.normal(size=x.shape)
    return (np.clip(density, 0, 1) * 255).astype(np.uint8)


def draw_hand(size=320, seed=0):
    """Draw bones of a hand in soft tissue, on black."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:size, 0:size] / size - 0.5
    density = np.zeros_like(x)

    def rod(x0, y0, x1, y1, width, value):
        t = np.clip(((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / ((x1 - x0) ** 2 + (y1 - y0) ** 2), 0, 1)
        inside = np.hypot(x - x0 - t * (x1 - x0), y - y0 - t * (y1 - y0)) < width
        np.copyto(density, np.maximum(density, value), where=inside)

    rod(0, 0.1, 0, 0.5, 0.16, 0.35)
    for k, length in zip(range(-2, 3), (0.25, 0.42, 0.46, 0.42, 0.3), strict=True):
        tip = 0.06 * k + 0.12 * k * length, 0.1 - length
        rod(0.05 * k, 0.15, *tip, 0.035, 0.35)
        for a, b in ((0, 0.4), (0.45, 0.7), (0.75, 0.97)):
            ends = [(0.05 * k * (1 - s) + tip[0] * s, 0.15 * (1 - s) + tip[1] * s) for s in (a, b)]
            rod(*ends[0], *ends[1], 0.015, 0.8)
    density = density + 0.02 * rng.normal(size=x.shape)
    return (np.clip(density, 0, 1) * 255).astype(np.uint8)


def draw_abdomen(size=320, seed=0):
    """Draw an abdomen: spine, pelvis and a few bubbles of gas."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:size, 0:size] / size - 0.5
    density = np.where((x / 0.44) ** 2 + (y / 0.9) ** 2 < 1, 0.5, 0.03)
    density += 0.25 * (np.abs(x) < 0.06) * (0.8 + 0.2 * np.sin(80 * y))
    for s in (-1, 1):
        ring = np.hypot((x - s * 0.2) / 0.16, (y - 0.32) / 0.2)
        density += 0.25 * np.exp(-(((ring - 0.8) / 0.25) ** 2))
    for _ in range(9):
        cx, cy, r = rng.uniform(-0.3, 0.3), rng.uniform(-0.4, 0.2), rng.uniform(0.02, 0.06)
        density -= 0.2 * (np.hypot(x - cx, y - cy) < r)
    density = density + 0.02 * rng.normal(size=x.shape)
    return (np.clip(density, 0, 1) * 255).astype(np.uint8)
