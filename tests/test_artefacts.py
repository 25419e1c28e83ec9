import json

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

from mmlib import artefacts


def examples():
    cohort = pd.DataFrame(
        {
            "sample_id": ["a", "b"],
            "patient_id": ["p", "q"],
            "label": np.array([0, 1], "int8"),
            "fold": np.array([0, 1], "int8"),
            "present_labs": [True, False],
        }
    )
    embeddings = xr.Dataset(
        {
            "embedding": (("sample", "modality", "feature"), np.ones((2, 1, 3), np.float32)),
            "present": (("sample", "modality"), np.ones((2, 1), bool)),
        },
        {"sample": np.array(["a", "b"], dtype=object), "modality": ["labs"]},
        {"encoder": "toy", "unit": "field"},
    )
    return {"cohort": cohort, "embeddings": embeddings, "models": {"w": torch.arange(3.0)}}


@pytest.mark.parametrize("name", ["cohort", "embeddings", "models"])
def test_what_is_written_is_read_back(tmp_path, name):
    data = examples()[name]
    file = artefacts.write(data, "toy", name, parameters={"seeds": 2}, root=tmp_path)
    back = artefacts.read("toy", name, root=tmp_path)
    if name == "cohort":
        pd.testing.assert_frame_equal(back, data, check_frame_type=False)
        assert json.loads(back.attrs["made_by"])["parameters"] == {"seeds": 2}
    elif name == "embeddings":
        xr.testing.assert_equal(back, data)
        assert json.loads(back.attrs["made_by"])["versions"]["torch"]
    else:
        assert torch.equal(back["w"], data["w"])
    assert [f.name for f in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize("name", ["cohort", "embeddings", "models"])
def test_a_truncated_artefact_is_one_sentence_that_names_the_remedy(tmp_path, name):
    file = artefacts.write(examples()[name], "toy", name, root=tmp_path)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(ValueError, match=rf"{file.name} is damaged .* run notebooks/0\d_"):
        artefacts.read("toy", name, root=tmp_path)


def test_a_missing_artefact_names_the_command(tmp_path):
    with pytest.raises(
        FileNotFoundError, match="papermill notebooks/03_rq1_addition.ipynb .* -f notebooks/params/toy.yml"
    ):
        artefacts.read("toy", "powerset", root=tmp_path)
    with pytest.raises(ValueError, match="no artefact 'powersets'"):
        artefacts.path("toy", "powersets")


def test_what_breaks_the_contract_is_not_written(tmp_path):
    twice = examples()["cohort"].assign(sample_id="a")
    with pytest.raises(ValueError, match="does not keep its contract.*sample_id"):
        artefacts.write(twice, "toy", "cohort", root=tmp_path)
    split = examples()["cohort"].assign(patient_id="p")
    with pytest.raises(ValueError, match="a patient is in two folds"):
        artefacts.write(split, "toy", "cohort", root=tmp_path)
    with pytest.raises(ValueError, match="embeddings has no variable 'present'"):
        artefacts.write(examples()["embeddings"].drop_vars("present"), "toy", "embeddings", root=tmp_path)
    assert not [f for f in tmp_path.rglob("*") if f.is_file()]
