"""The network itself: logits of many models at once, samples on the last axis of every array.

A model turns modality vectors into tokens (linear projection, layer norm, a learned modality embedding), lets
them attend to each other with absent ones masked, and reads a logit off the pooled present tokens.
``family="concat"`` replaces attention by a two-layer perceptron on the concatenated tokens;
``family="sequential"`` updates a state by one modality after another, and an absent one leaves it as it is
[Swamy2023]_.

With a handful of tokens of a few numbers each, attention by matrix products is thousands of products of 5 x 8
matrices. With samples last it is a few sums over long vectors instead, which is why the layout is as it is
and attention brings its own derivative.
"""

import torch
from torch.nn import functional as F

HIDDEN = -1e4  # added to the attention score of an absent token; not -inf: all may be absent


def initial(streams, modalities: int, features: int, a, dtype) -> dict[str, torch.Tensor]:
    """Initial parameters of one model per random stream.

    Parameters
    ----------
    streams : sequence of torch.Generator
    modalities, features : int
    a : mmlib.models.fusion.Architecture
    dtype : torch.dtype

    Returns
    -------
    dict of str to torch.Tensor
        Each with a leading model axis.
    """
    m, d, w = modalities, features, a.width
    together = {"attention": 1, "concat": m + (a.absent == "indicator"), "sequential": 2}
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
    if a.absent == "token":
        parameters["token"] = draw(m, w, fan=w)
    if a.absent == "indicator":
        parameters["indicator"] = draw(m, w, fan=m)
    return parameters


def forward(p, x, seen, a, keep=None) -> torch.Tensor:
    """Logits of many networks, each on its own inputs.

    Parameters
    ----------
    p : dict of str to torch.Tensor
        As from `initial`.
    x : torch.Tensor of shape (n_models, n_modalities, n_samples, n_features)
    seen : torch.Tensor of shape (n_models, n_modalities, n_samples), bool
    a : mmlib.models.fusion.Architecture
    keep : torch.Tensor of shape (n_models, width, n_samples), bool, optional
        What dropout leaves of the pooled vectors.

    Returns
    -------
    torch.Tensor of shape (n_models, n_samples)
    """
    return read_tokens(p, tokens(p, x), seen, a, keep)


def tokens(p, x) -> torch.Tensor:
    """Token of every modality of every sample, before anything is masked.

    Parameters
    ----------
    p, x
        As in `forward`.

    Returns
    -------
    torch.Tensor of shape (n_models, n_modalities, width, n_samples)
    """
    g, m, b, d = x.shape
    h = torch.bmm(p["project"].reshape(g * m, d, -1).mT, x.reshape(g * m, b, d).mT).reshape(g, m, -1, b)
    return _normalised(h, 2) * p["norm0.scale"][..., None] + _mean_token(p)


def read_tokens(p, h, seen, a, keep=None) -> torch.Tensor:
    """Logits that the networks read off the tokens of modalities that are seen.

    Parameters
    ----------
    p, seen, a, keep
        As in `forward`.
    h : torch.Tensor of shape (n_models, n_modalities, width, n_samples)
        From `tokens`; what it holds where a modality is not seen does not matter.

    Returns
    -------
    torch.Tensor of shape (n_models, n_samples)
    """
    g, m, w, b = h.shape
    there = seen[:, :, None]
    if a.absent == "zero":
        h = torch.where(there, h, 0)
    if a.absent == "mean":  # inputs are centred on training rows: zero is the mean before the projection
        h = torch.where(there, h, _mean_token(p))
    if a.absent == "token":
        h = torch.where(there, h, p["token"][..., None])
    visible = seen if a.absent in ("mask", "indicator") else torch.ones_like(seen)
    if a.absent == "indicator":
        told = torch.bmm(p["indicator"].mT, seen.to(h.dtype))
        h, visible = torch.cat([h, told[:, None]], 1), F.pad(visible, (0, 0, 0, 1), value=True)
        m += 1
    if a.family == "concat":
        pooled = _feed_forward(p, (h * visible[:, :, None]).reshape(g, m * w, b))
    elif a.family == "sequential":
        pooled = p["start"][..., None].expand(g, w, b)
        for token, seen in zip(h.unbind(1), visible.unbind(1), strict=True):
            pooled = pooled + seen[:, None] * _feed_forward(p, torch.cat([pooled, token], 1))
    else:
        h = h.transpose(1, 2).reshape(g, w, m * b)
        h = h + attend(p, h, visible, a.heads)
        h = _normalised(h, 1) * p["norm1.scale"][..., None] + p["norm1.shift"][..., None]
        h = h + _feed_forward(p, h)
        pooled = _pool(p, h.reshape(g, w, m, b), visible, a.pooling)
    if keep is not None:
        pooled = pooled * keep / (1 - a.dropout)
    # a sample with nothing visible keeps only the bias
    pooled = pooled * visible.any(1, keepdim=True)
    return torch.bmm(p["head"][:, None], pooled)[:, 0] + p["head.bias"][:, None]


