import numpy as np
import pandas as pd

from mmlib import Groups
from mmlib.core.schema import BINS
from mmlib.questions import score_bins, size_table

GROUPS = Groups({"sex": "Male"}, {"sex": "Female"})


def test_sizes_count_samples_patients_and_modalities_by_group_and_label():
    cohort = pd.DataFrame({"patient_id": list("aabcd"), "label": [1, 0, 1, 0, 0]})
    cohort["sex"] = ["Male", "Male", "Female", "Female", "Female"]
    present = pd.DataFrame({"labs": [True, False, True, True, False], "notes": [False] * 5})
    table = size_table(cohort, present, GROUPS).set_index(["attribute", "group", "label", "modality"])
    assert len(table) == 3 * 3 * 3  # overall and two groups; labels; modalities and the cell itself
    counts = ["n", "n_patients", "n_positive", "n_present"]
    assert table.loc[("overall", "all", "all", "labs"), counts].tolist() == [5, 4, 2, 3]
    assert table.loc[("sex", "Male", "all", "labs"), counts].tolist() == [2, 1, 1, 1]
    assert table.loc[("sex", "Female", "negative", "labs"), counts].tolist() == [2, 2, 0, 1]
    itself = table[table.index.get_level_values("modality").isna()]
    assert len(itself) == 9 and itself.n_present.isna().all()


def test_bins_hold_every_score_of_the_first_seed_once(small_powerset):
    powerset, cohort = small_powerset
    table = score_bins(powerset, cohort, GROUPS)
    assert len(table) == 8 * 3 * 2  # subsets; overall, reference and contrast; labels
    assert (table[list(BINS)].sum(axis=1) == table.n).all()
    row = table.query("subset == 'a+b' and group == 'Female' and label == 'positive'").iloc[0]
    inside = (cohort.sex == "Female") & (cohort.label == 1)
    scores = powerset["score"].sel(subset="a+b").values[0][inside]
    assert row.n == inside.sum()
    assert [row[b] for b in BINS] == [int(((scores * 50).astype(int) == place).sum()) for place in range(50)]
    assert np.isclose((scores > 0.5).mean(), row[list(BINS)[25:]].sum() / row.n, atol=1 / row.n)
