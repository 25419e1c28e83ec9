"""Twins that were really computed, taken for credentialed data: leaks stay behind, and the story stays the same."""

import json
import re
import shutil
from contextlib import chdir
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from mmlib.__main__ import main
from mmlib.core.schema import SMALLEST_CELL
from mmlib.runs import artefacts, read_runs, share
from mmlib.runs.shared import COLUMNS

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
STORY = sorted((ROOT / "notebooks" / "story").glob("*.ipynb"))
RATES = ("tpr", "fpr", "selection_rate")


@pytest.fixture(scope="module", params=["mimic_eye_twin", "mds_ed_twin"])
def twin(request, tmp_path_factory):
    """Name, checkout in which the twin is marked as credentialed, its tables before and after they were shared."""
    name = request.param
    if not artefacts.path(name, "mitigation", ROOT / "results").is_file():
        pytest.skip(f'there is no finished run {name}; `make book RUNS="{name}"` makes it')
    folder = tmp_path_factory.mktemp(name)
    shutil.copytree(ROOT / "notebooks", folder / "notebooks", ignore=shutil.ignore_patterns("params", "lessons"))
    about = yaml.safe_load((ROOT / "notebooks" / "params" / f"{name}.yml").read_text())
    del about["public"]
    (folder / "notebooks" / "params").mkdir()
    (folder / "notebooks" / "params" / f"{name}.yml").write_text(yaml.safe_dump(about | {"credentialed": True}))
    (folder / "results").mkdir()
    (folder / "results" / name).symlink_to(ROOT / "results" / name)
    (folder / "book").symlink_to(ROOT / "book")
    with chdir(folder):
        share(name, "shared", by="A group")
        tables = read_runs([name], "nothing", "shared")[name]
    raw = {table: artefacts.read(name, table, root=folder / "results") for table in COLUMNS}
    return name, folder, raw, {table: tables.table(table) for table in COLUMNS}


def keys(table, *columns):
    """Rows of a table as tuples of some of its columns."""
    there = [column for column in columns if column in table]
    return set(table[there].astype(str).itertuples(index=False, name=None)) if len(there) == len(columns) else set()


def small_groups(raw):
    """Groups of fewer than eleven with, or without, the outcome, and everything that is said about them."""
    sizes = raw["sizes"][(raw["sizes"].label == "all") & raw["sizes"].modality.isna()]
    few = sizes[(sizes.n_positive < SMALLEST_CELL) | (sizes.n - sizes.n_positive < SMALLEST_CELL)]
    return keys(few, "attribute", "group")


def small_rates(raw, *metrics):
    """Levels of rates with fewer than eleven on one side."""
    levels = pd.concat([raw["rq1"], raw["fairness"]])
    levels = levels[levels.metric.isin(metrics) & levels.reference.isna() & levels.events.notna()]
    few = levels[np.minimum(levels.events, levels.total - levels.events) < SMALLEST_CELL]
    return keys(few, "metric", "attribute", "group", "subset")


def remainders(tables, raw):
    """People in groups that are left out of an attribute: what subtraction from all gives."""
    sizes = raw["sizes"][(raw["sizes"].label == "all") & raw["sizes"].modality.isna()]
    shown = keys(tables["sizes"], "attribute", "group")
    for attribute, rows in sizes[~sizes.attribute.str.contains(r"\+|overall")].groupby("attribute"):
        if attribute in {a for a, _ in shown}:
            yield sum(r.n for r in rows.itertuples() if r.group != "all" and (attribute, r.group) not in shown)


def one_side(table, here, there):
    """Rows whose count, or what is left of their group, is from 1 to 10."""
    rows = table.dropna(subset=[here])
    left = rows[there] if there in ("n_absent",) else rows[there] - rows[here]
    few = ((rows[here] > 0) & (rows[here] < SMALLEST_CELL)) | ((left > 0) & (left < SMALLEST_CELL))
    return keys(rows[few], *(c for c in ("attribute", "group", "field", "modality", "label") if c in rows))


#: What is in the tables of the run and may not be in what is shared: found in some tables, given those of the run.
SUPPRESSED = {
    "small groups": lambda t, raw: {
        (name, *group) for name in t for group in keys(t[name], "attribute", "group") & small_groups(raw)
    },
    "what subtraction from all would give": lambda t, raw: [n for n in remainders(t, raw) if 0 < n < SMALLEST_CELL],
    "true positive rates of few": lambda t, raw: small_rates(raw, "tpr")
    & (keys(levels(t["rq1"]), *RATE) | keys(levels(t["fairness"]), *RATE)),
    "false positive rates of few": lambda t, raw: small_rates(raw, "fpr")
    & (keys(levels(t["rq1"]), *RATE) | keys(levels(t["fairness"]), *RATE)),
    "differences that give such a rate back": lambda t, raw: {
        (metric, attribute, group, subset)
        for metric, attribute, group, subset in keys(gaps(t["fairness"]), *RATE)
        if (metric, attribute, group, subset) in small_rates(raw, *RATES)
    },
    "crossed groups, one of which is small": lambda t, raw: {
        group for group in keys(t["fairness"], "attribute", "group") if "+" in group[0]
    },
    "few who have, or lack, a modality": lambda t, raw: one_side(raw["sizes"], "n_present", "n")
    & keys(t["sizes"].dropna(subset=["n_present"]), "attribute", "group", "modality", "label"),
    "few who have, or lack, a field": lambda t, raw: one_side(raw["audit"], "n_present", "n_absent")
    & keys(t["audit"], "attribute", "group", "field", "label"),
    "exact counts": lambda t, raw: (t["sizes"].n % 5 != 0).sum(),
    "histograms of scores": lambda t, raw: len(t["bins"]),
    "documentation in free text": lambda t, raw: t["audit"].source.dropna().astype(str).str.len().sum(),
}
#: What only leaving out could bring about.
BY_SUBTRACTION = ("what subtraction from all would give",)
RATE = ("metric", "attribute", "group", "subset")


