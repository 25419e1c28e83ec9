"""Recordings as a network sees them: a small one-dimensional convolutional network, trained inside each fold.

The *learned* view of a signal: nothing is measured. The network sees the training patients of a fold alone, stops on
its validation patients, and its last hidden vector stands for the recording wherever a modality's vector does.
"""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.nn import functional as F

from mmlib.core.compute import map_parallel
from mmlib.models.study import Study

WIDTHS = (16, 24, 32, 48)  # channels of the layers, each of which halves the length
HIDDEN = 32  # length of the last hidden vector
CROP = 300  # samples of a recording that a training step sees, at a random place
EPOCHS, PATIENCE = 20, 6
BATCH = 64
RATE = 4e-3  # largest step, of a schedule with one cycle


class SignalNetwork(nn.Module):
    """Convolutions over time, then the mean and the largest value of each channel: (n, leads, time) -> (n, labels)."""

    def __init__(self, leads: int, labels: int):
        super().__init__()
        layers, before = [], leads
        for width in WIDTHS:
            layers += [nn.Conv1d(before, width, 7, stride=2, padding=3, bias=False), nn.BatchNorm1d(width), nn.ReLU()]
            before = width
        self.body = nn.Sequential(*layers)
        self.hidden = nn.Linear(2 * before, HIDDEN)
        self.out = nn.Linear(HIDDEN, labels)

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """Last hidden vector of each recording, (n, HIDDEN)."""
        x = self.body(x)
        return torch.relu(self.hidden(torch.cat([x.mean(2), x.amax(2)], dim=1)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of all labels."""
        return self.out(self.embed(x))


def learn_signals(signals: np.ndarray, labels: np.ndarray, study: Study, *, seed: int = 0) -> tuple[np.ndarray, Study]:
    """Out-of-fold probabilities of a convolutional network, and its last hidden vectors as a modality of a study.

    Parameters
    ----------
    signals : array-like of shape (n_samples, leads, time)
        In a unit of about 1; recordings that are NaN throughout are absent, a lead that is NaN is taken as zero.
    labels : array-like of shape (n_samples, n_labels)
        0 or 1; one network learns all of them at once.
    study : mmlib.models.study.Study
        Gives folds, training and validation samples.
    seed : int

    Returns
    -------
    numpy.ndarray of shape (n_samples, n_labels)
        NaN where the recording is absent.
    Study
        Of the one modality ``signal``, its vectors those of each fold's own network.
    """
    there = np.isfinite(signals).any(axis=(1, 2))
    x = torch.from_numpy(np.nan_to_num(signals).astype(np.float32))
    y = torch.from_numpy(np.asarray(labels, np.float32))
    training, validation = study.training.numpy() & there, study.validation.numpy() & there
    with torch.random.fork_rng(devices=[]):  # not in the threads, which share this stream
        torch.manual_seed(seed)
        start = SignalNetwork(x.shape[1], y.shape[1])

    def learn(fold):
        network = _fit(deepcopy(start), x, y, *(np.flatnonzero(rows[fold]) for rows in (training, validation)), seed)
        with torch.inference_mode():
            hidden = torch.cat([network.embed(part) for part in x.split(512)])
            scored = torch.sigmoid(network.out(hidden)).numpy()
        rows = hidden[torch.from_numpy(training[fold])]
        return scored, (hidden - rows.mean(0)) / rows.std()

    found = map_parallel(learn, range(len(training)), "signals")
    probability = np.stack([scored for scored, _ in found])[study.fold, np.arange(len(there))]
    vectors = torch.stack([hidden for _, hidden in found])[:, :, None]
    vectors[:, ~there] = 0
    learned = replace(
        study,
        X=vectors,
        present=torch.from_numpy(there)[:, None],
        modalities=("signal",),
        kept=np.ones((len(training), 1)),
    )
    return np.where(there[:, None], probability, np.nan), learned


def _fit(network, x, y, rows, held, seed) -> SignalNetwork:
    """The network as it was after the epoch with the highest mean AUROC on validation samples."""
    stream, choose = torch.Generator().manual_seed(seed), np.random.default_rng(seed)
    steps = EPOCHS * -(-len(rows) // BATCH)
    optimiser = torch.optim.AdamW(network.parameters(), RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    crop, best, stale = min(CROP, x.shape[2]), -1.0, 0
    for _ in range(EPOCHS):
        network.train()
        for batch in torch.from_numpy(choose.permutation(rows)).split(BATCH):
            start = int(choose.integers(0, x.shape[2] - crop + 1))
            louder = torch.exp(0.1 * torch.randn(len(batch), 1, 1, generator=stream))
            loss = F.binary_cross_entropy_with_logits(network(x[batch, :, start : start + crop] * louder), y[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        quality = _validation_auroc(network.eval(), x[held], y[held].numpy())
        stale = 0 if quality > best else stale + 1
        if quality > best:
            best, kept = quality, {k: v.clone() for k, v in network.state_dict().items()}
        if stale == PATIENCE:
            break
    network.load_state_dict(kept)
    return network


@torch.inference_mode()
def _validation_auroc(network, x, y) -> float:
    """Mean over the labels of which both values occur."""
    score = network(x).numpy()
    both = [k for k in range(y.shape[1]) if 0 < y[:, k].sum() < len(y)]
    return float(np.mean([roc_auc_score(y[:, k], score[:, k]) for k in both])) if both else 0.0
