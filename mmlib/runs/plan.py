"""What a run will do, before it does it, on one screen: ``python -m mmlib plan RUN [--root FOLDER]``.

Nothing is fetched, described or trained; tables are read, and notes written in memory, to count distinct texts.
"""

import argparse
import os
import sys
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd

from mmlib.core.storage import NotFetched, cache_folder, without_fetching
from mmlib.runs.parameters import notebook_parameters, run_parameters

WIDTH = 100  # characters of a line
#: Rates measured on two cores; those of the tables of :doc:`/book/bench` first.
TRAINING = 3.7e-6  # s per model, sample and epoch
EPOCHS = 12  # after so many most models have stopped by themselves
EVALUATION = 5e-6  # s per sample and subset, of all resamples and drop rates
READING = 4e-4  # s per sample, from tables to notes
TEXTS = {"field": 750, "note": 250}  # per second, with the packaged encoder
LARGER = 8  # weights of a BERT of usual size beside those of the packaged encoder
TIMES_ENCODED = 2.5  # chapter 2 encodes with and without words for high and low, and times whole notes
FILES = {"ecg": 0.03, "image": 0.1}  # s each, measured and not yet in the cache
NAMES = {"ecg": "ECGs", "image": "pictures"}
FIXED = 180  # s: seven notebooks start, draw, and become pages
STARTED = 1.0  # GiB of a notebook that has loaded what it needs
PER_VECTOR, PER_SENTENCE = 2.4e-6, 3e-7  # GiB per sample and modality, and per sentence of the notes
FEATURES = {"minilm": 384}  # of other encoders 768


def plan_run(run: str, *, data: str | Path | None = None, folder: str | Path = ".") -> str:
    """What a run will read, fetch, train, take and keep to itself: at most 24 lines.

    Parameters
    ----------
    run : str
        Name of a run, with ``notebooks/params/<run>.yml``.
    data : path, optional
        Folder or file of the data, in place of the run's own ``root``.
    folder : path
        The checkout.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such run, or its data are not where it looks for them: one sentence.
    """
    notebooks = sorted((Path(folder) / "notebooks").glob("*.ipynb"))
    given = run_parameters(Path(folder) / "notebooks" / "params" / f"{run}.yml", notebooks)
    settings = {}
    for notebook in reversed(notebooks):
        settings |= notebook_parameters(notebook)
    settings |= given | ({"root": str(data)} if data else {})
    if "cohort" not in settings:
        raise ValueError(f"{folder} has no notebook that takes a cohort; expected the checkout of the book.")
    marks = [mark for mark in ("credentialed", "public") if given.get(mark)]
    marks += ["synthetic"] if given.get("kind") == "synthetic" else []
    lines = [", ".join([f"{given.get('title', run)} (run {run})", *marks])]
    try:
        lines += _told(_counted(settings, given, folder))
    except NotFetched as missing:
        lines += _told({"data": f"not here yet: {missing} come first; what follows is told once they are here"})
    lines += _told({"fetched": _fetched(settings), "stays here": _kept(run, given)})
    return "\n".join([*lines, f'To do it: make book RUNS="{run}"' + (f" ROOT={data}" if data else "")])


def _told(rows: Mapping[str, str]) -> Iterator[str]:
    for name, words in rows.items():
        yield from textwrap.wrap(
            f"  {name:11}{words}", WIDTH, subsequent_indent=" " * 13, max_lines=3, placeholder=" ..."
        )


