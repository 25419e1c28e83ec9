from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.stats import norm
from scipy.stats import t as student

from mmlib.measure.bootstrap import percentile_interval, simultaneous_interval, widen
from mmlib.measure.estimates import Estimate, estimate, simultaneous_rows, stack

RNG = np.random.default_rng(0)
DRAWS, SEEDS = RNG.normal(0.7, 0.05, (201, 3, 2)), RNG.normal(0.7, 0.02, (3, 3, 2))
LABELS = {"subset": ["a", "b", "a+b"], "group": ["f", "x"]}
TPR = estimate(DRAWS, LABELS, spread=SEEDS, n=[40, 60], n_positive=[20, 30], name="tpr", attribute="sex")


def test_a_paired_difference_is_taken_resample_by_resample():
    change = TPR.sel(subset="a+b", group="f") - TPR.sel(subset="a", group="f")
    np.testing.assert_array_equal(change.values, DRAWS[:, 2, 0] - DRAWS[:, 0, 0])
    np.testing.assert_array_equal(change.spread, SEEDS[:, 2, 0] - SEEDS[:, 0, 0])
    assert float(-change) == -float(change)
    assert float(change + change) == 2 * float(change)
    assert (change.n, change.n_positive) == (40, 20)


def test_other_labels_do_not_pair():
    with pytest.raises(ValueError):
        TPR.sel(subset=["a", "b"]) - TPR.sel(subset=["a", "a+b"])


def test_the_interval_is_that_of_percentiles_widened_by_retraining():
    low, high = TPR.interval()
    wanted = widen(DRAWS[0], *percentile_interval(DRAWS), SEEDS.std(axis=0, ddof=1), 3, freedom=2)
    np.testing.assert_array_equal(low, wanted[0])
    np.testing.assert_array_equal(high, wanted[1])
    alone = estimate(DRAWS, LABELS)
    np.testing.assert_allclose(alone.interval()[0], np.quantile(DRAWS[1:], 0.025, axis=0))


def test_a_simultaneous_interval_covers_the_dimensions_that_are_named():
    error = SEEDS.std(axis=0, ddof=1) / np.sqrt(3) * student.ppf(0.975, 2) / norm.ppf(0.975)
    low, _ = TPR.interval(simultaneous="group")
    np.testing.assert_array_equal(low, simultaneous_interval(DRAWS, se_retrain=error)[0])
    low, _ = TPR.interval(simultaneous=True)
    wanted = simultaneous_interval(DRAWS.reshape(201, 6), se_retrain=error.ravel())[0]
    np.testing.assert_array_equal(low, wanted.reshape(3, 2))
    low, _ = TPR.interval(simultaneous="subset")
    wanted = simultaneous_interval(DRAWS.transpose(0, 2, 1), se_retrain=error.T)[0].T
    np.testing.assert_array_equal(low, wanted)


def test_too_many_undefined_resamples_give_no_interval():
    draws = DRAWS[:, 0, 0].copy()
    draws[1:20] = np.nan
    low, high = estimate(draws).interval()
    assert np.isnan(low) and np.isnan(high)
    assert estimate(draws).clear() == 0


def test_retraining_variance_is_pooled_and_a_part_keeps_it():
    pooled = TPR.pool("subset")
    variance = np.tile(SEEDS.var(axis=0, ddof=1).mean(axis=0), (3, 1))
    np.testing.assert_allclose(pooled.s_retrain, np.sqrt(variance))
    assert (TPR.freedom, pooled.freedom) == (2, 6)
    part = pooled.sel(subset="a", group="f")
    assert float(part.s_retrain) == pytest.approx(np.sqrt(variance[0, 0])) and part.freedom == 6
    change = pooled.sel(subset="b", group="f") - part
    assert float(change.s_retrain) == pytest.approx(np.sqrt(2 * variance[0, 0])) and change.freedom == 6
    low, _ = part.interval()
    wanted = widen(DRAWS[0, 0, 0], *percentile_interval(DRAWS[:, 0, 0]), np.sqrt(variance[0, 0]), 3, freedom=6)
    assert float(low) == pytest.approx(float(wanted[0]))
    step = pooled.map([[-1, 0, 1]], "subset", "modality", ["b"])
    np.testing.assert_allclose(step.s_retrain, np.sqrt(2 * variance[:1]))


def test_no_interval_leaves_the_range_of_the_quantity():
    rate = replace(estimate([0.98, 0.9, 1.0, 0.97], spread=[0.9, 0.98, 1.06]), bounds=(0.0, 1.0))
    assert rate.interval()[1] == 1.0
    change = rate - replace(estimate([0.02, 0.0, 0.1, 0.03], spread=[0.1, -0.06, 0.02]), bounds=(0.0, 1.0))
    assert change.bounds == (-1.0, 1.0) and change.interval()[1] == 1.0
    assert (-rate).bounds == (-1.0, 0.0)


