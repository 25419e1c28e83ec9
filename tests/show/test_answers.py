"""Given these numbers, these words: also where nothing is clear, there is one run, or no twin."""

import numpy as np
import pandas as pd
import pytest

from mmlib.show import answers

HEALTH = {"run": "a", "title": "ALPHA", "kind": "health"}
SECOND = {"run": "b", "title": "BETA", "kind": "health"}
TWIN = {"run": "t", "title": "TWIN", "kind": "synthetic"}
PAIR = {"attribute": "sex", "group": "Female", "reference": "Male", "n_positive": 80}


def frame(*rows, **common):
    return pd.DataFrame([row | common for row in rows])


def ends(estimate, low, high):
    return {"estimate": estimate, "low": low, "high": high}


def plain(text):
    return text.replace("\u00a0", " ")


GAINS = frame(
    HEALTH | ends(0.08, 0.07, 0.09) | {"versus": "labs"},
    HEALTH | ends(0.2, 0.1, 0.3) | {"versus": "age"},
    SECOND | ends(0.01, -0.01, 0.03) | {"versus": "diet_recall"},
    TWIN | ends(0.3, 0.2, 0.4) | {"versus": "labs"},
    kept="headline", primary=False, verdict="described",
)  # fmt: skip


def only(table, run="a"):
    return table[table.run == run].reset_index(drop=True)


def test_gains_count_real_cohorts_by_their_smallest_gain():
    assert plain(answers.gain_sentence(GAINS)) == (
        "All modalities together have a clearly higher AUROC than each single one in 1 of 2 real health cohorts. The "
        "smallest gain of each: ALPHA +0.080 [+0.070, +0.090], over *labs*; BETA +0.010 [-0.010, +0.030], over "
        "*diet recall*."
    )
    corrected = GAINS.assign(verdict=["not after correction", *GAINS.verdict[1:]])
    assert "in none of 2 real" in answers.gain_sentence(corrected)
    assert "over *labs* (not after correction); BETA" in answers.gain_sentence(corrected)
    assert "in the one real health cohort." in answers.gain_sentence(only(GAINS))
    assert "in none, of one real health cohort." in answers.gain_sentence(only(GAINS, "b"))


def test_twins_alone_answer_nothing():
    assert answers.gain_sentence(only(GAINS, "t")) == answers.NO_HEALTH
    assert answers.told(answers.NO_HEALTH, "", answers.NO_HEALTH).data == answers.NO_HEALTH


SHARES = frame(
    HEALTH | {"additions": 80, "raised": 70, "up": 40, "down": 2, "reverses": 0, "widens": 1, "narrows": 2},
    SECOND | {"additions": 12, "raised": 12, "up": 8, "down": 0, "reverses": np.nan, "widens": np.nan},
).assign(changes=[225, np.nan])


def test_not_every_addition_helps_only_if_one_does_not():
    told = answers.additions_sentence(SHARES)
    assert told.startswith("Not every single addition") and "70 of 80 in ALPHA (88%)" in told
    assert told.endswith("2 lower it clearly.")
    told = answers.additions_sentence(only(SHARES, "b"))
    assert told.startswith("Every single addition") and told.endswith("none lowers it clearly.")
    assert "0, 1 and 2 of 225 in ALPHA" in answers.effects_sentence(SHARES)
    assert answers.effects_sentence(only(SHARES, "b")) == ""


CHANGES = frame(
    HEALTH | PAIR | ends(0.08, 0.02, 0.14) | {"verdict": "differs"},
    HEALTH | PAIR | ends(0.01, -0.2, 0.2) | {"verdict": "undecided"},
    SECOND | PAIR | ends(0.05, 0.01, 0.09) | {"verdict": "not after correction"},
    SECOND | PAIR | ends(np.nan, np.nan, np.nan) | {"verdict": "not tested"},
    TWIN | PAIR | ends(0.5, 0.4, 0.6) | {"verdict": "differs"},
).assign(versus="labs")


def test_a_change_is_clear_only_by_its_verdict():
    assert plain(answers.changes_sentence(CHANGES)) == (
        "Going from *labs* in ALPHA and *labs* in BETA to all modalities changes the TPR difference between groups "
        "clearly in 1 of 3 comparisons: ALPHA, Female minus Male: +0.08 [+0.02, +0.14]. The others: 1 not significant "
        "after correction for several tests, 1 undecided and 1 not tested (too few events)."
    )
    none = answers.changes_sentence(CHANGES[1:2], "dropping")
    assert none == (
        "Dropping changes the TPR difference between groups clearly in none, of one comparison. The others: "
        "1 undecided."
    )
    same = CHANGES[1:2].assign(verdict="equivalent within the margin", margin=0.05)
    assert answers.changes_sentence(same, "dropping").endswith("The others: 1 equivalent within the margin of 0.05.")