def _counted(settings: Mapping, given: Mapping, folder: str | Path) -> dict[str, str]:
    """What the data are, and what the run will make of them."""
    # here, so that what is wrong with a run is said before torch and transformers are loaded
    from mmlib.models.fusion import Architecture
    from mmlib.text.describers import load_described
    from mmlib.text.notes import join_notes, write_notes

    root = Path(folder) / settings["root"] if settings["root"] else None
    if "twin" in given and root and not root.exists():
        command = f"python -m mmlib twins {given['twin']} {settings['root']}"
        raise NotFetched(f"files that `{command}` writes")
    with without_fetching():
        cohort = load_described(settings | {"root": root or ""}, described=False)
    files = {kind: [f.column for f in cohort.fields if f.kind == kind] for kind in FILES}
    files = {kind: pd.unique(cohort.values[c].to_numpy().ravel()) for kind, c in files.items() if c}
    files = {kind: int(pd.notna(paths).sum()) for kind, paths in files.items()}
    told = replace(cohort, fields=tuple(f for f in cohort.fields if f.kind not in FILES))
    notes = write_notes(told, flags=settings["flags"], not_recorded=settings["not_recorded"])
    by_field = settings["unit"] == "field"
    distinct = (notes if by_field else join_notes(notes))["sentence"].nunique()
    texts = f"{len(notes):,} sentences, {distinct:,} distinct {'ones' if by_field else 'notes'}"
    texts += "".join(f", and what {count:,} {NAMES[kind]} tell" for kind, count in files.items())
    n, m, folds = len(cohort.samples), len(cohort.modalities), settings["folds"]
    powerset = (2**m - 1) * folds * settings["seeds"]
    # noise beside singles and all; settings and inputs varied; regimes of chapters 4 and 7; ways of chapter 2
    more = folds * ((m + 2) * settings["seeds"] + 12 + 2 * settings["retrainings"] + 11 + 6)
    epochs = min(Architecture(**settings["architecture"]).epochs, EPOCHS)
    slower = 1 if settings["encoder"] in FEATURES else LARGER
    seconds = {
        "training": (powerset + more) * n * epochs * TRAINING,
        "encoding": TIMES_ENCODED * distinct * slower / TEXTS[settings["unit"]],
        "describing": sum(FILES[kind] * count for kind, count in files.items()),
        "the rest": FIXED + n * (READING + 2**m * EVALUATION),
    }
    parts = ", ".join(f"{what} {_minutes(s)}" for what, s in seconds.items() if s >= 30)
    width = FEATURES.get(settings["encoder"], 768)
    memory = STARTED + max(n * m * PER_VECTOR, len(notes) * PER_SENTENCE)
    scores = 2**m * n * 4 * (settings["seeds"] * 4 + 2 * settings["retrainings"])
    disk = 0.02 + (n * m * width * 4 + scores + len(notes) * 20) / 2**30
    positives = int(cohort.samples["label"].sum())
    word = settings["sample_word"] + "s"
    return {
        "data": f"{root}, on this machine" if root else f"in the cache, {cache_folder()}",
        "samples": f"{n:,} {word} of {cohort.samples['patient_id'].nunique():,} {settings['unit_word']}s"
        if settings["unit_word"] != settings["sample_word"]
        else f"{n:,} {word}",
        "label": f"{cohort.task}: {positives:,} positive",
        "modalities": f"{m}: {', '.join(cohort.modalities)}",
        "texts": f"{texts}; encoder {settings['encoder']}",
        "models": f"{powerset:,} of {2**m - 1:,} subsets in chapter 3, roughly {more:,} more in the others",
        "time": f"roughly {_minutes(sum(seconds.values()))} on two cores ({parts}); a GPU trains and encodes faster",
        "memory": f"roughly {_size(memory)}",
        "disk": f"roughly {_size(disk)} in results/{settings['run']}, and "
        f"{_size(distinct * width * 4 / 2**30)} of vectors in the cache",
    }


def _minutes(seconds: float) -> str:
    minutes = max(round(seconds / 60), 1)
    return f"{minutes} minute{'s' * (minutes > 1)}" if seconds < 5400 else f"{seconds / 3600:.0f} hours"


def _size(gib: float) -> str:
    return f"{gib:.1f} GiB" if gib >= 0.5 else f"{max(round(gib * 1024), 1)} MiB"


def _fetched(settings: Mapping) -> str:
    """Models that a run takes from elsewhere; data are spoken of where they are missing."""
    from huggingface_hub import try_to_load_from_cache

    from mmlib.text.encoder import PACKAGED, packaged_folder

    names = [settings["encoder"], *(settings["describers"].get(kind, "measured") for kind in ("image", "ecg"))]
    wanted = []
    for name in dict.fromkeys(name for name in names if name != "measured"):
        if name in PACKAGED:
            try:
                with without_fetching():
                    packaged_folder(name)
            except NotFetched as missing:
                wanted.append(str(missing))
        elif not Path(name).is_dir() and not isinstance(try_to_load_from_cache(name, "config.json"), str):
            wanted.append(f"{name} from huggingface.co")
    return "; ".join(wanted) or "nothing: all models are on this machine"


def _kept(run: str, given: Mapping) -> str:
    """What never leaves the machine."""
    rows = f"results/{run} holds rows, notes, vectors and scores of samples"
    if given.get("credentialed"):
        return (
            f"the data, and results/{run}, with rows, notes, vectors and scores of persons; pages show aggregates "
            "only, and are searched for identifiers, rows and counts below 11 before the book is built"
        )
    return f"nothing is sent anywhere; {rows}, pages show aggregates"


def main(arguments: list[str]) -> int:
    """Exit code of the command line: 0 if all went well, 1 after a sentence that says what is missing."""
    parser = argparse.ArgumentParser(prog="python -m mmlib plan", description=__doc__.partition(":")[0])
    parser.add_argument("run", help="name of a run, with notebooks/params/RUN.yml")
    parser.add_argument("--root", help="folder or file of the data, in place of the run's own")
    options = parser.parse_args(arguments)
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    try:
        print(plan_run(options.run, data=options.root))
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0
