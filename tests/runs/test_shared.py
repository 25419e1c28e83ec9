import functools
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from mmlib.runs import artefacts, read_runs, share
from mmlib.runs.shared import COLUMNS, MANIFEST, main
from tests.runs.shared_run import GROUPS, make_cohort, make_tables, write_run
from tests.sentences import one_sentence

TABLES = functools.cache(lambda: make_tables(make_cohort()))
PUBLIC, CLOSED = {"public": True}, {"credentialed": True}


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """The run, shared once as public and once as credentialed data."""
    found = {}
    for name, about in (("public", PUBLIC), ("closed", CLOSED)):
        folder = tmp_path_factory.mktemp(name)
        where = write_run(folder, tables=TABLES(), **about)
        share("toy", folder / "runs", by="A group", **where)
        here = read_runs(["toy"], where["results"], folder / "runs", where["params"])["toy"]
        found[name] = folder, here, read_runs(["toy"], folder / "none", folder / "runs")["toy"]
    return found


@pytest.mark.parametrize("name", ["public", "closed"])
def test_a_folder_and_the_run_that_it_was_made_from_read_the_same(toy, name):
    _, here, shared = toy[name]
    assert here.computed and not shared.computed
    for table in COLUMNS:
        pd.testing.assert_frame_equal(here.table(table), shared.table(table))
    about = [n for n in here.__dataclass_fields__ if n not in ("computed", "made", "tables")]
    assert {n: getattr(here, n) for n in about} == {n: getattr(shared, n) for n in about}
    assert (shared.title, shared.kind, shared.task, shared.units) == (
        "A twin",
        "synthetic",
        "death in hospital",
        "patients",
    )
    assert shared.modalities == ("labs", "vitals") and shared.references == GROUPS.protected
    assert shared.made.by == "A group" and "mmlib share toy" in shared.made.command


def test_a_clean_public_run_is_shared_whole_with_four_significant_digits(toy):
    folder, _, shared = toy["public"]
    assert shared.withheld == {} and shared.n == 1200
    for name, table in TABLES().items():
        assert len(shared.table(name)) == len(table)
    row = shared.table("declared").iloc[0]
    assert (row.p_holm, row.se_patients) == (0.01235, 0.01235) and "2 of 4" in row.refused
    assert (
        shared.table("bins").filter(like="b").filter(regex=r"^b\d\d$").to_numpy().sum()
        == TABLES()["bins"].n.sum()
    )
    assert shared.table("sizes").n.dtype == "int64" and shared.table("rq1").primary.dtype == bool
    assert "Nothing is suppressed" in (folder / "runs" / "toy" / MANIFEST).read_text()
    mine = shared.table("rq1")
    mine["estimate"] = 0.0
    assert shared.table("rq1").estimate.abs().sum() > 0
    with pytest.raises(ValueError, match="no table 'rq3'"):
        shared.table("rq3")


def true_cells(attribute, group, subset):
    cohort = make_cohort()
    masks = dict(zip(*GROUPS.masks(cohort)[attribute], strict=True))
    inside, y, flagged = np.asarray(masks[group], bool), cohort.label == 1, cohort[subset].astype(bool)
    return [int((inside & a & b).sum()) for a in (y, ~y) for b in (flagged, ~flagged)]


def test_every_rate_that_is_shown_has_eleven_on_each_side_and_so_has_what_subtraction_leaves(toy):
    shared = toy["closed"][2]
    seen = 0
    for name in ("rq1", "fairness"):
        table = shared.table(name)
        rates = table[table.metric.isin(["tpr", "fpr", "selection_rate"])]
        for (attribute, subset), rows in rates[rates.reference.isna()].groupby(["attribute", "subset"]):
            cells = {group: np.array(true_cells(attribute, group, subset)) for group in rows.group.unique()}
            assert min(min(c) for c in cells.values()) >= 11
            rest = cells["all"] - sum(c for group, c in cells.items() if group != "all")
            assert ((rest == 0) | (rest >= 11)).all(), (attribute, subset, rest)
            seen += len(cells)
        for row in rates[rates.reference.notna()].itertuples():  # a difference gives one level from the other
            for subset in {row.subset, getattr(row, "versus", np.nan)} - {np.nan}:
                shown = rates[
                    (rates.subset == subset) & (rates.attribute == row.attribute) & rates.reference.isna()
                ]
                assert {row.group, row.reference} <= set(shown.group)
    assert seen > 15


