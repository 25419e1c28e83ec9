import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from sklearn.metrics import roc_auc_score

from mmlib.core.schema import Field
from mmlib.measure import bootstrap, evaluate, metrics
from mmlib.questions import additions, audit
from mmlib.show import additions as shown_additions
from mmlib.show import cohort as shown_cohort
from mmlib.show import describing as shown_describing
from mmlib.show import encoding as shown_encoding

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
RECORDED = pd.DataFrame({"labs": [True, True, False, False, False, True], "age": [True] * 6})
LABS = Field("labs", "alb", "serum albumin, a protein that the liver makes and the kidneys should keep")
VERDICTS = pd.DataFrame(
    {
        "field": [f"labs.{i}" for i in range(6)],
        "label": "a field",
        "verdict": ["fine"] * 2 + ["unresolved", "leak"] + ["fine"] * 2,
        "reason": "why",
        "source": "",
        "n_absent": 1000,
        "rate_present": 0.5,
        "rate_absent": np.nan,
    }
)
ALONE = pd.DataFrame({"metric": "value_auroc", "estimate": 0.6, "low": 0.5, "high": 0.7}, index=range(6))
LACKING = contrasts().assign(field="labs.alb", low=0.05)
DECODED = LACKING.assign(subset="labs", estimate=0.6, low=0.5, high=0.7)
STEPS = additions.additions(["none", "a", "b", "a+b"]).assign(change=[0.1, 0.2, -0.1, 0.05])
STEPS = STEPS.assign(low=STEPS.change - 0.06, high=STEPS.change + 0.06)
POINTS = pd.DataFrame(
    {"rule": ["prevalence"] * 3 + ["half"] * 3, "auroc": [0.5, 0.6, 0.7] * 2, "contrast": [0.1, 0, 0.2] * 2}
).assign(selected=0.3, low=-0.1, high=0.3)
VARIANTS = pd.DataFrame(
    {"variant": ["x", "y"], "auroc": [0.8, 0.7], "low": 0.6, "high": 0.9, "difference": [0, -0.1]}
)
VARIANTS = VARIANTS.assign(difference_low=[0, -0.2], difference_high=[0, 0.1], at_least=0.0)
ROWS = contrasts().query("metric == 'tpr' and group == 'f'")
PATH = pd.concat([ROWS] * 4, ignore_index=True)
GAINS = pd.DataFrame({"modality": "a", "place": ["alone", "last"] * 2, "pairs": ["all"] * 2 + ["matched"] * 2})
GAINS = GAINS.assign(estimate=0.1, low=0.0, high=0.2, present=0.5)


@pytest.mark.parametrize(
    "draw",
    [
        lambda: shown_cohort.group_sizes(audit.group_sizes(SAMPLES, ["sex"]), title="t"),
        lambda: shown_cohort.recorded_fields(pd.Series({"labs.alb": 0.5}), [LABS], title="t"),
        lambda: shown_cohort.presence(audit.presence(RECORDED, SAMPLES, ["sex"]), title="t"),
        lambda: shown_cohort.audit(VERDICTS.join(ALONE), title="t"),
        lambda: shown_describing.learning(
            pd.DataFrame({"epoch": [0, 0, 1], "step": [0, 1, 0], "loss": [3, 2, 1]}),
            {"before": 3 + DRAWS[:, 0] / 10, "after": 1 + DRAWS[:, 1] / 10},
            title="t",
        ),
        lambda: shown_encoding.auroc_differences(VARIANTS, title="t"),
        lambda: shown_encoding.decoded(DECODED, title="t"),
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
UNITS = VARIANTS.assign(texts=[10, 2], distinct=[5, 2], seconds=[0.5, 1.5])


@pytest.mark.parametrize(
    ("table", "shown"),
    [
        (lambda: shown_cohort.count_table(audit.group_sizes(SAMPLES, ["sex"])), "50.0% [18.8%, 81.2%]"),
        (lambda: shown_cohort.left_out_table({"babies, left out": 1200}, 6), "1,200"),
        (lambda: shown_cohort.presence_table(audit.presence(RECORDED, SAMPLES, ["sex"]), "sex"), "66.7% ["),
        (lambda: shown_cohort.verdict_table(VERDICTS), "4 others"),
        (lambda: shown_cohort.lacking_table(LACKING), "f minus m"),
        (lambda: shown_encoding.unit_table(UNITS), "-0.100 [-0.200, +0.100]"),
        (lambda: shown_encoding.without_table({"network": VARIANTS}, SAMPLES), "-0.100 [-0.200, +0.100]"),
        (lambda: shown_encoding.kinds_table({"all": VARIANTS.assign(n=1234, n_positive=99)}), "1,234"),
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


def test_the_worst_verdicts_come_first_and_small_groups_are_not_shown():
    html = shown_cohort.verdict_table(VERDICTS).to_html()
    assert html.index(">leak<") < html.index(">unresolved<") < html.index("4 others") and ">1,000<" in html
    assert "x minus m" not in shown_cohort.lacking_table(LACKING).to_html()  # 5 positives


def test_numbers_of_the_table_are_those_of_the_result():
    html = shown_additions.sensitivity_table(RESULT, RESULT, SHOWN).to_html()
    area = np.mean([roc_auc_score(COHORT.label, s) for s in SCORES.values[:, 1]])
    assert f">{area:.3f}<" in html
