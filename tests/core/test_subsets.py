import doctest

import pytest

from mmlib.core import subsets
from mmlib.core.subsets import full_subset, members, subset_masks, subset_name


def test_the_examples_in_the_documentation_hold():
    failed, tried = doctest.testmod(subsets)
    assert failed == 0 and tried >= 4


def test_subsets_count_in_binary():
    names, masks = subset_masks(["a", "b", "c"])
    assert names == ["none", "a", "b", "a+b", "c", "a+c", "b+c", "a+b+c"]
    assert (masks @ [1, 2, 4]).tolist() == list(range(8))


@pytest.mark.parametrize("modalities", ["a", "ab", "dcba"])
def test_names_and_members_are_inverse_and_the_full_subset_holds_all(modalities):
    names, masks = subset_masks(modalities)
    assert [subset_name(members(name)) for name in names] == names
    assert [len(members(name)) for name in names] == masks.sum(axis=1).tolist()
    assert members(full_subset(names[::-1])) == tuple(modalities)


def test_the_largest_subset_has_most_members_not_the_longest_name():
    assert full_subset(["none", "discharge_summary", "a+b"]) == "a+b" and full_subset(["none"]) == "none"
