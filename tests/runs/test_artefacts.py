import json
import re
from base64 import b64decode, b64encode

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
import xarray as xr
from safetensors import safe_open

from mmlib.core import schema
from mmlib.runs import artefacts
from tests.sentences import one_sentence

SAMPLE = {"sample": np.array(["a", "b"], dtype=object)}


def examples():
    """One artefact of every name, as small as its contract allows."""
    cohort = pd.DataFrame(
        {
            "sample_id": ["a", "b"],
            "patient_id": ["p", "q"],
            "label": np.array([0, 1], "int8"),
            "fold": np.array([0, 1], "int8"),
            "sex": ["f", "m"],
            "present_labs": [True, False],
        }
    )
    fields = pd.DataFrame({"sample_id": ["a", "b"], "labs.alb": [3.14159, np.nan], "text.t": ["said", None]})
    fields["labs.code"] = pd.Categorical(["u", None], categories=["v", "u"])
    notes = pd.DataFrame({"sample_id": ["a"], "modality": "labs", "field": "alb", "sentence": "Albumin: 3."})
    embeddings = xr.Dataset(
        {
            "embedding": (("sample", "modality", "feature"), np.ones((2, 1, 3), np.float32)),
            "present": (("sample", "modality"), np.array([[True], [False]])),
        },
        SAMPLE | {"modality": ["labs"]},
        {"encoder": "toy", "unit": "field"},
    )
    names = {"seed": [0], "fold": [0, 1], "rule": ["prevalence"]}
    powerset = xr.Dataset(
        {
            "score": (("subset", "seed", "sample"), np.full((2, 1, 2), 0.25, np.float32)),
            "threshold": (
                ("subset", "seed", "fold", "rule"),
                np.array([np.nan, np.inf, 0, 1]).reshape(2, 1, 2, 1),
            ),
            "validation_score": (
                ("subset", "seed", "fold", "sample"),
                np.full((2, 1, 2, 2), np.nan, np.float32),
            ),
        },
        SAMPLE | names | {"subset": ["none", "labs"]},
    )
    masking = powerset.drop_vars("validation_score").rename(subset="regime")
    masking["score"] = masking.score.expand_dims(pattern=["none", "labs"]).transpose(
        "regime", "seed", "pattern", ...
    )
    number = {"estimate": 0.1, "low": 0.0, "high": np.nan, "se_patients": 0.1, "se_retrain": np.nan}
    about = {
        "run": "r",
        "metric": "tpr",
        "attribute": "sex",
        "group": "f",
        "reference": "m",
        "subset": "labs",
    }
    result = pd.DataFrame([about | number | {"n": 5, "n_positive": 2, "primary": False}])
    about_cell = {"run": "r", "attribute": "sex", "group": "f", "label": "positive", "n": 2}
    sizes = pd.DataFrame([about_cell | {"modality": "labs", "n_patients": 2, "n_positive": 2, "n_present": 1.0}])
    bins = pd.DataFrame([about_cell | {"subset": "labs"} | dict.fromkeys(schema.BINS, 0) | {"b07": 2}])
    models = {"w": torch.arange(3.0), "b": torch.zeros(2, 0)}
    tables = {"cohort": cohort, "fields": fields, "notes": notes, "sizes": sizes, "bins": bins}
    arrays = {"embeddings": embeddings, "powerset": powerset, "noise": powerset} | dict.fromkeys(
        ("masking", "mitigation_scores"), masking
    )
    weights = dict.fromkeys(("models", "mitigation_models"), models)
    results = ("audit", "encoding", "rq1", "rq2", "fairness", "declared", "selection", "mitigation")
    return tables | arrays | weights | dict.fromkeys((*results, "leak", "learned", "elsewhere"), result)


def made_by(file):
    """Read what made an artefact with the library of its format alone."""
    if file.suffix == ".parquet":
        return pd.read_parquet(file).attrs["made_by"]
    if file.suffix == ".nc":
        with xr.open_dataset(file, engine="h5netcdf") as data:
            return data.attrs["made_by"]
    with safe_open(file, framework="pt") as stored:
        return stored.metadata()["made_by"]


@pytest.mark.parametrize("name", artefacts.ARTEFACTS)
def test_what_is_written_is_read_back(tmp_path, name):
    data = examples()[name]
    artefacts.write(data, "toy", name, settings={"seeds": 2}, root=tmp_path)
    file = artefacts.path("toy", name, tmp_path)
    back = artefacts.read("toy", name, root=tmp_path)
    if isinstance(data, pd.DataFrame):
        pd.testing.assert_frame_equal(back, data)
    elif isinstance(data, xr.Dataset):
        xr.testing.assert_equal(back, data)
        assert {k: v.dtype.kind for k, v in back.items()} == {k: v.dtype.kind for k, v in data.items()}
        assert data.attrs.items() <= back.attrs.items()
    else:
        assert {k: v.tolist() for k, v in back.items()} == {k: v.tolist() for k, v in data.items()}
    about = json.loads(made_by(file))
    assert about["settings"] == {"seeds": 2}
    assert about["versions"]["pandas"] == pd.__version__
    assert [f.name for f in file.parent.iterdir()] == [file.name]


@pytest.mark.bad_input
@pytest.mark.parametrize("name", ["cohort", "embeddings", "models", "rq1"])
@pytest.mark.parametrize("left", [0, 1, 7, 100, 0.3, 0.6, 0.9, 0.99, -1])
def test_a_truncated_artefact_is_one_sentence_that_names_the_remedy(tmp_path, name, left):
    artefacts.write(examples()[name], "toy", name, root=tmp_path)
    file = artefacts.path("toy", name, tmp_path)
    whole = file.read_bytes()
    file.write_bytes(whole[: int(left * len(whole)) if isinstance(left, float) else left])
    with one_sentence(rf"{file.name} is damaged .* run notebooks/0\d_"):
        artefacts.read("toy", name, root=tmp_path)


