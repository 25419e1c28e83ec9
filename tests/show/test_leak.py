import numpy as np
import pandas as pd

from mmlib.core.subsets import subset_masks
from mmlib.measure.estimates import estimate
from mmlib.measure.evaluation import Evaluation
from mmlib.measure.groups import Groups
from mmlib.questions.leak import CLEAN, LEAKY, Answer, leak_quantities
from mmlib.show import leak as show
from tests.show.titles import title

MODALITIES = ["arrival", "vital_signs"]
GROUPS = Groups({"sex": "m"}, {"sex": "f"})
VERDICTS = pd.DataFrame({"field": ["arrival.age", "arrival.insurance", "arrival", "codes.icd"], "label": "a field"})
VERDICTS = pd.concat([VERDICTS.assign(way=CLEAN, verdict="fine"), VERDICTS.assign(way=LEAKY, verdict="leak")])
VERDICTS.loc[VERDICTS.field == "arrival.age", ["verdict", "label"]] = ["fine", "age"]
FOUND = VERDICTS[["field", "way"]].assign(metric="presence_auroc", estimate=0.9, low=0.8, high=1.0)


def answer(arrival, gone, spread=0.0):
    """AUROC of arrival alone, what its loss costs, and all else without any effect."""
    draws = spread * np.array([0, -1, 1] * 7)
    subsets = subset_masks(MODALITIES)[0]
    level = np.array([0.5, arrival, 0.6, 0.8])
    auroc = (level + draws[:, None] * np.arange(4))[..., None]
    rates = np.tile(level[:, None], (21, 1, 3))
    values = {("auroc", "sex"): auroc, ("f1", "sex"): rates, ("tpr", "sex"): rates}
    sizes = {"sex": (["all", "f", "m"], np.array([50, 20, 30]), np.array([25, 10, 15]))}
    result = Evaluation(values, {k: v[:1] for k, v in values.items()}, "subset", subsets, GROUPS, sizes)
    lost = estimate(np.stack([gone + draws, draws], axis=1), {"modality": MODALITIES}, name="auroc")
    return Answer(result, lost, estimate(draws, name="auroc"))


BOTH = {CLEAN: answer(0.55, -0.01, spread=0.2), LEAKY: answer(0.75, -0.3)}


def test_titles_count_leaks_and_name_only_a_clear_loss():
    counted = f"Leaks among the fields of arrival: 0 {CLEAN}, 1 {LEAKY}"
    axes = show.record_dots(FOUND, VERDICTS)
    assert title(axes) == counted and [t.get_text() for t in axes[0].get_yticklabels()] == ["age", "a field"]
    axes = show.leak_dots(BOTH)
    assert title(axes) == f"The largest loss: no clear loss {CLEAN}, arrival {LEAKY}"
    assert [t.get_text() for t in axes[0].get_yticklabels()] == ["arrival", "vital signs"]


def test_quantities_stand_beside_their_difference():
    html = show.leak_differences({way: leak_quantities(a, GROUPS, rate=0.2) for way, a in BOTH.items()}).to_html()
    html = html.replace("\u00a0", " ")
    assert "0.750 [0.750, 0.750]" in html and "-0.300 [-0.300, -0.300]" in html
    assert "TPR, f minus m (n=20, 10 positive): arrival alone" in html and "+0.00 [+0.00, +0.00]" in html


def test_the_answer_tells_both_ways():
    text = show.leak_in_short(VERDICTS, BOTH).data.replace("\u00a0", " ")
    assert f"Leaks among the fields of arrival: 0 {CLEAN}, 1 {LEAKY} (a field)." in text
    assert "to 0.750 [0.750, 0.750], from place 2 to place 1 among 2 single modalities" in text
    assert "the smallest gain in AUROC of all modalities over a single one is +0." in text
    assert "without the leak and +0.050 [+0.050, +0.050] (over arrival) with it" in text
    assert "Of 1 modalities added to arrival, 0 raise AUROC without it and 1 with it" in text
    assert "-0.300 [-0.300, -0.300] with it. The largest loss: no clear loss without, arrival with it." in text


def test_the_answer_survives_an_audit_without_leaks():
    text = show.leak_in_short(VERDICTS.assign(verdict="fine"), BOTH).data
    assert f"0 {CLEAN}, 0 {LEAKY} (none)." in text
