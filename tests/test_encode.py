import os
import shutil
import subprocess
import sys

import huggingface_hub
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.impute import MissingIndicator
from sklearn.preprocessing import OneHotEncoder
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel, BertTokenizer

from mmlib import cache, encode
from mmlib.packaged import cache_folder

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c", "d", "e", "."]
TEXTS = ["a b c .", "d", "a a a a e .", "b b", "c"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny BERT with a vocabulary of five words, saved as a user's local encoder would be."""
    path = tmp_path_factory.mktemp("encoder")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
    )
    BertModel(config).save_pretrained(path)
    tokenizer = BertTokenizer(vocab={w: i for i, w in enumerate(WORDS)})
    assert len(tokenizer) == len(WORDS)
    tokenizer.save_pretrained(path)
    return path


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("MMLIB_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_vectors_are_those_of_plain_transformers(folder, pooling):
    encoder = encode.load_encoder(str(folder), pooling=pooling, device="cpu")
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    for text, vector in zip(TEXTS, encode.embed_texts(TEXTS, encoder, batch_tokens=8), strict=True):
        with torch.no_grad():
            states = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        expected = states[0] if pooling == "cls" else states.mean(0)
        np.testing.assert_allclose(vector, expected.numpy(), atol=1e-5)


def test_long_texts_lose_their_end(folder):
    encoder = encode.load_encoder(str(folder), max_length=4, device="cpu")
    short, long = encode.embed_texts(["a b", "a b c d e"], encoder)
    np.testing.assert_allclose(short, long, atol=1e-5)


def test_each_distinct_text_is_embedded_once_and_kept(folder, monkeypatch):
    encoder = encode.load_encoder(str(folder), device="cpu")
    seen = []
    forward = encode._forward
    monkeypatch.setattr(encode, "_forward", lambda texts, e: seen.extend(texts) or forward(texts, e))
    first = encode.embed_texts(TEXTS * 3, encoder)
    assert sorted(seen) == sorted(TEXTS)
    np.testing.assert_array_equal(first[:5], encode.embed_texts(TEXTS, encoder))
    assert len(seen) == len(TEXTS)
    np.testing.assert_allclose(first[:5], encode.embed_texts(TEXTS, encoder, cached=False), atol=1e-5)


def test_a_kill_costs_only_what_was_not_saved(folder, monkeypatch):
    encoder = encode.load_encoder(str(folder), device="cpu")
    monkeypatch.setattr(encode, "SAVE_EVERY", 2)
    forward, seen = encode._forward, []

    def killed(texts, e):
        if len(seen) >= 2:
            raise KeyboardInterrupt
        seen.extend(texts)
        return forward(texts, e)

    monkeypatch.setattr(encode, "_forward", killed)
    with pytest.raises(KeyboardInterrupt):
        encode.embed_texts(TEXTS, encoder)
    done = list(seen)
    monkeypatch.setattr(encode, "_forward", lambda texts, e: seen.extend(texts) or forward(texts, e))
    encode.embed_texts(TEXTS, encoder)
    assert len(done) == 2 and len(seen) == len(TEXTS)


def test_a_truncated_cache_file_is_made_again(folder):
    encoder = encode.load_encoder(str(folder), device="cpu")
    first = encode.embed_texts(TEXTS, encoder)
    (file,) = (cache_folder() / "embeddings").rglob("*.safetensors")
    file.write_bytes(file.read_bytes()[:50])
    np.testing.assert_allclose(encode.embed_texts(TEXTS, encoder), first, atol=1e-6)


def test_other_settings_do_not_share_a_cache(folder):
    keys = {
        encode.load_encoder(str(folder), pooling=p, max_length=m).fingerprint
        for p in ("mean", "cls")
        for m in (8, 16)
    }
    assert len(keys) == 4


def test_fields_are_averaged_and_whole_notes_are_not(folder):
    encoder = encode.load_encoder(str(folder), device="cpu")
    notes = pd.DataFrame(
        {
            "sample_id": ["1", "1", "2"],
            "modality": ["x", "x", "y"],
            "field": ["f", "g", "f"],
            "sentence": ["a b", "c", "a b"],
        }
    )
    data = encode.embed_notes(notes, ["2", "1", "3"], ["x", "y"], encoder)
    ab, c, note = encode.embed_texts(["a b", "c", "a b c"], encoder)
    np.testing.assert_allclose(data.embedding[1, 0], (ab + c) / 2, atol=1e-6)
    np.testing.assert_allclose(data.embedding[0, 1], ab, atol=1e-6)
    assert data.present.values.tolist() == [[False, True], [True, False], [False, False]]
    assert (data.embedding.values[~data.present.values] == 0).all()
    whole = encode.embed_notes(notes, ["2", "1", "3"], ["x", "y"], encoder, unit="note")
    np.testing.assert_allclose(whole.embedding[1, 0], note, atol=1e-5)


def test_batches_hold_texts_of_like_length_within_the_budget(folder):
    encoder = encode.load_encoder(str(folder), device="cpu")
    texts = [" ".join("a" * (1 + i * 7 % 11)) for i in range(50)] + ["b " * 30]
    batches = list(encode._batches(texts, encoder, 40))
    assert sorted(i for batch in batches for i in batch) == list(range(51))
    tokens = [[len(encoder.tokenizer(texts[i])["input_ids"]) for i in batch] for batch in batches]
    assert all(len(t) * max(t) <= 40 or len(t) == 1 for t in tokens)
    assert all(max(t) <= min(later) for t, later in zip(tokens, tokens[1:], strict=False))


def test_a_read_takes_from_a_large_cache_only_what_was_asked_for(tmp_path):
    keys = [bytes([i]) * 32 for i in range(20)]
    vectors = np.arange(60, dtype=np.float32).reshape(20, 3)
    for part in range(0, 20, 5):
        cache.write_vectors(tmp_path, keys[part : part + 5], vectors[part : part + 5])
    known = cache.read_vectors(tmp_path, [keys[3], keys[12], b"?" * 32])
    assert known.keys() == {keys[3], keys[12]}
    np.testing.assert_array_equal(known[keys[12]], vectors[12])
    assert all(v.base is None or v.base.size <= 3 for v in known.values())
    assert cache.read_vectors(tmp_path / "nowhere", keys) == {}


def test_shards_in_processes_of_their_own_fill_the_cache_that_one_run_needs(folder, tmp_path, monkeypatch):
    encoder = encode.load_encoder(str(folder), device="cpu")
    rows = {"sample_id": [str(i // 2) for i in range(60)], "modality": ["x", "y"] * 30, "field": "f"}
    notes = pd.DataFrame(rows | {"sentence": [" ".join("abcde"[: 1 + i % 5]) + " b" * (i % 7) for i in range(60)]})
    expected = encode.embed_notes(notes, [str(i) for i in range(30)], ["x", "y"], encoder, cached=False)
    notes.to_parquet(tmp_path / "notes.parquet")
    monkeypatch.setenv("MMLIB_CACHE", str(tmp_path / "shared"))
    command = [sys.executable, "-m", "mmlib.encode", tmp_path / "notes.parquet", "--encoder", folder]
    jobs = [
        subprocess.Popen([*command, "--shard", f"{i}/3"], env=os.environ, stdout=subprocess.PIPE, text=True)
        for i in (1, 2, 3)
    ]
    said = [job.communicate()[0] for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0, 0]
    assert sum(int(line.split()[0]) for line in said) == notes.sentence.nunique()
    monkeypatch.setattr(encode, "_forward", None)  # nothing is left to encode
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


def test_the_order_of_texts_and_the_size_of_batches_change_nothing(folder):
    encoder = encode.load_encoder(str(folder), device="cpu")
    texts = [" ".join(w * (1 + i % 7)) for i in range(40) for w in ("a", "bc", "de")]
    one, many = (encode.embed_texts(texts, encoder, batch_tokens=b, cached=False) for b in (1, 900))
    back = encode.embed_texts(texts[::-1], encoder, batch_tokens=40, cached=False)[::-1]
    np.testing.assert_allclose(many, one, atol=1e-5)
    np.testing.assert_allclose(back, one, atol=1e-5)
    assert one.dtype == np.float32


@pytest.mark.parametrize("keep", [0, 7, 50, 400, -1])
def test_a_cache_file_cut_anywhere_is_made_again(folder, keep):
    encoder = encode.load_encoder(str(folder), device="cpu")
    first = encode.embed_texts(TEXTS, encoder)
    (file,) = (cache_folder() / "embeddings").rglob("*.safetensors")
    file.write_bytes(file.read_bytes()[:keep])
    np.testing.assert_allclose(encode.embed_texts(TEXTS, encoder), first, atol=1e-6)
    (left,) = (cache_folder() / "embeddings").rglob("*.safetensors")
    assert left != file


def test_a_kill_while_saving_leaves_no_cache_file_to_read(folder, monkeypatch):
    encoder = encode.load_encoder(str(folder), device="cpu")

    def killed(_, path):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(cache, "save_file", killed)
        with pytest.raises(KeyboardInterrupt):
            encode.embed_texts(TEXTS, encoder)
    expected = encode.embed_texts(TEXTS, encoder, cached=False)
    np.testing.assert_allclose(encode.embed_texts(TEXTS, encoder), expected, atol=1e-5)


def test_a_field_average_is_that_of_a_plain_loop(folder):
    encoder = encode.load_encoder(str(folder), device="cpu")
    rng = np.random.default_rng(0)
    rows = [
        (str(s), m, f, " ".join(rng.choice(WORDS[5:10], rng.integers(1, 5))))
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
                expected = encode.embed_texts(texts, encoder, cached=False).mean(axis=0)
                np.testing.assert_allclose(data.embedding[s, i], expected, atol=1e-5)


@pytest.mark.parametrize(("samples", "modalities"), [(["1"], ["x", "y"]), (["1", "2"], ["x"])])
def test_notes_of_a_stranger_are_refused(folder, samples, modalities):
    row = {"sample_id": ["1", "2"], "modality": ["x", "y"], "field": "f", "sentence": "a"}
    encoder = encode.load_encoder(str(folder), device="cpu")
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


def test_an_encoder_that_cannot_be_loaded_is_one_sentence(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    for name in ("minilmm", "nobody/no-such-encoder", str(tmp_path / "nowhere")):
        with pytest.raises(
            OSError, match=f"encoder '{name}' could not be loaded; expected one of minilm"
        ) as error:
            encode.load_encoder(name)
        assert "\n" not in str(error.value)
    for name in ("config.json", "model.safetensors"):
        copy = tmp_path / name
        shutil.copytree(folder, copy)
        (copy / name).write_bytes((copy / name).read_bytes()[:-9])
        with pytest.raises(OSError, match="could not be loaded") as error:
            encode.load_encoder(str(copy))
        assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="device is 'gpu', which torch cannot use"):
        encode.load_encoder(str(folder), device="gpu")
    with pytest.raises(ValueError, match="precision 'fp16'"):
        encode.load_encoder(str(folder), precision="fp16")
    with pytest.raises(ValueError, match="max_length is 1"):
        encode.load_encoder(str(folder), max_length=1)
    with pytest.raises(OSError, match="encoder .*could not be loaded; expected one of minilm, a folder"):
        encode.load_encoder(str(tmp_path))
    with pytest.raises(ValueError, match="pooling is 'max'"):
        encode.load_encoder("minilm", pooling="max")
    with pytest.raises(ValueError, match="unit is 'word'"):
        encode.embed_notes(pd.DataFrame(), [], [], None, unit="word")
