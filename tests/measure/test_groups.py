from types import SimpleNamespace

import pandas as pd
import pytest

from mmlib.measure.groups import Groups, choose_groups, load_groups
from tests.sentences import one_sentence

COHORT = pd.DataFrame({"sex": ["m"] * 60 + ["f"] * 60, "race": ["A", "B"] * 60})
COHORT["label"] = [1] * 50 + [0] * 50 + [1] * 20
GROUPS = Groups({"sex": "m", "race": "A"}, {"sex": "f"}, {"race+sex": "A, m"})


def test_attributes_have_references_crossed_ones_last():
    assert GROUPS.attributes == ("sex", "race", "race+sex")
    assert [GROUPS.reference(a) for a in GROUPS.attributes] == ["m", "A", "A, m"]
    assert GROUPS.first == "sex"
    assert GROUPS.single().attributes == ("sex", "race")
    with pytest.raises(ValueError, match="'age' has no reference; sex, race, race"):
        GROUPS.reference("age")


def test_sizes_say_which_groups_are_large_enough():
    sizes = GROUPS.sizes(COHORT).set_index("group")
    assert sizes.loc["m", ["n", "n_positive", "large"]].tolist() == [60, 50, True]
    assert sizes.loc["f", ["n", "n_positive", "large"]].tolist() == [60, 20, False]
    assert sizes.loc["A, m"].attribute == "race+sex"
    assert "all" not in sizes.index


def test_what_cannot_be_compared_is_named():
    with pytest.raises(ValueError, match="protected is empty"):
        Groups({})
    with pytest.raises(ValueError, match="contrasts names 'age'; expected some of sex"):
        Groups({"sex": "m"}, {"age": "old"})
    with pytest.raises(ValueError, match="'age' is not a column"):
        Groups({"age": "old"}).masks(COHORT)


SITES = pd.DataFrame(
    {"site": ["Unknown"] * 50 + ["a"] * 30 + ["b"] * 20 + ["c"] * 10 + ["d"] * 40, "sex": ["m", "f"] * 75}
)
SITES["label"] = [0, 0, 1] * 36 + [0, 1] + [0] * 40  # nobody of d is positive


def test_what_a_run_does_not_name_is_chosen_by_size():
    groups = choose_groups(SITES, {"site": None, "sex": "f"})
    assert groups == Groups({"site": "a", "sex": "f"}, {"site": "b", "sex": "m"})
    assert choose_groups(SITES, {"site": "b"}, {"site": "Unknown"}) == Groups(
        {"site": "b"}, {"site": "Unknown"}
    )
    assert choose_groups(SITES.replace({"site": {"b": "d", "c": "d"}}), {"site": "a"}).contrasts == {
        "site": "d"
    }
    crossed = choose_groups(SITES, {"sex": None}, {}, {"sex+site": "f, a"})
    assert crossed.intersections == {"sex+site": "f, a"} and crossed.contrasts == {"sex": "m"}
    kept = SimpleNamespace(
        read={"cohort": SITES}.get, settings={"01_cohort": {"attributes": ["sex", "site"]}}.get
    )
    assert load_groups(kept).attributes == ("sex", "site")
    assert load_groups(kept, {"site": "b"}, {"site": "c"}) == Groups({"site": "b"}, {"site": "c"})


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([{"race": "A"}], "protected names 'race', which the cohort lacks; it has site, sex"),
        (
            [{"site": "Martian"}],
            "reference group 'Martian' of 'site' is not one .* expected one of 'a', 'b', 'c', 'Unknown'",
        ),
        ([{"site": "d"}], "reference group 'd' of 'site' is not one with both labels"),
        ([{"site": "a"}, {"site": "e"}], "contrasts names the group 'e' of 'site'; expected one of 'b', 'c'"),
        ([{"site": "a"}, {"site": "d"}], "'d' of 'site'; expected one of 'b'.* which have both labels"),
        ([{"site": "a"}, {"site": "a"}], "contrasts names the group 'a' of 'site'.* are not its reference"),
        ([{"site": "a"}, {"race": "A"}], "contrasts names 'race'; expected some of site"),
        (
            [{"sex": "m"}, {}, {"site+sex": "m, a"}],
            "group 'm, a' of 'site.sex' is not one .* expected one of",
        ),
        ([{"sex": "m"}, {}, {"race+sex": "A, m"}], "protected names 'race'"),
        (
            [{"one": None}],
            "Of the 1 groups of 'one', 'x' has both labels; expected two or more .* leave it out",
        ),
        ([{"label": None}], "Of the 2 groups of 'label', none has both labels"),
        ([{"whole": None}], "A group of 'whole' is called 'all'"),
    ],
)
def test_groups_that_the_cohort_lacks_are_one_sentence(given, message):
    with one_sentence(message):
        choose_groups(SITES.assign(one="x", whole=["all", "some"] * 75), *given)


@pytest.mark.bad_input
def test_an_identifier_is_no_attribute():
    cohort = pd.DataFrame({"id": [f"p{i}" for i in range(60)] * 2, "label": [0] * 60 + [1] * 60})
    with one_sentence("'id' has 60 groups, such as 'p0', 'p1', 'p10'; expected at most 50"):
        choose_groups(cohort, {"id": None})
