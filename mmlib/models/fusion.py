"""The fusion models, trained many at a time: all folds and seeds of a subset of modalities share one leading axis.

The network is in `mmlib.models.network`. Nothing is shared between models: a model trained in a batch equals the same
model trained alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace

import torch
from torch.nn import functional as F

from mmlib.core.compute import choose_device
from mmlib.models.network import forward, initial, read_tokens, tokens

FAMILIES = ("attention", "concat", "sequential")
POOLINGS = ("mean", "max", "attention")
ABSENT = ("mask", "zero", "mean", "token", "indicator")
DROP_RATES = ("fixed", "varied")
IN_CACHE = 400_000  # numbers in the tokens of one step, all models together
AT_ONCE = 1024  # samples that a GPU scores at once


@dataclass(frozen=True)
class Architecture:
    """Settings of the model and its training that the paper leaves open.

    Parameters
    ----------
    family : {"attention", "concat", "sequential"}
    width, heads : int
        Token size and attention heads; ``heads`` divides ``width``.
    pooling : {"mean", "max", "attention"}
        How tokens become one vector.
    dropout : float
        Dropped share of the pooled vector in training.
    absent : {"mask", "zero", "mean", "token", "indicator"}
        What replaces an absent modality: nothing (masked attention), a zero input, the training mean, a
        learned token, or nothing, with one more token that encodes which modalities are present.
    modality_dropout : float
        Probability with which each present modality of a training sample is dropped, one always staying.
    drop_rate : {"fixed", "varied"}
        Whether that probability is the same for all, or drawn anew for each sample and step, uniformly
        between zero and twice ``modality_dropout``.
    epochs, patience, batch_size : int
        Most epochs, epochs without a better validation AUROC before a model stops, samples per step.
    learning_rate, weight_decay : float
        Of AdamW.

    Examples
    --------
    >>> Architecture(width=16).heads
    4
    """

    family: str = "attention"
    width: int = 32
    heads: int = 4
    pooling: str = "mean"
    dropout: float = 0.1
    absent: str = "mask"
    modality_dropout: float = 0.0
    drop_rate: str = "fixed"
    epochs: int = 30
    patience: int = 2
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
            ("absent", ABSENT),
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
        """Models at the positions ``keep``."""
        index = torch.as_tensor(list(keep))
        return replace(
            self,
            parameters={k: v[index] for k, v in self.parameters.items()},
            fold=tuple(self.fold[i] for i in keep),
            seed=tuple(self.seed[i] for i in keep),
            best=tuple(self.best[i] for i in keep) if self.best else (),
        )


def join(parts: Sequence[Models]) -> Models:
    """Models of one architecture, stacked."""
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
    device: str = "auto",
) -> Models:
    """One trained model per (fold, seed), many of them trained in one batch.

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
    device : str
        ``"auto"`` takes a GPU if there is one. Random numbers are the CPU's in any case.

    Returns
    -------
    Models
        In the memory of the CPU.
    """
    a, device = architecture, choose_device(device)
    y = y.to(X.dtype)
    inputs = _Inputs(_by_modality(X).to(device), present.T.contiguous())
    # All models of a step should stay in the cache of one core; a GPU is fastest with all models at once.
    together = len(models) if device == "cuda" else max(1, IN_CACHE // (X.shape[2] * a.batch_size * a.width))
    parts = [models[i : i + together] for i in range(0, len(models), together)]
    return join([_train(inputs, y, training, validation, part, a, key, drop, weight) for part in parts])


def _train(inputs, y, training, validation, models, a: Architecture, key, drop, weight) -> Models:
    """Models trained in one batch; those that stop early leave it."""
    folds = torch.tensor([f for f, _ in models])
    streams = [torch.Generator().manual_seed(1_000_003 * s + 1009 * f + key) for f, s in models]
    parameters = initial(streams, inputs.X.shape[1], inputs.X.shape[3], a, inputs.X.dtype)
    parameters = {k: v.to(inputs.X.device) for k, v in parameters.items()}
    optimiser = _optimiser(parameters, a)
    rows = [torch.nonzero(training[f]).ravel() for f in folds]
    held = [torch.nonzero(validation[f]).ravel() for f in folds]
    steps = -(-int(training.sum(1).max()) // a.batch_size)
    kept = {k: v.detach().clone() for k, v in parameters.items()}
    best, stale = torch.full((len(models),), -1.0), torch.zeros(len(models), dtype=torch.int)
    active = torch.arange(len(models))  # the model in each place of the batch
    for _ in range(a.epochs):
        mine = [streams[i] for i in active]
        order = torch.stack([_shuffled(rows[i], steps * a.batch_size, streams[i]) for i in active])
        for batch in order.split(a.batch_size, dim=1):
            x, seen = inputs.look_up(folds[active], batch)
            seen = _dropped(seen.mT, _drop_rate(a, drop, batch, mine), mine).mT.to(x.device)
            out = forward(parameters, x, seen, a, _kept(mine, batch.shape[1], a).to(x.device))
            loss = F.binary_cross_entropy_with_logits(
                out,
                y[batch].to(x.device),
                weight=None if weight is None else weight[batch].to(x.device),
                reduction="none",
            )
            optimiser.zero_grad()
            loss.mean(1).sum().backward()
            optimiser.step()
        auroc = _validation_auroc(parameters, inputs, y, folds[active], [held[i] for i in active], a)
        better = auroc > best[active]
        stale[active] = torch.where(better, 0, stale[active] + 1)
        best[active] = torch.where(better, auroc, best[active])
        for name, tensor in parameters.items():
            kept[name][active[better]] = tensor.detach()[better]
        going = stale[active] < a.patience
        if not going.any():
            break
        if not going.all():
            active = active[going]
            parameters, optimiser = _without(parameters, optimiser, going, a)
    found = {k: v.cpu() for k, v in kept.items()}
    return Models(found, tuple(f for f, _ in models), tuple(s for _, s in models), a, tuple(best.tolist()))


@torch.inference_mode()
def logits(
    models: Models,
    X: torch.Tensor,
    present: torch.Tensor,
    rows: torch.Tensor | None = None,
    device: str = "auto",
    patterns: torch.Tensor | None = None,
) -> torch.Tensor:
    """Logits of every model, each on the inputs reduced for its fold.

    Parameters
    ----------
    models : Models
    X : torch.Tensor of shape (n_folds, n_samples, n_modalities, n_features)
    present : torch.Tensor of shape (n_samples, n_modalities), bool
        Also used for masking: the models ignore a modality that is marked absent.
    rows : torch.Tensor of shape (n_models, n_rows), optional
        Samples that each model scores; all of them by default.
    device : str
        As in `train`.
    patterns : torch.Tensor of shape (P, n_modalities), bool, optional
        Modalities that may be seen, all by default. Inputs are read once for all patterns.

    Returns
    -------
    torch.Tensor of shape (n_models, n_rows), or (n_models, P, n_rows) with patterns
    """
    folds, device = torch.tensor(models.fold), choose_device(device)
    if rows is None:
        rows = torch.arange(X.shape[1]).expand(len(folds), -1)
    parameters = {k: v.to(device) for k, v in models.parameters.items()}
    inputs = _Inputs(_by_modality(X).to(device), present.T.contiguous())
    every = torch.ones(1, X.shape[2], dtype=torch.bool) if patterns is None else torch.as_tensor(patterns)
    found = _scores(parameters, inputs, folds, rows, models.architecture, every)
    return found[:, 0] if patterns is None else found


def _by_modality(X):
    """X as (n_folds, n_modalities, n_samples, n_features): a sample's vector is then one row of memory."""
    return X.transpose(1, 2).contiguous()


