"""Vision-language checkpoints of about a hundred thousand random weights, in the format of real ones.

Their output means nothing. They show offline, in seconds, that a pipeline works, before you set a real model.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    logging,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>"]
WORDS = ["[UNK]", "user", "assistant", "describe", "heart", "lungs", "is", "are", "clear"]
WORDS += ["normal", "large", "dense", "right", "left", ".", "ST", "up"]
TEMPLATE = (
    "{% for m in messages %}<|im_start|> {{ m.role }} {% for c in m.content %}{% if c.type == 'image' %}"
    "<|vision_start|> <|image_pad|> <|vision_end|> {% else %}{{ c.text }} {% endif %}{% endfor %}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|> assistant {% endif %}"
)


def _tokenizer(words):
    vocabulary = {word: i for i, word in enumerate(dict.fromkeys([*SPECIAL, *WORDS, *words]))}
    model = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    model.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made = PreTrainedTokenizerFast(
        tokenizer_object=model,
        unk_token="[UNK]",
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
        additional_special_tokens=SPECIAL,
    )
    made.chat_template = TEMPLATE
    assert len(made) == len(vocabulary)
    return made


def save_qwen(folder: str | Path, *, words: Sequence[str] = ()) -> str:
    """Folder of a saved Qwen2.5-VL without a video processor, as it is used without torchvision.

    Parameters
    ----------
    folder : path
    words : sequence of str
        Words it can read and write besides ``WORDS``; all else is ``[UNK]``.

    Returns
    -------
    str
        The folder.
    """
    logging.disable_progress_bar()
    spoken = _tokenizer(words)
    torch.manual_seed(0)
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(spoken),
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]},
            "bos_token_id": 0,
            "eos_token_id": 2,
            "pad_token_id": 0,
        },
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "out_hidden_size": 32,
            "window_size": 56,
            "fullatt_block_indexes": [1],
        },
        image_token_id=5,
        video_token_id=len(SPECIAL),  # of [UNK]: there are no videos
        vision_start_token_id=3,
        vision_end_token_id=4,
    )
    model = Qwen2_5_VLForConditionalGeneration(config)
    model.lm_head.weight.data *= 30  # words as far apart as in a trained model
    model.save_pretrained(folder)
    Qwen2VLImageProcessorPil(min_pixels=56 * 56, max_pixels=112 * 112).save_pretrained(folder)
    spoken.save_pretrained(folder)
    return str(folder)
