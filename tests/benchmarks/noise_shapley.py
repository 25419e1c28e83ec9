"""Shapley values of a run's modalities beside that of a modality that says nothing.

The power set is trained once more with *noise* among the modalities, so that noise gets a share like any other. Its
value should be 0: what it is instead is what chance and retraining give a modality. Writes
``book/tables/noise_shapley.csv``.

``python -m tests.benchmarks.noise_shapley --run support2 [--results results]``
"""

import argparse
import datetime
import shlex
import sys
from pathlib import Path

from mmlib.measure.groups import Groups
from mmlib.models.fusion import Architecture
from mmlib.models.powerset import train_powerset
from mmlib.models.study import prepare
from mmlib.questions.additions import evaluate_subsets, shapley
from mmlib.runs.parameters import run_parameters
from mmlib.runs.run import Run
from mmlib.text.encoder import load_encoder
from mmlib.text.noise import noise_embeddings

ROOT = Path(__file__).parents[2]
OUT = ROOT / "book" / "tables" / "noise_shapley.csv"


def main(arguments=None):
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition(".")[0])
    parser.add_argument("--run", default="support2", help="a run whose chapters 1 to 3 are made")
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument(
        "--like", default="", help="modality whose share of samples the noise has; by default the first"
    )
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args(arguments)
    run = Run(options.run, options.results)
    cohort, embeddings = run.read("cohort"), run.read("embeddings")
    made, settings = run.settings("02_encoding"), run.settings("03_rq1_addition")
    encoder = load_encoder(made["encoder"], **{k: made[k] for k in ("pooling", "max_length", "precision")})
    how = {
        "dimensions": settings["dimensions"],
        "validation": settings["validation"],
        "seed": settings["split_seed"],
    }
    like = options.like or str(embeddings["modality"].values[0])
    noise = prepare(cohort, noise_embeddings(embeddings, encoder, like=like), **how)
    joined = prepare(cohort, embeddings, **how).join(noise)
    powerset, _ = train_powerset(joined, Architecture(**settings["architecture"]), seeds=settings["seeds"])
    own = run_parameters(
        ROOT / "notebooks" / "params" / f"{options.run}.yml", sorted((ROOT / "notebooks").glob("*.ipynb"))
    )
    groups = Groups(own["protected"])
    result = evaluate_subsets(powerset, cohort, groups, rule=settings["rule"], resamples=options.resamples)
    table = shapley(result.metric("auroc")).frame(simultaneous=True)
    table = table.assign(run=options.run)[
        ["run", "modality", "metric", "estimate", "low", "high", "n", "n_positive"]
    ]
    given = shlex.join(sys.argv[1:] if arguments is None else arguments)
    command = f"python -m tests.benchmarks.noise_shapley {given}".rstrip()
    table = table.assign(date=datetime.date.today(), command=command)
    table.to_csv(options.out, index=False, float_format="%.4f")
    print(table.to_string())


if __name__ == "__main__":
    main()
