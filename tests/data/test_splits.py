import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import StratifiedGroupKFold

from mmlib.data.splits import assign_folds, check_folds, hold_out


def samples(positives, n=200, patients=None):
    frame = pd.DataFrame({"patient_id": [f"p{i % (patients or n)}" for i in range(n)], "label": 0})
    frame.loc[frame.index[:positives], "label"] = 1
    return frame


def folded(*arguments, folds=2, **settings):
    frame = samples(*arguments, **settings)
    return frame.assign(fold=assign_folds(frame, folds=folds))


@pytest.mark.parametrize("n, patients, positive, folds", [(400, 150, 0.3, 5), (300, 300, 0.1, 3), (500, 60, 0.5, 10)])
def test_folds_are_those_of_scikit_learn(n, patients, positive, folds):
    rng = np.random.default_rng(n)
    frame = pd.DataFrame({"patient_id": rng.integers(0, patients, n), "label": rng.random(n) < positive})
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=7)
    fold = assign_folds(frame, folds=folds, seed=7).to_numpy()
    for k, (_, tested) in enumerate(splitter.split(frame, frame.label, frame.patient_id)):
        assert np.flatnonzero(fold == k).tolist() == tested.tolist()


def test_whole_patients_are_held_out_with_both_labels():
    frame = folded(60, patients=150)
    held = hold_out(frame, 0, share=0.2)
    assert not held[frame.fold == 0].any() and 0.1 < held.sum() / (frame.fold == 1).sum() < 0.3
    assert frame.label[held].nunique() == 2
    assert not set(frame.patient_id[held]) & set(frame.patient_id[(frame.fold == 1) & ~held])


def test_folds_that_cannot_be_trained_or_tested_are_one_sentence():
    everyone = pd.DataFrame({"labs": np.ones(200, bool), "notes": np.ones(200, bool)})
    check_folds(folded(20), everyone)
    with pytest.raises(ValueError, match="Fold 0 has 1 training samples of the rarer label, too few"):
        check_folds(folded(2), everyone)
    one_sided = samples(20).assign(fold=[0, 2] * 50 + [1] * 100)
    with pytest.raises(ValueError, match="Fold 1 tests samples of one label only"):
        check_folds(one_sided, everyone)
    rare = everyone.assign(notes=np.arange(200) < 45)
    with pytest.raises(
        ValueError, match=r"Outside fold 0, \d+ samples have the modality 'notes'; expected 30 or more"
    ):
        check_folds(folded(20), rare)
