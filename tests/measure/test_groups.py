import pandas as pd
import pytest

from mmlib.measure.groups import Groups

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
