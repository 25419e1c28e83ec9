import json
import os
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from mmlib.text import vision
from mmlib.text.finetuning import finetune, read_reports, report_losses
from mmlib.text.tiny import save_qwen
from tests.drawings import draw_xray

REPORTS = {0.4: "heart is normal .", 0.65: "heart is large ."}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return save_qwen(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Six patients in the layout of MIMIC-Eye, half of them with a large heart."""
    root = tmp_path_factory.mktemp("tree")
    for i in range(6):
        heart = list(REPORTS)[i % 2]
        folder = root / f"patient_{10 + i}"
        (folder / "CXR-JPG" / "s5").mkdir(parents=True)
        (folder / "CXR-DICOM").mkdir()
        for view in ("front", "side"):
            image = Image.fromarray(draw_xray(heart=heart, seed=i, size=112))
            image.save(folder / "CXR-JPG" / "s5" / f"{view}{i}.jpg")
        meta = pd.DataFrame({"dicom_id": [f"front{i}", f"side{i}"], "ViewPosition": ["AP", "LATERAL"]})
        meta.to_csv(folder / "CXR-JPG" / "cxr_meta.csv", index=False)
        text = f"FINAL REPORT\n EXAMINATION: chest\n\n FINDINGS: lungs .\n\n IMPRESSION:\n {REPORTS[heart]}\n"
        (folder / "CXR-DICOM" / "s5.txt").write_text(text)
    return root


def train(pairs, base, out, **changes):
    settings = {"prompt": "describe heart", "rank": 4, "epochs": 10, "learning_rate": 0.01, "batch_size": 3}
    return finetune(pairs, base, out, **settings | {"device": "cpu"} | changes)


def test_pairs_are_frontal_views_with_an_impression_of_patients_who_may_be_used(tree):
    pairs = read_reports(tree, exclude=["11", "12"])
    assert pairs.patient_id.tolist() == ["10", "13", "14", "15"]
    assert pairs.image.str.contains("front").all()
    assert set(pairs.report) == set(REPORTS.values())


def test_a_report_without_an_impression_gives_its_findings(tree, tmp_path):
    root = shutil.copytree(tree, tmp_path / "tree")
    file = root / "patient_10" / "CXR-DICOM" / "s5.txt"
    file.write_text("FINDINGS: lungs .\nIMPRESSION:\n\nNOTIFICATION: by phone.")
    assert read_reports(root).report[0] == "lungs ."


def test_a_damaged_picture_makes_no_pair(tree, tmp_path):
    root = shutil.copytree(tree, tmp_path / "tree")
    picture = root / "patient_10" / "CXR-JPG" / "s5" / "front0.jpg"
    os.truncate(picture, picture.stat().st_size // 2)
    assert read_reports(root).patient_id.tolist() == ["11", "12", "13", "14", "15"]


def test_training_end_to_end_lowers_the_loss_and_the_adapter_is_a_describer(tree, base, tmp_path):
    pairs = read_reports(tree)
    losses = train(pairs, base, tmp_path / "adapter")
    by_epoch = losses.groupby("epoch").loss.mean()
    assert by_epoch.iloc[-1] < 0.5 * by_epoch.iloc[0]
    weights = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert weights and all("language_model" in name for name in weights)
    assert not list((tmp_path / "adapter").glob("*.bin"))
    told = {}
    for name in (base, str(tmp_path / "adapter")):
        describer = vision.load_describer(name, prompt="describe heart", max_new_tokens=6, device="cpu")
        told[name] = vision.generate([Image.open(pairs.image[0])], describer)[0]
    assert told[str(tmp_path / "adapter")].startswith("heart is")
    assert told[base] != told[str(tmp_path / "adapter")]


def test_the_loss_of_reports_is_that_of_training(tree, base, tmp_path):
    pairs = read_reports(tree)
    before = report_losses(pairs, base, prompt="describe heart", device="cpu")
    losses = train(pairs, base, tmp_path / "adapter", batch_size=6)
    # the first step sees all pairs, its adapter does nothing yet, and transformers averages over all tokens alike
    tokens = np.array([len(report.split()) + 1 for report in pairs.report])
    assert losses.loss[0] == pytest.approx((before * tokens).sum() / tokens.sum(), rel=1e-5)
    told = {"prompt": "describe heart", "device": "cpu"}
    after = report_losses(pairs, str(tmp_path / "adapter"), **told)
    assert after.shape == (6,) and (after < before).all()
    alone = report_losses(pairs, str(tmp_path / "adapter"), batch_size=1, **told)
    np.testing.assert_allclose(after, alone, rtol=1e-4)


def test_an_interrupted_training_goes_on_and_other_settings_are_refused(tree, base, tmp_path, monkeypatch):
    pairs = read_reports(tree)
    first = train(pairs, base, tmp_path / "a", epochs=1)
    again = train(pairs, base, tmp_path / "a", epochs=2)
    assert again.epoch.tolist() == [0] * len(first) + [1] * len(first)
    pd.testing.assert_frame_equal(again.iloc[: len(first)], first)
    assert again.loss.iloc[len(first) :].mean() < first.loss.mean()
    assert json.loads((tmp_path / "a" / "progress.json").read_text())["done"] == 2
    with pytest.raises(ValueError, match="adapter of other settings \\(rank differ\\)"):
        train(pairs, base, tmp_path / "a", rank=2)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="holds something else than an adapter"):
        train(pairs, base, tmp_path / "b")


def test_the_same_seed_trains_the_same_adapter(tree, base, tmp_path):
    pairs = read_reports(tree)
    for name in ("a", "b"):
        train(pairs, base, tmp_path / name, epochs=1)
    one, two = (load_file(tmp_path / n / "adapter_model.safetensors") for n in ("a", "b"))
    assert all(torch.equal(one[k], two[k]) for k in one)


def test_bad_input_is_one_sentence(tree, base, tmp_path):
    with pytest.raises(ValueError, match="holds no pair of X-ray and report"):
        read_reports(tmp_path)
    with pytest.raises(ValueError, match="There are 0 pairs"):
        train(pd.DataFrame({"image": [], "report": []}), base, tmp_path / "c")
    with pytest.raises(ValueError, match="There are 6 pairs, batch_size is 4, precision 'fp16'"):
        report_losses(read_reports(tree), base, precision="fp16")
    (tmp_path / "patient_1" / "CXR-JPG").mkdir(parents=True)
    (tmp_path / "patient_1" / "CXR-JPG" / "cxr_meta.csv").write_text("dicom,View\n1,PA\n")
    with pytest.raises(ValueError, match="expected dicom_id and ViewPosition"):
        read_reports(tmp_path)
    with pytest.raises(OSError, match="it has no adapter_model.safetensors"):
        (tmp_path / "d").mkdir()
        (tmp_path / "d" / "adapter_config.json").write_text("{}")
        vision.load_describer(str(tmp_path / "d"), prompt="x")
