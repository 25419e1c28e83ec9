"""Adapt a vision-language model to pairs of chest X-ray and report, by low-rank adaptation [Hu2022]_.

Only small matrices beside the language model's own are trained, so that a 3B model fits one GPU and the result
is a few megabytes. The adapter's folder is a describer like any other: ``describe(..., image=folder)``.
"""

import json
import os
import warnings
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from mmlib.core.compute import move
from mmlib.data.mimic_eye import FRONTAL, is_whole
from mmlib.data.reports import impression
from mmlib.text.describers import IMAGE_PROMPT
from mmlib.text.radiograph import read_image
from mmlib.text.vision import chat, load_checkpoint, shrunk

#: Linear layers of the language model; the vision part is not trained.
TARGETS = r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"


def read_reports(root: str | Path, *, exclude: Collection[str] = ()) -> pd.DataFrame:
    """Pairs of a frontal X-ray and the impression of its report, from a MIMIC-Eye tree.

    Parameters
    ----------
    root : path
        Folder with ``patient_<id>/CXR-JPG/s<study>/*.jpg`` and ``patient_<id>/CXR-DICOM/s<study>.txt``.
    exclude : collection of str
        Patients to leave out: all whose samples a study will test, so that the model never saw their reports.

    Returns
    -------
    pandas.DataFrame
        Columns patient_id, image (path), report: the impression, or the findings if there is none. Views that
        ``cxr_meta.csv`` calls other than PA or AP, damaged pictures and reports with neither section are left out.

    Raises
    ------
    ValueError
        If there is no pair.
    """
    excluded, rows = {str(patient) for patient in exclude}, []
    for folder in sorted(Path(root).glob("patient_*")):
        patient = folder.name.removeprefix("patient_")
        if patient in excluded:
            continue
        views = _views(folder / "CXR-JPG" / "cxr_meta.csv")
        for file in sorted((folder / "CXR-DICOM").glob("s*.txt")):
            report = impression(file.read_text(encoding="utf-8", errors="replace"), or_findings=True)
            pictures = sorted((folder / "CXR-JPG" / file.stem).glob("*.jpg"))
            chosen = [p for p in pictures if report and views.get(p.stem, "PA") in FRONTAL and is_whole(p)]
            rows += [(patient, str(p), report) for p in chosen]
    if not rows:
        raise ValueError(
            f"{root} holds no pair of X-ray and report; expected patient_*/CXR-JPG/s*/*.jpg beside "
            "patient_*/CXR-DICOM/s*.txt with an impression."
        )
    return pd.DataFrame(rows, columns=["patient_id", "image", "report"])


def _views(file: Path) -> dict[str, str]:
    if not file.is_file():
        return {}
    table = pd.read_csv(file, dtype=str)
    if not {"dicom_id", "ViewPosition"} <= set(table):
        raise ValueError(f"{file} has the columns {list(table)}; expected dicom_id and ViewPosition.")
    return dict(zip(table.dicom_id, table.ViewPosition.fillna(""), strict=True))


