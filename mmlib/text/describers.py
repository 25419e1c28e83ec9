"""Images and ECGs in words, before notes are written: by measuring, or by a vision-language model.

*Measured* descriptors need no weights and no network: a picture or a recording becomes a handful of numbers
with units and reference bounds, which notes put into words like any other number and which the native encoding
takes as they are. A *vision-language model* writes free text instead, as in the paper. The
description of a file is kept in the user's cache, keyed by the file's content, so that an interrupted run can
continue.
"""

import hashlib
import json
import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from mmlib.core.schema import OUTCOMES, Cohort, Field
from mmlib.core.storage import cache_folder
from mmlib.data.cohorts import load_cohort
from mmlib.data.ecg import LEADS
from mmlib.text import radiograph, signals

IMAGE_PROMPT = (
    "You are a radiologist. Describe the findings of this chest X-ray in a few short sentences: heart size, "
    "lungs, pleura, bones and devices. Do not guess at what cannot be seen."
)
ECG_PROMPT = (
    "You are a cardiologist. Describe this 12-lead electrocardiogram in a few short sentences: rate, rhythm, "
    "axis, intervals, conduction, ST segments and T waves."
)
SAVE_EVERY = 64  # descriptions per cache file: at most these are lost if the process is stopped
NO_FILE, UNREADABLE, REFUSED, IN_PART, IN_FULL = OUTCOMES

#: What is measured: name -> settings of its field. Bounds of ECGs are customary ones [Surawicz2009]_,
#: [Rautaharju2009]_, as is the cardiothoracic ratio's [Danzer1919]_; those of densities are fixed cut points.
MEASURED_ECG = {
    "rate": {"label": "heart rate on the ECG", "unit": "per minute", "reference": (40, 60, 100, 130)},
    "rhythm": {"label": "rhythm", "kind": "category"},
    "p_wave": {"label": "P wave", "kind": "category"},
    "pr": {"label": "PR interval", "unit": "ms", "reference": (None, 120, 200, 300)},
    "qrs": {"label": "QRS duration", "unit": "ms", "reference": (None, None, 110, 120)},
    "qtc": {"label": "corrected QT interval", "unit": "ms", "reference": (None, 350, 450, 500)},
    "axis": {"label": "QRS axis", "unit": "degrees", "reference": (-90, -30, 90, 180)},
    "voltage": {
        "label": "Sokolow-Lyon voltage",
        "unit": "mV",
        "decimals": 1,
        "reference": (None, None, 3.5, 5),
    },
    "bundle_branch": {"label": "bundle branch block pattern", "kind": "category"},
    **{
        f"st_{part}": {
            "label": f"ST level in the {part} leads",
            "unit": "mV",
            "decimals": 2,
            "reference": (-0.2, -0.05, 0.1, 0.2),
        }
        for part in signals.TERRITORIES
    },
    **{
        f"t_{part}": {
            "label": f"T wave in the {part} leads",
            "unit": "mV",
            "decimals": 2,
            "reference": (-0.1, 0.05, None, None),
        }
        for part in signals.TERRITORIES
    },
}
MEASURED_XRAY = {
    "lung_area": {"label": "lung fields", "unit": "% of the picture"},
    "right_share": {"label": "right lung", "unit": "% of the lung fields", "reference": (35, 45, 60, 70)},
    "ratio": {"label": "cardiothoracic ratio", "decimals": 2, "reference": (None, None, 0.5, 0.6)},
    **{
        zone: {
            "label": f"density of the {zone.replace('_', ' ')} lung zone",
            "unit": "% of the mediastinum's",
            "reference": (None, None, 40, 65),
        }
        for zone in radiograph.ZONES
    },
}