@pytest.mark.bad_input
@pytest.mark.parametrize("name", ["embeddings", "models"])
def test_a_damaged_record_of_an_artefact_is_one_sentence_that_names_the_file(tmp_path, name):
    artefacts.write(examples()[name], "toy", name, root=tmp_path)
    file = artefacts.path("toy", name, tmp_path)
    file.write_bytes(re.sub(rb'(sha256\\?"):', rb"\1;", file.read_bytes()))
    with one_sentence(rf"{file.name} is damaged .* run notebooks/0\d_"):
        artefacts.read("toy", name, root=tmp_path)


@pytest.mark.bad_input
@pytest.mark.parametrize(("text", "flipped"), [(b'"numpy_type": "str"', b'"numpy_type": "ctr"'), (b"labs", b"\xecabs")])
def test_a_flipped_bit_in_a_type_or_a_text_is_one_sentence_that_names_the_file(tmp_path, text, flipped):
    artefacts.write(examples()["rq1"], "toy", "rq1", root=tmp_path)
    file = artefacts.path("toy", "rq1", tmp_path)
    content = file.read_bytes().replace(text, flipped)
    types = re.search(rb"/////[\w+/=]+", content).group()  # what Arrow knows of them, in base64
    file.write_bytes(content.replace(types, b64encode(b64decode(types).replace(text, flipped))))
    with one_sentence(r"rq1.parquet is damaged \(\w+\); delete it and run notebooks/03_"):
        artefacts.read("toy", "rq1", root=tmp_path)


@pytest.mark.bad_input
def test_a_missing_artefact_names_the_command(tmp_path):
    with one_sentence("papermill notebooks/03_rq1_addition.ipynb .* -f notebooks/params/toy.yml"):
        artefacts.read("toy", "powerset", root=tmp_path)
    with one_sentence("no artefact 'powersets'"):
        artefacts.path("toy", "powersets")


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("cohort", lambda d: d.assign(sample_id="a"), "sample_id"),
        ("cohort", lambda d: d.assign(patient_id="p"), "a patient is in two folds"),
        ("cohort", lambda d: d.assign(label=np.int8(2)), "label"),
        ("cohort", lambda d: d.drop(columns="fold"), "fold"),
        ("notes", lambda d: pd.concat([d, d], ignore_index=True), "sample_id"),
        ("rq1", lambda d: d.assign(estimate="high"), "estimate"),
        ("rq1", lambda d: d.drop(columns="primary"), "primary"),
        ("sizes", lambda d: d.assign(label="both"), "label"),
        ("bins", lambda d: d.assign(b07=1), "bins do not add up to n"),
        ("embeddings", lambda d: d.drop_vars("present"), "embeddings has no variable 'present'"),
        ("powerset", lambda d: d.assign(score=d.score * 5), r"powerset.score lies in \[1.25, 1.25\]"),
    ],
)
def test_what_breaks_the_contract_is_neither_written_nor_read(tmp_path, name, change, message):
    good = examples()[name]
    bad = change(good)
    with one_sentence(message):
        artefacts.write(bad, "toy", name, root=tmp_path)
    assert not [f for f in tmp_path.rglob("*") if f.is_file()]
    artefacts.write(good, "toy", name, root=tmp_path)
    file = artefacts.path("toy", name, tmp_path)
    bad.to_parquet(file) if file.suffix == ".parquet" else bad.to_netcdf(file, engine="h5netcdf")
    with one_sentence(message):
        artefacts.read("toy", name, root=tmp_path)


@pytest.mark.bad_input
def test_a_broken_contract_shows_three_cases_and_a_count(tmp_path):
    many = pd.concat([examples()["cohort"].head(1)] * 1000, ignore_index=True)
    many = many.assign(label=np.int8(2), sample_id=[f"s{i}" for i in range(1000)], patient_id="p", fold=np.int8(0))
    with one_sentence(r"by 2, 2, 2 and 997 more\.$") as error:
        artefacts.write(many, "toy", "cohort", root=tmp_path)
    assert len(str(error.value)) < 300


@pytest.mark.parametrize("name", ["cohort", "embeddings", "models"])
def test_a_write_that_fails_half_way_leaves_the_old_file(tmp_path, monkeypatch, name):
    data = examples()[name]
    artefacts.write(data, "toy", name, root=tmp_path)
    file = artefacts.path("toy", name, tmp_path)
    before = file.read_bytes()

    def full_disk(*arguments, **_):
        target = next(a for a in arguments if hasattr(a, "write_bytes"))
        target.write_bytes(before[:20])
        raise OSError("No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", full_disk)
    monkeypatch.setattr(xr.Dataset, "to_netcdf", full_disk)
    monkeypatch.setattr(safetensors.torch, "save_file", full_disk)
    with pytest.raises(OSError, match="No space left"):
        artefacts.write(data, "toy", name, root=tmp_path)
    assert file.read_bytes() == before
    assert [f.name for f in file.parent.iterdir()] == [file.name]
    file.unlink()
    with pytest.raises(OSError, match="No space left"):
        artefacts.write(data, "toy", name, root=tmp_path)
    assert not list(file.parent.iterdir())


def test_the_sign_of_nan_is_no_content():
    table, other = (pd.DataFrame({"x": np.array([1.0, sign * np.nan])}) for sign in (1, -1))
    assert artefacts.content_digest(table) == artefacts.content_digest(other)
