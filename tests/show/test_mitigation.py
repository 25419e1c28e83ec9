import re

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from mmlib.measure.estimates import estimate
from mmlib.measure.evaluation import Evaluation
from mmlib.measure.groups import Groups
from mmlib.models.names import BASE, LOST_IN_TRAINING, SPECIALISTS, VARIED
from mmlib.questions.mitigation import COMPLETE
from mmlib.show import mitigation
from tests.show.titles import title

RNG = np.random.default_rng(0)
HIGHER, LOWER = "more at higher predicted risk", "more at lower predicted risk"
RATES = [COMPLETE, "0.2", "0.5", HIGHER, LOWER]
FAMILIES = [f"{family}, {how}" for family in ("concat", "sequential") for how in ("plain", "dropout")]
NAMES = [BASE, VARIED, *FAMILIES, "late fusion", "dropout 0.2", LOST_IN_TRAINING, SPECIALISTS]


def planted(noise=0.001, **rows):
    """AUROC by regime, .80 on complete inputs and .60 at a drop rate of one half where nothing else is planted."""
    table = pd.DataFrame([[0.8, 0.75, 0.6, 0.62, 0.6]] * len(NAMES), NAMES, RATES)
    for name, values in {SPECIALISTS: [0.8, 0.76, 0.7, 0.7, 0.7], VARIED: [0.79, 0.76, 0.65, 0.65, 0.65]}.items():
        table.loc[name] = values
    for name, values in rows.items():
        table.loc[name.replace("_", " ")] = values
    draws = table.to_numpy() + np.concatenate([[np.zeros(table.shape)], RNG.normal(0, noise, (200, *table.shape))])
    return estimate(draws, {"regime": NAMES, "rate": RATES}, n=900, n_positive=300, name="auroc")


AUROC = planted(late_fusion=[0.7, 0.7, 0.55, 0.63, 0.61])
SIGN = planted(**{"concat,_plain": [0.8, 0.75, 0.6, 0.67, 0.55]})
TIED = planted(**{"dropout_0.2": [0.8, 0.75, 0.6499, 0.6, 0.6]})
CHOICE = pd.Series({COMPLETE: BASE, "0.2": BASE, "0.5": VARIED, HIGHER: "late fusion", LOWER: "late fusion"})
REGIMES = [BASE, VARIED, "late fusion"]
DRAWS = np.concatenate([np.zeros((1, 3, 5)), RNG.normal(0, 0.001, (200, 3, 5))])


def differences(shift):
    """Signed differences of three regimes: late fusion's is shifted with modalities missing."""
    draws = DRAWS.copy()
    draws[:, 2, 2:] += shift
    labels = {"regime": REGIMES, "rate": RATES, "group": ["f"]}
    about = {"name": "tpr", "attribute": "sex", "reference": "m", "n": [60], "n_positive": [30]}
    return estimate(draws[..., None], labels, **about).sel(group="f")


@pytest.mark.parametrize(
    ("draw", "finding"),
    [
        (
            lambda: mitigation.loss_curves(AUROC, rate=0.5),
            "AUROC lost at p = 0.5: 0.200 (plain), 0.140 (dropout varied), 0.100 (specialists)",
        ),
        (
            lambda: mitigation.gain_curves(AUROC, ["dropout 0.2", VARIED]),
            "At a drop rate of 0.5, dropout varied gains most: +0.050 AUROC",
        ),
        (
            lambda: mitigation.gain_curves(planted(noise=0.1), ["dropout 0.2", VARIED]),
            "At a drop rate of 0.5, no clear gain in AUROC",
        ),
        (
            lambda: mitigation.gain_curves(TIED, ["dropout 0.2", VARIED]),
            "At a drop rate of 0.5, dropout varied gains +0.050 AUROC, not clearly more than dropout 0.2",
        ),
        (
            lambda: mitigation.regime_front(AUROC, VARIED, rate=0.5, margin=0.005),
            "Chosen on validation for a drop rate of 0.5: dropout varied (+0.050 AUROC)",
        ),
        (
            lambda: mitigation.difference_rows(differences(0.1), rate=0.5),
            "Against the plain model (+0.00 on complete inputs): 3 of 6 differences change (by chance alone 0.3)",
        ),
        (
            lambda: mitigation.difference_rows(differences(0), rate=0.5),
            "Against the plain model (+0.00 on complete inputs): no clear change of a difference",
        ),
        (lambda: mitigation.difference_rows(None, rate=0.5), "Signed differences by regime"),
    ],
)
def test_the_title_of_a_figure_states_its_finding(draw, finding):
    axes = draw()
    assert title(axes) == finding
    assert len(plt.get_fignums()) == 1 and np.ravel(axes)[0].figure.get_facecolor() == (1, 1, 1, 1)


def test_specialists_are_not_on_the_front():
    ax = mitigation.regime_front(AUROC, VARIED, rate=0.5, margin=0.005)
    named = {text.get_text(): text.get_color() for text in ax.texts}
    assert VARIED in named and SPECIALISTS not in named and LOST_IN_TRAINING not in named
    assert len(set(map(str, named.values()))) == 3  # the chosen one, those that no other beats, the others


@pytest.mark.parametrize(
    ("table", "shown"),
    [
        (lambda: mitigation.loss_table(AUROC, rate=0.5), ["AUROC, drop rate 0.5", "0.800 [", "0.650 [", "0.140 ["]),
        (lambda: mitigation.gain_table(AUROC, rate=0.5), ["at random, p = 0.5", "+0.050 [", HIGHER, LOWER]),
        (lambda: mitigation.chosen_table(AUROC, CHOICE, rate=0.5), ["-0.010 [", "+0.050 [", "late fusion", "+0.000 ["]),
    ],
)
def test_tables_are_styled_without_their_index(table, shown):
    styler = table()
    html = styler.to_html().replace("\u00a0", " ")
    assert styler.hide_index_ == [True] and all(text in html for text in shown), html