@dataclass(frozen=True)
class _Inputs:
    """X (n_folds, n_modalities, n_samples, n_features) on its device, present (n_modalities, n_samples) on the CPU."""

    X: torch.Tensor
    present: torch.Tensor

    def look_up(self, folds, rows):
        """Inputs of the rows (n_models, n_rows), each model from its fold, and their presence."""
        _, m, n, d = self.X.shape
        line = (folds[:, None, None] * m + torch.arange(m)[:, None]) * n + rows[:, None]
        x = self.X.reshape(-1, d).index_select(0, line.ravel().to(self.X.device)).reshape(*line.shape, d)
        return x, self.present[:, rows].transpose(0, 1)


def _scores(parameters, inputs, folds, rows, a, patterns):
    numbers, parts = len(folds) * inputs.X.shape[1] * a.width, []  # in the tokens of one sample, all models together
    at_once = AT_ONCE if inputs.X.is_cuda else max(64, IN_CACHE // numbers)
    # where nothing stands in for an absent modality, the others are read alone
    alone = a.absent == "mask" and a.family != "concat"
    for part in rows.split(at_once, dim=1):
        x, seen = inputs.look_up(folds, part)
        h, out = tokens(parameters, x), []
        for pattern in patterns:
            left = torch.nonzero(pattern).ravel() if alone and pattern.any() else torch.arange(len(pattern))
            seen_now = (seen & pattern[:, None])[:, left].to(h.device)
            out.append(read_tokens(parameters, h[:, left.to(h.device)], seen_now, a).cpu())
        parts.append(torch.stack(out, dim=1))
    return torch.cat(parts, dim=2)


def _kept(streams, samples, a: Architecture):
    """Random mask of the pooled vectors (n_models, width, n_samples): False where dropout acts."""
    if not a.dropout:
        return torch.ones(1, 1, 1, dtype=torch.bool)
    noise = torch.stack([torch.rand(samples, a.width, generator=s, dtype=torch.float32) for s in streams])
    return (noise >= a.dropout).mT


def _optimiser(parameters, a: Architecture):
    for tensor in parameters.values():
        tensor.requires_grad_()
    fused = next(iter(parameters.values())).dtype == torch.float32
    return torch.optim.AdamW(parameters.values(), lr=a.learning_rate, weight_decay=a.weight_decay, fused=fused)


def _without(parameters, optimiser, going, a: Architecture):
    """Parameters and optimiser of the models in ``going``, without the others."""
    smaller = {k: v.detach()[going] for k, v in parameters.items()}
    successor = _optimiser(smaller, a)
    for old, new in zip(parameters.values(), smaller.values(), strict=True):
        if state := optimiser.state.get(old):  # a parameter without gradient has none
            moments = {k: v[going] if v.ndim else v for k, v in state.items()}
            successor.state[new] = moments
    return smaller, successor


def _shuffled(rows, length, stream):
    """Permuted rows, repeated with new permutations up to ``length``: all models take the same steps."""
    order = torch.cat(
        [rows[torch.randperm(len(rows), generator=stream)] for _ in range(-(-length // len(rows)))]
    )
    return order[:length]


def _drop_rate(a: Architecture, drop, batch, streams):
    """Probability of a drop for each model, row and modality; None where nothing is dropped."""
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


@torch.no_grad()
def _validation_auroc(p, inputs, y, folds, held, a):
    width = max(len(r) for r in held)
    rows = torch.stack([F.pad(r, (0, width - len(r)), value=int(r[0])) for r in held])
    out = []
    every = torch.ones(1, inputs.X.shape[1], dtype=torch.bool)
    for score, r in zip(_scores(p, inputs, folds, rows, a, every)[:, 0], held, strict=True):
        rank = torch.unique(score[: len(r)], return_inverse=True, return_counts=True)
        middle = rank[2].cumsum(0) - (rank[2] - 1) / 2
        positive = y[r] == 1
        n1 = int(positive.sum())
        out.append((middle[rank[1]][positive].sum() - n1 * (n1 + 1) / 2) / (n1 * (len(r) - n1)))
    return torch.stack(out).float()