def test_every_count_is_a_multiple_of_five(toy):
    for name, kinds in COLUMNS.items():
        table = toy["closed"][2].table(name)
        counts = [c for c, kind in kinds.items() if kind == "count" and c in table]
        assert (table[counts].astype(float).fillna(0) % 5 == 0).all(axis=None)


def at(table, **values):
    for column, value in values.items():
        table = table[table[column] == value]
    return table


SUPPRESSED = {
    "a group with four positives": lambda t: all("Other" not in set(t[n].get("group", [])) for n in t),
    "the next smallest group, which would reveal it": lambda t: (
        "Hispanic" not in set(t["sizes"].group) | set(t["rq1"].group)
    ),
    "a true positive rate of five patients": lambda t: (
        at(t["rq1"], group="Asian", subset="labs", metric="tpr").empty
    ),
    "the selection rate that gives it back": lambda t: (
        at(t["rq1"], group="Asian", subset="labs", metric="selection_rate").empty
    ),
    "the false positive rate that gives it back": lambda t: (
        at(t["rq1"], group="Asian", subset="labs", metric="fpr").empty
    ),
    "a change that starts from it": lambda t: at(t["rq1"], group="Asian", kind="addition").empty,
    "the difference at a modality that was chosen": lambda t: at(t["selection"], group="Asian").empty,
    "crossed groups, one of which is small": lambda t: "race+sex" not in set(t["fairness"].attribute),
    "a modality that three of a group lack": lambda t: at(t["sizes"], group="Asian", modality="vitals").empty,
    "the same over all, where three is all": lambda t: at(t["sizes"], group="all", modality="vitals").empty,
    "a field that few of a group have": lambda t: at(t["audit"], group="Asian", field="labs.albumin").empty,
    "a field that ten lack, two of them positive": lambda t: at(t["audit"], field="labs.crp").empty,
    "a sentence with counts": lambda t: set(t["declared"].refused) == {""},
    "exact counts": lambda t: at(t["sizes"], attribute="overall", label="all").n_positive.iloc[0] == 390,
    "a histogram of scores": lambda t: t["bins"].empty,
    "text about fields": lambda t: (
        set(t["audit"].label) <= set(t["audit"].field) and set(t["audit"].source) <= {np.nan}
    ),
}


@pytest.mark.parametrize("leak", SUPPRESSED)
def test_small_cells_are_suppressed(toy, leak):
    tables = {name: toy["closed"][2].table(name) for name in COLUMNS}
    tables["audit"]["source"] = tables["audit"]["source"].astype(object)
    assert SUPPRESSED[leak](tables)
    public = {name: toy["public"][2].table(name) for name in COLUMNS}
    assert not SUPPRESSED[leak](public)  # it was there


def test_what_is_large_enough_stays(toy):
    tables = toy["closed"][2]
    rq1 = tables.table("rq1")
    assert (
        at(rq1, group="Black", subset="labs+vitals", metric="tpr", kind="level").estimate.tolist()[0] == 0.5
    )
    assert len(at(rq1, group="Asian", subset="labs+vitals", metric="tpr")) == 2
    assert len(at(rq1, group="Asian", subset="labs", metric="auroc")) == 1
    assert len(at(tables.table("selection"), group="Black")) == 1
    assert len(tables.table("rq2")) == 3 and len(tables.table("declared")) == 1
    assert len(at(tables.table("audit"), group="Black", field="vitals.pulse")) == 1
    assert tables.withheld["rq1"] > 0


def plant(table, **values):
    """Change the first row of a table."""

    def change(tables):
        for column, value in values.items():
            changed = tables[table].copy()
            if column in changed and isinstance(value, str):
                changed[column] = changed[column].astype(object)
            changed.loc[changed.index[0], column] = value
            tables[table] = changed

    return change


