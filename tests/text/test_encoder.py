
import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from mmlib.core.storage import cache_folder
from mmlib.text import cache
from mmlib.text import encoder as encoders

TEXTS = ["a b c .", "d", "a a a a e .", "b b", "c"]


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("MMLIB_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_vectors_are_those_of_plain_transformers(encoder_folder, pooling):
    encoder = encoders.load_encoder(str(encoder_folder), pooling=pooling, device="cpu")
    tokenizer, model = AutoTokenizer.from_pretrained(encoder_folder), AutoModel.from_pretrained(encoder_folder).eval()
    for text, vector in zip(TEXTS, encoders.embed_texts(TEXTS, encoder, batch_tokens=8), strict=True):
        with torch.no_grad():
            states = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        expected = states[0] if pooling == "cls" else states.mean(0)
        np.testing.assert_allclose(vector, expected.numpy(), atol=1e-5)


def test_long_texts_lose_their_end(encoder_folder):
    encoder = encoders.load_encoder(str(encoder_folder), max_length=4, device="cpu")
    short, long = encoders.embed_texts(["a b", "a b c d e"], encoder)
    np.testing.assert_allclose(short, long, atol=1e-5)


def test_each_distinct_text_is_embedded_once_and_kept(encoder_folder, monkeypatch):
    encoder = encoders.load_encoder(str(encoder_folder), device="cpu")
    seen = []
    forward = encoders._forward
    monkeypatch.setattr(encoders, "_forward", lambda texts, e: seen.extend(texts) or forward(texts, e))
    first = encoders.embed_texts(TEXTS * 3, encoder)
    assert sorted(seen) == sorted(TEXTS)
    np.testing.assert_array_equal(first[:5], encoders.embed_texts(TEXTS, encoder))
    assert len(seen) == len(TEXTS)
    np.testing.assert_allclose(first[:5], encoders.embed_texts(TEXTS, encoder, cached=False), atol=1e-5)


def test_a_kill_costs_only_what_was_not_saved(encoder_folder, monkeypatch):
    encoder = encoders.load_encoder(str(encoder_folder), device="cpu")
    monkeypatch.setattr(encoders, "SAVE_EVERY", 2)
    forward, seen = encoders._forward, []

    def killed(texts, e):
        if len(seen) >= 2:
            raise KeyboardInterrupt
        seen.extend(texts)
        return forward(texts, e)

    monkeypatch.setattr(encoders, "_forward", killed)
    with pytest.raises(KeyboardInterrupt):
        encoders.embed_texts(TEXTS, encoder)
    done = list(seen)
    monkeypatch.setattr(encoders, "_forward", lambda texts, e: seen.extend(texts) or forward(texts, e))
    encoders.embed_texts(TEXTS, encoder)
    assert len(done) == 2 and len(seen) == len(TEXTS)


def test_a_truncated_cache_file_is_made_again(encoder_folder):
    encoder = encoders.load_encoder(str(encoder_folder), device="cpu")
    first = encoders.embed_texts(TEXTS, encoder)
    (file,) = (cache_folder() / "embeddings").rglob("*.safetensors")
    file.write_bytes(file.read_bytes()[:50])
    np.testing.assert_allclose(encoders.embed_texts(TEXTS, encoder), first, atol=1e-6)


def test_other_settings_do_not_share_a_cache(encoder_folder):
    keys = {
        encoders.load_encoder(str(encoder_folder), pooling=p, max_length=m).fingerprint
        for p in ("mean", "cls")
        for m in (8, 16)
    }
    assert len(keys) == 4


def test_batches_hold_texts_of_like_length_within_the_budget(encoder_folder):
    encoder = encoders.load_encoder(str(encoder_folder), device="cpu")
    texts = [" ".join("a" * (1 + i * 7 % 11)) for i in range(50)] + ["b " * 30]
    batches = list(encoders._batches(texts, encoder, 40))
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


def test_the_order_of_texts_and_the_size_of_batches_change_nothing(encoder_folder):
    encoder = encoders.load_encoder(str(encoder_folder), device="cpu")
    texts = [" ".join(w * (1 + i % 7)) for i in range(40) for w in ("a", "bc", "de")]
    one, many = (encoders.embed_texts(texts, encoder, batch_tokens=b, cached=False) for b in (1, 900))
    back = encoders.embed_texts(texts[::-1], encoder, batch_tokens=40, cached=False)[::-1]
    np.testing.assert_allclose(many, one, atol=1e-5)
    np.testing.assert_allclose(back, one, atol=1e-5)
    assert one.dtype == np.float32


@pytest.mark.parametrize("keep", [0, 7, 50, 400, -1])
def test_a_cache_file_cut_anywhere_is_made_again(encoder_folder, keep):
    encoder = encoders.load_encoder(str(encoder_folder), device="cpu")
    first = encoders.embed_texts(TEXTS, encoder)
    (file,) = (cache_folder() / "embeddings").rglob("*.safetensors")
    file.write_bytes(file.read_bytes()[:keep])
    np.testing.assert_allclose(encoders.embed_texts(TEXTS, encoder), first, atol=1e-6)
    (left,) = (cache_folder() / "embeddings").rglob("*.safetensors")
    assert left != file


def test_a_kill_while_saving_leaves_no_cache_file_to_read(encoder_folder, monkeypatch):
    encoder = encoders.load_encoder(str(encoder_folder), device="cpu")

    def killed(_, path):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(cache, "save_file", killed)
        with pytest.raises(KeyboardInterrupt):
            encoders.embed_texts(TEXTS, encoder)
    expected = encoders.embed_texts(TEXTS, encoder, cached=False)
    np.testing.assert_allclose(encoders.embed_texts(TEXTS, encoder), expected, atol=1e-5)
