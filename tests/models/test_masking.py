from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mmlib.core.schema import PLAIN
from mmlib.models import powerset
from mmlib.models.masking import score_patterns, train_masking_regimes
from mmlib.models.names import DROPOUT
from mmlib.models.study import prepare
from tests.models.test_powerset import SMALL
from tests.models.test_study import cohort_and_embeddings


@pytest.fixture(scope="module")
def study():
    return prepare(*cohort_and_embeddings(), dimensions=4)


@pytest.fixture(scope="module")
def trained(study):
    return powerset.train_powerset(study, SMALL, seeds=2)


def test_stored_models_score_as_before(study, trained):
    scores, full = trained
    run = SimpleNamespace(
        read=lambda name: full.parameters, settings=lambda notebook: {"seeds": 2, "architecture": vars(SMALL)}
    )
    restored = powerset.load_models(run)
    assert (restored.fold, restored.seed, restored.architecture) == (full.fold, full.seed, SMALL)
    masking = score_patterns({"plain": restored}, study)
    np.testing.assert_allclose(
        masking.score.sel(regime="plain", pattern="a+b+c"), scores.score.sel(subset="a+b+c"), atol=1e-6
    )
    np.testing.assert_allclose(
        masking.threshold.sel(regime="plain"), scores.threshold.sel(subset="a+b+c"), atol=1e-6
    )
    lacking = ~study.present[:, 1].numpy()
    with_b, without = masking.score.sel(regime="plain", pattern=["a+b", "a"]).transpose("pattern", ...).values
    np.testing.assert_allclose(with_b[:, lacking], without[:, lacking], atol=1e-6)


def test_five_regimes_and_the_plain_ones_share_weights(study, trained):
    regimes = train_masking_regimes(study, trained[1], dropout=0.3, seeds=3)
    assert list(regimes) == [PLAIN, "plain, zero", "plain, mean", DROPOUT, "dropout, token"]
    plain, zero = regimes[PLAIN], regimes["plain, zero"]
    assert torch.equal(plain.parameters["qkv"], zero.parameters["qkv"])
    assert torch.equal(plain.parameters["qkv"][:6], trained[1].parameters["qkv"])
    again = powerset.fit(study, SMALL, seeds=[2], key=7)
    torch.testing.assert_close(plain.parameters["qkv"][6:], again.parameters["qkv"])
    assert "token" in regimes["dropout, token"].parameters
