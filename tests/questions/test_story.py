"""Frames of the story, from planted tables of a real cohort, a second one and a twin."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest

from mmlib.questions import story


@dataclass(frozen=True)
class Tables:
    """What the story uses of ``mmlib.runs.RunTables``."""

    title: str
    kind: str
    tables: dict = field(default_factory=dict)
    n: int = 1000
    patients: int = 900
    positives: int = 300
    task: str = "death"
    units: str = "patients"
    samples: str = "stays"
    modalities: tuple = ("labs", "age")
    references: dict = field(default_factory=lambda: {"sex": "Male"})
    contrasts: dict = field(default_factory=lambda: {"sex": "Female"})

    def table(self, name):
        return self.tables.get(name, pd.DataFrame()).copy()


def rows(columns, *values, **common):
    return pd.DataFrame(values, columns=columns.split()).assign(**common)


FAIRNESS = rows(
    "metric attribute group reference n n_positive events estimate low high verdict",
    ("tpr", "sex", "all", None, 1000, 300, 165.0, 0.55, 0.5, 0.6, "described"),
    ("tpr", "sex", "Female", None, 500, 100, 40.0, 0.40, 0.3, 0.5, "described"),
    ("tpr", "sex", "Male", None, 500, 200, 120.0, 0.60, 0.5, 0.7, "described"),
    ("tpr", "race+sex", "X, Male", None, 50, 20, 2.0, 0.10, 0.0, 0.2, "described"),
    ("tpr", "sex", "Female", "Male", 500, 100, np.nan, -0.20, -0.4, 0.0, "differs"),
    ("fpr", "sex", "Female", None, 500, 100, 40.0, 0.10, 0.0, 0.2, "described"),
)
RQ1 = rows(
    "kind metric attribute group reference subset versus part estimate low high primary",
    ("level", "auroc", "sex", "all", None, "age+labs", None, None, 0.8, 0.7, 0.9, False),
    ("headline", "auroc", "sex", "all", None, "age+labs", "labs", None, 0.05, 0.04, 0.06, True),
    ("headline", "auroc", "sex", "all", None, "age+labs", "age", None, 0.20, 0.1, 0.3, False),
    ("headline", "tpr", "sex", "Female", "Male", "age+labs", "labs", None, 0.04, -0.9, 0.9, True),
    ("addition", "auroc", "sex", "all", None, "labs", "none", None, 0.2, 0.1, 0.3, False),
    ("addition", "auroc", "sex", "all", None, "age+labs", "labs", None, -0.1, -0.2, -0.05, False),
    ("effect", "tpr", "sex", "Female", "Male", None, None, "widens", 3, None, None, False),
    ("effect", "tpr", "sex", "Female", "Male", None, None, "unclear", 5, None, None, False),
    ("noise", "auroc", "overall", "all", None, "labs+noise", "labs", None, 0.3, 0.2, 0.4, False),
    ("noise", "auroc", "overall", "all", None, "age+labs+noise", "age+labs", None, -0.01, -0.02, 0.0, False),
    ("parts", "part_tpr", "sex", "Female", "Male", "age+labs", "labs", "ranking", 0.03, 0.0, 0.1, False),
    ("parts", "observed_expected", "sex", "Female", None, "labs", None, None, 1.5, 1.4, 1.6, False),
    ("parts", "observed_expected", "sex", "Female", None, "age+labs", None, None, 1.1, 1.0, 1.2, False),
    n=1000, n_positive=300,
)  # fmt: skip
DECLARED = rows(
    "question metric attribute group reference rate estimate low high verdict detectable times n_needed",
    ("rq1", "tpr", "sex", "Female", "Male", np.nan, 0.04, 0.01, 0.07, "differs", 0.1, np.nan, np.nan),
    ("gap", "tpr", "sex", "Female", "Male", np.nan, -0.2, -0.3, -0.1, "differs", 0.15, 2.0, 500),
    ("rq2", "tpr", "sex", "Female", "Male", 0.2, 0.01, -0.01, 0.03, "undecided", 0.15, 2.0, 500),
)
PLAIN = {"regime": "plain, mask", "group": "all", "attribute": "sex"}
RQ2 = pd.concat(
    [
        rows("rate estimate", (0.0, 0.8), (0.5, 0.7), metric="auroc", mechanism="at random", se_patients=0.01, **PLAIN),
        rows("rate estimate", (0.5, 0.6), metric="auroc", mechanism="more at higher predicted risk", **PLAIN),
        rows(
            "rate estimate low high one_run margin",
            (0.002, -0.0002, -0.0003, -0.0001, 0.0005, 0.0001),
            (0.2, -0.02, -0.03, -0.015, 0.005, 0.01),
            (0.5, -0.1, -0.12, -0.08, 0.005, 0.025),
            metric="auroc", mechanism="at random", versus="0.0", **PLAIN,
        ),  # fmt: skip
        rows(
            "rate group reference estimate", (0.2, "Female", "Male", 0.01), (0.1, "Female", "Male", 0.5),
            metric="tpr", attribute="sex", mechanism="at random", versus="0.0", regime="plain, mask",
        ),  # fmt: skip
        rows(
            "side reference estimate low high", (None, "masked", 0.06, 0.04, 0.08), ("observed", None, 0.9, 0.8, 1.0),
            metric="auroc", modality="labs", mechanism="as it happened", **PLAIN,
        ),  # fmt: skip
    ]
).assign(low=lambda d: d.get("low"), n=1000, n_positive=300)
MITIGATION = rows(
    "regime rate versus estimate low high primary",
    ("late", "0.0", "plain", 0.0, -0.1, 0.1, True),
    ("late", "0.5", "plain", 0.02, 0.01, 0.03, True),
    ("late", "0.5", "0.0", -0.5, -0.6, -0.4, True),
    ("late", "more at higher predicted risk", "plain", 0.1, 0.05, 0.2, True),
    ("late", "more at lower predicted risk", "plain", -0.1, -0.2, -0.05, True),
    ("token", "0.5", "plain", 0.01, 0.0, 0.03, False),
    metric="auroc", attribute="sex", group="all", n=1000, n_positive=300,
)  # fmt: skip
SELECTION = rows(
    "metric way estimate", ("auroc", "all", 0.8), ("smallest_margin", None, 0.14), ("smallest_margin", None, 0.1)
)
SIZES = rows(
    "attribute group label modality n n_present",
    ("overall", "all", "all", None, 1000, np.nan),
    ("overall", "all", "all", "labs", 1000, 750.0),
    ("overall", "all", "positive", "labs", 300, 100.0),
)
WHOLE = {"fairness": FAIRNESS, "rq1": RQ1, "declared": DECLARED, "rq2": RQ2, "mitigation": MITIGATION}
WHOLE |= {"selection": SELECTION, "sizes": SIZES}
RUNS = {"twin": Tables("TWIN", "synthetic", WHOLE), "a": Tables("ALPHA", "health", WHOLE)}
RUNS |= {"b": Tables("BETA", "health")}
FRAMES = [
    story.group_rates, story.lacking_shares, story.audit_verdicts, story.all_gains, story.changed_contrasts,
    story.contrast_parts, story.noise_effects, story.addition_shares, story.drop_curves, story.drop_losses,
    story.dropped_contrasts, story.mechanism_levels, story.real_absences, story.full_contrasts,
    story.group_calibration, story.regime_gains, story.regime_rates, story.bounded_margins, story.cohort_sizes,
]  # fmt: skip


@pytest.mark.parametrize("frame", FRAMES)
def test_real_cohorts_come_first_and_runs_without_results_have_no_rows(frame):
    found = frame(RUNS)
    if len(found) and frame is not story.cohort_sizes:
        assert list(found.run.unique()) == ["a", "twin"]
        assert found.groupby("run").size().nunique() == 1
    assert {"run", "title", "kind"} <= set(frame({"b": RUNS["b"]}))


def one(frame):
    return frame({"a": RUNS["a"]})


def test_rates_of_groups_keep_their_counts_and_crossed_groups_are_left_out():
    rates = one(story.group_rates).set_index("group")
    assert list(rates.index) == ["Female", "Male"] and (rates.overall == 0.55).all()
    assert rates.below.to_dict() == {"Female": True, "Male": False} and rates.reference["Male"]
    assert rates.loc["Female", ["n_positive", "events"]].tolist() == [100, 40]
    assert story.lowest_rates_of_runs(one(story.group_rates)).group.tolist() == ["Female"]


def test_gains_are_those_over_each_single_modality():
    gains = one(story.all_gains)
    assert gains.versus.tolist() == ["labs", "age"] and (gains.full == 0.8).all()
    assert story.smallest_gains(gains).versus.tolist() == ["labs"]


def test_a_gain_is_found_by_the_verdict_of_its_run_and_by_its_interval_only_where_nothing_was_declared():
    assert story.is_found(one(story.all_gains)).tolist() == [True, True]
    columns = "question metric attribute group versus verdict"
    own = rows(columns, ("rq1", "auroc", "sex", "all", "labs", "not after correction"))
    declared = pd.concat([DECLARED, own], ignore_index=True)
    gains = story.all_gains({"a": Tables("ALPHA", "health", WHOLE | {"declared": declared})})
    assert gains.verdict.tolist() == ["not after correction", "described"]
    assert story.is_found(gains).tolist() == [False, True]


def test_a_declared_difference_keeps_the_interval_and_verdict_of_its_run():
    change = one(story.changed_contrasts).iloc[0]
    assert (change.low, change.high, change.verdict, change.gain) == (0.01, 0.07, "differs", 0.05)
    gap = one(story.full_contrasts).iloc[0]
    assert (gap.low, gap.high, gap.detectable) == (-0.3, -0.1, 0.15)
    assert one(story.dropped_contrasts)[["rate", "verdict"]].values.tolist() == [[0.2, "undecided"]]
    undeclared = Tables("A", "health", {name: t for name, t in WHOLE.items() if name != "declared"})
    assert story.changed_contrasts({"a": undeclared}).verdict.tolist() == ["described"]


def test_noise_is_that_added_to_all():
    assert one(story.noise_effects).estimate.tolist() == [-0.01]
    assert one(story.group_calibration).estimate.tolist() == [1.1]


def test_additions_and_their_effects_are_counted():
    found = one(story.addition_shares).iloc[0]
    assert (found.additions, found.raised, found.up, found.down) == (2, 1, 1, 1)
    assert (found.widens, found.unclear, found.changes) == (3, 5, 8)


def test_a_loss_is_seen_if_it_exceeds_the_chance_of_one_run():
    losses = one(story.drop_losses).set_index("rate")
    assert losses.estimate.tolist() == [0.0002, 0.02, 0.1] and losses.low[0.2] == 0.015
    assert losses.seen.tolist() == [False, True, True]
    assert losses.seen_elsewhere.tolist() == [False, False, True]  # 1.96 * sqrt(2) * 0.01 = 0.028
    assert losses.beyond.tolist() == [False, True, True]
    assert one(story.mechanism_levels).mechanism.tolist() == ["at random", "more at higher predicted risk"]
    assert one(story.real_absences).estimate.tolist() == [0.06]
    assert one(story.lacking_shares).lacking.tolist() == [0.25]


def test_a_regime_that_gains_one_way_and_loses_the_other_reads_a_sign():
    gains = one(story.regime_gains)
    assert gains[gains.regime == "late"].case.tolist()[:2] == ["complete", "at random"]
    assert gains.groupby("regime")["sign"].any().to_dict() == {"late": True, "token": False}
    assert gains[gains.chosen.astype(bool)].regime.unique().tolist() == ["late"]
    margins = one(story.bounded_margins).iloc[0]
    assert not margins.bounded and margins.smallest_margin == 0.14
