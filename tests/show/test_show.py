import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from sklearn.metrics import roc_auc_score

from mmlib.measure import bootstrap, calibration, evaluate, metrics, scenarios
from mmlib.questions import additions, declared, paradox
from mmlib.show import additions as shown_additions
from mmlib.show import calibration as shown_calibration
from mmlib.show import claims as shown_claims
from mmlib.show import describing as shown_describing
from mmlib.show import fairness as shown_fairness
from mmlib.show import masking as shown_masking
from mmlib.show import mitigation as shown_mitigation
from mmlib.show import paradox as shown_paradox
from mmlib.show import style

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
RUNS = pd.DataFrame({"rate": [0.1, 0.1, 0.2], "auroc": [0.7, 0.8, 0.6], "gap": [0.1, 0.2, 0.1]})
CALIBRATION = calibration.calibration(
    np.arange(200) % 2, np.linspace(0.3, 0.7, 200), np.ones((2, 200), bool), ["all", "f"]
).assign(attribute="sex")

ROWS = contrasts().query("metric == 'tpr' and group == 'f'")
PATH = pd.concat([ROWS] * 4, ignore_index=True)
GAINS = pd.DataFrame({"modality": "a", "place": ["alone", "last"] * 2, "pairs": ["all"] * 2 + ["matched"] * 2})
GAINS = GAINS.assign(estimate=0.1, low=0.0, high=0.2, present=0.5)
BINS = calibration.reliability(np.arange(400) % 2, np.linspace(0.3, 0.7, 400), [np.ones(400, bool)], ["f"])
DECLARED = contrasts().assign(question="gap", versus=None, rate=np.nan, refused=["", "few"] * 2, p=[0.001, np.nan] * 2)
DECLARED = declared.judge_declared(DECLARED.assign(se_patients=0.02, se_retrain=np.nan), {"tpr": 0.01})
CLAIMS = contrasts().assign(claim=["a", "b"] * 2, title="Cohort", pair="f minus m", by="paper", note="", refused="")
CLAIMS = CLAIMS.assign(threshold=0.0, detectable=0.05, p_holm=0.01, verdict=["supported", "too small to tell"] * 2)
PAIR = (paradox.Group("m", 0.7, 0.3, 1.0, 1.0), paradox.Group("f", 0.3, 0.3, 0.8, 0.6))


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
        lambda: shown_masking.simulation(RUNS, RUNS.drop(index=1), attribute="sex", title="t"),
        lambda: shown_calibration.observed_expected(CALIBRATION, title="t"),
        lambda: shown_calibration.reliability(BINS.assign(attribute="sex"), title="t"),
        lambda: shown_calibration.decision_curves(
            [0.1, 0.2, 0.3, 0.4], {"all": {"model": DRAWS, "act on everybody": DRAWS[:1]}}, title="t"
        ),
        lambda: shown_fairness.sweep(PATH.assign(selected=[0.1, 0.2, 0.3, 0.4]), 0.2, title="t"),
        lambda: shown_claims.declared(DECLARED, title="t"),
        lambda: shown_claims.forest(CLAIMS, title="t"),
        lambda: shown_additions.movement(PATH.assign(before=0.05, change="x"), title="t"),
        lambda: shown_additions.matched_presence(GAINS, title="t"),
        lambda: style.by_modality({"AUROC": PATH, "TPR": PATH}, list("abcd"), title="t"),
        lambda: style.by_modality({"AUROC": DRAWS, "TPR": DRAWS}, list("abcd"), title="t"),
        lambda: shown_additions.order_path(PATH, PATH, list("abc"), title="t"),
        lambda: shown_masking.masking_curve([0, 0.1, 0.5, 1], DRAWS, DRAWS[0] ** 2, title="t"),
        lambda: shown_masking.contrast_curves(
            [0, 0.1, 0.5, 1], {"x": {"f": DRAWS}, "y": {"f": DRAWS}}, title="t"
        ),
        lambda: shown_masking.regimes([0, 0.1, 0.5, 1], {"plain": DRAWS[0]}, DRAWS, title="t"),
        lambda: style.rows(list("abcd"), {"x": {"f": DRAWS}, "y": {"f": DRAWS}}, title="t"),
        lambda: shown_mitigation.yardstick([0, 0.1, 0.5, 1], DRAWS, DRAWS + 0.1, title="t"),
        lambda: shown_mitigation.gains([0, 0.1, 0.5, 1], {"x": DRAWS}, title="t"),
        lambda: style.rows(list("abcd"), {"x": {"f": DRAWS}}, title="t"),
        lambda: shown_mitigation.pareto(list("abcd"), DRAWS, DRAWS, margin=0.1, chosen="a", title="t"),
        lambda: shown_fairness.signed_contrasts(contrasts(), {"sex": "m"}, title="t"),
        lambda: shown_paradox.plane({"x": PAIR, "y": PAIR}, title="t"),
        lambda: shown_paradox.twin({q: (DRAWS[:, :2], [0, 1], [0, 1]) for q in "abc"}, ["a", "a+b"], title="t"),
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


def test_small_groups_are_hollow():
    axes = shown_fairness.signed_contrasts(contrasts(), {"sex": "m"}, title="t")
    large, small = (c.lines[0] for c in axes.flat[0].containers)
    assert small.get_markerfacecolor() == "white" and large.get_markerfacecolor() != "white"


