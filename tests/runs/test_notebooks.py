"""Every notebook on a user's own table, as described in the book: its code, and in `make check` its page."""

import io
import json
import shutil
from contextlib import chdir, redirect_stderr
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml

from mmlib import Run, assign_folds, load_cohort
from mmlib.__main__ import main
from mmlib.runs import artefacts
from mmlib.twins.write import write_twin
from tests.chapters import run_chapter
from tests.check_verdicts import disagreements
from tests.data.test_ptb_xl import write_tree

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb")) + sorted((ROOT / "notebooks/story").glob("*.ipynb"))
#: Executed once per book, with what; of a smaller twin here.
SIZES = {"training": 1000, "validation": 1000, "tested": 1500, "population": 20000}
MINE = {"mine": {"title": "My hospital", "kind": "health"}}
ACROSS = {path.stem: {"runs": MINE} for path in NOTEBOOKS if path.parent.name == "story"}
ACROSS["1_paradox"] = {"sizes": SIZES}
OF_TWINS = ["10_leak", "11_finetune"]  # the first of runs of MIMIC-Eye or its twin, the second a recipe
OF_SCORES = ["14_predictions", "15_adding", "16_missing"]  # of runs of predictions
OF_SIGNALS = ["12_learned", "13_elsewhere"]  # of runs with signals, or with several places
OF_TABLES = [path for path in NOTEBOOKS if path.stem not in OF_TWINS + OF_SCORES + OF_SIGNALS]
#: Few folds, epochs and resamples: the numbers mean nothing. Every kind of declared comparison is in it.
RUN = {
    "title": "My hospital",
    "run": "mine",
    "cohort": "table",
    "root": "visits.csv",
    "cohort_options": {
        "sample_id": "visit",
        "patient_id": "patient",
        "label": "readmitted",
        "positive": "yes",
        "task": "readmission",
        "protected": ["sex", "region"],
        "modalities": {
            "history": {"age": {"timing": "before", "source": "asked at admission"}, "bed": None},
            "labs": {"albumin": {"label": "serum albumin", "unit": "g/dL", "decimals": 1}},
            "words": {"triage": {"kind": "text"}},
        },
    },
    "drop_fields": ["bed"],
    "protected": {"sex": "male", "region": "north"},
    "contrasts": {"sex": "female", "region": "south"},
    "intersections": {"sex+region": "male, north"},
    "declared": [
        {"question": "rq1", "metric": "auroc"},
        {"question": "rq1", "metric": "tpr", "attribute": "sex", "group": "female"},
        {"question": "rq2", "metric": "auroc", "rate": 0.2},
        {"question": "rq2", "metric": "tpr", "attribute": "sex", "group": "female", "rate": 0.2},
        {"question": "gap", "metric": "tpr", "attribute": "sex", "group": "female"},
        {"question": "gap", "metric": "tpr", "attribute": "region", "group": "south"},
    ],
    "folds": 2,
    "seeds": 2,
    "retrainings": 2,
    "architecture": {"epochs": 2, "width": 8, "heads": 1},
    "variations": {"width": [16], "family": ["concat"]},
    "rates": [0.0, 0.2, 0.5, 1.0],
    "dimensions": 4,
    "resamples": 20,
    "regime_resamples": 20,
    "realisations": 5,
    "permutations": 10,
    "note_sample": 30,
}