def levels(table):
    """Rows of rates of groups."""
    return table[table.reference.isna()]


def gaps(table):
    """Rows of differences in rates."""
    return table[table.reference.notna() & table.metric.isin(RATES)]


@pytest.mark.parametrize("leak", SUPPRESSED)
def test_what_is_small_stays_behind(twin, leak):
    _, _, raw, shared = twin
    if leak not in BY_SUBTRACTION and not SUPPRESSED[leak](raw, raw):
        pytest.skip("this twin has no such thing")
    assert not SUPPRESSED[leak](shared, raw)


def secrets(name, folder):
    """Values of the run that must not leave, by what they are."""
    cohort = artefacts.read(name, "cohort", root=folder / "results")
    notes = artefacts.read(name, "notes", root=folder / "results")
    rare = notes.sentence.value_counts()
    return {
        "sample": str(cohort.sample_id[3]),
        "patient": str(cohort.patient_id[7]),
        "sentence": next(text for text in rare.index[::-1] if len(text) > 15),
    }


#: Table, column, and what is written into its first row, by the secrets of the run; then what the refusal says.
REFUSED = {
    "identifier of a stay as a group": ("rq1", "group", "{sample}", "holds"),
    "identifier of a patient in words": ("audit", "source", "{patient}", "holds an identifier"),
    "identifier of a patient as a count": ("rq2", "n", 20000007, "holds a number that is no count of this run"),
    "identifier of a patient as an estimate": ("rq2", "estimate", 20000007.0, "holds a number that is too large"),
    "date": ("rq2", "mechanism", "2119-03-07", "holds a date or time"),
    "time of day": ("audit", "reason", "seen at 14:35", "holds a date or time"),
    "sentence of a note": ("audit", "label", "{sentence}", "holds"),
    "free text": ("mitigation", "regime", "he fell from a ladder", "holds a word that is not of this run"),
    "path": ("audit", "source", "see data/mimic-eye/patient.csv", "holds a path"),
    "address": ("audit", "source", "ask ann@hospital.org", "holds a path or an address"),
    "hidden column": ("fairness", "row_index", 3.0, "has the column 'row_index'"),
    "name of a person as a group": ("fairness", "group", "Mrs Smith", "holds a word"),
}


@pytest.mark.parametrize("leak", REFUSED)
def test_what_was_planted_is_refused_and_not_repeated(twin, tmp_path, monkeypatch, leak):
    name, folder, raw, _ = twin
    table, column, value, message = REFUSED[leak]
    value = value.format(**secrets(name, folder)) if isinstance(value, str) else value
    changed, read = raw[table].copy(), artefacts.read
    if column in changed and isinstance(value, str):
        changed[column] = changed[column].astype(object)
    changed.loc[changed.index[0], column] = value
    monkeypatch.setattr(
        artefacts, "read", lambda run, what, root: changed if what == table else read(run, what, root=root)
    )
    with chdir(folder), pytest.raises(ValueError, match=message) as error:
        share(name, tmp_path)
    assert str(value) not in str(error.value) and not list(tmp_path.iterdir())


def test_metadata_of_files_stay_behind(twin):
    name, folder, _, _ = twin
    root = str(artefacts.about(name, "cohort", root=folder / "results")["settings"]["root"])
    assert "twins" in root  # where the rows lie, as the metadata of the run's files say
    text = "".join(file.read_text() for file in (folder / "shared" / name).iterdir())
    assert root not in text and str(ROOT) not in text and str(folder) not in text


def outputs(notebook):
    """Everything that a chapter shows, without the ids that differ from one execution to the next."""
    shown = [output for cell in json.loads(notebook.read_text())["cells"] for output in cell.get("outputs", [])]
    text = json.dumps([output.get("data", output.get("text")) for output in shown])
    return re.sub(r"T_[0-9a-f]{5}|<dc:date>[^<]*|[mp][0-9a-f]{10}|0x[0-9a-f]+", "", text)


@pytest.mark.parametrize("chapter", STORY, ids=lambda path: path.stem)
def test_the_story_of_the_folder_is_that_of_the_run(twin, chapter):
    name, folder, _, _ = twin
    runs = yaml.safe_dump({name: {"title": "Twin", "kind": "synthetic"}}, default_flow_style=True, width=1000).strip()
    found = []
    for results, shared in (("results", "nothing"), ("nothing", "shared")):
        out = folder / "executed" / results / chapter.name
        words = ["execute", f"notebooks/story/{chapter.name}", str(out)]
        if chapter.stem != "1_paradox":  # reads no table
            words += ["-p", "runs", runs, "-p", "results", results, "-p", "shared", shared]
        with chdir(folder):
            assert main(words) == 0
        found.append(outputs(out))
    assert found[0] == found[1]
