import shutil
import sys

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

from mmlib.measure.estimates import estimate
from mmlib.runs import artefacts
from mmlib.runs.run import Run
from tests.runs.test_artefacts import examples

CHAPTERS = [
    ([], ["cohort", "fields", "notes", "audit"], {}),
    (["cohort", "notes"], ["embeddings", "encoding"], {"encoder": "toy", "unit": "field"}),
    (["cohort", "embeddings"], ["powerset", "models", "rq1"], {"seeds": 2}),
    (["cohort", "embeddings", "models"], ["masking", "rq2"], {}),
    (["cohort", "powerset", "masking"], ["fairness", "declared"], {}),
]


def make(name, root, change=None, **settings):
    """Write the artefacts of chapters 1 to 5 of a run, some of them changed."""
    data = examples() | (change or {})
    for reads, writes, stored in CHAPTERS:
        chapter = Run(name, root)
        for artefact in reads:
            chapter.read(artefact)
        for artefact in writes:
            chapter.write(artefact, data[artefact], **stored | settings)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    make("toy", folder)
    return folder


@pytest.fixture
def made(template, tmp_path):
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    return tmp_path


def scores(factor):
    return examples()["powerset"].assign(score=lambda d: d.score * factor)


def test_what_was_written_is_read_and_its_settings_are_known(made):
    run = Run("toy", made)
    assert run.read("rq1").estimate.tolist() == [0.1]
    assert run.settings("02_encoding") == {"encoder": "toy", "unit": "field"}
    assert set(artefacts.about("toy", "masking", root=made)["inputs"]) == {"cohort", "embeddings", "models"}
    with pytest.raises(FileNotFoundError, match="holds no artefact of 06_selection; make them with: papermill"):
        run.settings("06_selection")


def test_estimates_and_frames_become_one_table_of_the_run(tmp_path):
    run = Run("toy", tmp_path)
    one = estimate([0.5, 0.4, 0.6], n=10, n_positive=4, name="auroc", attribute="sex")
    two = estimate([[0.1, 0.2]] * 3, {"group": ["f", "x"]}, n=[4, 6], n_positive=[1, 3], name="tpr", attribute="sex")
    run.write("rq1", one, two.frame().assign(regime="plain"))
    table = run.read("rq1")
    assert table.run.tolist() == ["toy"] * 3 and list(table)[0] == "run"
    assert table.group.tolist() == ["all", "f", "x"] and table.regime.isna().tolist() == [True, False, False]


def test_a_copied_run_reads_under_another_name(made):
    (made / "toy").rename(made / "trial")
    assert len(Run("trial", made).read("declared")) == 1


def replace_by(name, source):
    """Put an artefact of another run of the same samples in the place of this one's."""

    def swap(root):
        make("other", root, source)
        artefacts.path("other", name, root).replace(artefacts.path("toy", name, root))

    return swap


def change_labels(root):
    cohort = examples()["cohort"].assign(label=np.array([1, 0], "int8"))
    Run("toy", root).write("cohort", cohort)


def encode_anew(root):
    run = Run("toy", root)
    run.read("cohort"), run.read("notes")
    data = examples()["embeddings"]
    run.write("embeddings", data.assign(embedding=data.embedding * 2), encoder="other")


def flip(name):
    def spoil(root):
        file = artefacts.path("toy", name, root)
        content = bytearray(file.read_bytes())
        arrays = examples()[name]
        wanted = arrays["w"].numpy() if name == "models" else next(iter(arrays.data_vars.values())).values
        at = bytes(content).find(wanted.tobytes())
        assert at > 0
        content[at + 2] ^= 0x10
        file.write_bytes(bytes(content))

    return spoil


OTHER = {"powerset": scores(0.5), "cohort": examples()["cohort"].assign(sex="x")}


@pytest.mark.parametrize(
    ("spoil", "reads", "message"),
    [
        (replace_by("powerset", {"powerset": scores(0.5)}), "powerset", "powerset.nc is not the one that models was"),
        (replace_by("powerset", OTHER), "powerset", r"powerset.nc (was made from another cohort|is not the one)"),
        (change_labels, "powerset", "cohort.parquet is not the one that fields was made with"),
        (replace_by("masking", OTHER), "masking", "masking.nc was made from another"),
        (replace_by("audit", OTHER), "audit", "cohort.parquet is not the one that audit was made with"),
        (encode_anew, "powerset", "powerset.nc was made from another embeddings"),
        (flip("embeddings"), "embeddings", "embeddings.nc is damaged"),
        (flip("powerset"), "powerset", "powerset.nc is damaged"),
        (flip("models"), "models", "models.safetensors is damaged"),
    ],
)
def test_every_mix_up_is_one_sentence(made, spoil, reads, message):
    spoil(made)
    run = Run("toy", made)
    with pytest.raises(ValueError, match=message) as error:
        run.read("cohort"), run.read(reads)
    assert "\n" not in str(error.value) and "again" in str(error.value)


def test_a_notebook_whose_encoder_is_another_stops(made, monkeypatch):
    monkeypatch.setattr(sys.modules["__main__"], "encoder", "medbert", raising=False)
    with pytest.raises(ValueError, match="'medbert' in this notebook, but .*embeddings.nc was made with 'toy'"):
        Run("toy", made).read("embeddings")


def test_numbers_reach_the_prose_under_the_name_of_the_run(monkeypatch):
    import myst_nb

    told = {}
    monkeypatch.setattr(myst_nb, "glue", lambda key, value, display: told.update({key: value}))
    Run("toy").tell(n=3, mean_gain=np.float64(0.5), name="plain")
    assert told == {"toy-n": 3, "toy-mean-gain": 0.5, "toy-name": "plain"}
    assert type(told["toy-mean-gain"]) is float


def test_the_same_content_has_the_same_sum_in_every_format():
    table = pd.DataFrame({"a": [1.0, np.nan], "b": pd.Categorical(["x", None]), "c": ["u", "v"]})
    again = table.assign(b=table.b.astype(object))
    assert artefacts.content_digest(table) == artefacts.content_digest(again)
    assert artefacts.content_digest(table) != artefacts.content_digest(table.assign(c=["u", "w"]))
    data = xr.Dataset({"x": ("t", [1.0, 2.0])}, attrs={"unit": "s"})
    assert artefacts.content_digest(data) == artefacts.content_digest(data.assign_attrs(made_by="me"))
    assert artefacts.content_digest(data) != artefacts.content_digest(data.assign(x=("t", [1.0, 2.5])))
    ones = {"w": torch.ones(2)}
    assert artefacts.content_digest(ones) != artefacts.content_digest({"w": torch.zeros(2)})
