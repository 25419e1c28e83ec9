import numpy as np
import pytest
import xarray as xr

from mmlib.text import encoder as encoders
from mmlib.text.noise import SENTENCES, noise_embeddings

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def encoder(encoder_folder):
    return encoders.load_encoder(str(encoder_folder), device="cpu")


def embeddings(name, n=500):
    rng = np.random.default_rng(0)
    present = np.stack([np.ones(n, bool), rng.random(n) < 0.4], axis=1)
    return xr.Dataset(
        {
            "embedding": (("sample", "modality", "feature"), np.zeros((n, 2, 16), np.float32)),
            "present": (("sample", "modality"), present),
        },
        {"sample": np.arange(n).astype(str).astype(object), "modality": ["a", "b"]},
        {"encoder": name, "unit": "field"},
    )


def test_two_hundred_different_sentences_never_change():
    assert len(set(SENTENCES)) == 200
    assert SENTENCES[0] == "The baker opens the window in the morning."


def test_as_many_have_the_noise_as_the_modality_it_is_like_but_others(encoder):
    real = embeddings(encoder.name)
    noise = noise_embeddings(real, encoder, like="b", seed=1)
    assert noise.modality.values.tolist() == ["noise"] and (noise["sample"] == real["sample"]).all()
    has, other = noise.present.values[:, 0], real.present.values[:, 1]
    assert has.sum() == other.sum() and 0.25 < (has & other).sum() / has.sum() < 0.55  # chance alone is 0.4
    assert (noise.embedding.values[~has] == 0).all()
    known = encoders.embed_texts(SENTENCES, encoder)
    drawn = noise.embedding.values[has, 0]
    assert (np.abs(drawn[:, None] - known).max(axis=2).min(axis=1) == 0).all()
    assert noise_embeddings(real, encoder, like="a").present.all()


def test_the_seed_decides(encoder):
    real = embeddings(encoder.name)
    first, same, other = (noise_embeddings(real, encoder, like="b", seed=s) for s in (1, 1, 2))
    assert first.identical(same) and not first.present.equals(other.present)


def test_another_encoder_or_an_unknown_modality_is_refused(encoder):
    with pytest.raises(ValueError, match="but embeddings were made with 'native'; expected the same"):
        noise_embeddings(embeddings("native"), encoder, like="b")
    with pytest.raises(ValueError, match="like is 'c'; expected one of a, b, none of them called noise"):
        noise_embeddings(embeddings(encoder.name), encoder, like="c")
