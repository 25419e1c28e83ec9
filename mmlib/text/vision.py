"""Text from a picture and a prompt, by any vision-language checkpoint that transformers can load.

A checkpoint is a local folder, an adapter of :mod:`mmlib.text.finetuning` or a hub id; only a hub id needs a
network. Decoding is greedy, so that the same picture always gets the same text.
"""

import hashlib
import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
    PretrainedConfig,
    logging,
)

from mmlib.core.compute import move
from mmlib.core.storage import digest_folder

LONGEST_SIDE = 1024  # pixels: larger pictures are shrunk, since every 28 x 28 of them cost a token


@dataclass(frozen=True)
class Describer:
    """A loaded vision-language model and its prompt.

    Parameters
    ----------
    name, fingerprint : str
        What the user called it, and a digest of weights and settings: the cache is keyed by it.
    model
        From ``transformers``.
    processor
        The checkpoint's own, or a :class:`Composed` one.
    prompt : str
    max_new_tokens, batch_size : int
    """

    name: str
    fingerprint: str
    model: torch.nn.Module
    processor: object
    prompt: str
    max_new_tokens: int
    batch_size: int


class Composed:
    """The processor of a Qwen2-VL-like checkpoint without its video part, which would need torchvision.

    Parameters
    ----------
    name : str
        Folder or hub id.
    image_token : int
        Id of the token that stands for a piece of a picture.
    """

    def __init__(self, name: str, image_token: int, **options):
        self.image_processor = AutoImageProcessor.from_pretrained(name, **options)
        self.tokenizer = AutoTokenizer.from_pretrained(name, **options)
        self.image_token = image_token

    def apply_chat_template(self, chat, **options) -> str:
        """Conversation in the format that the model was trained on."""
        return self.tokenizer.apply_chat_template(chat, **options)

    def __call__(self, *, text: Sequence[str], images: Sequence[Image.Image], **options):
        """Inputs of the model, from texts with one picture each."""
        pictures = self.image_processor(images, return_tensors="pt")
        pieces = pictures["image_grid_thw"].prod(dim=1) // self.image_processor.merge_size**2
        mark = self.tokenizer.convert_ids_to_tokens(self.image_token)
        long = [t.replace(mark, mark * int(n)) for t, n in zip(text, pieces, strict=True)]
        batch = self.tokenizer(long, **options)
        batch["mm_token_type_ids"] = (batch["input_ids"] == self.image_token).long()
        batch.update(pictures)
        return batch

    def batch_decode(self, *args, **options) -> list[str]:
        """Texts of token ids."""
        return self.tokenizer.batch_decode(*args, **options)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write both parts, so that the folder can be loaded like the checkpoint."""
        self.image_processor.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)


def load_describer(
    name: str,
    *,
    prompt: str,
    max_new_tokens: int = 160,
    batch_size: int = 8,
    device: str = "auto",
    precision: str = "fp32",
) -> Describer:
    """Vision-language model with its prompt and settings.

    Parameters
    ----------
    name : str
        A folder or a hub id that ``transformers.AutoModelForImageTextToText`` loads.
    prompt : str
        Prompt for each picture.
    max_new_tokens : int
        Longest answer, in tokens.
    batch_size : int
        Pictures per forward pass.
    device : str
        ``"auto"`` takes a GPU if there is one.
    precision : {"fp32", "bf16"}

    Returns
    -------
    Describer

    Raises
    ------
    ValueError
        If a parameter is wrong, or the checkpoint is of a kind that transformers does not load.
    OSError
        If the checkpoint cannot be found or is damaged.
    """
    if precision not in ("fp32", "bf16") or max_new_tokens < 1 or batch_size < 1 or not str(prompt).strip():
        raise ValueError(
            f"precision is {precision!r}, max_new_tokens {max_new_tokens}, batch_size {batch_size}, prompt "
            f"{prompt!r}; expected fp32 or bf16, whole numbers from 1, and some text."
        )
    model, processor = load_checkpoint(name, torch.bfloat16 if precision == "bf16" else torch.float32)
    getattr(processor, "tokenizer", processor).padding_side = "left"
    model = move(model.eval(), device)
    for setting in ("temperature", "top_p", "top_k"):
        setattr(model.generation_config, setting, None)  # settings of sampling, unused by greedy decoding
    local = Path(name).is_dir()
    weights = digest_folder(Path(name)) if local else f"{name}@{getattr(model.config, '_commit_hash', None)}"
    settings = f"{weights}|{prompt}|{max_new_tokens}|{precision}|{LONGEST_SIDE}"
    digest = hashlib.sha256(settings.encode()).hexdigest()
    return Describer(name, digest, model, processor, prompt, max_new_tokens, batch_size)


def load_checkpoint(name: str, dtype: torch.dtype) -> tuple:
    """Model and processor of a checkpoint.

    Parameters
    ----------
    name : str
        Folder or hub id; the folder may be an adapter, which names its base.
    dtype : torch.dtype

    Returns
    -------
    model, processor
    """
    logging.disable_progress_bar()
    adapter = Path(name) / "adapter_config.json"
    if adapter.is_file():
        return _with_adapter(Path(name), json.loads(adapter.read_text(encoding="utf-8")), dtype)
    options = {"local_files_only": Path(name).is_dir()}
    try:
        kind = PretrainedConfig.get_config_dict(name, **options)[0].get("model_type")
    except OSError as error:
        raise _not_loaded(name, error) from error
    if kind is not None and kind not in AutoModelForImageTextToText._model_mapping._model_mapping:
        raise ValueError(
            f"{name!r} is a checkpoint of kind {kind!r}, which transformers does not load for "
            f"image-text-to-text; expected qwen2_5_vl, llava, llava_next or the like, so convert it first (the "
            f"page on describing images and ECGs says how)."
        )
    try:
        model = AutoModelForImageTextToText.from_pretrained(
            name, use_safetensors=True, dtype=dtype, **options
        )
        config = AutoConfig.from_pretrained(model.config._name_or_path or name, **options)
        try:
            processor = AutoProcessor.from_pretrained(name, **options)
        except ImportError:  # torchvision, for videos
            processor = Composed(name, config.image_token_id, **options)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise _not_loaded(name, error) from error
    return model, processor


def _with_adapter(folder: Path, settings: dict, dtype) -> tuple:
    from peft import PeftModel  # here, since only adapters need it

    weights = folder / "adapter_model.safetensors"
    if not weights.is_file():
        raise _not_loaded(str(folder), f"it has no {weights.name}")
    model, processor = load_checkpoint(settings["base_model_name_or_path"], dtype)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # peft uses a deprecated name of transformers
            return PeftModel.from_pretrained(model, folder).merge_and_unload(), processor
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise _not_loaded(str(folder), error) from error


def _not_loaded(name, error):
    return OSError(
        f"The vision-language model {name!r} could not be loaded; expected a folder with config.json and "
        f"safetensors, or a hub id that is reachable ({(str(error).splitlines() or ['no reason given'])[0]})"
    )


def shrunk(image: Image.Image) -> Image.Image:
    """Picture in colour, its longer side at most ``LONGEST_SIDE`` pixels."""
    if image.mode.startswith("I"):  # 16 bits
        image = Image.fromarray((np.asarray(image) / 257).clip(0, 255).astype(np.uint8))
    image = image.convert("RGB")
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    return image


def chat(prompt: str, answer: str | None = None) -> list[dict]:
    """Conversation of a picture and a prompt, with an answer if it is for training."""
    turns = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": prompt}]}]
    if answer is not None:
        turns.append({"role": "assistant", "content": [{"type": "text", "text": answer}]})
    return turns


@torch.inference_mode()
def generate(images: Sequence[Image.Image], describer: Describer) -> list[str]:
    """Text on each picture, by a vision-language model.

    Parameters
    ----------
    images : sequence of PIL.Image.Image
    describer : Describer

    Returns
    -------
    list of str
        One text per picture, on one line.
    """
    text = describer.processor.apply_chat_template(
        chat(describer.prompt), tokenize=False, add_generation_prompt=True
    )
    answers = []
    for start in range(0, len(images), describer.batch_size):
        batch = [shrunk(image) for image in images[start : start + describer.batch_size]]
        inputs = describer.processor(
            text=[text] * len(batch), images=batch, return_tensors="pt", padding=True
        ).to(describer.model.device)
        inputs = {
            name: value.to(describer.model.dtype) if value.is_floating_point() else value
            for name, value in inputs.items()
        }
        tokens = describer.model.generate(
            **inputs, max_new_tokens=describer.max_new_tokens, do_sample=False, num_beams=1
        )
        new = tokens[:, inputs["input_ids"].shape[1] :]
        answers += describer.processor.batch_decode(new, skip_special_tokens=True)
    return [" ".join(answer.split()) for answer in answers]
