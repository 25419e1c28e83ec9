"""A modality that says nothing about anybody: harmless sentences drawn at random from a fixed list of 200.

What a study reports about it is what the study reports about nothing.
"""

import numpy as np
import xarray as xr

from mmlib.text.encoder import Encoder, embed_texts

_WHO = (
    "The baker", "The gardener", "The librarian", "The postman", "The carpenter", "The violinist", "The teacher",
    "The fisherman", "The painter", "The tailor", "The pilot", "The shepherd", "The clockmaker", "The florist",
    "The bus driver", "The poet", "The mason", "The beekeeper", "The potter", "The sailor",
)  # fmt: skip
_WHAT = (
    "opens the window in the morning.", "reads the newspaper on the bench.", "waits for the train to the coast.",
    "buys two tickets for the concert.", "writes a letter to an old friend.", "walks along the river at dusk.",
    "puts the blue chair near the door.", "listens to the radio in the kitchen.", "folds a paper boat for the pond.",
    "counts the clouds above the hills.",
)  # fmt: skip
#: The 200 sentences; few enough that encoding them costs nothing.
SENTENCES = tuple(f"{who} {what}" for who in _WHO for what in _WHAT)


def noise_embeddings(embeddings: xr.Dataset, encoder: Encoder, *, like: str, seed: int = 0) -> xr.Dataset:
    """Embeddings of one more modality, ``noise``: a sentence drawn at random for each sample that has it.

    Parameters
    ----------
    embeddings : xarray.Dataset
        The artefact ``embeddings``, in memory or opened lazily: of its vectors nothing is read.
    encoder : mmlib.text.encoder.Encoder
        The one that made them.
    like : str
        A modality that as many samples have. Which ones is drawn at random, else the presence of the noise would say
        what the presence of ``like`` does.
    seed : int

    Returns
    -------
    xarray.Dataset
        As `embeddings`, with the one modality ``noise``.
    """
    if embeddings.attrs["encoder"] != encoder.name:
        raise ValueError(
            f"encoder is {encoder.name!r}, but embeddings were made with {embeddings.attrs['encoder']!r}; "
            "expected the same."
        )
    modalities = embeddings["modality"].values.tolist()
    if like not in modalities or "noise" in modalities:
        raise ValueError(f"like is {like!r}; expected one of {', '.join(modalities)}, none of them called noise.")
    rng = np.random.default_rng([seed, len(SENTENCES)])
    present = rng.permutation(embeddings["present"].sel(modality=like).values)
    vectors = embed_texts(SENTENCES, encoder)[rng.integers(len(SENTENCES), size=len(present))]
    vectors[~present] = 0
    return xr.Dataset(
        {
            "embedding": (("sample", "modality", "feature"), vectors[:, None]),
            "present": (("sample", "modality"), present[:, None]),
        },
        {"sample": embeddings["sample"].values, "modality": ["noise"]},
        embeddings.attrs,
    )