def test_few_events_have_an_exact_interval_and_widen_nobody_elses():
    few = xr.DataArray([False, True], {"group": ["f", "x"]}, ("group",))
    ends = tuple(xr.DataArray([np.nan, end], {"group": ["f", "x"]}, ("group",)) for end in (0.1, 0.9))
    one = estimate(DRAWS[:, 0], {"group": ["f", "x"]})
    mixed = replace(one, small=few, exact=ends)
    low, high = mixed.interval(simultaneous=True)
    alone = one.sel(group=["f"]).interval(simultaneous=True)
    assert (low.values.tolist(), high.values.tolist()) == ([float(alone[0][0]), 0.1], [float(alone[1][0]), 0.9])
    assert mixed.interval()[0].values[1] == 0.1 and mixed.frame().small.tolist() == [False, True]
    change = mixed - mixed
    assert np.isnan(change.interval()[0].values[1]) and change.small.values.tolist() == [False, True]


def test_signs_are_clear_where_the_interval_excludes_zero():
    steps = estimate(np.array([[1.0, 0.0, -1.0], [0.9, -1, -0.9], [1.1, 1, -1.1]]), {"step": ["up", "no", "down"]})
    assert steps.clear().values.tolist() == [1, 0, -1]


def test_linear_combinations_keep_resamples_and_seeds():
    step = TPR.map([[-1, 0, 1]], "subset", "modality", ["b"])
    assert step.dims == ("modality", "group") and step.labels("modality") == ["b"]
    np.testing.assert_allclose(step.values[:, 0], DRAWS[:, 2] - DRAWS[:, 0])
    np.testing.assert_allclose(step.spread[:, 0], SEEDS[:, 2] - SEEDS[:, 0])


def test_rows_carry_labels_sizes_and_both_errors():
    frame = TPR.frame(simultaneous="group")
    assert list(frame) == (
        ["metric", "attribute", "group", "reference", "subset", "estimate", "low", "high"]
        + ["se_patients", "se_retrain", "n", "n_positive", "primary"]
    )
    row = frame[(frame.subset == "b") & (frame.group == "x")].iloc[0]
    assert (row.metric, row.attribute, row.n, row.n_positive) == ("tpr", "sex", 60, 30)
    assert row.se_retrain == pytest.approx(SEEDS[:, 1, 1].std(ddof=1) / np.sqrt(3))
    one = TPR.sel(subset="b", group="x")
    assert one.frame()[["subset", "group"]].values.tolist() == [["b", "x"]]
    assert one.label == "x (n=60, 30 positive)"
    assert estimate(DRAWS[:, 0, 0], name="auroc").frame().group.tolist() == ["all"]


def test_quantities_of_several_kinds_become_rows_whose_intervals_hold_at_once():
    found = pd.DataFrame({"metric": ["auroc", "tpr"], "group": ["f", "x"], "field": "crp", "n": [9, 8]})
    found = found.assign(n_positive=5)
    table = simultaneous_rows(found, DRAWS[:, 0], attribute="sex")
    low, high = simultaneous_interval(DRAWS[:, 0])
    np.testing.assert_array_equal(table[["low", "high"]], np.stack([low, high], axis=1))
    assert table[["metric", "attribute", "group", "field", "n"]].values.tolist() == [
        ["auroc", "sex", "f", "crp", 9],
        ["tpr", "sex", "x", "crp", 8],
    ]
    assert list(simultaneous_rows(found[:0], DRAWS[:, 0, :0]).columns) == list(table.columns)


def test_an_estimate_is_written_with_its_interval():
    assert f"{estimate([0.5, 0.5, 0.5]):.2f}" == "0.50\u00a0[0.50,\u00a00.50]"
    assert f"{estimate([0.5, np.nan, np.nan]):.2f}" == "0.50\u00a0(no\u00a0interval)"


def test_what_is_not_there_is_named():
    with pytest.raises(ValueError, match=r"no subset 'c' among \['a', 'b', 'a\+b'\]"):
        TPR.sel(subset="c")
    with pytest.raises(ValueError, match="no rate 0.5 among"):
        TPR.sel(rate=0.5)
    with pytest.raises(ValueError, match="expected 'resample' first"):
        Estimate(TPR.value)
    with pytest.raises(ValueError, match="resamples give no interval"):
        estimate(DRAWS[:2, 0, 0]).interval()


def test_versus_follows_its_vector():
    both = estimate(DRAWS[:, :2, 0], {"subset": ["b", "c"]})
    both = Estimate(both.values.assign_coords(versus=("subset", np.array(["a", "b"], dtype=object))))
    frame = both.sel(subset=["c"]).frame()
    assert frame[["subset", "versus"]].values.tolist() == [["c", "b"]] and list(frame)[-1] == "versus"
    assert isinstance(frame, pd.DataFrame)


def test_estimates_side_by_side_keep_resamples_seeds_and_sizes():
    both = stack({"x": TPR, "y": -TPR}, "regime")
    assert both.dims == ("regime", "subset", "group") and both.labels("regime") == ["x", "y"]
    np.testing.assert_array_equal(both.sel(regime="y").values, -DRAWS)
    np.testing.assert_array_equal(both.sel(regime="x").spread, SEEDS)
    frame = both.frame()
    assert frame[["regime", "group", "n"]].iloc[-1].tolist() == ["y", "x", 60] and len(frame) == 12
    alone = stack({"x": TPR, "y": estimate(DRAWS, LABELS)}, "regime")
    assert alone.spread is None
    with pytest.raises(ValueError):
        stack({"x": TPR, "y": TPR.sel(subset=["a", "b"])}, "regime")
