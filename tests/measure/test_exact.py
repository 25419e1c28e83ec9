import numpy as np
import pytest
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from mmlib.measure.exact import effective_number, exact_interval, newcombe_interval

COUNTS = [(0, 12), (2, 55), (7, 7), (30, 61)]


@pytest.mark.parametrize(("events", "total"), COUNTS)
def test_the_exact_interval_is_that_of_clopper_and_pearson(events, total):
    found = [float(end) for end in exact_interval(events, total)]
    assert found == pytest.approx(proportion_confint(events, total, method="beta"), abs=1e-9)


@pytest.mark.parametrize(("first", "other"), list(zip(COUNTS, COUNTS[::-1], strict=True)))
@pytest.mark.parametrize("level", [0.95, 0.9875])
def test_the_interval_of_a_difference_is_newcombes(first, other, level):
    found = [float(end) for end in newcombe_interval(*first, *other, level=level)]
    wanted = confint_proportions_2indep(*first, *other, method="newcomb", alpha=1 - level)
    assert found == pytest.approx(wanted, abs=1e-9)


def test_nobody_gives_no_interval():
    assert np.isnan(exact_interval(0, 0)).all()
    assert np.isnan(newcombe_interval(0, 0, 3, 5)).all()


def test_samples_of_one_patient_count_less():
    patient = np.array([0, 0, 0, 1, 2, 3])
    members = np.array([[True] * 6, [False, False, False, True, True, True], [False] * 6])
    np.testing.assert_allclose(effective_number(patient, members), [36 / 12, 3, 0])