def load_described(settings: Mapping, protected_inputs: str | None = None, *, described: bool = True) -> Cohort:
    """The cohort of a run, its images and ECGs in words or numbers.

    Parameters
    ----------
    settings : mapping
        Those of chapter 1, ``run.settings("01_cohort")``: ``cohort``, ``root``, ``cohort_options``, ``drop_fields``
        and ``protected_inputs`` of `mmlib.data.cohorts.load_cohort`, and ``describers``, the options of
        `describe_files`.
    protected_inputs : {"none", "modality", "lineage"}, optional
        In place of the stored one.
    described : bool
        False leaves images and ECGs as names of files.

    Returns
    -------
    mmlib.core.schema.Cohort
    """
    cohort = load_cohort(
        settings["cohort"],
        settings["root"] or None,
        protected_inputs=settings["protected_inputs"] if protected_inputs is None else protected_inputs,
        drop_fields=settings["drop_fields"],
        **settings["cohort_options"],
    )
    return describe_files(cohort, **settings["describers"]) if described else cohort


def describe_files(
    cohort: Cohort,
    *,
    image: str = "measured",
    ecg: str = "measured",
    image_prompt: str = IMAGE_PROMPT,
    ecg_prompt: str = ECG_PROMPT,
    most_unmeasured: float = 0.1,
    max_new_tokens: int = 160,
    batch_size: int = 8,
    device: str = "auto",
    precision: str = "fp32",
) -> Cohort:
    """Cohort with measurements or free text in place of its fields of kind image and ecg.

    Parameters
    ----------
    cohort : mmlib.core.schema.Cohort
        Returned as it is if it has no such fields.
    image, ecg : str
        ``"measured"``, or a vision-language model: a local folder or a hub id such as
        ``"Qwen/Qwen2.5-VL-3B-Instruct"``. An ECG is shown to a model as a page on standard paper.
    image_prompt, ecg_prompt : str
        What a model is asked.
    most_unmeasured : float
        Largest share of a field's files, of those that are there, that may be unreadable or refused.
    max_new_tokens, batch_size, device, precision
        Of models, see :func:`mmlib.text.vision.load_describer`.

    Returns
    -------
    mmlib.core.schema.Cohort
        A measured field becomes one field per measurement, ``<field>_<measurement>``; a field described by a
        model becomes free text. What cannot be measured is absent: ``outcomes`` says of each sample why, ``counts``
        how often, and how many ECGs lack leads.

    Raises
    ------
    ValueError
        If none of a field's files can be read, more than ``most_unmeasured`` of them cannot be measured, a memmap does
        not match its metadata, or a parameter is wrong.
    OSError
        If a model cannot be loaded.
    """
    if not any(field.kind in ("image", "ecg") for field in cohort.fields):
        return cohort
    if not 0 <= most_unmeasured <= 1:
        raise ValueError(f"most_unmeasured is {most_unmeasured!r}; expected a share from 0 to 1.")
    settings = {
        "max_new_tokens": max_new_tokens,
        "batch_size": batch_size,
        "device": device,
        "precision": precision,
    }
    fields, columns, times, counts = [], {}, {}, dict(cohort.counts)
    known_times = cohort.times if cohort.times is not None else pd.DataFrame()
    outcomes = {} if cohort.outcomes is None else dict(cohort.outcomes)
    describers = {}
    identify = cache(_identify)  # several fields may be measured in one recording
    for field in cohort.fields:
        if field.kind not in ("image", "ecg"):
            new = [(field, cohort.values[field.column])]
        else:
            if field.kind not in describers:
                name, prompt = (image, image_prompt) if field.kind == "image" else (ecg, ecg_prompt)
                describers[field.kind] = (
                    _measuring(field.kind)
                    if name == "measured"
                    else _telling(field.kind, name, prompt, settings)
                )
            new, found, outcomes[field.column] = _described(
                cohort.values[field.column], field, identify, most_unmeasured, *describers[field.kind]
            )
            counts |= found
        fields += [f for f, _ in new]
        columns |= {f.column: values for f, values in new}
        if field.column in known_times:
            times |= {f.column: known_times[field.column] for f, _ in new}
    return replace(
        cohort,
        fields=tuple(fields),
        values=pd.DataFrame(columns, index=cohort.values.index),
        times=None if cohort.times is None else pd.DataFrame(times, index=cohort.times.index),
        counts=counts,
        outcomes=pd.DataFrame(outcomes, index=cohort.values.index),
    )


