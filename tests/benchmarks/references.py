"""What one would otherwise write: a loop over models in plain PyTorch, one scikit-learn call per resample or draw."""

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from sklearn.neural_network import MLPClassifier
from torch import nn

from mmlib.models.fusion import Architecture, _shuffled
from mmlib.models.network import initial


class Fusion(nn.Module):
    """The attention model of `mmlib.models.network`, one at a time, from the layers that torch has."""

    def __init__(self, modalities: int, features: int, a: Architecture):
        super().__init__()
        w = a.width
        self.project = nn.ModuleList(nn.Linear(features, w, bias=False) for _ in range(modalities))
        self.norm0 = nn.ModuleList(nn.LayerNorm(w) for _ in range(modalities))
        self.modality = nn.Parameter(torch.zeros(modalities, w))
        self.attention = nn.MultiheadAttention(w, a.heads, bias=False, batch_first=True)
        self.norm1 = nn.LayerNorm(w)
        self.ff = nn.Sequential(nn.Linear(w, 2 * w), nn.GELU(), nn.Linear(2 * w, w))
        self.head = nn.Linear(w, 1)

    def load(self, p):
        """Take over the first parameters of `mmlib.models.network.initial`, so that both train the same model."""
        with torch.no_grad():
            for m, (layer, norm) in enumerate(zip(self.project, self.norm0, strict=True)):
                layer.weight.copy_(p["project"][0, m].T)
                norm.weight.copy_(p["norm0.scale"][0, m])
            self.modality.copy_(p["modality"][0])
            self.attention.in_proj_weight.copy_(p["qkv"][0].T)
            self.attention.out_proj.weight.copy_(p["out"][0].T)
            for layer, name in ((self.ff[0], "ff1"), (self.ff[2], "ff2")):
                layer.weight.copy_(p[name][0].T)
                layer.bias.zero_()
            self.head.weight.copy_(p["head"])
            self.head.bias.zero_()

    def forward(self, x, present, keep=None):
        """Return logits of x (n, modalities, features); ``keep`` is what dropout leaves, scaled."""
        h = torch.stack(
            [norm(layer(x[:, m])) for m, (layer, norm) in enumerate(zip(self.project, self.norm0, strict=True))],
            dim=1,
        )
        h = h + self.modality
        hidden = ~present & present.any(1, keepdim=True)  # attention to nothing at all would be nan
        mixed, _ = self.attention(h, h, h, key_padding_mask=hidden, need_weights=False)
        h = self.norm1(h + mixed)
        h = h + self.ff(h)
        pooled = (h * present[..., None]).sum(1) / present.sum(1, keepdim=True).clamp(min=1)
        return self.head(pooled if keep is None else pooled * keep)[:, 0]


def train_alone(X, present, y, training, validation, *, fold: int, seed: int, a: Architecture, key: int):
    """Train one model with the batches, dropout and early stopping of `mmlib.models.fusion.train`; return it."""
    stream = torch.Generator().manual_seed(1_000_003 * seed + 1009 * fold + key)
    model = Fusion(X.shape[2], X.shape[3], a)
    model.load(initial([stream], X.shape[2], X.shape[3], a, X.dtype))
    optimiser = torch.optim.AdamW(model.parameters(), lr=a.learning_rate, weight_decay=a.weight_decay)
    loss_of = nn.BCEWithLogitsLoss()
    rows, held, x = torch.nonzero(training[fold]).ravel(), torch.nonzero(validation[fold]).ravel(), X[fold]
    steps = -(-int(training.sum(1).max()) // a.batch_size)
    best, stale, kept = -1.0, 0, None
    for _ in range(a.epochs):
        model.train()
        for batch in _shuffled(rows, steps * a.batch_size, stream).split(a.batch_size):
            keep = torch.rand(len(batch), a.width, generator=stream) >= a.dropout
            optimiser.zero_grad()
            loss_of(model(x[batch], present[batch], keep / (1 - a.dropout)), y[batch]).backward()
            optimiser.step()
        model.eval()
        with torch.no_grad():
            auroc = roc_auc_score(y[held].numpy(), model(x[held], present[held]).numpy())
        if auroc > best:
            best, stale = auroc, 0
            kept = {k: v.clone() for k, v in model.state_dict().items()}
        else:
            stale += 1
            if stale == a.patience:
                break
    model.load_state_dict(kept)
    return model


def train_perceptron(x, y, a: Architecture, seed: int):
    """Fit scikit-learn's perceptron on joined vectors, with batches, step size and stopping like the fusion model's."""
    return MLPClassifier(
        (2 * a.width, a.width),
        batch_size=a.batch_size,
        learning_rate_init=a.learning_rate,
        alpha=a.weight_decay,
        max_iter=a.epochs,
        early_stopping=True,
        validation_fraction=0.15,
        n_iter_no_change=a.patience,
        random_state=seed,
    ).fit(x, y)


def resample_auroc(y, scores, weights):
    """Call scikit-learn once per resample."""
    return np.array([roc_auc_score(y, scores, sample_weight=w) for w in weights])


def simulate_masking(y, scores, threshold, reached, groups, realisations: int, seed: int):
    """Mask at random and measure, draw by draw: TPR of each group, and AUROC; mean and standard deviation over draws.

    ``reached`` (n, P) is the cumulated probability of patterns, ``scores`` (P, n).
    """
    rng, rows, out = np.random.default_rng(seed), np.arange(len(y)), []
    for _ in range(realisations):
        pattern = (rng.random(len(y))[:, None] >= reached).sum(axis=1)
        score = scores[pattern, rows]
        selected = score >= threshold
        rates = [selected[group & (y == 1)].mean() for group in groups]
        out.append([*rates, roc_auc_score(y, score)])
    return np.mean(out, axis=0), np.std(out, axis=0, ddof=1)


@torch.inference_mode()
def encode_plainly(texts, encoder, batch_size: int = 32):
    """Encode as sentence encoders do out of the box: every text, sorted by length, padded to the longest of 32."""
    order = np.argsort([-len(t) for t in texts])
    out = np.empty((len(texts), encoder.model.config.hidden_size), np.float32)
    for start in range(0, len(texts), batch_size):
        rows = order[start : start + batch_size]
        batch = encoder.tokenizer(
            [texts[i] for i in rows], padding=True, truncation=True, max_length=encoder.max_length, return_tensors="pt"
        )
        states, mask = encoder.model(**batch).last_hidden_state, batch["attention_mask"][..., None]
        out[rows] = ((states * mask).sum(1) / mask.sum(1)).numpy()
    return out
