from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from mmlib.models import fusion
from mmlib.models.fusion import Architecture


@pytest.fixture(scope="module")
def data():
    """Two folds of 400 samples, three modalities of six features; the label hangs on two of them."""
    torch.manual_seed(0)
    X = torch.randn(2, 400, 3, 6, dtype=torch.float64)
    present = torch.rand(400, 3) > 0.2
    signal = (X[0, :, 0, 0] * present[:, 0] + X[0, :, 1, 1] * present[:, 1]) * 2
    X[1] = X[0]
    y = (torch.rand(400) < torch.sigmoid(signal)).to(torch.float64)
    group = torch.arange(400) % 4
    training = torch.stack([group > 1, (group == 0) | (group == 3)])
    validation = torch.stack([group == 1, group == 2])
    return X, present, y, training, validation


PAIRS = [(0, 0), (1, 0), (0, 1)]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"family": "concat"},
        {"modality_dropout": 0.3, "absent": "token"},
        {"pooling": "attention", "absent": "zero"},
        {"family": "sequential", "modality_dropout": 0.5, "drop_rate": "varied"},
        {"absent": "indicator"},
    ],
)
def test_a_model_trained_in_a_batch_equals_its_lone_twin(data, settings):
    a = Architecture(width=8, heads=2, epochs=2, batch_size=64, dropout=0.2, **settings)
    together = fusion.train(*data, models=PAIRS, architecture=a, key=3)
    for i, pair in enumerate(PAIRS):
        alone = fusion.train(*data, models=[pair], architecture=a, key=3)
        for name, tensor in alone.parameters.items():
            torch.testing.assert_close(together.parameters[name][i], tensor[0], rtol=1e-9, atol=1e-10)


def test_the_same_seed_gives_the_same_model_and_another_one_another(data):
    a = Architecture(width=8, heads=2, epochs=1)
    one, two = (fusion.train(*data, models=PAIRS, architecture=a).parameters["head"] for _ in range(2))
    assert torch.equal(one, two)
    assert not torch.allclose(one[0], one[2])


@pytest.mark.parametrize("family", fusion.FAMILIES)
def test_what_is_absent_has_no_influence(data, family):
    X, present, *_ = data
    models = fusion.train(
        *data, models=PAIRS, architecture=Architecture(family=family, width=8, heads=2, epochs=1)
    )
    noise = torch.where(present[None, ..., None], X, 99.0)
    torch.testing.assert_close(fusion.logits(models, X, present), fusion.logits(models, noise, present))
    silent = fusion.logits(models, X, torch.zeros_like(present))
    torch.testing.assert_close(silent, models.parameters["head.bias"][:, None].expand_as(silent))


def test_the_mean_stands_in_for_what_is_absent(data):
    X, present, *_ = data
    a = Architecture(width=8, heads=2, epochs=1)
    models = fusion.train(*data, models=[(0, 0)], architecture=a)
    as_mean = replace(models, architecture=replace(a, absent="mean"))
    everything = torch.ones_like(present)
    filled = torch.where(present[None, ..., None], X, 0)
    torch.testing.assert_close(fusion.logits(as_mean, X, present), fusion.logits(models, filled, everything))


@pytest.fixture
def steps(monkeypatch):
    """What is present in each step of training, as the network is shown it."""
    shown, forward = [], fusion.forward

    def watched(p, x, seen, a, keep=None):
        if keep is not None:  # in training alone
            shown.append(seen)
        return forward(p, x, seen, a, keep)

    monkeypatch.setattr(fusion, "forward", watched)
    return shown


