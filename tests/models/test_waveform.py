import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from mmlib.models import waveform
from mmlib.models.study import prepare
from mmlib.models.waveform import HIDDEN, learn_signals
from tests.models.test_study import cohort_and_embeddings


@pytest.fixture(scope="module")
def planted():
    """Signals of which the label is whether a wave stands in the first lead; the last recording is absent."""
    cohort, embeddings = cohort_and_embeddings()
    rng = np.random.default_rng(1)
    signals = rng.normal(0, 0.3, (len(cohort), 3, 100)).astype(np.float32)
    wave = np.sin(np.arange(100) / 3)
    signals[cohort.label == 1, 0] += wave
    signals[-1] = np.nan
    signals[0, 2] = np.nan
    return cohort, prepare(cohort, embeddings, dimensions=4), signals


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(waveform, "EPOCHS", 8)
    monkeypatch.setattr(waveform, "BATCH", 16)


def test_a_wave_is_learnt_and_its_vector_stands_for_the_signal(planted):
    cohort, study, signals = planted
    labels = np.column_stack([cohort.label, 1 - cohort.label])
    scores, learned = learn_signals(signals, labels, study)
    assert roc_auc_score(labels[:-1], scores[:-1]) > 0.98
    assert np.isnan(scores[-1]).all() and not learned.present[-1] and (learned.X[:, -1] == 0).all()
    assert learned.modalities == ("signal",) and learned.X.shape == (3, len(cohort), 1, HIDDEN)
    assert study.join(learned).modalities == ("a", "b", "c", "signal")


@pytest.fixture
def threads_kept():
    """Afterwards torch has as many threads as before."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_the_same_seed_gives_the_same_numbers_with_one_thread_and_with_several(planted, monkeypatch, threads_kept):
    cohort, study, signals = planted
    monkeypatch.setattr(waveform, "EPOCHS", 2)
    found = []
    for threads in (1, 3, 3):
        torch.set_num_threads(threads)
        found.append(learn_signals(signals, cohort[["label"]].to_numpy(), study)[0])
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_no_label_of_a_tested_patient_reaches_its_fold(planted, monkeypatch):
    cohort, study, signals = planted
    monkeypatch.setattr(waveform, "EPOCHS", 2)
    labels = cohort[["label"]].to_numpy()
    turned = labels.copy()
    turned[study.fold == 1] = 1 - turned[study.fold == 1]
    (scores, learned), (others, changed) = (learn_signals(signals, y, study) for y in (labels, turned))
    np.testing.assert_array_equal(scores[study.fold == 1], others[study.fold == 1])
    assert torch.equal(learned.X[1], changed.X[1]) and not torch.equal(learned.X[0], changed.X[0])
