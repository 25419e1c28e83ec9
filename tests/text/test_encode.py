import shutil
import subprocess
import sys

import huggingface_hub
import numpy as np
import pandas as pd
import pytest
from sklearn.impute import MissingIndicator
from sklearn.preprocessing import OneHotEncoder

from mmlib.text import encode
from mmlib.text import encoder as encoders

pytestmark = pytest.mark.usefixtures("own_cache")


def test_fields_are_averaged_and_whole_notes_are_not(encoder_folder):
    encoder = encoders.load_encoder(str(encoder_folder), device="cpu")
    notes = pd.DataFrame(
        {
            "sample_id": ["1", "1", "2"],
            "modality": ["x", "x", "y"],
            "field": ["f", "g", "f"],
            "sentence": ["a b", "c", "a b"],
        }
    )
    data = encode.embed_notes(notes, ["2", "1", "3"], ["x", "y"], encoder)
    ab, c, note = encoders.embed_texts(["a b", "c", "a b c"], encoder)
    np.testing.assert_allclose(data.embedding[1, 0], (ab + c) / 2, atol=1e-6)
    np.testing.assert_allclose(data.embedding[0, 1], ab, atol=1e-6)
    assert data.present.values.tolist() == [[False, True], [True, False], [False, False]]
    assert (data.embedding.values[~data.present.values] == 0).all()
    whole = encode.embed_notes(notes, ["2", "1", "3"], ["x", "y"], encoder, unit="note")
    np.testing.assert_allclose(whole.embedding[1, 0], note, atol=1e-5)