def visits(n=300):
    """A table with a row per visit; albumin and the words on arrival say something about the outcome."""
    rng = np.random.default_rng(0)
    severity = rng.normal(size=n)
    return pd.DataFrame(
        {
            "visit": np.arange(n),
            "patient": rng.integers(0, 2 * n // 3, n),
            "readmitted": np.where(severity + rng.normal(size=n) > 0.3, "yes", "no"),
            "sex": rng.choice(["female", "male"], n),
            "region": rng.choice(["north", "south"], n, p=[0.6, 0.4]),
            "age": rng.integers(20, 90, n),
            "albumin": np.where(rng.random(n) < 0.7, 4 - 0.4 * severity, np.nan).round(1),
            "bed": rng.integers(1, 9, n),
            "triage": np.where(severity > 0, "short of breath", "a sprained ankle"),
        }
    )


def across(notebook, results):
    """Parameters that no file of a run holds."""
    where = {} if notebook.stem == "1_paradox" else {"results": str(results)}  # it reads and writes nothing
    return ACROSS.get(notebook.stem, {}) | where


def execute(notebook, results, *, file, folder=ROOT):
    """Exit code and standard error of ``python -m mmlib execute`` in a checkout, and where the executed copy is."""
    out = results / file.stem / "notebooks" / notebook.name
    words = ["execute", str(notebook.relative_to(ROOT)), str(out)]
    words += [] if notebook.stem in ACROSS else ["-f", str(file)]
    for name, value in across(notebook, results).items():
        words += ["-p", name, value if isinstance(value, str) else json.dumps(value)]
    with chdir(folder), redirect_stderr(io.StringIO()) as said:
        code = main(words)
    return code, said.getvalue(), out


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A folder with the notebooks, a small table and the file of its run."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "notebooks", folder / "notebooks", ignore=shutil.ignore_patterns("params", "lessons"))
    (folder / "book").symlink_to(ROOT / "book")
    visits().to_csv(folder / "visits.csv", index=False)
    file = folder / "notebooks" / "params" / "mine.yml"
    file.parent.mkdir()
    file.write_text(yaml.safe_dump(RUN))
    return folder, file


@pytest.fixture(scope="module")
def study(checkout):
    """Results of the notebooks' code, run one after another."""
    folder, file = checkout
    for notebook in OF_TABLES:
        own = None if notebook.stem in ACROSS else file
        name = notebook.relative_to(ROOT / "notebooks").with_suffix("")
        run_chapter(str(name), own, folder=folder, **across(notebook, folder / "results"))
    return folder / "results"


@pytest.fixture(scope="module")
def executed(checkout, warm_kernels):
    """The notebooks, executed one after another as `make book` does, by name."""
    folder, file = checkout
    pages = {}
    for notebook in OF_TABLES:
        code, said, pages[notebook.stem] = execute(notebook, folder / "executed", file=file, folder=folder)
        assert code == 0, said
    return pages


def test_every_artefact_is_written_and_keeps_its_contract(study):
    for name, (_, notebook) in artefacts.ARTEFACTS.items():
        if notebook not in OF_TWINS + OF_SIGNALS + OF_SCORES:
            artefacts.read("mine", name, root=study)


def test_results_carry_intervals_and_sizes(study):
    for name in ("rq1", "rq2", "fairness", "selection", "mitigation"):
        table = artefacts.read("mine", name, root=study)
        known = table[table.estimate.notna() & table.low.notna()]
        assert len(known) > 0.5 * len(table)
        assert (known.low <= known.high + 1e-9).all()
        assert (table.n > 0).all()


def shows_only_results(path, *folders):
    """Say whether no cell of an executed notebook shows an error, a warning or a path of this machine."""
    outputs = [o for cell in json.loads(path.read_text())["cells"] for o in cell.get("outputs", [])]
    bad = [o for o in outputs if o["output_type"] == "error" or o.get("name") == "stderr"]
    bad += [o for o in outputs if any(str(folder) in json.dumps(o) for folder in (ROOT, *folders))]
    assert not bad, bad
    return True


@pytest.mark.whole
def test_every_page_gives_a_declared_comparison_the_same_verdict(executed):
    """The tables, the sentences of all chapters and the claims page; and a page that says otherwise is found."""
    asked = executed["7_claims"].parents[2], ["mine"], executed["7_claims"]
    assert disagreements(*asked) == []
    texts = {name: executed[name].read_text() for name in ("05_fairness", "7_claims")}
    for name, text in texts.items():
        executed[name].write_text(text.replace("undecided", "differs"))
    found = disagreements(*asked)
    for name, text in texts.items():
        executed[name].write_text(text)
    pages = " ".join(line.partition(":")[0] for line in found)
    assert "05_fairness" in pages and "claims" in pages


@pytest.mark.whole
def test_no_notebook_shows_an_error_a_warning_or_a_path(executed, checkout):
    assert all(shows_only_results(path, checkout[0]) for path in executed.values())
    assert all('"image/' in path.read_text() for path in executed.values())


def test_every_figure_has_a_caption_and_every_picture_words():
    for notebook in NOTEBOOKS:
        for cell in json.loads(notebook.read_text())["cells"]:
            source = "".join(cell["source"])
            drawn = source.endswith(";") and "artefacts.write" not in source
            shown = cell["metadata"].get("mystnb", {})
            assert not drawn or (shown["figure"]["caption"] and shown["image"]["alt"]), source


def test_the_same_seed_gives_the_same_numbers(study, checkout):
    before = artefacts.read("mine", "fairness", root=study)
    run_chapter("05_fairness", checkout[1], results=str(study))
    pd.testing.assert_frame_equal(before, artefacts.read("mine", "fairness", root=study))


def test_a_notebook_without_its_input_names_the_command_that_makes_it(tmp_path, warm_kernels):
    (tmp_path / "mine.yml").write_text(yaml.safe_dump(RUN))
    code, said, _ = execute(ROOT / "notebooks" / "02_encoding.ipynb", tmp_path, file=tmp_path / "mine.yml")
    assert code == 1
    assert "papermill notebooks/01_cohort.ipynb" in said
    assert not list(tmp_path.rglob("*.nc"))


def test_patients_of_a_table_stay_together(study):
    cohort = artefacts.read("mine", "cohort", root=study)
    assert cohort.label.sum() == (visits().readmitted == "yes").sum()
    assert (cohort.groupby("patient_id").fold.nunique() == 1).all()


def test_a_dropped_field_is_in_no_artefact(study):
    fields, notes, audit = (artefacts.read("mine", name, root=study) for name in ("fields", "notes", "audit"))
    assert list(fields.columns[:-1]) == ["history.age", "labs.albumin", "words.triage"]
    assert "bed" not in set(notes.field) and not audit.field.str.contains("bed").any()


def test_what_is_documented_decides_the_verdict(study):
    verdict = artefacts.read("mine", "audit", root=study).drop_duplicates("field").set_index("field").verdict
    assert verdict["words.triage"] == "unresolved" and verdict["history.age"] == "fine"
    encoding = artefacts.read("mine", "encoding", root=study)
    assert "network on sentences, without" in set(encoding.variant.dropna())
    assert "counted words and raw columns" in set(encoding.variant.dropna())


@pytest.mark.whole
def test_those_of_signals_run_on_drawn_ones_and_keep_their_contracts(tmp_path, warm_kernels):
    tree = write_tree(tmp_path / "tree", 160)
    frame = pd.read_csv(tree / "ptbxl_database.csv").assign(site=lambda d: d.patient_id % 2)
    frame.to_csv(tree / "ptbxl_database.csv", index=False)
    first = {"cohort": "ptb_xl", "root": str(tree), "cohort_options": {}, "drop_fields": [], "protected_inputs": "none"}
    data, rng = load_cohort("ptb_xl", tree), np.random.default_rng(0)
    samples = data.samples.assign(fold=assign_folds(data.samples))
    signs = pd.DataFrame(rng.normal(size=(160, 3)), columns=["rhythm.x", "conduction.x", "repolarisation.x"])
    vectors = signs.to_numpy("float32")[:, :, None] * np.ones(4, "float32")
    embeddings = xr.Dataset(
        {
            "embedding": (("sample", "modality", "feature"), vectors),
            "present": (("sample", "modality"), np.ones((160, 3), bool)),
        },
        {"sample": samples.sample_id.to_numpy(object), "modality": [c.partition(".")[0] for c in signs]},
        {"encoder": "toy", "unit": "field"},
    )
    run = Run("signals", tmp_path)
    run.write("cohort", samples.join(data.present().add_prefix("present_")), **first)
    run.write("fields", signs.assign(sample_id=samples.sample_id), **first)
    run.write("embeddings", embeddings)
    (tmp_path / "signals.yml").write_text(
        yaml.safe_dump({"run": "signals", "seeds": 1, "resamples": 50, "dimensions": 3, "tasks": ["MI", "CD"]})
    )
    for name in OF_SIGNALS:
        code, said, path = execute(ROOT / "notebooks" / f"{name}.ipynb", tmp_path, file=tmp_path / "signals.yml")
        assert code == 0, said
        assert shows_only_results(path)
    tables = {name: artefacts.read("signals", name, root=tmp_path) for name in ("learned", "elsewhere")}
    assert {"MI", "CD"} <= set(tables["learned"].label.dropna())
    assert {"site 0", "site 1"} <= set(tables["elsewhere"].place)


@pytest.mark.whole
def test_those_of_mimic_eye_run_on_a_small_twin_and_keep_their_contracts(tmp_path, warm_kernels, encoder_folder):
    tree = write_twin("mimic_eye", tmp_path / "tree", patients=120, seed=1)
    run = yaml.safe_load((ROOT / "notebooks" / "params" / "smoke.yml").read_text())
    run |= {"run": "twin", "cohort": "mimic_eye", "root": str(tree), "folds": 2, "seeds": 1}
    run |= {"encoder": str(encoder_folder), "dimensions": 4, "finetuning": {"epochs": 1}, "longest": 10}
    (tmp_path / "twin.yml").write_text(yaml.safe_dump(run))
    run_chapter("01_cohort", tmp_path / "twin.yml", results=str(tmp_path))
    code, said, path = execute(ROOT / "notebooks" / "10_leak.ipynb", tmp_path, file=tmp_path / "twin.yml")
    assert code == 0, said
    assert shows_only_results(path)
    artefacts.read("twin", "leak", root=tmp_path)
    recipe = run_chapter("11_finetune", tmp_path / "twin.yml", results=str(tmp_path))
    assert len(recipe["losses"]) and float(recipe["loss"].value.min()) > 0
    assert set(recipe["texts"]) == set(recipe["agreement"])
