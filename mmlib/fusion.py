"""The fusion models, trained many at a time: all folds and seeds of a subset of modalities share one leading axis.

A model turns modality vectors into tokens (linear projection, layer norm, a learned modality embedding), lets
them attend to each other with absent ones masked, and reads a logit off the mean of the present tokens.
``family="concat"`` replaces attention by a two-layer perceptron on the concatenated tokens;
``family="sequential"`` updates a state by one modality after another, and an absent one leaves it as it is
[Swamy2023]_. Nothing is shared between models: a model trained in a batch equals the same model trained alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace

import torch
from torch.nn import functional as F

FAMILIES = ("attention", "concat", "sequential")
POOLINGS = ("mean", "max", "attention")
MISSING = ("mask", "zero", "mean", "token", "indicator")
DROP_RATES = ("fixed", "varied")


@dataclass(frozen=True)
class Architecture:
    """Everything the paper leaves open about the model and its training.

    Parameters
    ----------
    family : {"attention", "concat", "sequential"}
    width, heads : int
        Token size and attention heads; ``heads`` divides ``width``.
    pooling : {"mean", "max", "attention"}
        How tokens become one vector.
    dropout : float
        Dropped share of the pooled vector in training.
    missing : {"mask", "zero", "mean", "token", "indicator"}
        What stands in for an absent modality: nothing (masked attention), a zero input, the training mean, a
        learned token, or nothing but with one more token that tells which modalities are there.
    modality_dropout : float
        Probability with which each present modality of a training sample is dropped, one always staying.
    drop_rate : {"fixed", "varied"}
        Whether that probability is the same for all, or drawn anew for each sample and step, uniformly
        between zero and twice ``modality_dropout``.
    epochs, patience, batch_size : int
        Most epochs, epochs without a better validation AUROC before a model stops, samples per step.
    learning_rate, weight_decay : float
        Of AdamW.
    """

    family: str = "attention"
    width: int = 32
    heads: int = 4
    pooling: str = "mean"
    dropout: float = 0.1
    missing: str = "mask"
    modality_dropout: float = 0.0
    drop_rate: str = "fixed"
    epochs: int = 30
    patience: int = 3
    batch_size: int = 256
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2

    def __post_init__(self):
        words = {str: "text", int: "a whole number, 1 or more", float: "a number, 0 or more"}
        for f in fields(self):
            value = getattr(self, f.name)
            fits = type(value) is f.type or (f.type is float and type(value) is int)
            if not fits or (f.type is not str and value < (f.type is int)):
                raise ValueError(f"{f.name} is {value!r}; expected {words[f.type]}.")
        for name, known in (
            ("family", FAMILIES),
            ("pooling", POOLINGS),
            ("missing", MISSING),
            ("drop_rate", DROP_RATES),
        ):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} is {getattr(self, name)!r}; expected one of {', '.join(known)}.")
        if self.width % self.heads:
            raise ValueError(f"heads is {self.heads}, which does not divide width {self.width}.")
        for name in ("dropout", "modality_dropout"):
            if getattr(self, name) >= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; expected a share below 1.")


@dataclass(frozen=True)
class Models:
    """Trained models of one subset, stacked.

    Parameters
    ----------
    parameters : dict of str to torch.Tensor
        Each with a leading model axis.
    fold, seed : tuple of int
        Of each model.
    architecture : Architecture
    best : tuple of float
        Validation AUROC at the epoch that was kept.
    """

    parameters: dict[str, torch.Tensor]
    fold: tuple[int, ...]
    seed: tuple[int, ...]
    architecture: Architecture
    best: tuple[float, ...] = field(default=())

    def select(self, keep: Sequence[int]) -> "Models":
        """Return the models at the positions ``keep``."""
        index = torch.as_tensor(list(keep))
        return replace(
            self,
            parameters={k: v[index] for k, v in self.parameters.items()},
            fold=tuple(self.fold[i] for i in keep),
            seed=tuple(self.seed[i] for i in keep),
            best=tuple(self.best[i] for i in keep) if self.best else (),
        )


def join(parts: Sequence[Models]) -> Models:
    """Stack models of one architecture."""
    first = parts[0]
    return replace(
        first,
        parameters={k: torch.cat([p.parameters[k] for p in parts]) for k in first.parameters},
        fold=sum((p.fold for p in parts), ()),
        seed=sum((p.seed for p in parts), ()),
        best=sum((p.best for p in parts), ()),
    )


def train(
    X: torch.Tensor,
    present: torch.Tensor,
    y: torch.Tensor,
    training: torch.Tensor,
    validation: torch.Tensor,
    *,
    models: Sequence[tuple[int, int]],
    architecture: Architecture,
    key: int = 0,
    drop: torch.Tensor | None = None,
    weight: torch.Tensor | None = None,
    target: torch.Tensor | None = None,
) -> Models:
    """Train one model per (fold, seed), all in one batch.

    Parameters
    ----------
    X : torch.Tensor of shape (n_folds, n_samples, n_modalities, n_features)
        Inputs as reduced for each fold, zero where absent.
    present : torch.Tensor of shape (n_samples, n_modalities), bool
    y : torch.Tensor of shape (n_samples,)
        Labels 0 and 1.
    training, validation : torch.Tensor of shape (n_folds, n_samples), bool
    models : sequence of (fold, seed)
    architecture : Architecture
    key : int
        Distinguishes subsets, so that each model has its own stream of random numbers.
    drop : torch.Tensor of shape (n_samples, n_modalities), optional
        Drop probabilities in training, in place of ``modality_dropout``.
    weight : torch.Tensor of shape (n_samples,), optional
        Of each sample in the loss; mean 1 keeps the step size.
    target : torch.Tensor of shape (n_folds, n_samples), optional
        Probabilities to learn in place of the labels; validation is by label all the same.

    Returns
    -------
    Models
    """
    a = architecture
    folds = torch.tensor([f for f, _ in models])
    streams = [torch.Generator().manual_seed(1_000_003 * s + 1009 * f + key) for f, s in models]
    parameters = _initial(streams, X.shape[2], X.shape[3], a, X.dtype)
    for tensor in parameters.values():
        tensor.requires_grad_()
    optimiser = torch.optim.AdamW(
        parameters.values(), lr=a.learning_rate, weight_decay=a.weight_decay, fused=X.dtype == torch.float32
    )
    rows = [torch.nonzero(training[f]).ravel() for f in folds]
    held = [torch.nonzero(validation[f]).ravel() for f in folds]
    steps = -(-int(training.sum(1).max()) // a.batch_size)
    best = torch.full((len(models),), -1.0)
    kept = {k: v.detach().clone() for k, v in parameters.items()}
    stale = torch.zeros(len(models), dtype=torch.int)
    target = (y.expand(len(X), -1) if target is None else target).to(X.dtype)
    for _ in range(a.epochs):
        order = torch.stack(
            [_shuffled(r, steps * a.batch_size, g) for r, g in zip(rows, streams, strict=True)]
        )
        for batch in order.split(a.batch_size, dim=1):
            seen = _dropped(present[batch], _drop_rate(a, drop, batch, streams), streams)
            logits = _forward(parameters, X[folds[:, None], batch], seen, a, streams)
            loss = F.binary_cross_entropy_with_logits(
                logits,
                target[folds[:, None], batch],
                weight=None if weight is None else weight[batch],
                reduction="none",
            )
            loss = loss.mean(1).sum()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        with torch.no_grad():
            auroc = _validation_auroc(parameters, X, present, y, folds, held, a)
        better = (auroc > best) & (stale < a.patience)
        stale = torch.where(better, 0, stale + (stale < a.patience).int())
        best = torch.where(better, auroc, best)
        for name, tensor in parameters.items():
            kept[name][better] = tensor.detach()[better]
        if (stale >= a.patience).all():
            break
    return Models(kept, tuple(f for f, _ in models), tuple(s for _, s in models), a, tuple(best.tolist()))


@torch.inference_mode()
def logits(
    models: Models, X: torch.Tensor, present: torch.Tensor, rows: torch.Tensor | None = None
) -> torch.Tensor:
    """Return the logits of every model, each on the inputs reduced for its fold.

    Parameters
    ----------
    models : Models
    X : torch.Tensor of shape (n_folds, n_samples, n_modalities, n_features)
    present : torch.Tensor of shape (n_samples, n_modalities), bool
        Also the way to mask: a modality marked absent is not seen.
    rows : torch.Tensor of shape (n_models, n_rows), optional
        Samples that each model scores; all of them by default.

    Returns
    -------
    torch.Tensor of shape (n_models, n_rows)
    """
    folds = torch.tensor(models.fold)
    if rows is None:
        rows = torch.arange(X.shape[1]).expand(len(folds), -1)
    return torch.cat(
        [
            _forward(models.parameters, X[folds[:, None], r], present[r], models.architecture)
            for r in rows.split(4096, dim=1)
        ],
        dim=1,
    )


def _initial(streams, m: int, d: int, a: Architecture, dtype) -> dict[str, torch.Tensor]:
    w = a.width
    together = {"attention": 1, "concat": m + (a.missing == "indicator"), "sequential": 2}
    tokens = together[a.family] * w  # what the feed-forward layer reads at once

    def draw(*shape, fan):
        return torch.stack(
            [(torch.rand(shape, generator=g, dtype=torch.float64) * 2 - 1) / fan**0.5 for g in streams]
        ).to(dtype)

    def constant(value, *shape):
        return torch.full((len(streams), *shape), value, dtype=dtype)

    parameters = {
        "project": draw(m, d, w, fan=d),
        "modality": draw(m, w, fan=w),
        "norm0.scale": constant(1.0, m, w),
        "norm0.shift": constant(0.0, m, w),
        "ff1": draw(tokens, 2 * w, fan=tokens),
        "ff1.bias": constant(0.0, 2 * w),
        "ff2": draw(2 * w, w, fan=2 * w),
        "ff2.bias": constant(0.0, w),
        "head": draw(w, fan=w),
        "head.bias": constant(0.0),
    }
    if a.family == "attention":
        parameters |= {
            "qkv": draw(w, 3 * w, fan=w),
            "out": draw(w, w, fan=w),
            "norm1.scale": constant(1.0, w),
            "norm1.shift": constant(0.0, w),
        }
    if a.pooling == "attention":
        parameters["pool"] = draw(w, fan=w)
    if a.family == "sequential":
        parameters["start"] = draw(w, fan=w)
    if a.missing == "token":
        parameters["token"] = draw(m, w, fan=w)
    if a.missing == "indicator":
        parameters["indicator"] = draw(m, w, fan=m)
    return parameters


def _forward(p, x, seen, a: Architecture, streams=None) -> torch.Tensor:
    """Logits (n_models, batch) of inputs x (n_models, batch, m, d) with presence seen (n_models, batch, m)."""
    g, b, m, d = x.shape
    w = a.width
    if a.missing in ("zero", "mean", "token"):
        x = torch.where(
            seen[..., None], x, 0
        )  # inputs are centred on training rows: zero is the mean before the projection
    h = torch.matmul(x.permute(0, 2, 1, 3), p["project"]).permute(0, 2, 1, 3)
    h = F.layer_norm(h, (w,)) * p["norm0.scale"][:, None] + p["norm0.shift"][:, None] + p["modality"][:, None]
    if a.missing == "zero":
        h = h * seen[..., None]
    if a.missing == "token":
        h = torch.where(seen[..., None], h, p["token"][:, None])
    visible = seen if a.missing in ("mask", "indicator") else torch.ones_like(seen)
    if a.missing == "indicator":
        told = torch.matmul(seen.to(h.dtype), p["indicator"])
        h, visible = torch.cat([h, told[:, :, None]], 2), F.pad(visible, (0, 1), value=True)
        m += 1
    if a.family == "concat":
        pooled = _feed_forward(p, (h * visible[..., None]).reshape(g, b, m * w))
    elif a.family == "sequential":
        pooled = p["start"][:, None].expand(g, b, w)
        for token, there in zip(h.unbind(2), visible.unbind(2), strict=True):
            pooled = pooled + there[..., None] * _feed_forward(p, torch.cat([pooled, token], -1))
    else:
        h = h + _attend(p, h, visible, a)
        h = F.layer_norm(h, (w,)) * p["norm1.scale"][:, None, None] + p["norm1.shift"][:, None, None]
        h = h + _feed_forward(p, h.reshape(g, b * m, w)).reshape(g, b, m, w)
        pooled = _pool(p, h, visible, a)
    if streams is not None and a.dropout:
        keep = (
            torch.stack([torch.rand(pooled.shape[1:], generator=s, dtype=torch.float32) for s in streams])
            >= a.dropout
        )
        pooled = pooled * keep / (1 - a.dropout)
    # a sample with nothing visible keeps only the bias
    pooled = pooled * visible.any(-1, keepdim=True)
    return (pooled * p["head"][:, None]).sum(-1) + p["head.bias"][:, None]


def _feed_forward(p, h):
    return torch.baddbmm(
        p["ff2.bias"][:, None], F.gelu(torch.baddbmm(p["ff1.bias"][:, None], h, p["ff1"])), p["ff2"]
    )


def _attend(p, h, visible, a: Architecture):
    g, b, m, w = h.shape
    q, k, v = (
        torch.bmm(h.reshape(g, b * m, w), p["qkv"])
        .reshape(g * b, m, 3, a.heads, w // a.heads)
        .permute(2, 0, 3, 1, 4)
    )
    score = q @ k.transpose(-1, -2) / (w // a.heads) ** 0.5
    # a large negative number, not -inf: a row with nothing visible must stay finite
    score = score.masked_fill(~visible.reshape(g * b, 1, 1, m), -1e4)
    mixed = (score.softmax(-1) @ v).transpose(1, 2).reshape(g, b * m, w)
    return torch.bmm(mixed, p["out"]).reshape(g, b, m, w)


def _pool(p, h, visible, a: Architecture):
    if a.pooling == "max":
        return h.masked_fill(~visible[..., None], -1e4).amax(2)
    if a.pooling == "attention":
        weight = (h * p["pool"][:, None, None]).sum(-1).masked_fill(~visible, -1e4).softmax(-1)
    else:
        weight = visible / visible.sum(-1, keepdim=True).clamp(min=1)
    return (h * weight[..., None]).sum(2)


def _shuffled(rows, length, stream):
    """Permute rows, and go on with a second permutation up to the length: all models take the same steps."""
    order = torch.cat(
        [rows[torch.randperm(len(rows), generator=stream)] for _ in range(-(-length // len(rows)))]
    )
    return order[:length]


def _drop_rate(a: Architecture, drop, batch, streams):
    """Return the probability of a drop for each model, row and modality, or None where nothing is dropped."""
    if drop is not None:
        return drop[batch]
    if not a.modality_dropout or a.drop_rate == "fixed":
        return a.modality_dropout or None
    draws = torch.stack([torch.rand(batch.shape[1], 1, generator=s) for s in streams])
    return 2 * a.modality_dropout * draws


def _dropped(seen, rate, streams):
    if rate is None:
        return seen
    noise = torch.stack([torch.rand(seen.shape[1:], generator=s) for s in streams])
    kept = seen & (noise >= rate)
    # one present modality always stays: the one with the largest draw
    last = F.one_hot(noise.masked_fill(~seen, -1).argmax(-1), seen.shape[-1]).bool() & seen
    return torch.where(kept.any(-1, keepdim=True), kept, last)


def _validation_auroc(p, X, present, y, folds, held, a):
    out = []
    width = max(len(r) for r in held)
    rows = torch.stack([F.pad(r, (0, width - len(r)), value=int(r[0])) for r in held])
    scores = _forward(p, X[folds[:, None], rows], present[rows], a)
    for score, r in zip(scores, held, strict=True):
        rank = torch.unique(score[: len(r)], return_inverse=True, return_counts=True)
        middle = rank[2].cumsum(0) - (rank[2] - 1) / 2
        positive = y[r] == 1
        n1 = int(positive.sum())
        out.append((middle[rank[1]][positive].sum() - n1 * (n1 + 1) / 2) / (n1 * (len(r) - n1)))
    return torch.stack(out).float()
