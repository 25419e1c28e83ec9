from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mmlib.core.schema import BINS
from mmlib.questions.binned import widest_addition

ENDS = {"a": (0.02, -0.1, 0.1), "b": (0.01, -0.1, 0.1), "a+b": (0.3, 0.2, 0.4)}


def planted(kind="health", swapped=False):
    """Negatives in bin 10; positives in bin 10 but for a share that each set moves to bin 30, in men and women."""
    rows, moved = [], {"none": (0, 0), "a": (20, 22), "b": (24, 20), "a+b": (40, 70)}
    for subset, shares in moved.items():
        for attribute, groups in {"sex": ("Male", "Female"), "overall": ("all",)}.items():
            for g, group in enumerate(groups):
                above = sum(shares) if group == "all" else shares[g]
                n = 200 if group == "all" else 100
                for label in ("positive", "negative"):
                    counts = dict.fromkeys(BINS, 0)
                    counts["b10"] = n - (above if label == "positive" else 0)
                    counts["b30"] = above if label == "positive" else 0
                    about = {"subset": subset, "attribute": attribute, "group": group, "label": label, "n": n}
                    rows.append(about | counts)
    about = {"kind": "level", "metric": "tpr", "attribute": "sex", "group": "Female", "reference": "Male"}
    level = [about | {"subset": s} | dict(zip(("estimate", "low", "high"), e, strict=True)) for s, e in ENDS.items()]
    tables = {"bins": pd.DataFrame(rows), "rq1": pd.DataFrame(level)}
    return SimpleNamespace(
        title="A run", kind=kind, references={"sex": "Male"}, contrasts={"sex": "Female"}, modalities=("a", "b"),
        table=lambda name: tables[name],
    )  # fmt: skip


def test_the_widest_addition_that_ranks_both_groups_better_is_the_example():
    found = widest_addition({"x": planted()})
    assert (found.start, found.added, found.groups) == ("b", "a+b", ("Male", "Female"))
    assert found.prevalence == 0.5


def test_metrics_of_bins_are_those_of_their_samples():
    found = widest_addition({"x": planted()})
    values = found.metrics("a+b", cut=30)
    assert values["tpr"] == pytest.approx([0.4, 0.7, 0.55]) and values["fpr"] == pytest.approx([0, 0, 0])
    assert values["auroc"] == pytest.approx([0.7, 0.85, 0.775])  # ties count half
    assert values["selection_rate"] == pytest.approx([0.2, 0.35, 0.275])
    assert [found.cut("a+b", share) for share in (0.2, 0.0, 1.0)] == [11, 31, 0]  # of equal shares, the lowest bin
    assert found.error == pytest.approx(0.05)  # of b, -0.04 against 0.01


def test_real_cohorts_come_before_twins_and_without_bins_there_is_nothing():
    none = planted()
    bins = none.table("bins")
    empty = SimpleNamespace(**{**vars(none), "table": lambda name: bins.head(0)})
    assert widest_addition({"x": empty}) is None
    assert widest_addition({"t": planted("synthetic"), "e": empty, "h": planted()}).kind == "health"
    assert np.isfinite(widest_addition({"t": planted("synthetic"), "e": empty}).counts).all()