def _measuring(kind: str) -> tuple:
    """For measuring: fingerprint of the cache, settings of the fields, function from paths to results."""
    module, told = (radiograph, MEASURED_XRAY) if kind == "image" else (signals, MEASURED_ECG)

    def measure(path):
        if kind == "image":
            return radiograph.measure_xray(radiograph.read_image(path))
        return signals.measure_ecg(signals.read_ecg(path))

    # other rules or other weights, other results
    files = (radiograph if kind == "image" else signals).measuring_files()
    fingerprint = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()

    def measured(paths):
        # here, so that a cohort whose files are known does not wait for torch, and each task gets one of its threads
        import torch  # noqa: F401

        from mmlib.core.compute import map_parallel

        return map_parallel(partial(_or_none, measure), paths)

    return fingerprint, told, measured


def _telling(kind: str, name: str, prompt: str, settings: Mapping) -> tuple:
    """For a vision-language model: the same three as `_measuring`."""
    # here, so that measuring does not wait for torch and transformers
    from mmlib.text import ecg_page, vision

    describer = vision.load_describer(name, prompt=prompt, **settings)
    drawn = Path(ecg_page.__file__).read_bytes() if kind == "ecg" else b""  # a changed page gives new answers
    fingerprint = hashlib.sha256(describer.fingerprint.encode() + drawn).hexdigest()

    def read(path):
        if kind == "image":
            return radiograph.read_image(path)
        return ecg_page.draw_page(signals.read_ecg(path))

    def generate(paths):
        pictures = [_or_none(read, path) for path in paths]
        texts = iter(vision.generate([p for p in pictures if p is not None], describer))
        return [None if picture is None else next(texts) for picture in pictures]

    return fingerprint, None, generate


def _or_none(function, path):
    try:
        return function(path)
    except OSError:
        return None


def _described(
    values: pd.Series, field: Field, identify: Callable, most: float, fingerprint: str, told, results_of
) -> tuple[list, dict, pd.Series]:
    """New fields of one field with their values, counts, and outcomes; each distinct file is described once."""
    names = told and (field.measures or tuple(told))
    if unknown := sorted(set(names or ()) - set(told or ())):
        raise ValueError(
            f"The field {field.column} asks for the measurement {unknown[0]!r}; expected some of {', '.join(told)}."
        )
    paths = [str(p) for p in values.dropna().unique()]
    key, problem = {}, None
    for path in tqdm(paths, desc=f"reading {field.column}", disable=None):
        try:
            key[path] = identify(path, field.kind)
        except OSError as error:
            problem = problem or error
    known = _known(cache_folder() / "descriptions" / fingerprint, {k: p for p, k in key.items()}, results_of)
    result = {path: known[k] for path, k in key.items() if known.get(k) is not None}
    if paths and not result:
        raise ValueError(
            f"None of the {len(paths)} files of {field.column} could be read; the first: {problem or paths[0]}"
        )
    judged = {path: _judged(result.get(path), names) if _is_there(path) else (NO_FILE, "") for path in paths}
    _check_unmeasured(judged, field, most)
    found = values.map(result.get, na_action="ignore")
    counts = _counted(values.map(judged, na_action="ignore").dropna(), field)
    became = [judged.get(str(path), (NO_FILE, ""))[0] for path in values]
    outcomes = pd.Series(became, values.index, dtype="str")
    if field.kind == "ecg" and told is not None:
        lacking = int(sum(result["leads"] < len(LEADS) for result in found.dropna()))
        counts |= {f"{field.label} ({field.column}): a lead is missing or flat": lacking} if lacking else {}
    if told is None:
        return [(replace(field, kind="text"), found.str.strip().replace("", np.nan))], counts, outcomes
    new = []
    for name in names:
        settings = told[name]
        measured = found.map(lambda result, name=name: result[name], na_action="ignore")
        kind = settings.get("kind", "number")
        dtype = "category" if kind == "category" else float
        target = replace(field, name=f"{field.name}_{name}", measures=None, **{"kind": kind} | settings)
        new.append((target, measured.astype(dtype)))
    return new, counts, outcomes


def _is_there(path: str) -> bool:
    """Whether there is a file of that name: a picture, a memmap, or the header of a WFDB record."""
    return any(Path(name).is_file() for name in (path, path.partition("#")[0], f"{path}.hea"))