def test_a_difference_that_no_run_declared_is_described_and_never_called_tested():
    described = CHANGES[:1].assign(verdict="described")
    both = pd.concat([CHANGES[:1], described], ignore_index=True)
    assert "clearly in the one comparison" in answers.changes_sentence(both)
    assert answers.changes_sentence(both).endswith("The others: 1 described only.")
    for told in (answers.changes_sentence(described), answers.contrasts_sentence(described)):
        assert told.startswith("No ") and told.endswith("declared; all are described only.")


def test_noise_that_gains_is_called_a_false_alarm():
    noise = frame(HEALTH | ends(-0.004, -0.02, 0.01), SECOND | ends(0.03, 0.01, 0.05))
    assert "in BETA is a false alarm" in answers.noise_sentence(noise)
    assert "No interval lies above 0" in answers.noise_sentence(only(noise))


LOSSES = pd.concat(
    [
        frame(HEALTH | ends(0.0002, 0, 0) | {"rate": 0.002, "seen": False}, seen_elsewhere=False),
        frame(HEALTH | ends(0.023, 0, 0) | {"rate": 0.2, "seen": True}, seen_elsewhere=True),
        frame(SECOND | ends(0.0003, 0, 0) | {"rate": 0.002, "seen": False}, seen_elsewhere=False),
        frame(SECOND | ends(0.01, 0, 0) | {"rate": 0.2, "seen": True}, seen_elsewhere=False),
    ]
)
CURVES = frame(
    *({**who, "rate": rate, "estimate": 0.8 - rate * slope} for who, slope in ((HEALTH, 0.15), (SECOND, 0.1))
      for rate in (0.0, 0.2, 0.5))
)  # fmt: skip


def test_what_one_test_run_could_show():
    assert answers.visible_sentence(LOSSES) == (
        "One test run, on the same patients with and without drops, could show the loss at 0.002 in none and at 0.2 in "
        "2 of 2 real health cohorts. Against *other* patients, whose AUROC differs by chance too, it could at 0.002 in "
        "none and at 0.2 in 1."
    )
    assert answers.missing_sentence(LOSSES, CURVES) == (
        "Missing modalities cost AUROC on average. At a drop rate of 0.002 the loss is less than 0.001, which one test "
        "run cannot show; at 0.2 it is 0.010 to 0.023, and at 0.5 it is 0.050 to 0.075."
    )
    assert "at 0.5" not in answers.missing_sentence(LOSSES, CURVES[CURVES.rate < 0.5])


def test_masking_is_compared_with_real_absence():
    absent = frame(
        HEALTH | ends(0.06, 0.04, 0.08) | {"modality": "function", "metric": "auroc"},
        SECOND | ends(-0.03, -0.09, 0.03) | {"modality": "mental_health", "metric": "auroc"},
        SECOND | ends(0.3, 0.2, 0.4) | {"modality": "mental_health", "metric": "tpr"},
    )
    told = plain(answers.absence_sentence(absent))
    assert "does not predict the real absence of *function* in ALPHA, where the model ranks those who lack it" in told
    assert "better than masking says (+0.060 [+0.040, +0.080])" in told
    assert "No clear difference, which does not prove that masking predicts: *mental health* in BETA (-0.030" in told
    assert "do enough samples lack" in answers.absence_sentence(absent[:0])


RATES = frame(
    HEALTH | ends(0.4, 0.3, 0.5) | {"group": "80 and over", "n_positive": 90, "below": True, "attribute": "age"},
    HEALTH | ends(0.6, 0.5, 0.7) | {"group": "65-79", "n_positive": 100, "below": False, "attribute": "age"},
    HEALTH | ends(0.1, 0, 0.4) | {"group": "Other", "n_positive": 9, "below": True, "attribute": "race"},
    HEALTH | ends(0.55, 0.5, 0.6) | {"group": "White", "n_positive": 200, "below": False, "attribute": "race"},
    overall=0.56, task="death in hospital",
).assign(large=lambda d: d.n_positive >= 30)  # fmt: skip


