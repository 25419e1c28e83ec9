import numpy as np
import pandas as pd
import pytest

from mmlib.core.schema import Field
from mmlib.data.table import build
from mmlib.text.notes import join_notes, typical_note, write_notes

FIELDS = (
    Field("labs", "alb", "serum albumin", "g/dL", 1, reference=(2, 3.5, 5.5, None)),
    Field("labs", "na", "sodium", "mmol/L"),
    Field("history", "smoker", "smoker", words={0: "no", 1: "yes"}),
    Field("text", "triage", "triage", kind="text"),
)
VALUES = pd.DataFrame(
    {
        "alb": [1.96, 3.04, 6, None],
        "na": [140.4, None, -0.2, None],
        "smoker": [0, 1, None, 1],
        "triage": ["Fall. ", None, "Pain", ""],
    }
)


def cohort():
    groups = pd.DataFrame({"sex": ["f", "m", "f", "m"]})
    return build("toy", "event", values=VALUES, fields=FIELDS, groups=groups, label=[0, 1, 0, 1])


def test_sentences_round_name_units_translate_codes_and_flag():
    notes = write_notes(cohort())
    by = notes.set_index(["sample_id", "field"]).sentence
    assert by["0", "alb"] == "Serum albumin: 2.0 g/dL, very low."
    assert by["1", "alb"] == "Serum albumin: 3.0 g/dL, low."
    assert by["2", "alb"] == "Serum albumin: 6.0 g/dL, high."
    assert by["2", "na"] == "Sodium: 0 mmol/L."
    assert by["1", "smoker"] == "Smoker: yes."
    assert by["0", "triage"] == "Fall."
    assert write_notes(cohort(), flags=False).sentence[0] == "Serum albumin: 2.0 g/dL."


TENS = [(2134.0, "2130"), (1996, "2000"), (4.0, "0"), (-4.0, "0"), (-16.0, "-20")]


@pytest.mark.parametrize(("value", "written"), TENS)
def test_a_sentence_can_tell_tens(value, written):
    field = Field("diet", "energy", "energy", "kcal", -1)
    table = pd.DataFrame({"energy": [value, 500.0]})
    groups = pd.DataFrame({"sex": ["f", "m"]})
    recalled = build("toy", "event", values=table, fields=(field,), groups=groups, label=[0, 1])
    assert write_notes(recalled).sentence.tolist() == [f"Energy: {written} kcal.", "Energy: 500 kcal."]


def test_an_absent_field_and_an_absent_modality_are_different_things():
    silent, telling = write_notes(cohort()), write_notes(cohort(), not_recorded=True)
    assert not ((silent.sample_id == "1") & (silent.field == "na")).any()
    assert "Sodium: not recorded." in set(telling[telling.sample_id == "1"].sentence)
    assert not ((telling.sample_id == "3") & (telling.modality == "labs")).any()


def test_notes_join_in_the_order_of_the_fields():
    whole = join_notes(write_notes(cohort())).set_index(["sample_id", "modality"]).sentence
    assert whole["0", "labs"] == "Serum albumin: 2.0 g/dL, very low. Sodium: 140 mmol/L."


def test_a_typical_note_shows_only_what_many_share():
    notes = pd.concat([write_notes(cohort())] * 6)
    assert typical_note(notes, minimum=13).empty
    typical = typical_note(notes, minimum=11).set_index("modality").note
    assert typical.to_dict() == {"history": "Smoker: yes."}
    two = typical_note(notes, minimum=1, sentences=1).set_index("modality").note
    assert two["labs"].count(":") == 1 < typical_note(notes, minimum=1).set_index("modality").note["labs"].count(":")


def test_a_field_that_nobody_has_is_silent():
    values = VALUES.assign(na=np.nan, smoker=None, triage=None)
    groups = pd.DataFrame({"sex": ["f", "m", "f", "m"]})
    empty = build("toy", "event", values=values, fields=FIELDS, groups=groups, label=[0, 1, 0, 1])
    assert set(write_notes(empty).field) == {"alb"}
    told = write_notes(empty, not_recorded=True)
    assert (told[told.field == "na"].sentence == "Sodium: not recorded.").all()
    assert set(told.modality) == {"labs"}


@pytest.mark.parametrize(
    ("value", "flag"),
    [
        (1.99, "very low"),
        (2, "low"),
        (3.49, "low"),
        (3.5, "normal"),
        (5.5, "normal"),
        (5.51, "high"),
        (99, "high"),
    ],
)
def test_flags_change_at_the_bounds(value, flag):
    groups = pd.DataFrame({"sex": ["f", "m"]})
    values = pd.DataFrame({"alb": [value, None]})
    two = build("toy", "event", values=values, fields=FIELDS[:1], groups=groups, label=[0, 1])
    (sentence,) = write_notes(two).sentence
    assert sentence == f"Serum albumin: {value:.1f} g/dL, {flag}."
