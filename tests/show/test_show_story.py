"""Figures and tables of the story: titles that state the finding, also where there is none."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from mmlib.questions import story as frames
from mmlib.questions.claims import collect_claims
from mmlib.show import story as show
from tests.questions.test_story import RUNS
from tests.show.test_claims import DECLARED
from tests.show.titles import title

plt.switch_backend("agg")
EMPTY = {"b": RUNS["b"]}
FIGURES = {
    show.positives_figure: [frames.group_rates],
    show.lacking_figure: [frames.lacking_shares],
    show.adding_figure: [frames.all_gains, frames.changed_contrasts],
    show.singles_figure: [frames.all_gains],
    show.noise_figure: [frames.noise_effects],
    show.dropping_figure: [frames.drop_curves],
    show.absence_figure: [frames.real_absences],
    show.rates_figure: [frames.group_rates],
    show.contrasts_figure: [frames.full_contrasts],
    show.calibration_figure: [frames.group_calibration],
    show.training_figure: [frames.regime_gains],
}
TITLES = {
    show.positives_figure: "0 of 2 groups in real cohorts have fewer than 30 patients with the outcome",
    show.adding_figure: "All modalities beat each single one in the one real cohort; "
    "1 of 1 TPR differences changes clearly",
    show.noise_figure: "No gain by random sentences: no interval lies above 0",
    show.dropping_figure: "Expected loss of AUROC: 0.100 at a drop rate of 0.5",
    show.absence_figure: "Masking at random misjudges real absence clearly in 1 of 1 modalities",
    show.rates_figure: "Clearly fewer are found than overall in 1 of 2 groups with 30 positives or more",
    show.contrasts_figure: "1 of 1 tested TPR differences in real cohorts is clear",
}


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def draw(figure, tables):
    ax = np.ravel(figure(*(frame(tables) for frame in FIGURES[figure])))[0]
    return ax, " ".join(title(ax).split())


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.__name__)
def test_every_figure_is_narrow_and_says_what_it_found(figure):
    ax, title = draw(figure, RUNS)
    assert ax.figure.get_figwidth() <= 8.2
    assert TITLES.get(figure, title) == title


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.__name__)
def test_a_book_without_these_results_says_so(figure):
    ax, _ = draw(figure, EMPTY)
    assert show.NOTHING in [text.get_text() for text in ax.texts]


def test_a_group_that_is_found_less_often_is_filled():
    ax, _ = draw(show.rates_figure, RUNS)
    faces = [container.lines[0].get_markerfacecolor() for container in ax.containers]
    assert faces[1] == "white" and faces[0] != "white"
    assert [text.get_text() for text in ax.texts] == ["ALPHA", "40/100", "120/200"]


def test_claims_stand_under_their_words_with_their_verdict():
    runs = {"one": {"title": "SUPPORT2", "kind": "health"}, "two": {"title": "Clothing", "kind": "other"}}
    ax = show.claims_figure(collect_claims({"one": DECLARED, "two": DECLARED}, runs))
    said = [text.get_text() for text in ax.texts]
    assert "differs" in said and "With all modalities, TPR differs between groups" in said
    assert " ".join(ax.figure.get_suptitle().split()) == "1 of 2 tested comparisons in real cohorts differ after Holm"
    needed = show.needed_table(collect_claims({"one": DECLARED}, {"one": runs["one"]})).data
    assert "times as many" in needed and "SUPPORT2" in needed


def test_tables_are_small_and_can_be_downloaded():
    table = show.visible_table(frames.drop_losses(RUNS)).data
    assert "0.0002 ± 0.0010, no" in table and "0.020 ± 0.010, yes" in table and "TWIN" not in table
    assert 'download="this-table.csv" href="data:text/csv;base64,' in table
    assert ">0.700<" in show.mechanism_table(frames.mechanism_levels(RUNS)).data
    table = show.single_gains_table(frames.all_gains(RUNS)).data
    assert ">labs<" in table and ">age<" not in table
    parts = show.parts_table(frames.contrast_parts(RUNS), frames.changed_contrasts(RUNS)).data
    assert "Female − Male" in parts and ">+0.03<" in parts
    names = {"gains": frames.all_gains, "changes": frames.changed_contrasts, "losses": frames.drop_losses}
    found = {name: frame(RUNS) for name, frame in names.items()} | {"dropped": frames.dropped_contrasts(RUNS)}
    paper = show.paper_table(found).data.replace("\u00a0", " ")
    assert "yes: +0.050 [+0.040, +0.060]" in paper and "1 of 1 clearly" in paper and "yes at 0.2" in paper
    assert "TWIN" not in paper


def test_cohorts_stand_in_one_table_with_what_the_audit_doubts():
    doubts = pd.DataFrame({"run": ["a"], "verdict": ["leak"]})
    table = show.cohort_table(frames.cohort_sizes(RUNS), doubts).data
    assert "900 patients" in table and ">30%<" in table and "TWIN (synthetic)" in table
