import json
import shutil
from dataclasses import replace
from itertools import combinations

import huggingface_hub
import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    AutoTokenizer,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from mmlib.data.cohorts import load_cohort
from mmlib.text import vision
from mmlib.text.describers import ECG_PROMPT, IMAGE_PROMPT, describe_files
from mmlib.text.ecg_page import draw_page
from mmlib.text.notes import write_notes
from mmlib.text.signals import Recording, read_ecg
from mmlib.text.tiny import WORDS, save_qwen
from tests.data.test_ptb_xl import REAL
from tests.drawings import draw_ecg, draw_xray
from tests.text.test_describers import cohort_of, files  # noqa: F401  (fixtures)
from tests.text.test_radiograph import HANNOVER, needs_pictures

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A tiny Qwen2.5-VL and a tiny LLaVA on disk, loaded as a user's local checkpoint would be."""
    root = tmp_path_factory.mktemp("models")
    qwen = save_qwen(root / "qwen")
    return {"qwen": qwen, "llava": save_llava(root / "llava", qwen)}


def save_llava(folder, qwen):
    """Folder of a saved LLaVA with its own processor; it reads and writes the words of the tiny Qwen."""
    torch.manual_seed(0)
    spoken = AutoTokenizer.from_pretrained(qwen)
    picture = "<|image_pad|>"
    spoken.chat_template = spoken.chat_template.replace(f"<|vision_start|> {picture} <|vision_end|>", picture)
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=32,
            intermediate_size=64,
            projection_dim=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=56,
            patch_size=14,
        ),
        text_config=LlamaConfig(
            vocab_size=len(spoken),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            bos_token_id=0,
            eos_token_id=2,
            pad_token_id=0,
        ),
        image_token_index=5,
    )
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    LlavaProcessor(
        image_processor=CLIPImageProcessorPil(
            size={"shortest_edge": 56}, crop_size={"height": 56, "width": 56}
        ),
        tokenizer=spoken,
        patch_size=14,
        vision_feature_select_strategy="default",
        image_token="<|image_pad|>",
        num_additional_image_tokens=1,
        chat_template=spoken.chat_template,
    ).save_pretrained(folder)
    return str(folder)


def load(folder, **changes):
    settings = {"prompt": "describe heart", "max_new_tokens": 6, "device": "cpu", "batch_size": 3}
    return vision.load_describer(folder, **settings | changes)


def pictures():
    wide = Image.fromarray(draw_xray(heart=0.6)).resize((300, 150))
    return [Image.fromarray(draw_xray()), wide, draw_page(Recording(draw_ecg(), 500.0))]


@pytest.mark.parametrize("kind", ["qwen", "llava"])
def test_pictures_of_any_shape_are_told_and_batches_change_nothing(folders, kind):
    together = vision.generate(pictures(), load(folders[kind]))
    alone = vision.generate(pictures(), load(folders[kind], batch_size=1))
    assert together == alone == vision.generate(pictures(), load(folders[kind]))
    assert set(" ".join(together).split()) <= {*WORDS, "[UNK]"}
    assert len(together) == 3 and any(together)


def test_composed_inputs_hold_a_token_for_every_four_patches(folders):
    processor = load(folders["qwen"]).processor
    text = processor.apply_chat_template(vision.chat("describe"), tokenize=False, add_generation_prompt=True)
    inputs = processor(text=[text] * 2, images=pictures()[:2], return_tensors="pt", padding=True)
    marks = (inputs["input_ids"] == 5).sum(dim=1)
    assert marks.tolist() == (inputs["image_grid_thw"].prod(dim=1) // 4).tolist()
    assert inputs["pixel_values"].shape[0] == int(inputs["image_grid_thw"].prod(dim=1).sum())
    assert torch.equal(inputs["mm_token_type_ids"] == 1, inputs["input_ids"] == 5)


def test_what_the_model_sees_matters(folders):
    describer = load(folders["qwen"])
    text = describer.processor.apply_chat_template(vision.chat("describe"), tokenize=False)
    logits = []
    for picture in pictures()[:2]:
        square = picture.convert("RGB").resize((112, 112))
        inputs = describer.processor(text=[text], images=[square], return_tensors="pt", padding=True)
        with torch.no_grad():
            logits.append(describer.model(**inputs).logits[0, -1])
    assert (logits[0] - logits[1]).abs().max() > 1e-4


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "I;16"])
def test_every_kind_of_picture_becomes_colour_of_limited_size(mode):
    grey = Image.fromarray(draw_xray(size=1500))
    image = (
        Image.fromarray(draw_xray(size=1500).astype("uint16") * 257) if mode == "I;16" else grey.convert(mode)
    )
    found = vision.shrunk(image)
    assert found.mode == "RGB" and found.size == (1024, 1024)
    assert abs(found.getpixel((512, 512))[0] - grey.resize((1024, 1024)).getpixel((512, 512))) < 25


