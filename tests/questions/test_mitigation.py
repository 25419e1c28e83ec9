from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import recall_score, roc_auc_score

from mmlib.core.schema import RESULTS
from mmlib.core.subsets import subset_masks
from mmlib.measure.groups import Groups
from mmlib.models import regimes
from mmlib.models.thresholds import compare_thresholds
from mmlib.questions import mitigation
from mmlib.questions.mitigation import COMPLETE

N, SETTINGS = 600, {"resamples": 30, "seed": 1}
GROUPS, ALONE = Groups({"race": "A", "sex": "m"}, {"sex": "f"}), Groups({"sex": "m"})
RISK = {"depends_on": "risk"}
HIGHER, LOWER = "more at higher predicted risk", "more at lower predicted risk"


def case(modalities=("a", "b")):
    """A study, and scores that are better the later their regime stands, complete inputs aside."""
    rng = np.random.default_rng(0)
    cohort = pd.DataFrame({"patient_id": np.arange(N).astype(str), "label": rng.integers(0, 2, N)})
    cohort["race"], cohort["sex"] = rng.choice(["A", "B"], N), rng.choice(["f", "m"], N)
    present = rng.random((N, len(modalities))) < 0.9
    for m, there in zip(modalities, present.T, strict=True):
        cohort[f"present_{m}"] = there
    fold = np.arange(N) % 3
    cohort["fold"] = fold
    tested = fold == np.arange(3)[:, None]
    held = (np.arange(N) // 3 % 2 == 0) & ~tested
    study = SimpleNamespace(
        cohort=cohort,
        modalities=tuple(modalities),
        samples=tuple(map(str, range(N))),
        present=torch.tensor(present),
        y=torch.tensor(cohort.label.to_numpy(np.float32)),
        training=torch.tensor(~held & ~tested),
        validation=torch.tensor(held),
        tested=tested,
        fold=fold,
    )
    _, masks = subset_masks(modalities)
    signal = 2 * (cohort.label.to_numpy() - 0.5) + rng.normal(size=N)
    noise = rng.normal(size=(len(masks), N))
    lost = (~masks).sum(axis=1)[:, None]
    names = [regimes.BASE, "better", "costly", regimes.LOST_IN_TRAINING, regimes.SPECIALISTS]
    scores = {}
    for name, (harm, cost) in zip(names, [(2, 0), (1, 0), (0.2, 2), (0, 0), (0.5, 0)], strict=True):
        z = signal + (harm * lost + cost * (lost == 0)) * noise
        scores[name] = np.where((study.tested | held)[:, None], 1 / (1 + np.exp(-z)), np.nan)
    return study, scores


STUDY, SCORES = case()
LOSSES = mitigation.loss_patterns(
    STUDY, GROUPS, SCORES[regimes.SPECIALISTS], rates=[0.5, 0.2], mechanism=RISK, rate=0.5
)
COMPARED = mitigation.compare_regimes(regimes.collect(SCORES, STUDY), STUDY, GROUPS, LOSSES, **SETTINGS)
AUROC = mitigation.regime_auroc(COMPARED)


def test_losses_are_distributions_named_by_their_rate():
    assert LOSSES["rate"].values.tolist() == [COMPLETE, "0.2", "0.5", HIGHER, LOWER]
    np.testing.assert_allclose(LOSSES.sum("pattern"), 1)
    assert (LOSSES.sel(rate=COMPLETE, pattern="a+b") == 1).all()
    risk = SCORES[regimes.SPECIALISTS][STUDY.fold, -1, np.arange(N)]
    there = STUDY.present.numpy().all(axis=1)
    for name, sign in ((HIGHER, 1), (LOWER, -1)):
        gone = 1 - LOSSES.sel(rate=name, pattern="a+b").values[there]
        assert sign * np.corrcoef(gone, risk[there])[0, 1] > 0.8
    alone = {"rates": [0.5], "mechanism": {"depends_on": "sex=f"}, "rate": 0.5}
    by_group = mitigation.loss_patterns(STUDY, GROUPS, SCORES["plain"], **alone)
    assert by_group["rate"].values.tolist() == [COMPLETE, "0.5", "more from f"]
    with pytest.raises(ValueError, match="missing_rate is 0.3; expected one of missing_rates"):
        mitigation.loss_patterns(STUDY, GROUPS, SCORES["plain"], rates=[0.2], mechanism=RISK, rate=0.3)


def test_regimes_are_compared_on_the_patients_that_a_fold_tests():
    own = SCORES["better"][STUDY.fold, -1, np.arange(N)]
    expected = roc_auc_score(STUDY.cohort.label, own.astype(np.float32))
    assert float(AUROC.sel(regime="better", rate=COMPLETE)) == pytest.approx(expected)
    assert AUROC.dims == ("regime", "rate") and AUROC.labels("regime") == list(SCORES)
    gain = mitigation.gain_over_base(AUROC)
    assert regimes.BASE not in gain.labels("regime")
    assert float(gain.sel(regime="better", rate=COMPLETE)) == 0
    assert gain.sel(regime="better", rate="0.5").clear() == 1


def test_the_signed_difference_is_that_of_the_first_group_shown():
    difference = mitigation.regime_differences(COMPARED, GROUPS)
    assert difference.labels("regime") == [name for name in SCORES if name != regimes.SPECIALISTS]
    assert difference.label.startswith("f minus m (n=")
    expected = COMPARED["costly"].difference("tpr", "sex").sel(group="f", rate="0.5")
    np.testing.assert_array_equal(difference.sel(regime="costly", rate="0.5").values, expected.values)
    assert mitigation.regime_differences(COMPARED, ALONE) is None


def test_every_regime_has_its_loss_and_specialists_are_one_of_them():
    lost = mitigation.auroc_lost(AUROC)
    assert lost.labels("regime") == list(SCORES) and COMPLETE not in lost.labels("rate")
    for name in SCORES:
        expected = float(AUROC.sel(regime=name, rate=COMPLETE)) - float(AUROC.sel(regime=name, rate="0.5"))
        assert float(lost.sel(regime=name, rate="0.5")) == pytest.approx(expected)
    low, high = lost.sel(regime=regimes.BASE, rate="0.5").interval()
    assert 0 < float(low) < float(high) and np.isnan(lost.s_retrain).all()  # trained once: nothing pretends more


def test_the_choice_keeps_the_margin_on_validation_patients_and_knows_no_specialist():
    choice = mitigation.choose_regime(SCORES, STUDY, LOSSES, margin=0.005)
    assert choice["0.5"] == choice[HIGHER] == choice[LOWER] == "better" and choice[COMPLETE] == regimes.BASE
    assert mitigation.choose_regime(SCORES, STUDY, LOSSES, margin=1)["0.5"] == "costly"


def reading(strength=1.5):
    """Scores of a regime like the better one, whose score rises with every modality that is absent."""
    _, masks = subset_masks(STUDY.modalities)
    present = STUDY.present.numpy()
    lost = (present.sum(axis=1) - (masks[:, None] & present).sum(axis=2))[None]
    z = np.log(SCORES["better"] / (1 - SCORES["better"])) + strength * lost
    return 1 / (1 + np.exp(-z))


def test_a_regime_that_reads_absence_as_a_sign_is_found_and_never_chosen():
    names = {name: SCORES[name] for name in (regimes.BASE, regimes.SPECIALISTS)}
    scores = {regimes.BASE: names[regimes.BASE], "reader": reading(), **names}
    compared = mitigation.compare_regimes(regimes.collect(scores, STUDY), STUDY, GROUPS, LOSSES, **SETTINGS)
    auroc = mitigation.regime_auroc(compared)
    gain = mitigation.gain_over_base(auroc).sel(regime="reader")
    assert gain.sel(rate=HIGHER).clear() == 1 and gain.sel(rate=LOWER).clear() == -1  # it wins and it loses
    assert mitigation.absence_as_sign(auroc) == ["reader"]
    held = regimes.validation_auroc(scores["reader"], STUDY, LOSSES.values)
    plain = regimes.validation_auroc(scores[regimes.BASE], STUDY, LOSSES.values)
    at = LOSSES["rate"].values.tolist().index(HIGHER)
    assert held[at] > plain[at] + 0.02  # validation alone would take it where those at higher risk lose more
    assert (mitigation.choose_regime(scores, STUDY, LOSSES, margin=0.005) == regimes.BASE).all()


def test_without_a_mirror_nothing_is_said_to_read_absence():
    assert mitigation.absence_as_sign(AUROC.sel(rate=[COMPLETE, "0.5", HIGHER])) == []
    assert mitigation.absence_as_sign(AUROC) == []


def test_decisions_are_evaluated_as_chances_of_being_selected():
    cases = LOSSES.sel(rate=[COMPLETE, "0.5"])
    decided = mitigation.decide(SCORES["plain"], STUDY, GROUPS, cases, **SETTINGS)
    assert list(decided) == [COMPLETE, "0.5"] and decided["0.5"].key == "way"
    ways = compare_thresholds(SCORES["plain"], STUDY, "sex")
    complete = decided[COMPLETE].metric("tpr")
    for way, chosen in ways.items():
        assert float(complete.sel(way=way)) == pytest.approx(recall_score(STUDY.cohort.label, chosen[-1]))
    expected = (LOSSES.sel(rate="0.5").values.T * ways["per pattern"]).sum(axis=0).mean()
    assert float(decided["0.5"].metric("selection_rate").sel(way="per pattern")) == pytest.approx(expected)
    assert not mitigation.decide(SCORES["plain"], STUDY, ALONE, cases, **SETTINGS)["0.5"].contrasts("tpr")


def test_the_table_keeps_its_contract():
    table = RESULTS.validate(mitigation.mitigation_table(COMPARED, "better").assign(run="toy"))
    kept, changes = table[table.versus != regimes.BASE], table[table.versus == regimes.BASE]
    assert kept.regime.unique().tolist() == list(SCORES) and len(kept) == 5 * (5 * (1 + 2 * 2) + 4)
    gained = changes.query("metric == 'auroc' and regime == 'costly' and rate == '0.5'")
    gain = mitigation.gain_over_base(AUROC).sel(regime="costly", rate="0.5")
    assert gained[["estimate", "low"]].values.tolist() == [[float(gain), float(gain.interval()[0])]]
    by_group = changes[changes.metric == "tpr"]
    assert set(by_group.regime) == {"better"} and set(by_group.group) > {"f", "m"}
    rates = [COMPARED[name].metric("tpr", "sex").sel(group="f", rate="0.5") for name in ("better", regimes.BASE)]
    assert by_group.query("group == 'f' and rate == '0.5'").estimate.item() == float(rates[0]) - float(rates[1])
    assert set(table.regime[table.primary]) == {"better"}
    table = kept
    lost = table[table.versus.notna()].query("regime == 'costly' and rate == '0.5'")
    assert lost.versus.tolist() == [COMPLETE]
    assert lost.estimate.item() == -float(mitigation.auroc_lost(AUROC).sel(regime="costly", rate="0.5"))
    table = table[table.versus.isna()]
    row = table.query("regime == 'better' and metric == 'auroc' and rate == '0.5'").iloc[0]
    assert row.estimate == float(AUROC.sel(regime="better", rate="0.5")) and row.attribute == "race"


def test_one_modality_is_enough():
    study, scores = case(modalities=("a",))
    losses = mitigation.loss_patterns(study, ALONE, scores["plain"], rates=[0.5], mechanism=RISK, rate=0.5)
    compared = mitigation.compare_regimes(regimes.collect(scores, study), study, ALONE, losses, **SETTINGS)
    assert mitigation.regime_auroc(compared).labels("rate") == [COMPLETE, "0.5", HIGHER, LOWER]
    assert mitigation.choose_regime(scores, study, losses, margin=0.005)[COMPLETE] == regimes.BASE
