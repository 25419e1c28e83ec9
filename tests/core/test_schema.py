import numpy as np
import pandas as pd
import pytest
import xarray as xr
from pandera.errors import SchemaError, SchemaErrors

from mmlib.core import schema
from mmlib.core.schema import Cohort, Field, check_array
from tests.sentences import one_sentence

ROW = {"run": "r", "metric": "tpr", "attribute": "sex", "group": "f", "reference": None}
NUMBERS = {"estimate": 0.1, "low": 0.0, "high": 0.2, "se_patients": 0.1, "se_retrain": np.nan}
RESULT = pd.DataFrame([ROW | NUMBERS | {"n": 5, "n_positive": 2, "primary": False}])


def array(**change):
    score = xr.DataArray(np.full((1, 1, 2, 3), 0.5), dims=("regime", "seed", "pattern", "sample"))
    threshold = xr.DataArray(np.full((1, 1, 2, 3), np.inf), dims=("regime", "seed", "fold", "rule"))
    return xr.Dataset({"score": score, "threshold": threshold}).assign(change)


def test_a_field_with_words_is_a_category_and_its_column_names_its_modality():
    field = Field("history", "num.co", "diseases", words={0: "no"})
    assert (field.kind, field.column) == ("category", "history.num.co")
    assert Field("note", "t", "t", words={}, kind="text").kind == "text"


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "numbr"}, "'labs.alb' has kind 'numbr'; expected number"),
        ({"decimals": "two"}, "'labs.alb' has decimals 'two'"),
        ({"decimals": 0.5}, "'labs.alb' has decimals 0.5"),
        ({"words": ["no", "yes"]}, "'labs.alb' has words .*expected a mapping"),
        ({"modality": "a+b"}, r"called 'a\+b'"),
        ({"modality": "a.b"}, "called 'a.b'"),
        ({"modality": "none"}, "called 'none'"),
    ],
)
def test_a_field_that_makes_no_sense_is_one_sentence(settings, message):
    with one_sentence(message):
        Field(**{"modality": "labs", "name": "alb", "label": "albumin"} | settings)


def test_a_modality_is_present_where_any_of_its_fields_is():
    values = pd.DataFrame({"a.x": [1, None, None], "b.z": [None, "u", None], "a.y": [None, 2, None]})
    fields = (Field("b", "z", "z", kind="category"), Field("a", "x", "x"), Field("a", "y", "y"))
    cohort = Cohort("toy", "event", pd.DataFrame(), values, fields, ())
    assert cohort.modalities == ("b", "a")
    pd.testing.assert_frame_equal(
        cohort.present(), pd.DataFrame({"b": [False, True, False], "a": [True, True, False]})
    )


@pytest.mark.parametrize(
    ("table", "change"),
    [
        (schema.RESULTS, {"n": -1}),
        (schema.RESULTS, {"estimate": "high"}),
        (schema.RESULTS, {"group": None}),
        (schema.NOTES, {"sentence": ""}),
        (schema.NOTES, {"field": ["f", "f"]}),
        (schema.FIELDS, {"sample_id": "1"}),
        (schema.COHORT, {"label": np.array([0, 2], "int8")}),
        (schema.COHORT, {"fold": np.array([0, -1], "int8")}),
        (schema.COHORT, {"present_labs": "yes"}),
        (schema.COHORT, {"sample_id": "1"}),
    ],
)
def test_each_contract_holds_for_good_tables_and_refuses_bad_ones(table, change):
    note = {"modality": "labs", "field": ["f", "g"], "sentence": "a"}
    about = {"patient_id": ["p", "q"], "label": np.array([0, 1], "int8"), "fold": np.array([0, 0], "int8")}
    good = pd.DataFrame(
        {"sample_id": ["1", "2"]} | note | about | {"present_labs": True, "labs.f": [1.0, None]}
    )
    good.loc[:, "sample_id"] = ["1", "1"] if table is schema.NOTES else ["1", "2"]
    good = RESULT if table is schema.RESULTS else good
    table.validate(good)
    with pytest.raises((SchemaError, SchemaErrors)):
        table.validate(good.assign(**change))


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (array().drop_vars("threshold"), "masking has no variable 'threshold'"),
        (array(score=array().score.transpose()), r"masking.score has dimensions \('sample',"),
        (array(score=array().score * 3), r"masking.score lies in \[1.5, 1.5\]"),
        (array(score=array().score - 1), r"masking.score lies in \[-0.5, -0.5\]"),
        (array(score=array().score.where([True, False, True])), "or is missing; expected probabilities"),
    ],
)
def test_labelled_arrays_are_checked(data, message):
    assert check_array(array(), "masking").identical(array())
    with one_sentence(message):
        check_array(data, "masking")


@pytest.mark.bad_input
def test_a_power_set_that_lacks_a_subset_is_named():
    dims = {"score": ("subset", "seed", "sample"), "threshold": ("subset", "seed", "fold", "rule")}
    dims["validation_score"] = ("subset", "seed", "fold", "sample")
    names = ["none", "a", "b", "a+b"]
    whole = xr.Dataset({k: (d, np.full([4 if x == "subset" else 1 for x in d], 0.5)) for k, d in dims.items()})
    whole = whole.assign_coords(subset=names)
    check_array(whole, "powerset")
    with one_sentence("powerset lacks the subset 'b' of 4; expected all of them"):
        check_array(whole.sel(subset=["none", "a", "a+b"]), "powerset")