def test_a_cohort_told_by_models_has_text_for_every_file(folders, files, monkeypatch):  # noqa: F811
    asked, generate = [], vision.generate
    monkeypatch.setattr(vision, "generate", lambda images, d: asked.extend(images) or generate(images, d))
    cohort = cohort_of([*files["xray"], files["xray"][0], None], [*files["ecg"], None, "gone"])
    options = {"image": folders["qwen"], "ecg": folders["llava"], "max_new_tokens": 6, "device": "cpu"}
    told = describe_files(cohort, **options)
    assert [f.kind for f in told.fields] == ["category", "text", "text"]
    assert len(asked) == 4
    text = told.values["cxr.picture"]
    expected = generate([Image.open(files["xray"][0])], load(folders["qwen"], prompt=IMAGE_PROMPT))
    assert text[0] == text[2] == expected[0]
    page = draw_page(read_ecg(files["ecg"][1]))
    assert told.values["ecg.trace"][1] == generate([page], load(folders["llava"], prompt=ECG_PROMPT))[0]
    assert told.counts == {} and told.outcomes["ecg.trace"].tolist()[2:] == ["no file", "no file"]
    assert {"cxr", "ecg"} <= set(write_notes(told).modality)
    describe_files(cohort, **options)
    assert len(asked) == 4  # all from the cache
    describe_files(cohort, **options | {"image_prompt": "describe lungs"})
    assert len(asked) == 6  # another question, another answer


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the sample of PTB-XL is not in {REAL.parent.name}/{REAL.name}")
def test_pages_of_real_ecgs_are_told(folders, monkeypatch):
    pages, generate = [], vision.generate
    monkeypatch.setattr(vision, "generate", lambda images, d: pages.extend(images) or generate(images, d))
    whole = load_cohort("ptb_xl", REAL, ecg_ids="sample", view="whole")
    few = whole.values["ecg.ecg"].iloc[[0, 500, 1000]]
    cohort = replace(whole, samples=whole.samples.loc[few.index], values=whole.values.loc[few.index])
    told = describe_files(cohort, ecg=folders["qwen"], max_new_tokens=6, device="cpu")
    assert told.values["ecg.ecg"].notna().all() and {f.kind for f in told.fields if f.modality == "ecg"} == {"text"}
    assert set(write_notes(told).modality) >= {"demographics", "ecg"}
    recordings = [read_ecg(path) for path in few]
    assert [r.signal.shape for r in recordings] == [(12, 1000)] * 3
    for page, recording in zip(pages, recordings, strict=True):
        ink = (np.asarray(page) == 0).all(axis=2)
        strip = ink[round((8 + 3 * 30) * 6) :, round(20 * 6) :].any(axis=0)
        assert strip.mean() > 0.9  # 10 s of lead II from edge to edge
        assert page == draw_page(recording)
    assert len({page.tobytes() for page in pages}) == 3


@needs_pictures
def test_real_xrays_are_told_by_a_model_that_sees_each_of_them(folders, monkeypatch):
    seen, generate = [], vision.generate
    monkeypatch.setattr(vision, "generate", lambda images, d: seen.extend(images) or generate(images, d))
    paths = [str(path) for path in sorted(HANNOVER.iterdir())[::80]]
    cohort = cohort_of(paths, [None] * len(paths))
    told = describe_files(cohort, image=folders["qwen"], image_prompt="describe lungs", max_new_tokens=6, device="cpu")
    texts = told.values["cxr.picture"]
    assert len(seen) == len(paths) == 4 and {f.kind for f in told.fields if f.modality == "cxr"} == {"text"}
    alone = [generate([Image.open(path)], load(folders["qwen"], prompt="describe lungs"))[0] for path in paths]
    assert texts.tolist() == alone
    describer = load(folders["qwen"])
    asked = describer.processor.apply_chat_template(vision.chat("describe"), tokenize=False)
    answers = []
    for path in paths:
        picture = vision.shrunk(Image.open(path)).resize((112, 112))
        inputs = describer.processor(text=[asked], images=[picture], return_tensors="pt", padding=True)
        with torch.no_grad():
            answers.append(describer.model(**inputs).logits[0, -1])
    assert min((a - b).abs().max() for a, b in combinations(answers, 2)) > 1e-4


def test_a_format_that_transformers_does_not_load_is_named(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llava_llama"}))
    with pytest.raises(ValueError, match="of kind 'llava_llama', which transformers does not load") as error:
        load(str(tmp_path))
    assert "\n" not in str(error.value)


def test_a_checkpoint_that_cannot_be_loaded_is_one_sentence(folders, tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    copy = tmp_path / "copy"
    shutil.copytree(folders["qwen"], copy)
    (copy / "model.safetensors").write_bytes((copy / "model.safetensors").read_bytes()[:-9])
    for name in ("nobody/no-such-model", str(tmp_path / "nowhere"), str(tmp_path), str(copy)):
        with pytest.raises(OSError, match="vision-language model .* could not be loaded") as error:
            load(name)
        assert "\n" not in str(error.value)
    for wrong in ({"precision": "fp16"}, {"prompt": " "}, {"batch_size": 0}, {"max_new_tokens": 0}):
        with pytest.raises(ValueError, match="expected fp32 or bf16, whole numbers from 1, and some text"):
            load(folders["qwen"], **wrong)
    with pytest.raises(ValueError, match="device is 'gpu'"):
        load(folders["qwen"], device="gpu")