def test_who_is_missed_is_told_in_natural_frequencies_and_small_groups_are_not():
    assert answers.missed_sentence(RATES) == (
        "Whom the full model misses most, of groups with 30 or more with the outcome: in "
        "ALPHA, of 100 in the group *80 and over* with the outcome (death in "
        "hospital) it finds 40 (95 % interval 30 to 50), clearly fewer than 56 of 100 overall."
    )
    assert "not clearly fewer than" in answers.missed_sentence(RATES.assign(below=False))
    assert answers.missed_sentence(RATES[2:]) == answers.NO_HEALTH


def test_no_clear_difference_comes_with_what_could_be_detected():
    table = CHANGES.assign(detectable=[0.1, 0.33, np.inf, np.nan, 0.01])
    told = plain(answers.contrasts_sentence(table))
    assert told.startswith("1 of 3 tested TPR differences is clear: ALPHA, Female minus Male: +0.08 [+0.02, +0.14].")
    assert "could have been detected is 0.10 to 0.33: no clear difference is not the same" in told
    assert answers.contrasts_sentence(table[1:2]).startswith("None of 1 tested TPR difference is clear. The smallest")


REGIMES = frame(
    HEALTH | ends(0.022, 0.02, 0.026) | {"case": "at random", "chosen": True},
    HEALTH | ends(-0.002, -0.004, -0.001) | {"case": "complete", "chosen": True},
    SECOND | ends(0.001, -0.004, 0.004) | {"case": "at random", "chosen": False},
    SECOND | ends(0.001, -0.004, 0.004) | {"case": "complete", "chosen": False},
    regime="dropout varied", sign=False,
)  # fmt: skip


def test_training_is_told_with_its_cost():
    told = plain(answers.training_sentence(REGIMES))
    assert "gains AUROC clearly in 1 of 2 real health cohorts: at a drop rate of 0.5 it changes AUROC by" in told
    assert "+0.022 [+0.020, +0.026] in ALPHA and +0.001 [-0.004, +0.004] in BETA." in told
    assert told.endswith(
        "With complete inputs it costs AUROC clearly in ALPHA. We recommend it where validation patients confirm the "
        "gain."
    )
    assert "We recommend it where there is no choice" in answers.training_sentence(only(REGIMES))
    none = answers.training_sentence(only(REGIMES, "b"))
    assert none.endswith("has no clear cost. These cohorts recommend no one way to train: choose on validation "
                         "patients.")
    assert plain(answers.chosen_sentence(REGIMES)) == (
        "Validation samples chose *dropout varied* in ALPHA (+0.022 [+0.020, +0.026])."
    )
    assert answers.chosen_sentence(only(REGIMES, "b")) == ""
    assert answers.signs_sentence(REGIMES).startswith("No regime gains clearly")
    told = answers.signs_sentence(REGIMES.assign(sign=True))
    assert told.startswith("Not recommended, because in some cohort") and "other does: *dropout varied*. They" in told


def test_a_way_to_train_is_safe_if_it_gains_everywhere_at_no_clear_cost():
    def way(regime, gain, cost=0.0, sign=False):
        about = {"regime": regime, "sign": sign}
        return [
            cohort | about | ends(middle, middle - 0.004, middle + 0.004) | {"case": case}
            for cohort in (HEALTH, SECOND)
            for case, middle in (("at random", gain), ("complete", cost))
        ]

    ways = [way("dropout varied", 0.02), way("best", 0.03), way("weak", 0.001), way("costly", 0.05, -0.01)]
    rows = frame(*(row for one in [*ways, way("sign", 0.06, sign=True)] for row in one))
    told = answers.safe_sentence(rows)
    assert told.endswith("So do *best*; the best of them gains at most 0.010 more.")
    assert answers.safe_sentence(rows[rows.regime != "best"]).endswith("no other way does.")
    assert answers.safe_sentence(rows, "weak") == "" == answers.safe_sentence(rows, "sign")


def test_levelling_down_names_the_groups_that_lose():
    rows = frame(
        HEALTH | PAIR | ends(-0.05, -0.08, -0.02) | {"group": "Black"}, HEALTH | PAIR | ends(0.1, 0.05, 0.15)
    )
    assert plain(answers.levelling_sentence(rows)) == (
        "Against plain training at the same drop rate, each with its threshold of complete inputs, the chosen way "
        "finds clearly more of those with the outcome in 1 of 2 groups, and clearly fewer in 1 (Black "
        "in ALPHA -0.05 [-0.08, -0.02])."
    )
    assert answers.levelling_sentence(rows[1:]).endswith("in the one group, and clearly fewer in none.")