def test_each_model_stops_once_nothing_improves_and_leaves_the_others_to_go_on(data, steps):
    a = Architecture(width=8, heads=2, epochs=60, patience=2, batch_size=64, learning_rate=0.01)
    in_an_epoch, together = 4, fusion.train(*data, models=PAIRS, architecture=a)
    left, epochs = [len(seen) for seen in steps[::in_an_epoch]], []
    for m, pair in enumerate(PAIRS):
        steps.clear()
        alone = fusion.train(*data, models=[pair], architecture=a)
        epochs.append(len(steps) // in_an_epoch)
        # the last epochs, as many as its patience, changed nothing
        best = fusion.train(*data, models=[pair], architecture=replace(a, epochs=epochs[-1] - a.patience))
        assert alone.best == best.best
        for name, tensor in alone.parameters.items():
            torch.testing.assert_close(best.parameters[name], tensor)
            torch.testing.assert_close(together.parameters[name][m], tensor[0], rtol=1e-6, atol=1e-8)
    assert len(set(epochs)) > 1 and max(epochs) < a.epochs
    assert left == [sum(e >= epoch for e in epochs) for epoch in range(1, max(epochs) + 1)]


def test_how_many_models_share_a_batch_changes_none(data, monkeypatch):
    a = Architecture(width=8, heads=2, epochs=2, batch_size=64)
    together = fusion.train(*data, models=PAIRS, architecture=a)
    monkeypatch.setattr(fusion, "IN_CACHE", 2 * 64 * 3 * 8)
    pairs = fusion.train(*data, models=PAIRS, architecture=a)
    torch.testing.assert_close(together.parameters, pairs.parameters, rtol=1e-9, atol=1e-10)
    assert together.best == pairs.best and together.fold == pairs.fold and together.seed == pairs.seed


def test_it_learns_and_keeps_the_best_epoch(data):
    X, present, y, training, validation = data
    models = fusion.train(*data, models=PAIRS, architecture=Architecture(width=16, epochs=30, batch_size=64))
    scores = fusion.logits(models, X, present).numpy()
    for (fold, _), score, best in zip(PAIRS, scores, models.best, strict=True):
        held = validation[fold].numpy()
        assert roc_auc_score(y[held], score[held]) == pytest.approx(best, abs=1e-6)
        assert best > 0.75


def test_modality_dropout_keeps_at_least_one(data, steps):
    X, present, *rest = data
    a = Architecture(width=8, heads=2, epochs=5, modality_dropout=0.9)
    fusion.train(X, present | (torch.arange(3) == 0), *rest, models=PAIRS, architecture=a)
    assert all(seen.any(1).all() for seen in steps)
    steps.clear()
    everything = torch.ones_like(present)
    fusion.train(X, everything, *rest, models=PAIRS, architecture=replace(a, modality_dropout=0.3))
    rate = 1 - torch.cat(steps, dim=2).double().mean()
    assert rate == pytest.approx(0.3 - 0.3**3 / 3, abs=0.015)


def test_varied_drop_rates_are_uniform_over_samples(data, steps):
    X, present, *rest = data
    a = Architecture(width=8, heads=2, epochs=5, modality_dropout=0.4, drop_rate="varied")
    fusion.train(X, torch.ones_like(present), *rest, models=PAIRS, architecture=a)
    whole = torch.cat(steps, dim=2).all(1).double().mean()
    # the mean of (1 - u)^3 for u between 0 and 0.8; with a fixed rate it would be 0.216
    assert whole == pytest.approx((1 - 0.2**4) / (4 * 0.8), abs=0.03)


@pytest.mark.parametrize("family", fusion.FAMILIES)
def test_a_modality_dropped_from_all_in_training_might_as_well_be_absent(data, family):
    X, present, y, training, validation = data
    drop = torch.tensor([0.0, 0.0, 1.0]).expand(len(y), -1)
    absent = present & torch.tensor([True, True, False])
    training = training & absent.any(1)  # one present modality always stays
    a = Architecture(family=family, width=8, heads=2, epochs=1)
    one, two = (
        fusion.train(X, p, y, training, validation, models=PAIRS, architecture=a, drop=drop)
        for p in (present, absent)
    )
    torch.testing.assert_close(one.parameters, two.parameters)


def test_weights_enter_the_loss(data):
    X, present, y, training, validation = data
    a = Architecture(width=8, heads=2, epochs=1)

    def learn(y, weight):
        return fusion.train(X, present, y, training, validation, models=PAIRS, architecture=a, weight=weight)

    plain = learn(y, None)
    torch.testing.assert_close(learn(y, torch.ones(len(y))).parameters, plain.parameters)
    half = torch.arange(len(y)) % 2 == 0
    silenced = [learn(labels, half * 2.0) for labels in (y, torch.where(half, y, 1 - y))]
    torch.testing.assert_close(silenced[0].parameters, silenced[1].parameters)
    assert not torch.allclose(silenced[0].parameters["head"], plain.parameters["head"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"family": "mlp"}, "family is 'mlp'"),
        ({"drop_rate": "any"}, "drop_rate is 'any'; expected one of fixed, varied"),
        ({"heads": 5}, "heads is 5"),
        ({"modality_dropout": 1}, "modality_dropout is 1"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"pooling": "sum"}, "pooling is 'sum'; expected one of mean, max, attention"),
        ({"absent": "drop"}, "absent is 'drop'; expected one of mask, zero, mean, token, indicator"),
        ({"width": "64"}, "width is '64'; expected a whole number"),
        ({"width": 8.0}, "width is 8.0; expected a whole number"),
        ({"heads": 0}, "heads is 0; expected a whole number, 1 or more"),
        ({"epochs": True}, "epochs is True; expected a whole number"),
        ({"learning_rate": "1e-3"}, "learning_rate is '1e-3'; expected a number"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1; expected a number, 0 or more"),
    ],
)
def test_bad_settings_are_one_sentence(settings, message):
    with pytest.raises(ValueError, match=message):
        Architecture(**settings)
    with pytest.raises(TypeError, match="unexpected keyword argument 'widht'"):
        Architecture(widht=8)


def test_stacked_models_come_apart_again(data):
    models = fusion.train(*data, models=PAIRS, architecture=Architecture(width=8, heads=2, epochs=1))
    again = fusion.join([models.select([0]), models.select([1, 2])])
    assert again.fold == models.fold and again.seed == models.seed
    assert all(torch.equal(again.parameters[k], v) for k, v in models.parameters.items())
    assert np.allclose(again.best, models.best)
