"""Train the network that outlines lungs.

    python -m tests.benchmarks.train_lungs --hannover ../shared/data/hannover

takes almost three hours on one idle core and writes ``mmlib/text/lungs.safetensors``. The network learns
from the 60 outlines of ``tests/outlines/building.json``, from drawings whose outlines are known (the twins' and
others) and, as what is *no* frontal chest X-ray, from photographs that scikit-image ships, textures, other drawn
bodies, and halves, turned copies and lookalikes of lateral views made of the same 60 pictures. It is trained in
``STAGES``; those with harder disturbances also learn from 19 pictures whose outlines are the network's own. What was
trained is kept, so that a run that was stopped goes on. Which side the heart is on is learnt from all pictures of
patients without a picture in the yardstick. ``--hold-out`` keeps a share of the patients for tuning. No patient of the
yardstick is read here.
"""

import argparse
import json
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import skimage.data
import torch
from PIL import Image, ImageDraw
from safetensors.torch import load_file, save_file
from scipy import ndimage
from sklearn.linear_model import LogisticRegression
from torch.nn import functional

from mmlib.text.lungs import NEARER, SIDE, WEIGHTS, LungNetwork, ask_lungs, halves_of, load_lungs
from mmlib.text.radiograph import prepare, smooth_outline
from mmlib.twins.drawings import draw_xray, outline_xray

#: Each goes on from the mean of the weights of those that it is ``after``. ``harder`` names ``DISTURBANCES``.
STAGES = {
    "first": {"after": (), "steps": 7500, "seed": 0, "rate": 2e-3},
    "again": {"after": ("first",), "steps": 500, "seed": 11, "rate": 1.5e-3},
    "ill": {"after": ("first",), "steps": 600, "seed": 12, "rate": 1.5e-3, "harder": ("bases",)},
    "bases": {"after": ("first", "again", "ill"), "steps": 7500, "seed": 13, "rate": 1.5e-3, "harder": ("bases",)},
    "air": {"after": ("bases",), "steps": 5000, "seed": 15, "rate": 1.5e-3, "harder": ("bases", "air")},
    "parts": {"after": ("air",), "steps": 6000, "seed": 17, "rate": 1.5e-3, "harder": ("parts", "air")},
    "nearer": {
        "after": ("air", "parts"),
        "steps": 4000,
        "seed": 29,
        "rate": 1.5e-3,
        "harder": ("parts", "air"),
        "sides": (SIDE, NEARER),
    },
}
LAST = ("nearer_start", "nearer")  # the mean of the weights before and after the last stage is kept
BASE = 256  # pixels of a picture before it is deformed
OUTLINES = Path(__file__).parents[1] / "outlines" / "building.json"
YARDSTICK = OUTLINES.with_name(
    "reader_a.json"
)  # only which pictures it has: none of those patients is learnt from
#: Those of scikit-image that the tests do not use as pictures to be refused.
PHOTOGRAPHS = (
    "brick",
    "grass",
    "gravel",
    "moon",
    "page",
    "text",
    "clock",
    "coins",
    "rocket",
    "cell",
    "chelsea",
)
PHOTOGRAPHS += ("hubble_deep_field", "immunohistochemistry")


