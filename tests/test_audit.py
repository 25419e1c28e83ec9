import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from statsmodels.stats.proportion import proportion_confint

from mmlib import audit

SAMPLES = pd.DataFrame({"label": [1, 0, 0, 1, 1, 0], "sex": ["f", "f", "f", "m", "m", "m"]})
RECORDED = pd.DataFrame({"labs": [True, True, False, False, False, True], "age": [True] * 6})


def test_groups_are_counted_with_wilsons_interval():
    sizes = audit.group_sizes(SAMPLES, ["sex"]).set_index("group")
    assert sizes.loc["all", ["n", "n_positive"]].tolist() == [6, 3]
    assert sizes.loc["m", ["n", "n_positive"]].tolist() == [3, 2]
    assert (sizes.loc["m", "low"], sizes.loc["m", "high"]) == proportion_confint(2, 3, method="wilson")


def test_presence_by_group():
    shares = audit.presence(RECORDED, SAMPLES, ["sex"]).set_index(["name", "group"]).rate
    assert shares["labs", "f"] == pytest.approx(2 / 3)
    assert shares["age", "m"] == 1


def test_presence_is_compared_with_the_label():
    table = audit.presence_and_label(RECORDED, SAMPLES.label)
    assert table.name.tolist() == ["labs"]  # age is always there
    row = table.iloc[0]
    assert (row.n_present, row.rate_present, row.rate_absent) == (
        3,
        pytest.approx(1 / 3),
        pytest.approx(2 / 3),
    )
    assert row.auroc == roc_auc_score(SAMPLES.label, RECORDED.labs)
    assert np.isfinite(row.auroc)