def _mean_token(p):
    return (p["norm0.shift"] + p["modality"])[..., None]


def attend(p, h, visible, heads: int) -> torch.Tensor:
    """Tokens ``h`` (n_models, width, n_modalities * n_samples) after self-attention; same shape."""
    g, w, _ = h.shape
    m, b = visible.shape[1:]
    qkv = torch.bmm(p["qkv"].mT, h).reshape(g, 3, heads, w // heads, m, b)
    mixed = _Attention.apply(qkv, visible)
    return torch.bmm(p["out"].mT, mixed.reshape(g, w, m * b))


def _feed_forward(p, h):
    hidden = F.gelu(torch.baddbmm(p["ff1.bias"][..., None], p["ff1"].mT, h))
    return torch.baddbmm(p["ff2.bias"][..., None], p["ff2"].mT, hidden)


def _pool(p, h, visible, pooling):
    if pooling == "max":
        return h.masked_fill(~visible[:, None], HIDDEN).amax(2)
    if pooling == "attention":
        weight = (h * p["pool"][..., None, None]).sum(1).masked_fill(~visible, HIDDEN).softmax(1)
    else:
        weight = visible / visible.sum(1, keepdim=True).clamp(min=1)
    return (h * weight[:, None]).sum(2)


def _normalised(x, axis):
    """Layer norm over any axis; torch has it for the last one only."""
    x = x - x.mean(axis, keepdim=True)
    return x * (x.square().mean(axis, keepdim=True) + 1e-5).rsqrt()


class _Attention(torch.autograd.Function):
    """Softmax attention of qkv (models, 3, heads, size, tokens, samples); sums run over long vectors of samples."""

    @staticmethod
    def forward(ctx, qkv, visible):
        q, k, v = qkv.unbind(1)
        g, heads, size, m, b = q.shape
        score = torch.where(visible, 0.0, HIDDEN).to(q.dtype)[:, None, None].expand(g, heads, m, m, b)
        weight = _outer(score.clone(), q, k, size**-0.5).softmax(3)
        ctx.save_for_backward(qkv, weight)
        return _blend(torch.zeros_like(v), weight, v)

    @staticmethod
    def backward(ctx, slope):
        qkv, weight = ctx.saved_tensors
        q, k, v = qkv.unbind(1)
        rate = q.shape[2] ** -0.5
        of_weight = _outer(torch.zeros_like(weight), slope, v)
        of_score = weight * (of_weight - (of_weight * weight).sum(3, keepdim=True))
        of_qkv = torch.zeros_like(qkv)
        _blend(of_qkv[:, 0], of_score, k, rate)
        _blend(of_qkv[:, 1], of_score.transpose(2, 3), q, rate)
        _blend(of_qkv[:, 2], weight.transpose(2, 3), slope)
        return of_qkv, None


def _outer(total, left, right, factor=1.0):
    """Add the products of every left with every right token to ``total`` (models, heads, left, right, samples)."""
    for i in range(left.shape[2]):
        total.addcmul_(left[:, :, i, :, None], right[:, :, i, None], value=factor)
    return total


def _blend(total, weight, tokens, factor=1.0):
    """Add ``tokens`` weighted by ``weight`` (models, heads, to, from, samples) to ``total``, shaped as they are."""
    for j in range(tokens.shape[3]):
        total.addcmul_(weight[:, :, None, :, j], tokens[:, :, :, j, None], value=factor)
    return total