def test_the_plane_names_each_region_where_it_is():
    ax = shown_paradox.plane({"x": PAIR}, title="t")[0]
    for text in ax.texts[:-1]:
        x, y = text.get_position()
        two = paradox.Group("m", 0.7, 0.3, 1.0, x), paradox.Group("f", 0.3, 0.3, 0.8, y)
        assert paradox.is_paradox(two) == ("widens" in text.get_text()), text.get_text()
        before, after = paradox.tpr_gaps(two).gap
        assert "widens" not in text.get_text() or (before * after < 0) == ("turns" in text.get_text())
    assert len(ax.texts) == 5


def test_a_finding_stands_beside_its_counts_and_its_agreement():
    named = pd.DataFrame({"reports": [1200, 3], "texts": [7, 0]}, index=["opacity", "effusion"])
    agreement = np.array([[0.75, 0.5], [0.7, np.nan], [0.7, 0.5]])
    html = shown_describing.agreement_table(named, {"after": agreement}).to_html()
    assert "0.750\u00a0[0.700,\u00a00.700]" in html and "0.500, too few for an interval" in html
    assert "1,200" in html and "balanced accuracy, after [95 %]" in html


def test_tables_write_the_interval_beside_the_estimate():
    html = shown_fairness.contrast_table(contrasts()).to_html()
    assert "f minus m" in html and "+0.100\u00a0[+0.000,\u00a0+0.200]" in html
    touched = shown_masking.rates_table(
        [0.1], [0.3], DRAWS[:, :1] / 1000, [0.01], [0.02], 0.004, 0.5
    ).to_html()
    assert "30.0%" in touched and ">no<" in touched


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
FAIRLEARN = {"sex": {"demographic_parity_difference": 0.25, "equalized_odds_difference": 0.5}}
GAPS = pd.DataFrame({"attribute": "sex", "metric": ["selection_rate", "tpr"], "gap": 0.2, "null": 0.1})


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
        (
            lambda: shown_masking.structure_table(
                list("abc"), {"AUROC": scenarios.decompose(DRAWS[:, :, None] + [0, 1])}
            ),
            "+1.000 [+1.000, +1.000]",
        ),
        (
            lambda: shown_mitigation.regime_table(list("abcd"), {"share": (0 * DRAWS + 0.5, ".0%")}),
            "50% [50%",
        ),
        (
            lambda: shown_mitigation.regime_table(["a"], {"share": (np.full((9, 1), np.nan), ".0%")}),
            "nothing to",
        ),
        (lambda: shown_mitigation.chosen_table([{"chosen": "plain"}]), "plain"),
        (lambda: shown_masking.slope_table({"AUROC": DRAWS}, list("abcd")), "sum"),
        (
            lambda: shown_masking.regime_table([0, 0.1], [0.1], RESULT, RESULT, SHOWN),
            "+0.000 [+0.000, +0.000]",
        ),
        (
            lambda: shown_fairness.performance_table(
                pd.concat(
                    {
                        "sex": metrics.metrics_by_group(
                            COHORT.label, SCORES[0, 0], SCORES[0, 0] > 0.5, COHORT, "sex"
                        ).rename_axis("group")
                    },
                    names=["attribute"],
                )
            ),
            "everybody",
        ),
        (lambda: shown_fairness.gap_table(GAPS, FAIRLEARN), "0.250"),
        (lambda: shown_calibration.calibration_table(CALIBRATION), "slope [95 %]"),
        (lambda: shown_claims.declared_table(DECLARED), "0.01, not attainable"),
        (lambda: shown_paradox.example_table({"x": PAIR}), "-0.162"),
        (lambda: shown_fairness.crossed_table(contrasts().replace("m", "White, m")), "f minus White, m"),
        (
            lambda: shown_fairness.worst_table(
                pd.concat([contrasts().assign(n_positive=40), contrasts().assign(group="all")])
            ),
            "0.100 [0.000, 0.200]",
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


def test_what_cannot_be_drawn_says_so():
    for ax in (
        shown_claims.declared(DECLARED[:0], title="t"),
        shown_calibration.reliability(BINS[:0], title="t")[0],
    ):
        assert len(ax.texts) == 1 and ax.get_title(loc="left") == "t"


def test_words_are_readable():
    assert style.words("age_group+sex") == "age group + sex"
    assert style.listed(["race", "sex", "age_group"]) == "race, sex and age group"


def test_no_number_of_a_claim_that_was_not_tested_is_shown():
    few = {"verdict": "not tested", "refused": "f has fewer than 30 positives", "n_positive": 7, "note": "from 1 to 2"}
    shown = shown_claims.claims_table(pd.concat([CLAIMS, CLAIMS.iloc[:1].assign(**few)], ignore_index=True)).data
    last = shown.iloc[-1]
    assert last.verdict == "not tested: f has fewer than 30 positives"
    assert (last["estimate [95 %]"], last.n, last.positives, last.note) == ("-", "-", "-", "")
    assert shown.verdict[1] == "too small to tell (detectable: 0.0500)" and shown.n[0] == "50"
    nothing = shown_claims.forest(CLAIMS.assign(verdict="not tested"), title="t")
    assert nothing.texts[0].get_text() == "No claim could be tested."
