import numpy as np
import pytest
import xarray as xr
from sklearn.metrics import roc_auc_score

from mmlib.core.schema import RESULTS
from mmlib.measure.bootstrap import resample_patients
from mmlib.models.fusion import Architecture
from mmlib.models.powerset import train_powerset
from mmlib.models.study import prepare
from mmlib.questions.noise import noise_gains, noise_rows, noise_study, noise_subsets, train_noise
from tests.models.test_study import cohort_and_embeddings

SMALL = Architecture(width=8, heads=2, epochs=4)


@pytest.fixture(scope="module")
def trained():
    """A run of three modalities, and a fourth one; both with two seeds."""
    cohort, embeddings = cohort_and_embeddings()
    rng = np.random.default_rng(9)
    noise = xr.Dataset(
        {
            "embedding": (("sample", "modality", "feature"), rng.normal(size=(300, 1, 6)).astype(np.float32)),
            "present": (("sample", "modality"), np.ones((300, 1), bool)),
        },
        {"sample": embeddings["sample"].values, "modality": ["noise"]},
        {"encoder": "toy"},
    )
    study, control = (prepare(cohort, part, dimensions=4) for part in (embeddings, noise))
    powerset, _ = train_powerset(study, SMALL, seeds=2, subsets=["none", "a", "b", "c", "a+b+c"])
    return powerset, train_noise(study, control, SMALL, seeds=2), cohort, resample_patients(cohort.patient_id, 50)


def test_noise_is_trained_alone_with_each_and_with_all(trained):
    _, noisy, _, _ = trained
    assert noisy.subset.values.tolist() == ["noise", "a+noise", "b+noise", "c+noise", "a+b+c+noise"]
    assert noisy.subset.values.tolist() == list(noise_subsets(["a", "b", "c"]).values())


def test_gains_are_differences_of_auroc_averaged_over_seeds(trained):
    powerset, noisy, cohort, weights = trained
    gains = noise_gains(*trained)
    assert gains.labels("subset") == ["none", "a", "b", "c", "a+b+c"] and gains.freedom == 5
    for name, with_noise in noise_subsets(["a", "b", "c"]).items():
        for row in (0, 3):
            areas = [
                np.mean([roc_auc_score(cohort.label, s, sample_weight=weights[row]) for s in part.values])
                for part in (noisy.score.sel(subset=with_noise), powerset.score.sel(subset=name))
            ]
            assert gains.sel(subset=name).values[row] == pytest.approx(areas[0] - areas[1])
    alone = noisy.score.sel(subset="noise").values
    expected = np.mean([roc_auc_score(cohort.label, s) for s in alone]) - 0.5
    assert float(gains.sel(subset="none")) == pytest.approx(expected)


def test_what_says_nothing_is_not_reported_and_what_says_something_is(trained):
    powerset, noisy, cohort, weights = trained
    gains = noise_gains(*trained)
    assert (gains.clear(simultaneous=True) < 1).all()
    told = noisy.copy(deep=True)
    told.score.values[:] = 0.5 * told.score.values + 0.5 * cohort.label.to_numpy()
    assert (noise_gains(powerset, told, cohort, weights).clear(simultaneous=True) == 1).all()
    frame = RESULTS.validate(gains.frame(simultaneous=True).assign(run="toy"))
    assert (frame.reference == "without noise").all() and frame.low.notna().all()


def test_both_need_the_same_seeds(trained):
    powerset, noisy, cohort, weights = trained
    with pytest.raises(ValueError, match="powerset has 2 seeds and noisy 1; expected as many"):
        noise_gains(powerset, noisy.isel(seed=[0]), cohort, weights)


def test_noise_has_the_samples_and_splits_of_the_study_and_the_presence_rate_of_a_modality(encoder_folder):
    cohort, embeddings = cohort_and_embeddings()
    study = prepare(cohort, embeddings, dimensions=4)
    settings = {"encoder": str(encoder_folder), "unit": "field", "pooling": "mean", "max_length": 32}
    control = noise_study(study, settings | {"precision": "fp32", "device": "cpu"}, like="b", dimensions=4)
    assert control.modalities == ("noise",) and control.samples == study.samples
    assert control.present.sum() == study.present[:, study.modalities.index("b")].sum()
    assert study.join(control).modalities == ("a", "b", "c", "noise")


def test_rows_of_noise_are_told_from_additions(trained):
    rows = RESULTS.validate(noise_rows(noise_gains(*trained)).assign(run="toy"))
    assert rows[["versus", "subset"]].values.tolist() == [
        ["none", "noise"], ["a", "a+noise"], ["b", "b+noise"], ["c", "c+noise"], ["a+b+c", "a+b+c+noise"]
    ]  # fmt: skip
    assert rows.reference.isna().all() and (rows.metric == "auroc").all() and not rows.primary.any()
