from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from mmlib.core.schema import PLAIN
from mmlib.core.subsets import subset_masks
from mmlib.measure.bootstrap import resample_patients
from mmlib.models.masking import DROPOUT
from mmlib.questions.absence import observed_absence
from mmlib.show import absence

N = 1200


def compared(shift=0.0, lack=0.4):
    """Real absence of b, at random but for the scores of positives who lack it, which are shifted."""
    rng = np.random.default_rng(0)
    cohort = pd.DataFrame(
        {"patient_id": np.arange(N).astype(str), "label": (rng.random(N) < 0.4).astype("int8")}
    )
    cohort["fold"], cohort["sex"] = (np.arange(N) % 3).astype("int8"), rng.choice(["Female", "Male"], N)
    cohort["present_a"], cohort["present_b"] = True, rng.random(N) >= lack
    y, names = cohort.label.to_numpy(), subset_masks(["a", "b"])[0]
    signal = rng.normal(size=(2, 2, 4, N)) + 1.5 * y + shift * ~cohort.present_b.to_numpy() * y
    labels = {"regime": [PLAIN, DROPOUT], "seed": [0, 1], "pattern": names}
    score = xr.DataArray(1 / (1 + np.exp(-signal)), labels, ("regime", "seed", "pattern", "sample"))
    cut = xr.DataArray(
        np.full((2, 2, 3), 0.68), {k: labels[k] for k in ("regime", "seed")}, ("regime", "seed", "fold")
    )
    return observed_absence(score, cut, cohort, resample_patients(cohort.patient_id, 80))


AS_PREDICTED, HIGHER, LOWER = compared(), compared(1.0), compared(-1.0)
NOBODY, FEW = compared(lack=0), compared(lack=0.02)


def title(axes):
    return axes[0].figure.get_suptitle() or axes[0].get_title(loc="left")


def test_the_title_says_where_masking_does_not_predict_what_is_observed():
    said = title(absence.absence_dots(AS_PREDICTED))
    assert said == "No clear difference in AUROC between observed and masked absence"
    gain = float(HIGHER.difference("auroc").sel(regime=PLAIN, modality="b"))
    said = title(absence.absence_dots(HIGHER))
    assert said == f"Samples that lack b: AUROC is not what masking predicts ({gain:+.3f})"


def test_both_sides_are_drawn_for_each_modality_and_regime_in_two_panels():
    axes = absence.absence_dots(HIGHER)
    assert [ax.get_xlabel() for ax in axes] == ["AUROC", "true positive rate"]
    assert [tick.get_text() for tick in axes[0].get_yticklabels()] == ["b, plain", "b, dropout"]
    middle = [bars.lines[0].get_xdata() for bars in axes[0].containers]
    for drawn, side in zip(middle, ("masked", "observed"), strict=True):
        expected = HIGHER.metric("auroc").sel(modality="b", side=side, regime=[PLAIN, DROPOUT]).value.values
        np.testing.assert_allclose(drawn, expected)
    assert axes[0].get_xlim()[0] > 0.4  # no line at zero


def test_the_sentence_says_no_more_than_the_interval():
    said = absence.absence_in_short(AS_PREDICTED).data
    assert (
        "no clear difference in AUROC from what masking predicts" in said and "does not describe" not in said
    )
    for found, way in ((HIGHER, "higher"), (LOWER, "lower")):
        said = absence.absence_in_short(found).data.replace("\u00a0", " ")
        assert f"] {way} than masking predicts from like samples" in said
        assert "masking at random does not describe real absence here" in said
        assert "AUROC that is 0." in said  # its direction stands in a word, not in a sign
        assert said.startswith(f"The {found.blocks.n_lack[0]:,} samples that lack *b* have")


def test_a_difference_without_an_interval_is_neither_clear_nor_unclear():
    metrics = AS_PREDICTED.metrics | {"auroc": AS_PREDICTED.metrics["auroc"]}
    values = metrics["auroc"].values
    metrics["auroc"] = replace(metrics["auroc"], values=values.where(values.resample == 0))
    said = absence.absence_in_short(replace(AS_PREDICTED, metrics=metrics)).data
    assert "too few like samples for an interval of the difference in AUROC" in said and "nan" not in said


def test_the_table_counts_both_sides_and_says_why_a_block_is_not_computed():
    row = absence.absence_table(HIGHER).data.iloc[0]
    assert row["modality"] == "b" and row["lack it (positive)"].startswith(f"{HIGHER.blocks.n_lack[0]:,} (")
    assert row["AUROC, observed minus masked [95 %]"].startswith("+0.") and "why not" not in row
    few = absence.absence_table(FEW).data.iloc[0]
    assert (
        few["AUROC, observed minus masked [95 %]"] == "not computed"
        and "expected 30 of each" in few["why not"]
    )


@pytest.mark.parametrize(
    ("nothing", "why"), [(NOBODY, "No sample lacks a"), (FEW, "lacked by enough samples")]
)
def test_a_run_without_a_block_says_so_and_draws_nothing(nothing, why):
    axes = absence.absence_dots(nothing)
    assert why in axes[0].texts[0].get_text() and not axes[0].lines
    assert why in absence.absence_in_short(nothing).data
    assert absence.absence_table(nothing).data.shape[0] == 1
