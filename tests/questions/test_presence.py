import numpy as np
import pandas as pd
import pytest
import xarray as xr
from sklearn.metrics import roc_auc_score

from mmlib.core.subsets import subset_masks
from mmlib.measure.bootstrap import resample_patients
from mmlib.questions import presence

RNG = np.random.default_rng(0)
N = 120
Y, HAS = RNG.integers(0, 2, N), RNG.random(N) < 0.6
WEIGHTS = resample_patients(np.arange(N), 30)


def test_matched_auroc_counts_the_pairs_of_one_stratum_by_brute_force():
    scores = np.round(RNG.random((2, N)), 1)
    found = presence.matched_auroc(Y, scores, WEIGHTS, HAS)
    for b in (0, 7):
        won = total = 0.0
        for i in np.flatnonzero(Y == 1):
            for j in np.flatnonzero((Y == 0) & (HAS[i] == HAS)):
                weight = float(WEIGHTS[b, i] * WEIGHTS[b, j])
                total += weight
                won += weight * ((scores[1, i] > scores[1, j]) + (scores[1, i] == scores[1, j]) / 2)
        assert found[b, 1] == pytest.approx(won / total)
    one = presence.matched_auroc(Y, scores, WEIGHTS, np.zeros(N))
    assert one[0] == pytest.approx([roc_auc_score(Y, s) for s in scores])


def test_a_modality_that_only_its_presence_makes_useful_gains_nothing_when_matched():
    y = (RNG.random(N) < np.where(HAS, 0.7, 0.2)).astype(int)
    cohort = pd.DataFrame({"label": y, "present_a": True, "present_b": HAS, "patient_id": range(N)})
    names, _ = subset_masks(["a", "b"])
    noise = 0.5 + 0.1 * RNG.random((2, N))
    score = np.stack([np.full((2, N), 0.5), noise, np.tile(0.4 + 0.2 * HAS, (2, 1)), 0.5 * noise + 0.2 * HAS])
    powerset = xr.Dataset({"score": (("subset", "seed", "sample"), score)}, {"subset": names})
    found = presence.matched_gains(powerset, cohort, resamples=30)
    assert found.seeds == 2 and found.value["present"].values.tolist() == [1, HAS.mean()]
    gains = found.frame().set_index(["modality", "place", "pairs"])
    b = gains.loc["b"]
    assert b.loc[("alone", "all pairs"), "estimate"] > 0.1
    assert b.loc[("alone", "pairs matched in presence"), "estimate"] == pytest.approx(0)
    assert b.loc[("last", "all pairs"), "low"] > 0
    assert b.loc[("last", "pairs matched in presence"), "estimate"] == pytest.approx(0)
    a = gains.loc["a"]  # everybody has it: both are the same
    assert a.xs("all pairs", level="pairs").estimate.tolist() == pytest.approx(
        a.xs("pairs matched in presence", level="pairs").estimate.tolist()
    )
    assert b.n.eq(HAS.sum()).all() and b.n_positive.eq(y[HAS].sum()).all()
