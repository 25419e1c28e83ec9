"""Both lungs on a chest X-ray, outlined by a small network that also says whether the picture is one.

The network (a U-Net [Ronneberger2015]_ of under a million weights) was trained on outlines drawn by eye and on
drawn X-rays; ``tests/benchmarks/train_lungs.py`` makes its weights, ``lungs.md`` says from what and how well.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from scipy import ndimage
from torch import nn
from torch.nn import functional

WEIGHTS = Path(__file__).with_suffix(".safetensors")
SIDE, NEARER = 128, 160  # pixels of a picture that the network sees, and of the second look at its lungs
MARGIN = 0.1  # of the longer side of the box around both lungs, for the second look
NEAR = 1 / 8  # of the picture, to each side: what a pixel is compared with
FINEST = 4  # pixels that the network takes as one
GRID = 12  # cells along each side of the box around both lungs, for telling how a chest lies
WIDTHS = (48, 64, 96, 96)  # channels at a quarter of the pixels, an eighth, ...
CELLS = 8  # along each side, for the answers


class LungNetwork(nn.Module):
    """U-Net with two maps (the lung on the left and on the right of the picture) and two answers about the whole.

    The maps are logits. The answers are logits too: a whole frontal chest X-ray, and bright for air.
    """

    def __init__(self):
        super().__init__()
        self.down = nn.ModuleList()
        before = 2 * FINEST**2
        for width in WIDTHS:
            self.down.append(_block(before, width))
            before = width
        self.up = nn.ModuleList(
            _block(low + high, high) for high, low in zip(WIDTHS[-2::-1], WIDTHS[:0:-1], strict=True)
        )
        self.maps = nn.Conv2d(WIDTHS[0], 2 * FINEST**2, 3, padding=1)
        self.squeeze = nn.Conv2d(WIDTHS[-1] + WIDTHS[-2], 16, 1)
        self.answers = nn.Sequential(
            nn.Linear(16 * CELLS**2, 32), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, 2)
        )
        # of logistic regressions on halves_of
        self.register_buffer("mirrored", torch.zeros(GRID * GRID))
        self.register_buffer("upside_down", torch.zeros(GRID * GRID))

    def forward(self, picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return maps (n, 2, side, side) and answers (n, 2) of pictures (n, 1, side, side) in 0..1, a side of 32 k."""
        x = functional.pixel_unshuffle(torch.cat([picture - 0.5, _local_contrast(picture)], 1), FINEST)
        kept = []
        for i, block in enumerate(self.down):
            x = block(x if i == 0 else functional.max_pool2d(x, 2))
            kept.append(x)
        for block, beside in zip(self.up, kept[-2::-1], strict=True):
            larger = functional.interpolate(x, scale_factor=2, mode="nearest")
            if beside is kept[-2]:
                whole = torch.relu(self.squeeze(torch.cat([larger, beside], 1)))
            x = block(torch.cat([larger, beside], 1))
        whole = functional.adaptive_avg_pool2d(whole, CELLS)
        return functional.pixel_shuffle(self.maps(x), FINEST), self.answers(whole.flatten(1))


