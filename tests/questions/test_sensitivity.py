from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from sklearn.metrics import roc_auc_score

from mmlib.measure.bootstrap import percentile_interval, resample_patients, widen
from mmlib.measure.evaluation import evaluate
from mmlib.measure.groups import Groups
from mmlib.measure.ranking import auroc
from mmlib.models.fusion import Architecture
from mmlib.models.study import Study
from mmlib.questions import sensitivity

N, RNG = 120, np.random.default_rng(0)
COHORT = pd.DataFrame({"label": RNG.integers(0, 2, N), "fold": 0, "sex": RNG.choice(["f", "m"], N)})
COHORT["patient_id"] = range(N)
GROUPS = Groups({"sex": "m"}, {"sex": "f"})


def scores(key, names, seeds):
    """Random scores and a threshold of one half."""
    score = xr.DataArray(RNG.random((seeds, len(names), N)), {key: names}, ("seed", key, "sample"))
    labels, half = {key: names, "rule": ["prevalence"]}, np.full((seeds, len(names), 1, 1), 0.5)
    cut = xr.DataArray(half, labels, ("seed", key, "fold", "rule"))
    return xr.Dataset({"score": score, "threshold": cut})


def evaluated(powerset):
    weights = resample_patients(COHORT.patient_id, 40)
    cut = powerset.threshold.sel(rule="prevalence")
    return evaluate(powerset.score, cut, COHORT, weights, groups=GROUPS, ranking={"auroc": []})


def test_variants_borrow_the_retraining_spread_of_the_unchanged_model():
    powerset, varied = scores("subset", ["a", "a+b"], 3), scores("variant", ["as it is", "x"], 1)
    found = sensitivity.compare_variations(varied, COHORT, GROUPS, evaluated(powerset), resamples=40)
    difference = "TPR " + next(iter(evaluated(powerset).contrasts("tpr")))
    assert list(found) == ["AUROC", "difference", difference]
    own = powerset.score.transpose("subset", "seed", "sample").values
    areas = [[roc_auc_score(COHORT.label, s) for s in by_seed] for by_seed in own]
    spread = np.sqrt(np.var(areas, axis=1, ddof=1).mean())  # pooled over the power set
    weights, every = resample_patients(COHORT.patient_id, 40), np.ones((1, N), bool)
    draws = auroc(COHORT.label.to_numpy(), varied.score.values[0], weights, every)[..., 0]
    pairs = (("AUROC", draws[:, 1], 1), ("difference", draws[:, 1] - draws[:, 0], 2))
    for name, values, trainings in pairs:
        estimate = found[name].sel(variant="x")
        expected = widen(values[0], *percentile_interval(values), spread * np.sqrt(trainings), 1, freedom=2 * 2)
        np.testing.assert_allclose(estimate.interval(), expected)
        assert float(estimate) == pytest.approx(values[0])


def test_one_training_of_the_unchanged_model_gives_intervals_over_patients():
    powerset, varied = scores("subset", ["a", "a+b"], 1), scores("variant", ["as it is", "x"], 1)
    none = Groups({"sex": "m"})
    found = sensitivity.compare_variations(varied, COHORT, none, evaluated(powerset), resamples=40)
    assert list(found) == ["AUROC", "difference"] and found["AUROC"].seeds == 1
    assert np.isfinite(found["difference"].interval()).all()


@pytest.fixture(scope="module")
def study():
    """Forty samples of two modalities, in two folds."""
    n, rng = 80, np.random.default_rng(1)
    y, fold = np.arange(n) % 2, np.arange(n) // 2 % 2
    held = (np.arange(n) // 4 % 4 == 0) & (fold != np.arange(2)[:, None])
    X = torch.tensor(rng.normal(size=(2, n, 2, 3)), dtype=torch.float32)
    rest = torch.tensor((fold != np.arange(2)[:, None]) & ~held)
    label, names = torch.tensor(y, dtype=torch.float32), tuple(map(str, range(n)))
    present, kept = torch.ones(n, 2, dtype=bool), np.ones((2, 2))
    return Study(X, present, label, rest, torch.tensor(held), fold, names, ("a", "b"), kept)


def test_one_setting_changes_at_a_time(study):
    model = Architecture(width=4, heads=1, epochs=1, batch_size=40)
    same = replace(study, X=study.X + 0)
    found = sensitivity.train_variations(study, model, {"width": [4, 8], "dropout": [0.5]}, {"other inputs": same})
    names = [sensitivity.UNCHANGED, "width = 4", "width = 8", "dropout = 0.5", "other inputs"]
    assert found.variant.values.tolist() == names
    unchanged = found.score.sel(variant=sensitivity.UNCHANGED)
    for name, equal in zip(names[1:], (True, False, False, True), strict=True):
        assert np.allclose(found.score.sel(variant=name), unchanged) == equal


def test_protected_attributes_become_inputs(encoder_folder, study):
    made = {"cohort": "support2", "root": "", "cohort_options": {"limit": 80}, "drop_fields": []}
    made |= {"protected_inputs": "none", "describers": {}, "flags": True, "not_recorded": False}
    encoding = {"encoder": str(encoder_folder), "unit": "field", "pooling": "mean", "max_length": 16}
    encoding |= {"precision": "fp32", "device": "cpu"}
    samples = sensitivity.load_described(made).samples
    cohort = samples.assign(fold=np.arange(len(samples)) % 2)
    whole = replace(study, samples=tuple(samples.sample_id), cohort=cohort)
    settings = {"dimensions": 2, "validation": 0.3, "seed": 0}
    found = sensitivity.protected_studies(whole, made, encoding, **settings)
    assert list(found) == ["protected inputs: modality", "protected inputs: lineage"]
    own, told = found.values()
    assert own.modalities == (*told.modalities, "protected") and own.samples == told.samples == whole.samples