REFUSED = {
    "identifier as a group": (plant("rq1", group="s10000003"), "rq1: 'group' holds an identifier"),
    "identifier of a patient in a regime": (
        plant("mitigation", regime="20000007"),
        "'regime' holds an identifier",
    ),
    "identifier as a count": (
        plant("rq2", n=20000007),
        "rq2: 'n' holds a number that is no count of this run",
    ),
    "identifier as an estimate": (
        plant("rq2", estimate=20000007.0),
        "rq2: 'estimate' holds a number that is too large",
    ),
    "identifier of another hospital": (
        plant("audit", source="10123456"),
        "audit: 'source' holds an identifier",
    ),
    "date": (plant("rq2", mechanism="2119-03-07"), "rq2: 'mechanism' holds a date or time"),
    "date in words": (plant("audit", reason="admitted on 3 March"), "audit: 'reason' holds a date or time"),
    "time of day": (plant("audit", source="seen at 14:35"), "audit: 'source' holds a date or time"),
    "sentence of a note": (
        plant("audit", label="Fell from a ladder while picking apples."),
        "audit: 'label' holds free text",
    ),
    "free text": (
        plant("mitigation", regime="he fell from a ladder"),
        "'regime' holds a word that is not of this run",
    ),
    "long text": (plant("audit", source="very " * 60), "audit: 'source' holds free text"),
    "path": (plant("audit", source="see data/mimic-eye/patient.csv"), "audit: 'source' holds a path"),
    "address": (plant("audit", source="ask ann@hospital.org"), "audit: 'source' holds a path or an address"),
    "group that nobody is in": (plant("fairness", group="Mrs Smith"), "fairness: 'group' holds a word"),
    "field of another run": (plant("audit", field="labs.hiv"), "audit: 'field' holds a word"),
    "modality of another run": (plant("rq1", subset="labs+genome"), "rq1: 'subset' holds a word"),
    "hidden column": (plant("fairness", row_index=3.0), "fairness of 'toy' has the column 'row_index'"),
}


@pytest.mark.parametrize("name", ["public", "closed"])
@pytest.mark.parametrize("leak", REFUSED)
def test_what_no_table_may_hold_is_refused_and_not_repeated(toy, tmp_path, monkeypatch, leak, name):
    change, message = REFUSED[leak]
    tables, read = dict(TABLES()), artefacts.read
    change(tables)
    monkeypatch.setattr(
        artefacts,
        "read",
        lambda run, name, root: tables[name] if name in tables else read(run, name, root=root),
    )
    where = {"results": toy[name][0] / "results", "params": toy[name][0] / "notebooks" / "params"}
    with pytest.raises(ValueError, match="toy") as error:
        share("toy", tmp_path / "runs", **where)
    assert message in str(error.value)
    for secret in ("10000003", "20000007", "ladder", "Smith", "ann@", "2119", "mimic-eye"):
        assert secret not in str(error.value)
    assert not (tmp_path / "runs").exists()


def test_metadata_of_files_stay_behind(toy):
    folder = toy["closed"][0] / "runs" / "toy"
    assert "/data/secret" in str(artefacts.about("toy", "rq1", root=toy["closed"][0] / "results"))
    text = "".join(file.read_text() for file in folder.iterdir())
    assert "secret" not in text and str(folder) not in text
    assert "A group" in text


def copy_of(toy, tmp_path):
    return Path(shutil.copytree(toy["public"][0] / "runs" / "toy", tmp_path / "runs" / "toy"))


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda folder: (folder / "cohort.csv").write_text("sample_id\n1\n"),
            "holds 'cohort.csv', which its run.yml",
        ),
        (
            lambda folder: (folder / "rq2.csv").write_text((folder / "rq2.csv").read_text() + " "),
            "is not the file that was",
        ),
        (lambda folder: (folder / "run.yml").write_text("schema: 1\ntitle: a\n"), "run.yml is damaged"),
    ],
)
def test_a_folder_that_was_changed_is_one_sentence(toy, tmp_path, spoil, message):
    spoil(copy_of(toy, tmp_path))
    with one_sentence(message):
        read_runs(["toy"], tmp_path / "none", tmp_path / "runs")


def test_another_schema_is_left_out_with_a_sentence(toy, tmp_path):
    file = copy_of(toy, tmp_path) / "run.yml"
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | {"schema": 99}))
    with pytest.warns(UserWarning, match="'toy' is left out: its tables have schema 99"):
        assert read_runs(["toy"], tmp_path / "none", tmp_path / "runs") == {}


def test_what_is_not_there_is_one_sentence(toy, tmp_path, monkeypatch, capsys):
    with pytest.raises(FileNotFoundError, match="no run 'mine' in results and no shared one in book/runs"):
        read_runs(["mine"])
    (tmp_path / "results" / "toy").mkdir(parents=True)
    shutil.copy(artefacts.path("toy", "rq1", toy["public"][0] / "results"), tmp_path / "results" / "toy")
    monkeypatch.chdir(tmp_path)
    assert main(["toy", "--out", "runs"]) == 1
    assert capsys.readouterr().err == (
        "The run 'toy' has no table rq2 in results; `make book RUNS=\"toy\"` makes all of them.\n"
    )