@pytest.mark.parametrize("at_once", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_shards_fill_the_cache_that_one_run_needs(encoder_folder, tmp_path, monkeypatch, capsys, at_once):
    """One after another; in processes of their own, at once."""
    encoder = encoders.load_encoder(str(encoder_folder), device="cpu")
    rows = {"sample_id": [str(i // 2) for i in range(60)], "modality": ["x", "y"] * 30, "field": "f"}
    notes = pd.DataFrame(rows | {"sentence": [" ".join("abcde"[: 1 + i % 5]) + " b" * (i % 7) for i in range(60)]})
    expected = encode.embed_notes(notes, [str(i) for i in range(30)], ["x", "y"], encoder, cached=False)
    notes.to_parquet(tmp_path / "notes.parquet")
    monkeypatch.setenv("MMLIB_CACHE", str(tmp_path / "shared"))
    arguments = [str(tmp_path / "notes.parquet"), "--encoder", str(encoder_folder), "--shard"]
    shards = [[*arguments, f"{i}/3"] for i in (1, 2, 3)]
    if at_once:
        command = [sys.executable, "-m", "mmlib", "encode"]
        jobs = [subprocess.Popen([*command, *shard], stdout=subprocess.PIPE, text=True) for shard in shards]
        said = [job.communicate()[0] for job in jobs]
        assert [job.returncode for job in jobs] == [0, 0, 0]
    else:
        assert [encode.main(shard) for shard in shards] == [0, 0, 0]
        said = [line for line in capsys.readouterr().out.splitlines() if "in the cache" in line]
    assert sum(int(line.split()[0]) for line in said) == notes.sentence.nunique()
    encoder.model.register_forward_pre_hook(lambda *_: pytest.fail("Nothing is left to encode."))
    found = encode.embed_notes(notes, [str(i) for i in range(30)], ["x", "y"], encoder)
    np.testing.assert_allclose(found.embedding, expected.embedding, atol=1e-6)
    assert found.attrs == expected.attrs and (found.present == expected.present).all()


@pytest.mark.parametrize("shard", ["0/2", "3/2", "2", "a/b", "1/2/3", "-1/2"])
def test_a_part_that_is_none_is_one_sentence(shard, capsys):
    assert encode.main(["notes.parquet", f"--shard={shard}"]) == 1
    assert capsys.readouterr().err.strip() == (
        f"shard is {shard!r}; expected i/K with i from 1 to K, for example 2/8."
    )


def test_native_keeps_numbers_codes_and_absence():
    fields = pd.DataFrame(
        {
            "sample_id": ["1", "2", "3"],
            "x.n": [1.5, np.nan, np.nan],
            "x.c": pd.Categorical(["u", "v", None]),
            "y.n": [1.0, 2.0, 3.0],
        }
    )
    data = encode.native(fields)
    np.testing.assert_array_equal(data.embedding[0, 0], [1.5, 0, 1, 0, 0])
    np.testing.assert_array_equal(data.embedding[1, 0], [np.nan, 1, 0, 1, 0])
    assert data.present.values.tolist() == [[True, True], [True, True], [False, True]]
    np.testing.assert_array_equal(data.embedding[:, 1, 0], [1, 2, 3])
    text = fields.assign(**{"z.t": ["some", "free", "text"]})
    np.testing.assert_array_equal(encode.native(text).embedding, data.embedding)
    with pytest.raises(ValueError, match="All fields are free text"):
        encode.native(text[["sample_id", "z.t"]])


def test_a_field_average_is_that_of_a_plain_loop(encoder_folder):
    encoder = encoders.load_encoder(str(encoder_folder), device="cpu")
    rng = np.random.default_rng(0)
    rows = [
        (str(s), m, f, " ".join(rng.choice(list("abcde"), rng.integers(1, 5))))
        for s in range(12)
        for m in ("x", "y")
        for f in range(rng.integers(0, 4))
    ]
    notes = pd.DataFrame(rows, columns=["sample_id", "modality", "field", "sentence"])
    data = encode.embed_notes(notes, [str(s) for s in range(12)], ["x", "y"], encoder, batch_tokens=12)
    for s in range(12):
        for i, m in enumerate(("x", "y")):
            texts = [t for sample, modality, _, t in rows if (sample, modality) == (str(s), m)]
            assert bool(data.present[s, i]) == bool(texts)
            if texts:
                expected = encoders.embed_texts(texts, encoder, cached=False).mean(axis=0)
                np.testing.assert_allclose(data.embedding[s, i], expected, atol=1e-5)


@pytest.mark.parametrize(("samples", "modalities"), [(["1"], ["x", "y"]), (["1", "2"], ["x"])])
def test_notes_of_a_stranger_are_refused(encoder_folder, samples, modalities):
    row = {"sample_id": ["1", "2"], "modality": ["x", "y"], "field": "f", "sentence": "a"}
    encoder = encoders.load_encoder(str(encoder_folder), device="cpu")
    with pytest.raises(ValueError, match=r"notes have the (sample_id '2'|modality 'y'), which is not among"):
        encode.embed_notes(pd.DataFrame(row), samples, modalities, encoder)


def test_native_equals_scikit_learn_and_pandas():
    rng = np.random.default_rng(0)
    ward = pd.Series(rng.choice(["u", "v", "w"], 50)).where(rng.random(50) < 0.8).astype("category")
    number = pd.Series(rng.normal(size=50)).where(rng.random(50) < 0.7)
    fields = pd.DataFrame({"sample_id": [str(i) for i in range(50)], "x.n": number, "x.c": ward})
    data = encode.native(fields)
    hot = OneHotEncoder(categories=[["u", "v", "w"]], handle_unknown="ignore", sparse_output=False)
    inputs = fields[["x.n", "x.c"]]
    absent = MissingIndicator().fit_transform(inputs)
    expected = np.column_stack(
        [number, absent[:, 0], hot.fit_transform(inputs[["x.c"]].astype(object)), absent[:, 1]]
    )
    there = inputs.notna().any(axis=1)
    np.testing.assert_array_equal(data.present[:, 0], there)
    np.testing.assert_allclose(
        data.embedding[:, 0], np.where(there.to_numpy()[:, None], expected, 0), rtol=1e-6
    )
    assert data.attrs == {"encoder": "native", "unit": "field"}


def test_an_encoder_that_cannot_be_loaded_is_one_sentence(encoder_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    for name in ("minilmm", "nobody/no-such-encoder", str(tmp_path / "nowhere")):
        with pytest.raises(
            OSError, match=f"encoder '{name}' could not be loaded; expected one of minilm"
        ) as error:
            encoders.load_encoder(name)
        assert "\n" not in str(error.value)
    for name in ("config.json", "model.safetensors"):
        copy = tmp_path / name
        shutil.copytree(encoder_folder, copy)
        (copy / name).write_bytes((copy / name).read_bytes()[:-9])
        with pytest.raises(OSError, match="could not be loaded") as error:
            encoders.load_encoder(str(copy))
        assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="device is 'gpu', which torch cannot use"):
        encoders.load_encoder(str(encoder_folder), device="gpu")
    with pytest.raises(ValueError, match="precision 'fp16'"):
        encoders.load_encoder(str(encoder_folder), precision="fp16")
    with pytest.raises(ValueError, match="max_length is 1"):
        encoders.load_encoder(str(encoder_folder), max_length=1)
    with pytest.raises(OSError, match="encoder .*could not be loaded; expected one of minilm, a folder"):
        encoders.load_encoder(str(tmp_path))
    with pytest.raises(ValueError, match="pooling is 'max'"):
        encoders.load_encoder("minilm", pooling="max")
    with pytest.raises(ValueError, match="unit is 'word'"):
        encode.embed_notes(pd.DataFrame(), [], [], None, unit="word")