@pytest.mark.parametrize("contrasts", [{"sex": "f"}, {}])
def test_ways_to_decide_are_rows_with_or_without_a_group_shown(contrasts):
    values = {("selection_rate", "sex"): np.full((9, 2, 3), 0.3), ("tpr", "sex"): np.full((9, 2, 3), [0.5, 0.5, 0.4])}
    sizes = {"sex": (["all", "f", "m"], np.array([9, 5, 4]), np.array([4, 2, 2]))}
    spread = {key: part[:1] for key, part in values.items()}
    ways = ["one threshold", "per group"]
    result = Evaluation(values, spread, "way", ways, Groups({"sex": "m"}, contrasts), sizes)
    cases = (COMPLETE, "0.5", HIGHER, LOWER)
    table = mitigation.decision_table(dict.fromkeys(cases, result), rate=0.5).data
    assert table["way to decide"].tolist() == ways and len(table.columns) == 1 + 4 * (1 + len(contrasts))
    assert table[f"selected, {LOWER} [95 %]"][0].replace("\u00a0", " ") == "0.30 [0.30, 0.30]"


def said(auroc, chosen_for=CHOICE, moved=None, margin=0.02):
    return mitigation.mitigation_in_short(auroc, chosen_for, moved, rate=0.5, margin=margin).data.replace("\u00a0", " ")


def test_every_regime_has_a_row_with_its_loss_and_no_share_of_another():
    table = mitigation.loss_table(AUROC, rate=0.5).data
    assert table.regime.tolist() == NAMES  # plain model and specialists among them
    row = table.set_index("regime").loc[SPECIALISTS].str.replace("\u00a0", " ")
    assert row["AUROC lost [95 %]"].startswith("0.100 [0.09") and not table.to_string().count("%]:")
    assert "%" not in table.drop(columns="regime").to_numpy().sum()


def test_a_regime_that_reads_absence_as_a_sign_is_marked_and_not_recommended():
    told = mitigation.gain_table(SIGN, rate=0.5).data.set_index("regime")["reads absence as a sign"]
    assert told[told == "yes"].index.tolist() == ["concat, plain"]
    text = said(SIGN)
    assert "*concat, plain* gains under one of these two mechanisms and loses under the other: it has read" in text
    assert "it is not recommended." in text and "would use" not in text
    both = said(planted(**{name: [0.8, 0.75, 0.6, 0.67, 0.55] for name in ("concat,_plain", "late_fusion")}))
    assert "*concat, plain*; *late fusion* gain under one" in both and "they are not recommended." in both
    assert "read absence" not in said(AUROC.sel(rate=RATES[:4]))  # a mechanism without a mirror
    assert "reads absence as a sign" not in mitigation.gain_table(AUROC.sel(rate=RATES[:4]), rate=0.5).data


def test_the_answer_gives_loss_gains_and_choices():
    text = said(AUROC, moved=differences(0.1))
    assert "lost with probability 0.5 at random, the plain model loses 0.200 [" in text
    assert "Dropout at varied rates in training gains +0.050 [" in text
    assert "(intervals over patients; each regime was trained once). It is the regime chosen on validation" in text
    assert "it changes AUROC by -0.010 [" in text and "no loss beyond the margin of 0.02." in text
    assert "Under the mechanism and its mirror, it changes AUROC by +0.030 [" in text and f"({LOWER})." in text
    assert f"validation chooses *late fusion* ({HIGHER}), *late fusion* ({LOWER}), *plain* (nothing missing)." in text
    assert "Of 6 changes of the signed difference" in text
    assert "f minus m (n=60, 30 positive), 3 have a 95 % interval" in text and "about 0.3 would." in text
    about = {"rate": 0.5, "margin": 0.1, "units": "garments"}
    assert "intervals over garments" in mitigation.mitigation_in_short(AUROC, CHOICE, None, **about).data


def test_the_answer_says_no_more_than_the_numbers():
    assert "a loss beyond the margin of 0.005." in said(AUROC, margin=0.005)
    assert "a loss beyond the margin of 0.01 is not excluded." in said(AUROC, margin=0.01)
    assert said(AUROC).endswith("*plain* (nothing missing).")
    gain = said(planted(dropout_varied=[0.82, 0.76, 0.65, 0.65, 0.65]))
    assert "it changes AUROC by +0.020 [" in gain and "]: higher." in gain and "within" not in gain
    none = said(planted(noise=0.2))
    assert "changes AUROC by +0.050" in none and "which is no clear difference," in none
    worse = said(planted(dropout_varied=[0.8, 0.75, 0.5, 0.62, 0.6]))
    assert "Dropout at varied rates in training loses 0.100 [" in worse
    same = pd.Series(VARIED, RATES)
    assert "The same regime is chosen whatever is expected." in said(AUROC, same)
    plain = said(AUROC, chosen_for=CHOICE.where(CHOICE != VARIED, BASE))
    assert "*plain*, is the plain model itself." in plain and "On complete inputs" not in plain
    other = said(AUROC, chosen_for=CHOICE.where(CHOICE != VARIED, "late fusion"))
    assert "The regime chosen on validation patients, *late fusion*, loses 0.050 [" in other


def test_no_word_of_the_first_edition_is_left():
    for text in (said(AUROC), said(SIGN), mitigation.loss_table(AUROC, rate=0.5).to_html()):
        assert not re.search("recover|irreducible|came back|comes back|closed|yardstick|share", text)
