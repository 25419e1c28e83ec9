import os
import shutil

import numpy as np
import pandas as pd
import pytest

from mmlib.data.cohorts import load_cohort
from mmlib.data.splits import assign_folds
from mmlib.text.describers import describe_files
from mmlib.twins.write import write_twin


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return write_twin(
        "mds_ed", tmp_path_factory.mktemp("twins") / "mds", patients=50, seed=2, mess=0, wfdb=True
    )


@pytest.fixture
def copy(tree, tmp_path):
    return shutil.copytree(tree, tmp_path / "mds")


def change(root, alter):
    table = pd.read_csv(root / "mds_ed.csv")
    alter(table)
    table.to_csv(root / "mds_ed.csv", index=False)


def test_modalities_rows_and_folds_are_the_official_ones(tree):
    cohort = load_cohort("mds_ed", tree)
    assert cohort.modalities == ("demographics", "biometrics", "vitals", "labs", "ecg")
    raw = pd.read_csv(tree / "mds_ed.csv")
    first = (raw.general_strat_fold < 18) | (raw.general_ecg_no_within_stay == 0)
    known = raw.deterioration_icu_24h != -999
    assert (~first).any() and (~known).any()
    kept = raw[first & known]
    assert cohort.samples.sample_id.astype(int).tolist() == kept.general_study_id.tolist()
    assert (cohort.samples.label.to_numpy() == kept.deterioration_icu_24h).all()
    assert cohort.counts["rows where it happened before the prediction time, dropped"] == (~known).sum()
    assert (
        cohort.counts["later ECGs of a stay in the validation and test folds, dropped"]
        == (known & ~first).sum()
    )
    assert (cohort.samples.split_fold.to_numpy() == kept.general_strat_fold).all()
    assert (assign_folds(cohort.samples).to_numpy() == kept.general_strat_fold // 4).all()
    lab = cohort.values["labs.urea_nitrogen_mean"]
    np.testing.assert_array_equal(lab, kept.labvalues_urea_nitrogen_mean)
    assert (cohort.samples.sex.to_numpy() == np.where(kept.demographics_gender == 1, "Male", "Female")).all()
    assert not {"gender", "race", "ethnicity_white"} & {f.name for f in cohort.fields}


def test_any_target_can_be_the_label(tree):
    raw = pd.read_csv(tree / "mds_ed.csv")
    for label in ("deterioration_mortality_365d", "diagnoses_I10"):
        samples = load_cohort("mds_ed", tree, label=label, ecg="none").samples
        own = raw.set_index("general_study_id")[label].loc[samples.sample_id.astype(int)]
        assert (samples.label.to_numpy() == own).all()


def test_ecgs_of_the_memmap_and_of_wfdb_are_the_same_recording(tree):
    cohorts = [
        load_cohort("mds_ed", tree, ecg=kind, statistics=["last"], limit=15) for kind in ("memmap", "wfdb")
    ]
    one, other = (describe_files(c).values for c in cohorts)
    assert one["ecg.recording_rate"].notna().mean() > 0.8
    rates = one["ecg.recording_rate"] - other["ecg.recording_rate"]
    assert (rates.abs() <= 3).mean() > 0.8


def test_statistics_choose_the_columns(tree):
    cohort = load_cohort("mds_ed", tree, statistics=["last", "coeff"], ecg="none")
    names = [f.name for f in cohort.fields if f.modality == "labs"]
    assert len(names) == 90 and all(n.endswith(("_last", "_coeff")) for n in names)
    field = next(f for f in cohort.fields if f.name == "potassium_last")
    assert (field.label, field.unit) == ("last potassium", "mmol/L")


def test_records_that_are_not_there_are_counted_and_the_sample_kept(copy):
    raw = pd.read_csv(copy / "mds_ed.csv")
    row = raw[(raw.general_strat_fold < 18) & (raw.deterioration_icu_24h != -999)].index[:2]
    change(
        copy,
        lambda t: t.__setitem__("general_data", t.general_data.astype(float).mask(t.index.isin(row), 10**6)),
    )
    cohort = load_cohort("mds_ed", copy)
    assert cohort.counts["ECGs that were not found"] == 2
    assert (~cohort.present()["ecg"]).sum() == 2
    os.unlink(copy / (raw.general_file_name[row[0]] + ".hea"))
    assert load_cohort("mds_ed", copy, ecg="wfdb").counts["ECGs that were not found"] == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label": "deterioration_icu24h"}, "the nearest column of .*mds_ed.csv is 'deterioration_icu_24h'"),
        ({"label": "general_race"}, "expected a deterioration_\\* or diagnoses_\\* column"),
        ({"ecg": "pdf"}, "ecg is 'pdf'; expected one of memmap, wfdb, none"),
        ({"statistics": ["last", "mode"]}, "statistics is .*'mode'.*; expected a list of some of mean"),
        ({"statistics": "last"}, "statistics is 'last'; expected a list"),
        ({"race": "x"}, "race is 'x'"),
        ({"limit": -1}, "limit is -1"),
        ({"ecg_root": "elsewhere"}, "elsewhere/memmap.npy was not found; give ecg_root its folder"),
    ],
)
def test_bad_options_are_one_sentence(tree, options, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        load_cohort("mds_ed", tree, **options)


def test_a_table_that_does_not_keep_its_word_is_one_sentence(copy, tmp_path):
    with pytest.raises(
        FileNotFoundError, match="expected the folder of MIMIC-IV-Ext-MDS-ED, with mds_ed.csv"
    ):
        load_cohort("mds_ed", tmp_path / "nowhere")
    memmap = copy / "memmap.npy"
    os.truncate(memmap, memmap.stat().st_size - 48)
    with pytest.raises(
        ValueError, match="memmap.npy has .* bytes, but memmap_meta.npz lists .*; is it complete"
    ):
        load_cohort("mds_ed", copy)
    for column, value, message in (
        ("deterioration_icu_24h", 2, "deterioration_icu_24h holds 2; expected 0, 1 or -999"),
        ("general_strat_fold", 20, "general_strat_fold holds 20; expected 0 to 19"),
    ):
        before = (copy / "mds_ed.csv").read_text()
        change(copy, lambda t, c=column, v=value: t.loc.__setitem__((0, c), v))
        with pytest.raises(ValueError, match=message):
            load_cohort("mds_ed", copy, ecg="none")
        (copy / "mds_ed.csv").write_text(before)
    file = copy / "mds_ed.csv"
    file.write_text(file.read_text().replace("general_strat_fold", "fold"))
    with pytest.raises(ValueError, match=r"mds_ed.csv lacks the column\(s\) general_strat_fold"):
        load_cohort("mds_ed", copy, ecg="none")