def _block(before: int, after: int) -> nn.Sequential:
    layers = []
    for width in (before, after):
        layers += [
            nn.Conv2d(width, after, 3, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


def _local_contrast(picture: torch.Tensor) -> torch.Tensor:
    """Each pixel in standard deviations of its neighbourhood: what is left when exposure differs."""
    side = picture.shape[-1]
    place = torch.arange(side, device=picture.device)
    near = ((place[:, None] - place).abs() <= NEAR * side).float()
    near /= near.sum(1, keepdim=True)  # its product is a mean over neighbours, many times as fast as pooling
    mean = near @ picture @ near.T
    spread = (near @ picture**2 @ near.T - mean**2).clamp(min=0).sqrt()
    return ((picture - mean) / (spread + 0.05)).clamp(-3, 3) / 2


@dataclass(frozen=True)
class Answer:
    """What the network says about a picture.

    Parameters
    ----------
    maps : numpy.ndarray of shape (2, rows, columns)
        Probability of the lung on the left and of that on the right of the picture, averaged over the whole picture
        and a second look from nearer.
    agreement : tuple of float
        Dice of each lung's outline between the picture and its mirror image, which the network sees apart.
    frontal, inverted : float
        Log odds of a whole frontal chest X-ray, and of bright air.
    """

    maps: np.ndarray
    agreement: tuple[float, float]
    frontal: float
    inverted: float


@lru_cache(maxsize=2)
def load_lungs(path: Path = WEIGHTS) -> LungNetwork:
    """Network with the weights of a file, ready to be asked."""
    network = LungNetwork()
    network.load_state_dict(
        {k: v.float() if v.is_floating_point() else v for k, v in load_file(path).items()}
    )
    return network.eval()


@torch.inference_mode()
def ask_lungs(picture: np.ndarray, network: LungNetwork | None = None) -> Answer:
    """Outlines and judgement of one picture.

    Parameters
    ----------
    picture : numpy.ndarray of shape (rows, columns)
        Grey values from 0 to 1.
    network : LungNetwork, optional

    Returns
    -------
    Answer
    """
    network = network or load_lungs()
    rows, columns = picture.shape
    side = max(rows, columns)
    top, left = (side - rows) // 2, (side - columns) // 2
    square = np.zeros((side, side), np.float32)
    square[top : top + rows, left : left + columns] = picture
    maps, agreement, (frontal, inverted) = _look(network, square, SIDE)
    if (maps > 0.5).any():  # a second look, from nearer
        near = _box_around((maps > 0.5).any(axis=0))
        maps[:, *near] = (maps[:, *near] + _look(network, square[near], NEARER)[0]) / 2
    return Answer(maps[:, top : top + rows, left : left + columns], agreement, frontal, inverted)


def _look(
    network: LungNetwork, square: np.ndarray, side: int
) -> tuple[np.ndarray, tuple[float, float], tuple[float, float]]:
    """Maps of a square picture and its mirror image, at ``side`` pixels, averaged, their agreement, and the answers."""
    small = Image.fromarray(square).resize((side, side), Image.Resampling.BOX)
    x = torch.from_numpy(np.array(small))[None, None]
    maps, answers = network(torch.cat([x, x.flip(3)]))
    p = torch.sigmoid(torch.stack([maps[0], maps[1].flip(0, 2)]))
    one, two = p > 0.5
    shared = (2 * (one & two).sum((1, 2)) / (one.sum((1, 2)) + two.sum((1, 2))).clamp(min=1)).tolist()
    full = functional.interpolate(p.mean(0)[None], square.shape, mode="bilinear")[0].numpy()
    return full, tuple(shared), tuple(answers.mean(0).tolist())


def _box_around(mask: np.ndarray) -> tuple[slice, slice]:
    """Square that holds a mask and a margin, moved into the picture."""
    bounds = [np.flatnonzero(mask.any(axis=axis))[[0, -1]] for axis in (1, 0)]
    width = min(round((1 + MARGIN) * max(last - first for first, last in bounds)), len(mask))
    starts = [int(np.clip(first + last - width, 0, 2 * (len(mask) - width))) // 2 for first, last in bounds]
    return tuple(slice(start, start + width) for start in starts)


def halves_of(picture: np.ndarray, right: np.ndarray, left: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How one half of the chest differs from the other: what changes its sign in a mirrored picture.

    Parameters
    ----------
    picture : numpy.ndarray of shape (rows, columns)
        Bright is dense.
    right, left : numpy.ndarray of shape (rows, columns), bool
        Outlines, that on the left of the picture first.

    Returns
    -------
    beside, above : numpy.ndarray of shape (GRID * GRID,)
        Left minus right half of the picture, and upper minus lower: differences of grey value, then of lung, in
        cells of the box around both lungs.
    """
    both = right | left
    (top, bottom), (first, last) = (np.flatnonzero(both.any(axis=axis))[[0, -1]] for axis in (1, 0))
    height, width = bottom - top, last - first
    rows = np.linspace(top - 0.1 * height, bottom + 0.1 * height, GRID)
    columns = np.linspace(first - 0.1 * width, last + 0.1 * width, GRID)
    where = np.meshgrid(rows, columns, indexing="ij")
    grey, lung = (
        ndimage.map_coordinates(
            ndimage.gaussian_filter(layer.astype(float), height / GRID / 2.5), where, order=1, mode="nearest"
        )
        for layer in (picture, both)
    )
    cells = np.stack([(grey - grey.mean()) / max(grey.std(), 1e-6), 2 * lung])
    half = GRID // 2
    beside = (cells - cells[:, :, ::-1])[:, :, :half]
    above = (cells - cells[:, ::-1])[:, :half]
    return beside.ravel(), above.ravel()


def turned_odds(picture: np.ndarray, right: np.ndarray, left: np.ndarray) -> tuple[float, float]:
    """Log odds that a chest is mirrored (or, in one person of ten thousand, the heart), and that it is upside down."""
    beside, above = halves_of(picture, right, left)
    network = load_lungs()
    return float(beside @ network.mirrored.numpy()), float(above @ network.upside_down.numpy())