def square(grey: np.ndarray, masks: np.ndarray | None = None):
    """Pad to a square and shrink: picture in 0..1 and masks (2, BASE, BASE)."""
    low, high = np.quantile(grey, [0.005, 0.995])
    grey = np.clip((grey - low) / max(high - low, 1e-6), 0, 1)
    side = max(grey.shape)
    pads = [((side - n) // 2, side - n - (side - n) // 2) for n in grey.shape]

    def shrink(x):
        picture = Image.fromarray(np.pad(x, pads).astype(np.float32))
        return np.asarray(picture.resize((BASE, BASE), Image.Resampling.BOX))

    if masks is None:
        masks = np.zeros((2, *grey.shape), np.float32)
    return shrink(grey), np.stack([shrink(m) for m in masks])


def real_pictures(folder: Path, ids) -> list:
    """Pictures and masks of what was outlined."""
    outlines, out = json.loads(OUTLINES.read_text())["outlines"], []
    for name in ids:
        image = Image.open(folder / "png" / f"{name}.png").convert("L")
        masks = []
        for side in ("right", "left"):
            mask = Image.new("L", image.size)
            ImageDraw.Draw(mask).polygon([tuple(p) for p in outlines[name][side]], fill=1)
            masks.append(np.asarray(mask, np.float32))
        out.append(square(np.asarray(image, float), np.stack(masks)))
    return out


def drawn_pictures(rng: np.random.Generator, n: int) -> list:
    """Half the twins' drawings, half others that vary more."""
    out = []
    for i in range(n):
        if i % 2:
            heart = rng.uniform(0.32, 0.72)
            findings = {
                "opacity": rng.choice([0, rng.random()]),
                "effusion": rng.choice([0, rng.uniform(0, 0.6)]),
            }
            taken = {"seed": int(rng.integers(1 << 30)), "disturbance": float(rng.choice([0, 1]))}
            picture = draw_xray(heart=heart, **findings, **taken)
            masks = np.stack(outline_xray(heart=heart, **taken))
            out.append(square(picture.astype(float), masks.astype(np.float32)))
        else:
            out.append(square(*_draw_other(rng)))
    return out


def _soft(distance, width):
    return 1 / (1 + np.exp(np.clip(distance / width, -40, 40)))


def _ellipse(x, y, cx, cy, rx, ry):
    return ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 - 1


def _draw_other(rng):
    """A drawn chest of other proportions, with a diaphragm, shoulders, ribs and a spine."""
    size = 224
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    u = rng.uniform
    soft = u(0.02, 0.2)
    rx, ry, cx, cy = u(0.26, 0.38), u(0.5, 0.8), u(0.36, 0.48), u(-0.15, 0.05)
    bend = u(-0.3, 0.3)
    floor = cy + ry * u(0.55, 1.2)
    heart = _ellipse(x, y, u(0.02, 0.16), u(0.2, 0.4), u(0.25, 0.62), u(0.25, 0.42))
    middle = np.abs(x) - u(0.04, 0.2)
    dome = u(0, 0.6)
    masks, lung = [], np.zeros_like(x)
    for s in (-1, 1):
        own = _ellipse(x - s * bend * (y - cy) * 0.2, y, s * cx, cy, rx * u(0.9, 1.1), ry)
        below = y - floor - dome * ((x - s * cx * 0.8) ** 2 * 2 - 0.1) - s * u(-0.05, 0.05)
        away = np.maximum.reduce([own, below * 3, -heart, -middle * 4])
        masks.append((away < 0) & (s * x > 0))
        lung = np.maximum(lung, _soft(away, soft) * (s * x > 0))
    body = _soft(_ellipse(x, y, 0, u(0.2, 0.5), u(0.85, 1.3), u(1.1, 1.8)), 0.05)
    tissue, air = u(0.5, 0.75), u(0.05, 0.3)
    film = u(0, 0.15) + tissue * body - (tissue - air) * lung
    film += u(0, 0.25) * np.exp(-((x / u(0.05, 0.12)) ** 2))
    film = np.maximum(film, (tissue + u(0, 0.15)) * _soft(heart, soft) * body)
    for s in (-1, 1):  # fluid, up to a level that rises outward
        fluid = _soft(u(0, 0.6) - y - u(0, 0.4) * np.abs(x), 0.02) * (s * x > 0) * (rng.random() < 0.25)
        film += (tissue + u(-0.03, 0.1) - film) * fluid * lung
    film += u(0, 0.1) * np.clip(np.sin(u(18, 34) * (y - u(-0.4, 0.4) * x**2)) * 2, -1, 1) * lung
    film += u(0, 0.03) * rng.standard_normal(film.shape)
    return np.clip(film, 0, 1), np.stack(masks).astype(np.float32)


def other_pictures(rng: np.random.Generator, n: int) -> list:
    """What shows no chest from the front: photographs, textures, a drawn lateral view, hand, pelvis or skull."""
    shipped = [Image.fromarray(np.asarray(getattr(skimage.data, name)())) for name in PHOTOGRAPHS]
    photographs = [np.asarray(image.convert("L"), float) for image in shipped]
    out = []
    for i in range(n):
        kind = i % 7
        if kind < 2:
            whole = photographs[rng.integers(len(photographs))]
            h, w = (int(s * rng.uniform(0.4, 1)) for s in whole.shape)
            top, left = (int(rng.integers(0, s - p + 1)) for s, p in zip(whole.shape, (h, w), strict=True))
            picture = whole[top : top + h, left : left + w]
            picture = picture[:, ::-1] if rng.random() < 0.5 else picture
        elif kind == 2:
            picture = ndimage.gaussian_filter(
                rng.standard_normal((BASE, BASE)), rng.choice([0, 1, 4, 12, 30])
            )
            if rng.random() < 0.3:
                picture = picture * 0 + np.linspace(0, 1, BASE)[:: rng.choice([-1, 1])]
                picture = picture.T if rng.random() < 0.5 else picture
        elif kind == 3:
            picture = _draw_bones(rng)
        elif kind == 4:
            picture = _draw_belly(rng)
        else:
            picture = _draw_lateral(rng)
        out.append(square(np.asarray(picture, float)))
    return out


def _draw_lateral(rng):
    size, u = 224, rng.uniform
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    x = x * rng.choice([-1, 1])
    body = _soft(_ellipse(x, y, 0, 0.3, u(0.6, 0.9), u(1.2, 1.8)), 0.05)
    lean = u(-0.2, 0.3)
    lung = np.maximum.reduce(
        [
            _ellipse(x + lean * y * 0.4, y, u(-0.1, 0.1), u(-0.15, 0.1), u(0.4, 0.62), u(0.6, 0.85)),
            3 * (y - u(0.25, 0.6) - u(-0.5, 0.5) * x - u(0, 0.6) * (x**2 - 0.1)),
        ]
    )
    tissue = u(0.5, 0.75)
    film = u(0, 0.1) + tissue * body - u(0.25, 0.5) * _soft(lung, u(0.03, 0.2)) * body
    film += u(0.1, 0.35) * _soft(_ellipse(x, y, u(-0.35, -0.1), u(0.1, 0.35), u(0.2, 0.35), u(0.2, 0.4)), 0.3)
    spine = u(0.3, 0.6) + u(-0.2, 0.2) * y**2
    film += (
        u(0.08, 0.3)
        * np.exp(-(((x - spine) / u(0.06, 0.14)) ** 2))
        * (1 + 0.4 * np.sin(u(20, 30) * y))
        * body
    )
    film += u(0, 0.3) * np.exp(-(((y + 0.75) / 0.25) ** 2) - ((x / 0.3) ** 2))  # arms
    film += u(0, 0.06) * np.sin(u(18, 30) * (y - 0.5 * x)) * _soft(lung, 0.1)
    return np.clip(film + u(0, 0.03) * rng.standard_normal(film.shape), 0, 1)


def _draw_belly(rng):
    """Draw a trunk without lungs: a spine, gas in the bowel, perhaps the wings of a pelvis."""
    size, u = 224, rng.uniform
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    body = _soft(_ellipse(x, y, 0, u(-0.2, 0.2), u(0.75, 1.2), u(1.2, 2)), 0.05)
    film = u(0, 0.1) + u(0.4, 0.7) * body
    film += u(0.05, 0.3) * np.exp(-((x / u(0.06, 0.14)) ** 2)) * (1 + u(0, 0.4) * np.sin(u(18, 30) * y))
    for s in (-1, 1):
        wing = np.abs(_ellipse(x, y, s * u(0.3, 0.5), u(0.4, 0.8), u(0.2, 0.4), u(0.2, 0.5)))
        film += u(0, 0.3) * np.exp(-((wing / u(0.2, 0.6)) ** 2))
    for _ in range(rng.integers(2, 14)):
        gas = _ellipse(x, y, *u(-0.7, 0.7, 2), *u(0.04, 0.25, 2))
        film -= u(0.05, 0.3) * _soft(gas, u(0.05, 0.4)) * body
    return np.clip(film + u(0, 0.03) * rng.standard_normal(film.shape), 0, 1)


def _draw_bones(rng):
    """Bright rods and rings on soft tissue: a hand, a knee, a pelvis, a skull, more or less."""
    size, u = 224, rng.uniform
    image = Image.new("L", (size, size), int(u(0, 40)))
    draw = ImageDraw.Draw(image)
    kind = rng.integers(3)
    if kind == 0:  # hand
        draw.ellipse([50, 110, 170, 220], fill=int(u(60, 120)))
        for k in range(5):
            end = (30 + 40 * k + u(-8, 8), u(10, 50) + 40 * (k in (0, 4)))
            draw.line([(112 + (k - 2) * 16, 160), end], fill=int(u(60, 120)), width=26)
            for t in np.linspace(0.2, 1, 5)[:-1]:
                p, q = ((112 + (k - 2) * 16) * (1 - s) + end[0] * s for s in (t, t + 0.16))
                r, v = (160 * (1 - s) + end[1] * s for s in (t, t + 0.16))
                draw.line([(p, r), (q, v)], fill=int(u(170, 240)), width=10)
    elif kind == 1:  # limb or joint
        draw.rectangle([u(20, 70), 0, u(150, 200), size], fill=int(u(60, 120)))
        middle = u(80, 140)
        draw.line([(112, 0), (112 + u(-20, 20), middle)], fill=200, width=int(u(25, 45)))
        draw.line([(112, middle + 12), (112 + u(-20, 20), size)], fill=200, width=int(u(25, 45)))
        draw.ellipse([72, middle - 30, 152, middle + 4], fill=210)
    else:  # pelvis or skull: rings
        draw.ellipse([u(5, 40), u(5, 40), u(180, 219), u(180, 219)], fill=int(u(90, 150)))
        for _ in range(rng.integers(2, 5)):
            cx, cy, r = u(50, 170), u(50, 170), u(15, 50)
            box = [cx - r, cy - r * u(0.6, 1.2), cx + r, cy + r]
            draw.ellipse(box, outline=int(u(170, 250)), width=int(u(4, 14)), fill=int(u(40, 140)))
        draw.line([(112, 0), (112, size)], fill=int(u(150, 210)), width=int(u(5, 30)))
    picture = ndimage.gaussian_filter(np.asarray(image, float), u(0.8, 3))
    return picture + u(0, 6) * rng.standard_normal(picture.shape)


def batch_of(pool: dict, rng: np.random.Generator, n: int, harder: tuple = (), side: int = SIDE) -> tuple:
    """Deformed pictures (n, 1, side, side), masks (n, 2, ...), answers (n, 2) and where each of them counts.

    ``harder`` names ``DISTURBANCES``; with any of them, exposure varies more too. Pictures of ``NEARER`` pixels are
    seen from nearer.
    """
    kinds = rng.choice(["real", "drawn", "other", "lateral", "turned"], n, p=[0.65, 0.16, 0.1, 0.05, 0.04])
    pictures, masks = [], []
    for kind in kinds:
        own = pool[kind if kind in ("drawn", "other") else "real"]
        picture, mask = own[rng.integers(len(own))]
        if kind == "lateral":  # one lung drawn out over the whole, with the other one shining through
            picture, mask = _lookalike(picture, mask, rng), mask * 0
        pictures.append(picture)
        masks.append(mask)
    source = torch.from_numpy(np.concatenate([np.stack(pictures)[:, None], np.stack(masks)], 1))
    frontal = torch.from_numpy(np.isin(kinds, ["real", "drawn"]).astype(np.float32))

    # where each pixel comes from
    def draw(low, high):
        return torch.from_numpy(rng.uniform(low, high, n).astype(np.float32))

    wide = torch.from_numpy((rng.random(n) < 0.25).astype(np.float32))
    angle = draw(-10, 10) * (1 + 1.5 * wide)
    angle += torch.from_numpy(
        np.where(kinds == "turned", rng.choice([90, 180, 270], n), 0).astype(np.float32)
    )
    angle = torch.deg2rad(angle)
    zoom = torch.exp(draw(-0.35, 0.25 if side == SIDE else 0.1))  # above 1 sees more than the picture
    stretch = torch.exp(draw(-0.2, 0.2))
    shift_x, shift_y, shear = draw(-0.15, 0.15), draw(-0.15, 0.15), draw(-0.1, 0.1)
    close = torch.from_numpy(rng.random(n) < 0.08)  # far too close, or beside
    zoom = torch.where(close, zoom * 0.6, zoom)
    shift_x, shift_y = (torch.where(close, 4 * s, s) for s in (shift_x, shift_y))
    mirrored = torch.from_numpy(rng.random(n) < 0.5)
    sign = torch.where(mirrored, -1.0, 1.0)
    cos, sin = torch.cos(angle), torch.sin(angle)
    a, d = zoom * stretch, zoom / stretch
    theta = torch.stack(
        [
            torch.stack([sign * a * cos, -sign * a * sin + shear, sign * shift_x], 1),
            torch.stack([d * sin, d * cos, shift_y], 1),
        ],
        1,
    )
    grid = functional.affine_grid(theta, (n, 1, side, side), align_corners=False)
    bend = (
        torch.from_numpy(rng.standard_normal((n, 2, 5, 5)).astype(np.float32))
        * draw(0, 0.03)[:, None, None, None]
    )
    bend = functional.interpolate(bend, (side, side), mode="bicubic", align_corners=True)
    grid = grid + bend.permute(0, 2, 3, 1)
    edge = "border" if rng.random() < 0.3 else "zeros"
    x = functional.grid_sample(source[:, :1], grid, padding_mode=edge, align_corners=False)
    truth = functional.grid_sample(source[:, 1:], grid, padding_mode="zeros", align_corners=False)
    whole = source[:, 1:].sum((2, 3)) / (a * d)[:, None] * (side / BASE) ** 2
    # lungs on the left of the picture first, whichever they are
    truth = torch.where(mirrored[:, None, None, None], truth.flip(1), truth)
    whole = torch.where(mirrored[:, None], whole.flip(1), whole)

    x = _ill(x, truth, rng)
    for name in harder:
        x = DISTURBANCES[name](x, truth, rng)
    x = _exposed(x, rng, bool(harder))
    x = _marked(x, rng)
    inverted = torch.from_numpy(rng.random(n) < 0.15)
    x = torch.where(inverted[:, None, None, None], 1 - x, x)
    x, truth = _cut(x, truth, rng)
    x = _stretched(x, rng)

    shown = (truth.sum((2, 3)) / whole.clamp(min=1)).amin(1)
    known = (frontal == 0) | (shown > 0.82) | (shown < 0.6)
    frontal = frontal * (shown > 0.7)
    answers = torch.stack([frontal, inverted.float()], 1)
    counts = torch.stack([known.float(), frontal], 1)
    outlined = torch.from_numpy(kinds != "turned") & torch.from_numpy(kinds != "lateral")
    return x, truth, answers, counts, outlined.float()


def _lookalike(picture, mask, rng):
    side = rng.integers(2)
    columns = np.flatnonzero(mask[side].any(0))
    rows = np.flatnonzero(mask[side].any(1))

    def part(p, flip):
        p = p[:, ::-1] if flip else p
        low, high = (columns[0], columns[-1]) if not flip else (BASE - 1 - columns[-1], BASE - 1 - columns[0])
        reach = (high - low) * 0.45
        low, high = max(int(low - reach), 0), min(int(high + reach), BASE)
        top = max(rows[0] - 15, 0)
        piece = Image.fromarray(p[top : min(rows[-1] + 40, BASE), low:high].astype(np.float32))
        return np.asarray(piece.resize((int(BASE * 0.8), BASE)))

    out = np.zeros((BASE, BASE), np.float32)
    one, two = part(picture, False), part(picture, True)
    share = rng.uniform(0.5, 1)
    width = one.shape[1]
    out[:, (BASE - width) // 2 : (BASE - width) // 2 + width] = share * one + (1 - share) * two
    return out


def _noise(rng, x, cells):
    """Smooth noise for each of the pictures x."""
    low = torch.from_numpy(rng.standard_normal((len(x), 1, cells, cells)).astype(np.float32))
    return functional.interpolate(low, x.shape[2:], mode="bicubic", align_corners=True)


def _ill(x, truth, rng):
    """White regions in the lungs: patches, bases, a whole side."""
    n = len(x)
    dense = torch.quantile(x[..., ::3, ::3].flatten(1), 0.75, dim=1)[:, None, None, None]
    rare = torch.from_numpy(rng.uniform(-0.5, 1.5, (n, 1, 1, 1)).astype(np.float32))
    patches = torch.sigmoid(4 * (_noise(rng, x, int(rng.choice([4, 6, 10]))) - rare))
    rows = torch.linspace(0, 1, x.shape[2])[:, None].expand(x.shape[2:])
    level = torch.from_numpy(rng.uniform(0.3, 0.9, (n, 2, 1, 1)).astype(np.float32))
    sides = torch.from_numpy((rng.random((n, 2, 1, 1)) < 0.25).astype(np.float32))
    bases = torch.sigmoid((rows - level) * 25) * sides
    veil = torch.from_numpy((rng.random((n, 2, 1, 1)) < 0.15) * rng.uniform(0.2, 0.8, (n, 2, 1, 1))).float()
    on = torch.from_numpy((rng.random((n, 1, 1, 1)) < 0.45) * rng.uniform(0.3, 0.95, (n, 1, 1, 1))).float()
    soft = functional.avg_pool2d(truth, 5, 1, 2)
    amount = torch.maximum(torch.maximum(patches * on, bases * 0.9), veil)
    amount = (soft * amount).sum(1, keepdim=True).clamp(0, 1)
    level_of = dense * torch.from_numpy(rng.uniform(0.85, 1.2, (n, 1, 1, 1)).astype(np.float32))
    return x + amount * (torch.maximum(level_of, x) - x)


def _uniform(rng, n, each=2):
    """Function that draws numbers for n pictures: one for each of both lungs, or only one."""

    def draw(low, high, lungs=each):
        return torch.from_numpy(rng.uniform(low, high, (n, lungs, 1, 1)).astype(np.float32))

    return draw


def _hidden_bases(x, truth, rng):
    """Lower parts of lungs as white as what lies beside them, so that their edge is lost."""
    draw = _uniform(rng, len(x))
    rows = torch.arange(x.shape[2])[:, None]
    reached = truth.amax(3, keepdim=True) > 0.5
    top = torch.where(reached, rows, len(rows)).amin(2, keepdim=True)
    height = (torch.where(reached, rows, 0).amax(2, keepdim=True) - top).clamp(min=1)
    steep = torch.exp(draw(1.6, 3.7))
    amount = torch.sigmoid(((rows - top) / height - draw(0.3, 0.85)) * steep)
    return _whitened(x, truth, amount * draw(0.5, 1) * (draw(0, 1) < 0.3), rng)


def _hidden_parts(x, truth, rng):
    """The same for what lies below, towards the middle of the chest, or between: the angle beside the heart."""
    draw = _uniform(rng, len(x))
    rows = torch.arange(x.shape[2])[:, None].expand(x.shape[2:]).float()
    size = truth.sum((2, 3), keepdim=True).clamp(min=1)

    def scaled(place):
        middle = (truth * place).sum((2, 3), keepdim=True) / size
        spread = (truth * (place - middle) ** 2).sum((2, 3), keepdim=True) / size
        return (place - middle) / spread.sqrt().clamp(min=1)

    inward = scaled(rows.T) * torch.tensor([1.0, -1.0])[:, None, None]
    angle = draw(-0.4, 1.6)  # 0: the base; a quarter turn: what lies beside heart and spine
    along = torch.cos(angle) * scaled(rows) + torch.sin(angle) * inward
    along = along + draw(0, 0.5) * _noise(rng, x, 5)
    amount = torch.sigmoid((along - draw(-0.7, 1.5)) * torch.exp(draw(0.7, 2.5)))
    return _whitened(x, truth, amount * draw(0.6, 1) * (draw(0, 1) < 0.45), rng)


def _whitened(x, truth, amount, rng):
    """Lungs as white as their surroundings, or evenly so, by an amount (n, 2, rows, columns) from 0 to 1."""
    draw = _uniform(rng, len(x))

    def around(x):
        rows = functional.avg_pool2d(x, (25, 1), 1, (12, 0))
        return functional.avg_pool2d(rows, (1, 25), 1, (0, 12))

    rough = _noise(rng, x, int(rng.choice([5, 8, 12])))
    rough = 1 - 0.4 * torch.sigmoid(3 * rough) * (draw(0, 1, 1) < 0.5)
    amount = (functional.avg_pool2d(truth, 5, 1, 2) * amount).sum(1, keepdim=True).clamp(0, 1) * rough
    outside = 1 - functional.max_pool2d(truth.amax(1, keepdim=True), 5, 1, 2)
    dense = torch.quantile(x[..., ::3, ::3].flatten(1), 0.75, dim=1)[:, None, None, None]
    dense = dense * draw(0.85, 1.15, 1)
    beside = (around(x * outside) + 0.02 * dense) / (around(outside) + 0.02)
    return x + amount * (torch.maximum(torch.where(draw(0, 1, 1) < 0.6, beside, dense), x) - x)


def _air_beside(x, truth, rng):
    """Streaks as dark as lung in the wall of the chest, beside and below a lung: air under the skin."""
    draw = _uniform(rng, len(x))
    rows = torch.arange(x.shape[2])[:, None].expand(x.shape[2:]).float()
    columns = rows.T
    size = truth.sum((2, 3), keepdim=True).clamp(min=1)
    middle = (truth * columns).sum((2, 3), keepdim=True) / size
    centre = (truth * rows).sum((2, 3), keepdim=True) / size
    outward = torch.sigmoid((columns - middle) * torch.tensor([-1.0, 1.0])[:, None, None] - draw(-2, 6))
    wide = int(rng.choice([11, 17, 25, 35]))
    near = functional.max_pool2d(truth, wide, 1, wide // 2)
    near = torch.maximum(near, near.roll(int(rng.integers(0, 25)), 2))
    wall = near * outward * torch.sigmoid((rows - centre - draw(-30, 25)) / 4)
    outside = 1 - functional.max_pool2d(truth, 3, 1, 1).amax(1, keepdim=True)
    slope, frequency = draw(-1.2, 1.2, 1), draw(0.3, 1.2, 1)
    streaks = torch.sin((columns * slope + rows) * frequency + 2 * _noise(rng, x, 6))
    streaks = torch.sigmoid(draw(1, 4, 1) * streaks + draw(-1, 3, 1) + 2 * _noise(rng, x, 8))
    amount = (wall * draw(0.3, 1) * (draw(0, 1) < 0.25)).amax(1, keepdim=True) * outside * streaks
    lungs = truth.amax(1, keepdim=True)
    air = (x * lungs).sum((2, 3), keepdim=True) / lungs.sum((2, 3), keepdim=True).clamp(min=1)
    amount = functional.avg_pool2d(amount, 3, 1, 1)
    return x + amount * (torch.minimum(air * draw(0.7, 1.2, 1), x) - x)


#: What the later trainings may name as harder.
DISTURBANCES = {"bases": _hidden_bases, "parts": _hidden_parts, "air": _air_beside}


def _exposed(x, rng, harder):
    """Curves of contrast, uneven light, blur and grain."""
    n = len(x)
    draw = _uniform(rng, n, each=1)
    if harder:  # white and black burnt out
        low = draw(-0.1, 0.2)
        burnt = ((x - low) / (draw(0.65, 1.1) - low)).clamp(0, 1)
        x = torch.where(torch.from_numpy(rng.random((n, 1, 1, 1)) < 0.35), burnt, x)
    x = x.clamp(0, 1) ** torch.exp(draw(-0.8, 0.8) * (1.25 if harder else 1))
    bend = torch.from_numpy((rng.random((n, 1, 1, 1)) < 0.4).astype(np.float32))
    steep = draw(2, 9)
    curve = torch.sigmoid(steep * (x - draw(0.3, 0.7)))
    x = x * (1 - bend) + curve * bend
    x = x + _noise(rng, x, 3) * draw(0, 0.12) + _noise(rng, x, 6) * draw(0, 0.04)
    if rng.random() < 0.35:
        k = int(rng.choice([3, 3, 5]))
        x = functional.avg_pool2d(x, k, 1, k // 2, count_include_pad=False)
    if rng.random() < 0.2:  # sharpened, as some machines do
        x = x + rng.uniform(0.5, 2) * (x - functional.avg_pool2d(x, 9, 1, 4, count_include_pad=False))
    contrast = draw(0.3, 1)
    x = x * contrast + draw(0, 1) * (1 - contrast)
    return x + torch.from_numpy(rng.standard_normal(x.shape).astype(np.float32)) * draw(0, 0.05) * contrast


def _marked(x, rng):
    """Tubes, wires, electrodes, letters and arrows over the picture."""
    out, size, scale = [], x.shape[2:], 3
    side = size[0] * scale
    for picture in x[:, 0].numpy():
        if rng.random() < 0.5:
            out.append(picture)
            continue
        low, high = float(picture.min()), float(picture.max())
        layer = Image.new("L", (side, side))
        draw = ImageDraw.Draw(layer)
        for _ in range(rng.integers(0, 5)):  # tubes and wires
            t = np.linspace(0, 1, 24)[:, None]
            basis = np.hstack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3])
            curve = basis @ rng.uniform(-0.1, 1.1, (4, 2)) * side
            draw.line(
                [tuple(p) for p in curve], fill=int(rng.uniform(60, 255)), width=int(rng.integers(2, 7))
            )
        for _ in range(rng.integers(0, 4)):  # electrodes, ports
            cx, cy, r = *rng.uniform(0, side, 2), rng.uniform(3, 18)
            draw.ellipse([cx - r, cy - r, cx + r, cy + r], fill=int(rng.uniform(60, 255)))
        for _ in range(rng.integers(0, 3)):  # letters and words
            word = str(
                rng.choice(["L", "R", "AP", "PA", "SUPINE", "a", "2020-03-14", "PORTABLE", "(B)", "1 h"])
            )
            ink = int(rng.choice([255, 200, 120]))
            draw.text(
                tuple(rng.uniform(0, 0.95, 2) * side), word, fill=ink, font_size=int(rng.uniform(10, 60))
            )
        if rng.random() < 0.15:  # an arrow or a box
            p = rng.uniform(0.1, 0.9, (2, 2)) * side
            draw.line([tuple(q) for q in p], fill=255, width=int(rng.integers(3, 9)))
        if rng.random() < 0.1:  # a metal plate or pacemaker
            cx, cy = rng.uniform(0.1, 0.9, 2) * side
            draw.rounded_rectangle([cx - 25, cy - 20, cx + 25, cy + 20], 10, fill=255)
        layer = np.asarray(layer.resize(size, Image.Resampling.BOX), np.float32) / 255
        ink = high + 0.1 * (high - low) if rng.random() < 0.9 else low
        out.append(picture * (1 - layer) + ink * layer)
    return torch.from_numpy(np.stack(out))[:, None]


def _cut(x, truth, rng):
    """Black, white or grey borders; sometimes far into the chest."""
    x, truth, side = x.clone(), truth.clone(), x.shape[2]
    for i in range(len(x)):
        if rng.random() < 0.45:
            continue
        deep = rng.random() < 0.3
        low, high = float(x[i].min()), float(x[i].max())
        value = rng.choice([low, low, low, high, rng.uniform(low, high)])
        for axis in (1, 2):
            for end in (0, 1):
                into = deep and rng.random() < 0.35
                share = rng.uniform(0, 0.55) if into else rng.uniform(0, 0.1) * (rng.random() < 0.6)
                width = int(side * share)
                if width:
                    where = slice(0, width) if end == 0 else slice(side - width, side)
                    index = (slice(None), where) if axis == 1 else (slice(None), slice(None), where)
                    x[i][index] = value
                    truth[i][index] = 0
    return x, truth


def _stretched(x, rng):
    """To 0..1, as a picture that is measured will be."""
    flat = x[..., ::2, ::2].flatten(1)
    low = torch.quantile(flat, float(rng.uniform(0, 0.03)), dim=1)[:, None, None, None]
    high = torch.quantile(flat, float(rng.uniform(0.97, 1)), dim=1)[:, None, None, None]
    return ((x - low) / (high - low).clamp(min=1e-3)).clamp(0, 1)


def loss_of(maps, answers, truth, told, counts, outlined):
    """Cross-entropy and Dice of the maps, cross-entropy of the answers where they are known."""
    weight = outlined[:, None, None, None]
    entropy = (functional.binary_cross_entropy_with_logits(maps, truth, reduction="none") * weight).mean()
    p = torch.sigmoid(maps)
    both, sizes = (p * truth).sum((2, 3)), p.sum((2, 3)) + truth.sum((2, 3))
    dice = (1 - (2 * both + 50) / (sizes + 50)) * outlined[:, None]
    told = functional.binary_cross_entropy_with_logits(answers, told, reduction="none") * counts
    return entropy * 2 + dice.mean() + 0.5 * told.mean(), dice.mean().item(), told.detach().mean(0).tolist()


def train(
    pool: dict,
    keep: Path,
    device: str,
    *,
    steps: int,
    seed: int,
    rate: float,
    start: Path | None = None,
    harder: tuple = (),
    sides: tuple = (SIDE,),
    size: int = 8,
) -> None:
    """Train, and keep the weights averaged over the last steps, written now and then."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = LungNetwork()
    if start:
        weights = load_file(start)
        network.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in weights.items()})
    network.to(device).train()
    average = {k: v.clone() for k, v in network.state_dict().items()}
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=1e-2)
    shown, part = [], keep.with_suffix(".part")
    for step in range(1, steps + 1):
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1, step / 50) * (0.5 * (1 + np.cos(np.pi * step / steps)) + 0.005)
        side = sides[rng.integers(len(sides))]
        x, truth, told, counts, outlined = (tensor.to(device) for tensor in batch_of(pool, rng, size, harder, side))
        with torch.autocast(device, dtype=torch.bfloat16, enabled=device != "cpu"):  # many CPUs have no such arithmetic
            maps, answers = network(x)
        loss, dice, errors = loss_of(maps.float(), answers.float(), truth, told, counts, outlined)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        old = min(0.985, step / (step + 10))
        with torch.no_grad():
            for k, v in network.state_dict().items():
                if v.is_floating_point():
                    average[k].mul_(old).add_(v, alpha=1 - old)
                else:
                    average[k].copy_(v)
        shown.append((loss.item(), dice, *errors))
        if step % 100 == 0:
            print(f"{step:5d}", " ".join(f"{v:.3f}" for v in np.mean(shown[-100:], 0)), flush=True)
            kept = {k: (v.half() if v.is_floating_point() else v).cpu() for k, v in average.items()}
            save_file(kept, part)
    os.replace(part, keep)


def taught_pictures(folder: Path, ids: list, teacher: Path) -> list:
    """Pictures that nobody outlined, with the maps of a network as masks."""
    network, out = load_lungs(teacher), []
    for name in ids:
        image = Image.open(folder / "png" / f"{name}.png").convert("L")
        soft = ask_lungs(prepare(image), network).maps
        maps = [Image.fromarray(m).resize(image.size, Image.Resampling.BILINEAR) for m in soft]
        out.append(square(np.asarray(image, float), np.stack([np.asarray(m) for m in maps])))
    return out


def average(paths: Iterable[Path], path: Path) -> None:
    """Write the mean of the weights of networks that go back to one."""
    networks = [load_file(p) for p in paths]
    means = {k: torch.stack([own[k].float() for own in networks]).mean(0) for k in networks[0]}
    save_file({k: v.to(networks[0][k].dtype) for k, v in means.items()}, path)


def fit_turned(folder: Path, ids: list, path: Path) -> None:
    """Fit what tells a chest from its mirror images, by logistic regression on the network's own outlines."""
    weights, rows = load_file(path), []
    network = load_lungs(path)
    for name in ids:
        picture = prepare(Image.open(folder / "png" / f"{name}.png"))
        rows.append(halves_of(picture, *map(smooth_outline, ask_lungs(picture, network).maps)))
    for name, own in zip(("mirrored", "upside_down"), map(np.array, zip(*rows, strict=True)), strict=True):
        model = LogisticRegression(C=0.1, fit_intercept=False, max_iter=500)
        model.fit(np.r_[own, -own], np.repeat([0, 1], len(own)))
        weights[name] = torch.from_numpy(model.coef_[0]).half()
    save_file(weights, path)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hannover", type=Path, required=True, help="folder with data.csv and png/")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--hold-out", type=float, default=0, help="share of the patients kept for tuning")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    parser.add_argument("--stages", type=Path, default="_build/lungs", help="folder of what is trained, to go on from")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    table = pd.read_csv(options.hannover / "data.csv").set_index("image_id")
    ids = list(json.loads(OUTLINES.read_text())["outlines"])
    patients = sorted(set(table.loc[ids, "patient_id"]))
    held = set(rng.permutation(patients)[: round(options.hold_out * len(patients))])
    kept = [i for i in ids if table.patient_id[i] not in held]
    print(f"{len(kept)} pictures to learn from, held out: {sorted(set(ids) - set(kept))}", flush=True)
    judged = set(table.patient_id[list(json.loads(YARDSTICK.read_text())["outlines"])])
    free = table.index[~table.patient_id.isin(judged | held)]
    pool = {
        "real": real_pictures(options.hannover, kept),
        "drawn": drawn_pictures(rng, 400),
        "other": other_pictures(rng, 600),
    }
    stages = options.stages / f"{len(kept)}_pictures"
    stages.mkdir(parents=True, exist_ok=True)

    def file_of(name):
        return stages / f"{name}.safetensors"

    for name, stage in STAGES.items():
        if file_of(name).exists():
            continue
        print(name, flush=True)
        own, start, settings = pool, None, dict(stage)
        if after := settings.pop("after"):
            start = file_of(f"{name}_start")
            average(map(file_of, after), start)
        if "harder" in stage:
            taught = taught_pictures(options.hannover, free.difference(ids), start)
            own = pool | {"real": pool["real"] + taught}
        train(own, file_of(name), options.device, start=start, **settings)
    average(map(file_of, LAST), options.out)
    fit_turned(options.hannover, free, options.out)


if __name__ == "__main__":
    main()