def finetune(
    pairs: pd.DataFrame,
    base: str,
    out: str | Path,
    *,
    prompt: str = IMAGE_PROMPT,
    rank: int = 16,
    epochs: int = 2,
    learning_rate: float = 1e-4,
    batch_size: int = 4,
    seed: int = 0,
    device: str = "auto",
    precision: str = "fp32",
) -> pd.DataFrame:
    """Training losses of an adapter, which is saved after every epoch.

    Parameters
    ----------
    pairs : pandas.DataFrame
        Columns image (path) and report, as from :func:`read_reports`.
    base : str
        The model to adapt: a folder or a hub id.
    out : path
        Folder of the adapter. If it holds an unfinished one of the same settings, training goes on after its
        last epoch (with fresh momentum).
    prompt : str
        What the model will be asked.
    rank : int
        Of the trained matrices.
    epochs, batch_size, seed : int
    learning_rate : float
    device : str
        ``"auto"`` takes a GPU if there is one.
    precision : {"fp32", "bf16"}

    Returns
    -------
    pandas.DataFrame
        Columns epoch, step, loss: mean negative log-likelihood of a report's token.
    """
    if len(pairs) == 0 or epochs < 1 or batch_size < 1 or rank < 1 or precision not in ("fp32", "bf16"):
        raise ValueError(
            f"There are {len(pairs)} pairs, epochs is {epochs}, batch_size {batch_size}, rank {rank}, precision "
            f"{precision!r}; expected one or more of each, and fp32 or bf16."
        )
    from peft import LoraConfig, PeftModel, get_peft_model  # slow to import, and only adapters need it

    out = Path(out)
    settings = {
        "base": base,
        "prompt": prompt,
        "rank": rank,
        "learning_rate": learning_rate,
        "batch_size": batch_size,
        "seed": seed,
        "pairs": len(pairs),
    }
    done, losses = _progress(out, settings)
    torch.manual_seed(seed)
    model, processor = _loaded(base, device, precision)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", FutureWarning
        )  # peft uses a deprecated name of transformers
        if done:
            model = PeftModel.from_pretrained(model, out, is_trainable=True)
        else:
            lora = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=TARGETS, task_type="CAUSAL_LM")
            model = get_peft_model(model, lora)
    model.train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=learning_rate)
    steps = -(-len(pairs) // batch_size)
    for epoch in range(done, epochs):
        order = np.random.default_rng([seed, epoch]).permutation(len(pairs))
        for step in tqdm(range(steps), desc=f"epoch {epoch + 1} of {epochs}", disable=None):
            rows = pairs.iloc[order[step * batch_size : (step + 1) * batch_size]]
            loss = model(**_batch(rows, prompt, processor, model)).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimiser.step()
            optimiser.zero_grad()
            losses.append((epoch, step, float(loss.detach())))
        model.save_pretrained(out)
        processor.save_pretrained(out)
        scratch = out / ".progress.json"
        scratch.write_text(json.dumps({"settings": settings, "done": epoch + 1, "losses": losses}))
        os.replace(scratch, out / "progress.json")
    return pd.DataFrame(losses, columns=["epoch", "step", "loss"])


@torch.inference_mode()
def report_losses(
    pairs: pd.DataFrame,
    name: str,
    *,
    prompt: str = IMAGE_PROMPT,
    batch_size: int = 4,
    device: str = "auto",
    precision: str = "fp32",
) -> np.ndarray:
    """Mean negative log-likelihood of each report under a model, given its picture.

    Parameters
    ----------
    pairs : pandas.DataFrame
        Columns image (path) and report; pairs that the model was not trained on, unless to test memorisation.
    name : str
        A folder, an adapter's folder or a hub id.
    prompt, batch_size, device, precision
        As in :func:`finetune`.

    Returns
    -------
    numpy.ndarray of shape (n_pairs,)
        Mean negative log-likelihood of each report's tokens, the end included.
    """
    if len(pairs) == 0 or batch_size < 1 or precision not in ("fp32", "bf16"):
        raise ValueError(
            f"There are {len(pairs)} pairs, batch_size is {batch_size}, precision {precision!r}; expected one or more "
            "of each, and fp32 or bf16."
        )
    model, processor = _loaded(name, device, precision)
    model.eval()
    losses = []
    for start in tqdm(range(0, len(pairs), batch_size), desc="reading reports", disable=None):
        inputs = _batch(pairs.iloc[start : start + batch_size], prompt, processor, model)
        labels = inputs.pop("labels")[:, 1:]
        logits = model(**inputs).logits[:, :-1].float()
        of_tokens = cross_entropy(logits.transpose(1, 2), labels, reduction="none")  # 0 outside the report
        losses.append((of_tokens.sum(dim=1) / (labels >= 0).sum(dim=1)).cpu())
    return torch.cat(losses).numpy()


def _loaded(name: str, device: str, precision: str) -> tuple:
    """Model and processor to be trained or measured: answers are padded at their end."""
    model, processor = load_checkpoint(name, torch.bfloat16 if precision == "bf16" else torch.float32)
    processor.tokenizer.padding_side = "right"
    return move(model, device), processor


def _progress(out: Path, settings: dict) -> tuple[int, list]:
    """Number of epochs that an earlier call has finished, and its losses."""
    file = out / "progress.json"
    if not file.is_file():
        if out.exists() and any(out.iterdir()):
            raise ValueError(f"{out} holds something else than an adapter; expected a new or empty folder.")
        return 0, []
    earlier = json.loads(file.read_text(encoding="utf-8"))
    if earlier["settings"] != settings:
        changed = sorted(k for k in settings if earlier["settings"].get(k) != settings[k])
        raise ValueError(
            f"{out} holds an adapter of other settings ({', '.join(changed)} differ); expected the same ones to go "
            "on, or another folder."
        )
    return earlier["done"], [tuple(row) for row in earlier["losses"]]


def _batch(rows: pd.DataFrame, prompt: str, processor, model) -> dict:
    """Pictures, prompts and reports as inputs; only the reports' tokens count for the loss."""
    question = processor.apply_chat_template(chat(prompt), tokenize=False, add_generation_prompt=True)
    answers = [f"{report}{processor.tokenizer.eos_token}" for report in rows.report]
    inputs = processor(
        text=[question + answer for answer in answers],
        images=[shrunk(read_image(path)) for path in rows.image],
        return_tensors="pt",
        padding=True,
    )
    labels = torch.full_like(inputs["input_ids"], -100)
    ends = inputs["attention_mask"].sum(dim=1)
    for row, (answer, end) in enumerate(zip(answers, ends, strict=True)):
        length = len(processor.tokenizer(answer, add_special_tokens=False)["input_ids"])
        labels[row, end - length : end] = inputs["input_ids"][row, end - length : end]
    out = {**inputs, "labels": labels}
    return {
        name: value.to(model.device, model.dtype if value.is_floating_point() else None)
        for name, value in out.items()
    }
