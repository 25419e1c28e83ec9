import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from sklearn.metrics import roc_auc_score

from mmlib.measure import bootstrap, evaluate, metrics
from mmlib.questions import additions
from mmlib.show import additions as shown_additions
from mmlib.show import describing as shown_describing

plt.switch_backend("agg")
DRAWS = np.random.default_rng(0).normal(size=(30, 4))


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def contrasts():
    base = {"estimate": 0.1, "low": 0.0, "high": 0.2, "reference": "m", "n": 50}
    rows = [
        base | {"metric": m, "attribute": "sex", "group": g, "n_positive": p}
        for m in ("tpr", "fpr")
        for g, p in (("f", 40), ("x", 5))
    ]
    return pd.DataFrame(rows)


SAMPLES = pd.DataFrame({"label": [1, 0, 0, 1, 1, 0], "sex": ["f", "f", "f", "m", "m", "m"]})
STEPS = additions.additions(["none", "a", "b", "a+b"]).assign(change=[0.1, 0.2, -0.1, 0.05])
STEPS = STEPS.assign(low=STEPS.change - 0.06, high=STEPS.change + 0.06)
POINTS = pd.DataFrame(
    {"rule": ["prevalence"] * 3 + ["half"] * 3, "auroc": [0.5, 0.6, 0.7] * 2, "contrast": [0.1, 0, 0.2] * 2}
).assign(selected=0.3, low=-0.1, high=0.3)
ROWS = contrasts().query("metric == 'tpr' and group == 'f'")
PATH = pd.concat([ROWS] * 4, ignore_index=True)
GAINS = pd.DataFrame({"modality": "a", "place": ["alone", "last"] * 2, "pairs": ["all"] * 2 + ["matched"] * 2})
GAINS = GAINS.assign(estimate=0.1, low=0.0, high=0.2, present=0.5)


@pytest.mark.parametrize(
    "draw",
    [
        lambda: shown_describing.learning(
            pd.DataFrame({"epoch": [0, 0, 1], "step": [0, 1, 0], "loss": [3, 2, 1]}),
            {"before": 3 + DRAWS[:, 0] / 10, "after": 1 + DRAWS[:, 1] / 10},
            title="t",
        ),
        lambda: shown_additions.additions(STEPS, title="t"),
        lambda: shown_additions.operating_points(POINTS, contrast="TPR, f minus m", title="t"),
        lambda: shown_additions.movement(PATH.assign(before=0.05, change="x"), title="t"),
        lambda: shown_additions.matched_presence(GAINS, title="t"),
        lambda: shown_additions.order_path(PATH, PATH, list("abc"), title="t"),
    ],
)
def test_figures_have_axes_with_labels_on_an_opaque_ground(draw):
    before = dict(plt.rcParams)
    axes = np.atleast_1d(draw()).ravel()
    figure = axes[0].figure
    figure.canvas.draw()
    assert dict(plt.rcParams) == before
    assert plt.get_fignums() == [figure.number]
    assert any(a.get_xlabel() or a.get_ylabel() for a in axes) or figure.get_supxlabel()
    assert figure.get_facecolor() == (1, 1, 1, 1)
    assert "t" in [figure.get_suptitle(), *(a.get_title(loc="left") for a in axes)]


def test_a_finding_stands_beside_its_counts_and_its_agreement():
    named = pd.DataFrame({"reports": [1200, 3], "texts": [7, 0]}, index=["opacity", "effusion"])
    agreement = np.array([[0.75, 0.5], [0.7, np.nan], [0.7, 0.5]])
    html = shown_describing.agreement_table(named, {"after": agreement}).to_html()
    assert "0.750\u00a0[0.700,\u00a00.700]" in html and "0.500, too few for an interval" in html
    assert "1,200" in html and "balanced accuracy, after [95 %]" in html


COHORT = SAMPLES.loc[np.repeat(np.arange(6), 5)].assign(fold=0, patient_id=range(30)).reset_index(drop=True)
SCORES = xr.DataArray(
    np.random.default_rng(1).random((2, 2, 30)),
    {"subset": ["labs", "labs+age"]},
    ("seed", "subset", "sample"),
)
CUT = xr.DataArray(np.full((2, 2, 1), 0.5), {"subset": SCORES.subset}, ("seed", "subset", "fold"))
WEIGHTS = bootstrap.resample_patients(COHORT.patient_id, 20)
RESULT = evaluate.evaluate(
    SCORES,
    CUT,
    COHORT,
    WEIGHTS,
    attributes=["sex"],
    metrics=metrics.RATES,
    ranking={"auroc": ["sex"], "average_precision": []},
)
SHOWN = {"sex": ("f", "m")}


@pytest.mark.parametrize(
    ("table", "shown"),
    [
        (lambda: shown_additions.unimodal_table(RESULT, ["labs"], {"labs": 1234}, 0.5), "1,234"),
        (
            lambda: shown_additions.rules_table({"half": RESULT}, ["labs", "labs+age"], SHOWN),
            "TPR f minus m (n=15, 5 positive) [95 %]",
        ),
        (
            lambda: shown_additions.group_table(RESULT.frame("r", "auroc", "sex").query("subset == 'labs'")),
            "AUROC [95 %]",
        ),
        (
            lambda: shown_additions.sensitivity_table(RESULT, RESULT, SHOWN),
            "TPR f minus m (n=15, 5 positive) [95 %]",
        ),
    ],
)
def test_every_table_is_styled_without_its_index(table, shown):
    styler = table()
    assert isinstance(styler, pd.io.formats.style.Styler)
    assert shown in styler.to_html().replace("\u00a0", " ") and styler.hide_index_ == [True]


def test_numbers_of_the_table_are_those_of_the_result():
    html = shown_additions.sensitivity_table(RESULT, RESULT, SHOWN).to_html()
    area = np.mean([roc_auc_score(COHORT.label, s) for s in SCORES.values[:, 1]])
    assert f">{area:.3f}<" in html
