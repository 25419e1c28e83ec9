
import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from mmlib.core.storage import cache_folder
from mmlib.text import cache
from mmlib.text import encoder as encoders

pytestmark = pytest.mark.usefixtures("own_cache")

TEXTS = ["a b c .", "d", "a a a a e .", "b b", "c"]


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


@pytest.fixture
def watched(encoder_folder):
    """An encoder, and the shape of every batch that its network has read."""
    encoder, shapes = encoders.load_encoder(str(encoder_folder), device="cpu"), []
    encoder.model.register_forward_hook(lambda *call: shapes.append(call[2]["input_ids"].shape), with_kwargs=True)
    return encoder, shapes


def test_each_distinct_text_is_embedded_once_and_kept(watched):
    encoder, shapes = watched
    first = encoders.embed_texts(TEXTS * 3, encoder)
    assert sum(rows for rows, _ in shapes) == len(TEXTS)
    np.testing.assert_array_equal(first[:5], encoders.embed_texts(TEXTS, encoder))
    assert sum(rows for rows, _ in shapes) == len(TEXTS)
    np.testing.assert_allclose(first[:5], encoders.embed_texts(TEXTS, encoder, cached=False), atol=1e-5)


def test_a_kill_costs_only_what_was_not_saved(watched, monkeypatch):
    encoder, shapes = watched
    monkeypatch.setattr(encoders, "SAVE_EVERY", 2)

    def killed(*_):
        if shapes:
            raise KeyboardInterrupt

    hook = encoder.model.register_forward_pre_hook(killed)
    with pytest.raises(KeyboardInterrupt):
        encoders.embed_texts(TEXTS, encoder)
    hook.remove()
    assert sum(rows for rows, _ in shapes) == 2
    encoders.embed_texts(TEXTS, encoder)
    assert sum(rows for rows, _ in shapes) == len(TEXTS)


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


def test_batches_hold_texts_of_like_length_within_the_budget(watched):
    encoder, shapes = watched
    texts = [" ".join("ab"[i % 2] * (1 + i * 7 % 11)) + " c" * (i // 22) for i in range(50)] + ["b " * 30]
    encoders.embed_texts(texts, encoder, batch_tokens=40, cached=False)
    assert sum(rows for rows, _ in shapes) == len(set(texts))
    assert all(rows * length <= 40 or rows == 1 for rows, length in shapes)
    lengths = [length for _, length in shapes]
    assert lengths == sorted(lengths) and len(shapes) < 30


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


def test_a_flipped_bit_in_the_cache_is_noticed_or_changes_nothing(tmp_path):
    keys, vectors = [bytes([i]) * 32 for i in range(8)], np.arange(24, dtype=np.float32).reshape(8, 3)
    cache.write_vectors(tmp_path, keys, vectors)
    (file,) = tmp_path.iterdir()
    content, noticed = file.read_bytes(), 0
    for place in range(0, len(content), 7):
        file.write_bytes(content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :])
        known = cache.read_vectors(tmp_path, keys)
        noticed += not known
        assert not known or (len(known) == 8 and all((known[k] == v).all() for k, v in zip(keys, vectors, strict=True)))
        assert bool(known) == file.is_file()
    assert noticed > 40


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
