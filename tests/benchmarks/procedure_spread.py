"""How much the headline numbers of a run move when the whole procedure is repeated.

The intervals of the book hold the folds and, but for the spread over seeds, the models fixed. Here everything after the
embeddings is done anew: with other folds, validation patients and trainings on the same patients (*other folds*), and
with patients drawn with replacement (*other patients*: all rows of a patient stay in one fold, however often it was
drawn). Beside the standard deviation over these repetitions stands the standard error that the book's interval has.
Writes ``book/tables/procedure_spread.csv``.

``python -m tests.benchmarks.procedure_spread --run support2 [--repeats 20] [--refits 60] [--cores 2]``
"""

import argparse
import datetime
import multiprocessing
import shlex
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from mmlib.core.schema import PLAIN
from mmlib.data.splits import assign_folds
from mmlib.measure.bootstrap import resample_patients
from mmlib.measure.estimates import Estimate
from mmlib.measure.groups import Groups
from mmlib.models.fusion import Architecture
from mmlib.models.masking import score_patterns
from mmlib.models.powerset import train_powerset
from mmlib.models.study import prepare
from mmlib.questions.additions import against_each, evaluate_subsets, smallest_gain, strongest_single
from mmlib.questions.drops import evaluate_drops
from mmlib.runs.parameters import run_parameters
from mmlib.runs.run import Run

ROOT = Path(__file__).parents[2]
OUT = ROOT / "book" / "tables" / "procedure_spread.csv"
RATE = 0.2


def headlines(cohort, embeddings, settings, *, seed: int, resamples: int) -> dict[str, Estimate]:
    """Headline quantities of a study that is split and trained from its embeddings on."""
    cohort = cohort.assign(fold=assign_folds(cohort, folds=settings["folds"], seed=seed))
    study = prepare(
        cohort, embeddings, dimensions=settings["dimensions"], validation=settings["validation"], seed=seed
    )
    groups = Groups(settings["protected"], settings["contrasts"])
    wanted = [*study.modalities, "+".join(study.modalities)]
    model = Architecture(**settings["architecture"])
    powerset, full = train_powerset(study, model, seeds=settings["seeds"], subsets=wanted)
    how = {"resamples": resamples, "rule": settings["rule"]}
    result = evaluate_subsets(powerset, cohort, groups, **how)
    everything, baseline = wanted[-1], strongest_single(powerset, cohort)
    auroc, gains = result.metric("auroc"), against_each(result.metric("auroc"))
    # without resamples the smallest gain is the smallest number
    least = (
        smallest_gain(gains)
        if resamples
        else gains.sel(versus=gains.labels("versus")[int(gains.value.values.argmin())])
    )
    found = {
        "AUROC, all modalities": auroc.sel(subset=everything),
        "AUROC, smallest gain over a single modality": least,
    }
    attribute, group = list(groups.contrasts.items())[-1]
    difference = result.difference("tpr", attribute).sel(group=group)
    name = f"TPR, {difference.label.partition(' (')[0]}"
    found[f"{name}, all modalities"] = difference.sel(subset=everything)
    change = result.changes([(baseline, everything)], ["tpr"]).difference("tpr", attribute)
    found[f"{name}, change from the strongest single modality"] = change.sel(group=group, subset=everything)
    loss = evaluate_drops(score_patterns({PLAIN: full}, study), study, groups, rates=[0.0, RATE], **how)[
        PLAIN
    ]
    lost = loss.metric("auroc").sel(rate=RATE) - loss.metric("auroc").sel(rate=0.0)
    return found | {f"AUROC, expected change at a drop rate of {RATE:g}": lost}


def repeat(task, *, run, results, settings) -> dict:
    """Point estimates of one repetition: ``task`` is what is drawn anew, and its seed."""
    torch.set_num_threads(1)
    kind, seed = task
    chapter = Run(run, results)
    cohort, embeddings = chapter.read("cohort"), chapter.read("embeddings").load()
    if kind == "other patients":
        drawn = resample_patients(cohort["patient_id"], 1, seed)[1].astype(int)
        rows = np.repeat(np.arange(len(cohort)), drawn)
        copies = np.concatenate([np.arange(n) for n in drawn])
        cohort = cohort.iloc[rows].reset_index(drop=True)
        cohort["sample_id"] = cohort["sample_id"].astype(str) + "." + copies.astype(str)
        embeddings = embeddings.isel(sample=rows).assign_coords(sample=cohort["sample_id"].to_numpy(object))
    found = headlines(cohort, embeddings, settings, seed=seed, resamples=0)
    return {"kind": kind, "seed": seed} | {name: float(value) for name, value in found.items()}


def main(arguments=None):
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition(".")[0])
    parser.add_argument("--run", default="support2", help="a run whose chapters 1 to 3 are made")
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--repeats", type=int, default=20, help="with other folds and trainings")
    parser.add_argument("--refits", type=int, default=60, help="with other patients")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args(arguments)
    chapter, notebooks = Run(options.run, options.results), sorted((ROOT / "notebooks").glob("*.ipynb"))
    own = run_parameters(ROOT / "notebooks" / "params" / f"{options.run}.yml", notebooks)
    settings = chapter.settings("01_cohort") | chapter.settings("03_rq1_addition")
    settings |= {name: own[name] for name in ("protected", "contrasts")}
    cohort, embeddings = chapter.read("cohort"), chapter.read("embeddings")
    stated = headlines(cohort, embeddings, settings, seed=settings["split_seed"], resamples=1000)
    tasks = [("other folds", s) for s in range(1, options.repeats + 1)]
    tasks += [("other patients", s) for s in range(1, options.refits + 1)]
    one = partial(repeat, run=options.run, results=options.results, settings=settings)
    # after torch has used threads a fork hangs
    with ProcessPoolExecutor(options.cores, multiprocessing.get_context("spawn")) as workers:
        every = pd.DataFrame(
            tqdm(workers.map(one, tasks), total=len(tasks), desc="repetitions", disable=None)
        )
    rows = []
    for name, quantity in stated.items():
        low, high = (float(end) for end in quantity.interval())
        row = {"run": options.run, "quantity": name, "estimate": float(quantity), "low": low, "high": high}
        row["se_stated"] = (high - low) / (2 * 1.96)
        for kind, part in every.groupby("kind", sort=False):
            row |= {f"sd, {kind}": part[name].std(ddof=1), f"n, {kind}": len(part)}
        rows.append(row)
    table = pd.DataFrame(rows)
    given = shlex.join(sys.argv[1:] if arguments is None else arguments)
    command = f"python -m tests.benchmarks.procedure_spread {given}".rstrip()
    table = table.assign(date=datetime.date.today(), command=command)
    table.to_csv(options.out, index=False, float_format="%.4f")
    print(table.to_string())


if __name__ == "__main__":
    main()
