"""Can the fairness effect of a modality be predicted before it is added? Randomised twins teach, real cohorts test.

    python tests/benchmarks/predict_effects.py --twins 150 --real support2 nhanes reviews

writes ``book/tables/prediction_*.csv``. Chapters 1 to 3 of the real runs must be made. Twins that were measured
already are kept under ``results/``, so that an interrupted study goes on where it stopped.
"""

import argparse
import shlex
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from sklearn.model_selection import GroupKFold
from tqdm import tqdm
from twin_study import GROUPS, train_twin

from mmlib.measure.groups import Groups
from mmlib.questions.forecast import judge_forecasts, learn, predict, predict_halves, skill
from mmlib.questions.predictors import PREDICTORS, measure_outcomes, measure_predictors
from mmlib.runs.run import Run
from mmlib.twins.causal import Knobs

SIGNAL = ("triage", "vitals", "labs")


def turn_knobs(seed: int) -> Knobs:
    """Draw a world: every cause of a difference between groups at random, in either direction."""
    rng = np.random.default_rng([seed, 5])

    def shifts(sd):
        return {g: float(rng.normal(0, sd)) for g in ("Black", "Female")}

    return Knobs(
        signal={m: float(rng.uniform(0.2, 0.85)) for m in SIGNAL},
        error={m: shifts(0.4) for m in SIGNAL if rng.random() < 0.6},
        missingness={m: float(rng.uniform(0, 0.25)) for m in SIGNAL},
        missing_by_group={m: shifts(0.5) for m in SIGNAL},
        missing_by_severity=float(rng.normal(0, 0.3)),
        base_rate=shifts(0.3),
        label_bias=shifts(0.2),
        prevalence=float(rng.uniform(0.15, 0.45)),
    )


def measure_twin(seed: int) -> pd.DataFrame:
    """Train a twin; give the predictors, the change on its test patients and the change in the population."""
    twin = train_twin(turn_knobs(seed), seed)
    measured = np.isin(twin.part, ("training", "validation"))
    table = measure_predictors(twin.powerset, twin.embeddings, twin.cohort, GROUPS, measured=measured)
    weights = twin.patient_weights("tested", "fresh")
    tested, fresh = measure_outcomes(twin.powerset, twin.cohort, GROUPS, patient_weights=weights)
    return table.assign(cohort=f"twin {seed}", change=tested, truth=fresh)


def leave_out(table: pd.DataFrame, parts: int = 10) -> pd.DataFrame:
    """Predict every twin from the other ones, ten parts of twins in turn."""
    table = table.assign(predicted=np.nan, average=np.nan)
    for known, new in GroupKFold(parts).split(table, groups=table["cohort"]):
        table.loc[new, "predicted"] = predict(table.iloc[new], learn(table.iloc[known]))
        table.loc[new, "average"] = table["change"].iloc[known].mean()
    return table


def describe_model(table: pd.DataFrame) -> pd.DataFrame:
    """Give the coefficients, what each predictor reaches by itself over twins, and the average change."""
    by_twin = [part for _, part in table.groupby("cohort")]
    alone = [np.nanmean([skill(t[p], t["change"])["rank_correlation"] for t in by_twin]) for p in PREDICTORS]
    return pd.DataFrame(
        {"predictor": list(PREDICTORS), "coefficient": learn(table).to_numpy(), "alone": alone}
        | {"average": table["change"].mean(), "meaning": list(PREDICTORS.values())}
    )


def measure_real(run: str, coefficients: pd.Series, average: float) -> pd.DataFrame:
    """Predict one half of a real cohort's patients from the other, both ways, from the artefacts of its run."""
    settings = yaml.safe_load(Path(f"notebooks/params/{run}.yml").read_text(encoding="utf-8"))
    groups, chapters = Groups(settings["protected"], settings["contrasts"]), Run(run)
    files = [chapters.read(name) for name in ("powerset", "embeddings", "cohort")]
    table = predict_halves(*files, groups, coefficients=coefficients)
    return table.assign(cohort=table["half"], average=average)


def write(table: pd.DataFrame, name: str) -> None:
    """Write a table of the book, headed by the date and the command that made it."""
    file = Path("book/tables") / f"{name}.csv"
    file.parent.mkdir(exist_ok=True)
    head = f"# {date.today()}: python {shlex.join(sys.argv)}\n"
    file.write_text(head + table.to_csv(index=False, float_format="%.4f"), encoding="utf-8")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--twins", type=int, default=150, help="simulated cohorts that teach; 0: keep what was learnt"
    )
    parser.add_argument(
        "--real", nargs="*", default=[], metavar="RUN", help="runs whose chapters 1 to 3 are made"
    )
    options = parser.parse_args()
    if options.twins:
        teach(options.twins)
    if options.real:
        model = pd.read_csv("book/tables/prediction_model.csv", comment="#").set_index("predictor")
        average = model["average"].iloc[0]
        halves = [judge_forecasts(measure_real(run, model["coefficient"], average)) for run in options.real]
        means = [h.mean(numeric_only=True) for h in halves]
        write(pd.DataFrame(means).assign(cohort=options.real)[halves[0].columns], "prediction_real")


def teach(count: int) -> None:
    """Measure twins, learn from them, and judge the prediction of each from the others."""
    kept = Path("results/prediction_twins")
    kept.mkdir(parents=True, exist_ok=True)
    tables = []
    for seed in tqdm(range(count), desc="twins", disable=None):
        file = kept / f"{seed}.parquet"
        if not file.is_file():
            measure_twin(seed).to_parquet(file.with_suffix(".part"))
            file.with_suffix(".part").rename(file)
        tables.append(pd.read_parquet(file))
    twins = pd.concat(tables, ignore_index=True).dropna(subset=["change", "truth", *PREDICTORS])
    write(describe_model(twins), "prediction_model")
    write(judge_forecasts(leave_out(twins)), "prediction_twins")


if __name__ == "__main__":
    main()