def test_no_bounded_choice_is_told_with_the_smallest_margin():
    rows = frame(HEALTH | {"bounded": False, "smallest_margin": 0.14}, SECOND | {"bounded": True})
    assert answers.bounded_sentence(rows) == (
        "A subset that keeps all TPR differences within 0.1 could be chosen in 1 of 2 real health cohorts. The "
        "smallest margin that could have been shown is 0.14 in ALPHA."
    )


@pytest.mark.parametrize(("error", "start"), [(0.03, "Not reliably"), (0.001, "Not reliably")])
def test_a_forecast_is_never_trusted_on_few_cohorts(error, start):
    class Tables:
        kind, title = "health", "ALPHA"

    skill = pd.DataFrame({"cohort": ["a", "other"], "error": [error, 0.1], "error_no_change": [0.03, 0.1]})
    told = answers.forecast_sentence(skill, {"a": Tables})
    assert told.startswith(start) and f"{error / 0.03:.2f} in ALPHA" in told and "1 cohort is too few" in told
    assert answers.forecast_sentence(skill, {}).startswith("No forecast")


def test_what_was_declared_is_counted_by_verdict_in_real_cohorts_only():
    told = answers.declared_answer(CHANGES)
    assert told.startswith("ALPHA and BETA declared 4 comparisons. Their verdicts: 1 differs, 1 not after correction, ")
    assert answers.declared_answer(only(CHANGES, "t")) == answers.NO_HEALTH
    times = CHANGES.assign(times=[np.nan, 3.4, np.nan, np.nan, np.nan])
    assert answers.needed_sentence(times) == (
        "To decide the 1 undecided takes between 3.4 and 3.4 times as many patients."
    )
    never = answers.needed_sentence(times.assign(times=np.inf))
    assert never == "More patients would not decide the 1 undecided: retraining varies too much."
    both = answers.needed_sentence(pd.concat([times, times.assign(times=np.inf)]))
    assert both.endswith("times as many patients; for 1 of them more would not help: retraining varies too much.")
    assert answers.needed_sentence(times[:1]) == "No comparison is undecided."


def test_the_landing_page_has_five_sentences():
    five = answers.landing_answers(GAINS, SHARES, CHANGES, LOSSES, CURVES, RATES, REGIMES)
    assert len(five) == 5
    assert plain(five["landing_performance"].data) == (
        "All modalities together have a clearly higher AUROC than each single one in 1 of 2 real health cohorts (by at "
        "least 0.080). A single addition does not always help: 88% to 100% of them raise AUROC."
    )
    assert plain(five["landing_fairness"].data) == (
        "Of 3 tested differences in true positive rate between groups, 1 changes clearly when all modalities "
        "replace one (ALPHA, Female minus Male: +0.08 [+0.02, +0.14]); 1 is undecided."
    )
    assert "clearly in 1 of 2 real health cohorts (+0.001 to +0.022)" in five["landing_do"].data
    assert "no clear gain here" in answers.landing_answers(
        GAINS, SHARES, CHANGES, LOSSES, CURVES, RATES, only(REGIMES, "b")
    )["landing_do"].data  # fmt: skip


def test_cohorts_and_doubts_are_named():
    sizes = frame(
        HEALTH | {"n": 9105, "positives": 2360, "task": "death in hospital", "samples": "patients"}, TWIN | {"n": 5}
    )
    verdicts = frame(
        HEALTH | {"field": "function", "verdict": "unresolved"}, HEALTH | {"field": "function.adlp", "verdict": "leak"}
    )
    assert answers.cohorts_answer(sizes, RATES, verdicts) == (
        "This book holds 1 real health cohort: ALPHA (9,105 patients; 26% have the outcome *death in hospital*). Of 4 "
        "groups of patients, 1 has fewer than 30 patients with the outcome. Nothing precise can be said about a group "
        "of that size. The audit asks whether an input knows the outcome too early: in ALPHA it left unresolved "
        "1 entry of *function*; in ALPHA it found a leak in 1 entry of *function*."
    )
    assert answers.audit_sentence(verdicts[:0]) == "The audit found no leak and left no field unresolved."