def _judged(result, names: Sequence[str] | None) -> tuple[str, str]:
    """What became of a file that is there, and why not more."""
    if result is None:
        return UNREADABLE, ""
    if names is None:
        return (IN_FULL, "") if result.strip() else (REFUSED, "the model wrote nothing")
    missing = [name for name in names if result[name] is None or result[name] != result[name]]
    if result.get("p_wave") == "not seen":
        missing = [name for name in missing if name != "pr"]  # without a P wave there is no such interval
    if not missing:
        return IN_FULL, ""
    why = result.get("reason") or result.get("absent", {}).get(missing[0], "")
    return (REFUSED if len(missing) == len(names) else IN_PART), why


def _check_unmeasured(judged: Mapping, field: Field, most: float) -> None:
    """Raise a `ValueError` if too many of the files that are there could not be measured."""
    there = [outcome for outcome in judged.values() if outcome[0] != NO_FILE]
    unmeasured = pd.Series([outcome for outcome in there if outcome[0] in (UNREADABLE, REFUSED)], dtype=object)
    if len(unmeasured) > most * len(there):
        (outcome, why), often = unmeasured.value_counts().index[0], unmeasured.value_counts().iloc[0]
        raise ValueError(
            f"{len(unmeasured):,} of the {len(there):,} files of {field.column} could not be measured, most often "
            f"{outcome}{f' ({why})' if why else ''}: {often:,}; expected at most {most:.0%}, so look at them, or "
            "accept more by `most_unmeasured` in the parameter `describers`."
        )


def _counted(judged: pd.Series, field: Field) -> dict[str, int]:
    """Samples whose file is unreadable, refused or, for pictures, measured in part, by reason."""
    shown = (UNREADABLE, REFUSED, IN_PART) if field.kind == "image" else (UNREADABLE, REFUSED)
    told = judged[[outcome in shown for outcome, _ in judged]]
    words = told.map(lambda pair: f"{field.label} ({field.column}): {pair[0]}{f' ({pair[1]})' if pair[1] else ''}")
    return words.value_counts().sort_index().to_dict()


def _identify(path: str, kind: str) -> str:
    """Digest of a file's content; of a WFDB record, of its header, names aside, and of its signals."""
    if "#" in path:
        return signals.read_ecg(path).digest
    digest, files = hashlib.sha256(), [Path(path)]
    if kind == "ecg":
        header = Path(f"{path}.hea")
        lines = header.read_text(encoding="utf-8", errors="replace").replace("\0", " ").splitlines()
        words = [line.split() for line in lines if line.strip() and not line.startswith("#")]
        digest.update(json.dumps([line[1:] for line in words]).encode())
        files = [header.parent / name for name in sorted({line[0] for line in words[1:]})]
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _known(folder: Path, todo: Mapping[str, str], results_of: Callable) -> dict:
    """Results by content: from the cache, or computed now and cached in parts; a file that has none is tried anew."""
    known = {}
    for file in sorted(folder.glob("*.json")):
        try:
            content = file.read_bytes()
            if len(file.stem) == 64 and file.stem != hashlib.sha256(content).hexdigest():
                raise ValueError("its name is not the sha256 of its content")
            known |= json.loads(content)
        except (OSError, ValueError):
            file.unlink(missing_ok=True)  # a damaged cache file only costs computing its results again
    missing = [(key, path) for key, path in todo.items() if known.get(key) is None]
    for part in tqdm(_parts(missing), total=-(-len(missing) // SAVE_EVERY), desc="describing", disable=None):
        results = zip(part, results_of([path for _, path in part]), strict=True)
        made = {key: result for (key, _), result in results if result is not None}
        folder.mkdir(parents=True, exist_ok=True)
        content, scratch = json.dumps(made).encode(), folder / f".{uuid.uuid4().hex}"
        scratch.write_bytes(content)
        os.replace(scratch, folder / f"{hashlib.sha256(content).hexdigest()}.json")
        known |= made
    return known


def _parts(items: Sequence) -> Iterator[Sequence]:
    for start in range(0, len(items), SAVE_EVERY):
        yield items[start : start + SAVE_EVERY]
