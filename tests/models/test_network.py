import pytest
import torch
from torch.nn import functional as F

from mmlib.models import fusion, network
from mmlib.models.fusion import Architecture


def draw(modalities, features, a, dtype=torch.float64, models=1):
    streams = [torch.Generator().manual_seed(s) for s in range(models)]
    return network.initial(streams, modalities, features, a, dtype)


def test_attention_is_that_of_torch():
    torch.manual_seed(0)
    a = Architecture(width=8, heads=2)
    p = draw(3, 6, a)
    h, seen = torch.randn(50, 3, 8, dtype=torch.float64), torch.rand(50, 3) > 0.3
    seen[:, 0] = True
    layer = torch.nn.MultiheadAttention(8, 2, batch_first=True, bias=False, dtype=torch.float64)
    with torch.no_grad():
        layer.in_proj_weight.copy_(p["qkv"][0].T)
        layer.out_proj.weight.copy_(p["out"][0].T)
        expected, _ = layer(h, h, h, key_padding_mask=~seen)
    mixed = network.attend(p, h.permute(2, 1, 0).reshape(1, 8, 150), seen.T[None], a.heads)
    torch.testing.assert_close(mixed.reshape(8, 3, 50).permute(2, 1, 0), expected)


def test_attention_has_the_derivative_that_differences_give():
    torch.manual_seed(0)
    p, seen = draw(4, 6, Architecture(width=6, heads=2), models=2), torch.rand(2, 4, 5) > 0.3
    seen[0, :, 0] = False
    h = torch.randn(2, 6, 4 * 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: network.attend(p, t, seen, 2), h)


def test_logits_are_those_of_torch_layers():
    """The whole network again, one model and samples first, from the modules that torch has."""
    torch.manual_seed(0)
    a = Architecture(width=8, heads=2)
    p = draw(3, 6, a, models=2)
    p = {k: v + 0.1 * torch.randn_like(v) for k, v in p.items()}
    x, seen = torch.randn(2, 3, 40, 6, dtype=torch.float64), torch.rand(2, 3, 40) > 0.3
    seen[:, 0] = True
    for i, logit in enumerate(network.forward(p, x, seen, a)):
        q, present = {k: v[i] for k, v in p.items()}, seen[i].T
        h = torch.einsum("mbd,mdw->bmw", x[i], q["project"])
        h = torch.stack(
            [F.layer_norm(h[:, m], (8,), q["norm0.scale"][m], q["norm0.shift"][m]) for m in range(3)], 1
        )
        h = h + q["modality"]
        mixed, _ = F.multi_head_attention_forward(
            *[h.transpose(0, 1)] * 3,
            8,
            2,
            q["qkv"].T,
            None,
            None,
            None,
            False,
            0.0,
            q["out"].T,
            None,
            key_padding_mask=~present,
        )
        h = F.layer_norm(h + mixed.transpose(0, 1), (8,), q["norm1.scale"], q["norm1.shift"])
        h = h + F.gelu(h @ q["ff1"] + q["ff1.bias"]) @ q["ff2"] + q["ff2.bias"]
        pooled = (h * present[..., None]).sum(1) / present.sum(1, keepdim=True)
        torch.testing.assert_close(logit, pooled @ q["head"] + q["head.bias"])


@pytest.mark.parametrize("absent", fusion.ABSENT)
@pytest.mark.parametrize("pooling", fusion.POOLINGS)
@pytest.mark.parametrize("family", fusion.FAMILIES)
def test_a_sample_with_nothing_is_finite_and_gives_no_gradient_that_is_not(family, pooling, absent):
    a = Architecture(width=8, heads=2, family=family, pooling=pooling, absent=absent)
    p = draw(3, 6, a, torch.float32)
    for tensor in p.values():
        tensor.requires_grad_()
    seen = torch.tensor([[[False, True], [False, False], [False, False]]])
    logit = network.forward(p, torch.randn(1, 3, 2, 6), seen, a)
    logit.sum().backward()
    assert torch.isfinite(logit).all()
    assert all(torch.isfinite(t.grad).all() for t in p.values() if t.grad is not None)
    if absent == "mask":
        assert torch.equal(logit[:, 0], p["head.bias"])
