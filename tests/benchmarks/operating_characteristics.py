"""How often the intervals cover and the tests reject, by simulation.

Every study draws patients of a reference group and of groups a third of its size, with other base rates, and the
scores of a fixed model, normal around a mean of their group and label; so the true contrasts are known in closed
form. Clustered studies have one to three rows a patient, alike in label and half alike in score. The library's own
functions do the rest. A cell is out of its band only if its Monte Carlo interval (95 %, Clopper and Pearson) excludes
the band. Writes ``book/tables/operating_characteristics.csv`` and beside it a sentence on it and its extremes by kind.
"""

import argparse
import datetime
import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import norm
from statsmodels.stats.proportion import proportion_confint
from tqdm import tqdm

from mmlib.measure.bootstrap import contrast, percentile_interval, resample_patients, simultaneous_interval
from mmlib.measure.metrics import auroc, rates
from mmlib.measure.significance import change_p, gap_test

BANDS = {"coverage": (0.93, 0.97), "simultaneous coverage": (0.93, 0.97), "rejection": (0.03, 0.07)}
CUT, TPR = norm.isf(0.2), 0.7  # 20 % false positives, 70 % true ones in the reference group
LIKE, TWINS = 0.5, 0.8  # correlation of a patient's rows, and of two models
OUT = Path(__file__).parents[2] / "book" / "tables" / "operating_characteristics.csv"


class Design:
    """Who is in a study: rows of patients in groups; the first group is the reference, three times as large."""

    def __init__(self, positives, groups, clustered, rng):
        patients = np.array([3 * positives, *[positives] * (groups - 1)])
        others = np.array([2 * patients[0], *patients[1:]])  # base rates of 1/3 and 1/2
        member, label = np.repeat(np.tile(np.arange(groups), 2), np.r_[patients, others]), None
        label = np.repeat([1, 0], [patients.sum(), others.sum()])
        rows = rng.integers(1, 4, len(member)) if clustered else np.ones(len(member), int)
        self.patient, self.y, self.member = (np.repeat(a, rows) for a in (np.arange(len(member)), label, member))
        self.masks = self.member == np.arange(groups)[:, None]
        self.names = [f"group {g}" for g in range(groups)]

    def scores(self, studies, gap, rng, models=1):
        """Draw scores ``(studies * models, n)``; models of one study follow one another, alike in mean."""
        mean = CUT + norm.ppf(TPR - gap * (self.member > 0))
        mean = np.where(self.y == 1, mean, 0.0)

        def noise(count):
            of_patient = rng.normal(size=(count, self.patient[-1] + 1))[:, self.patient]
            return np.sqrt(LIKE) * of_patient + np.sqrt(1 - LIKE) * rng.normal(size=(count, len(self.y)))

        if models == 1:
            return mean + noise(studies)
        shared = np.repeat(noise(studies), models, axis=0)
        return mean + np.sqrt(TWINS) * shared + np.sqrt(1 - TWINS) * noise(studies * models)


def true_contrast(metric, gap):
    """Return group minus reference."""
    if metric == "tpr":
        return -gap
    reference, group = (CUT + norm.ppf(TPR - g) for g in (0, gap))
    return norm.cdf(group / np.sqrt(2)) - norm.cdf(reference / np.sqrt(2))


def value(metric, design, scores, patient_weights):
    """Return the metric ``(1 + B, studies, groups)``."""
    if metric == "auroc":
        return auroc(design.y, scores, patient_weights, design.masks)
    return rates(design.y, scores >= CUT, patient_weights, design.masks)[metric]


def cover(metric, positives, gap, clustered, block, resamples, rng, seed):
    """Count the studies of a block whose percentile interval holds the true contrast."""
    design = Design(positives, 2, clustered, rng)
    patient_weights = resample_patients(design.patient, resamples, seed)
    values = value(metric, design, design.scores(block, gap, rng), patient_weights)
    low, high = percentile_interval(contrast(values, design.names, design.names[0])[..., 1])
    truth = true_contrast(metric, gap)
    return ((low <= truth) & (truth <= high)).sum()


def cover_all(metric, positives, gap, clustered, block, resamples, rng, seed):
    """Count the studies whose max-T intervals hold all of four true contrasts at once."""
    design = Design(positives, 5, clustered, rng)
    patient_weights = resample_patients(design.patient, resamples, seed)
    values = value(metric, design, design.scores(block, gap, rng), patient_weights)
    low, high = simultaneous_interval(contrast(values, design.names, design.names[0])[..., 1:])
    truth = true_contrast(metric, gap)
    return ((low <= truth) & (truth <= high)).all(axis=-1).sum()


def reject_gap(metric, positives, gap, clustered, block, resamples, rng, seed):
    """Count the studies in which the permutation test finds a gap."""
    design = Design(positives, 2, clustered, rng)
    q = design.scores(block, gap, rng)
    q = q if metric == "auroc" else q >= CUT
    tests = [
        gap_test(
            design.y,
            row,
            design.names,
            design.masks,
            design.patient,
            metric,
            reference=design.names[0],
            permutations=499,
            seed=seed + i,
        )
        for i, row in enumerate(q)
    ]
    return sum(float(t.p.iloc[0]) <= 0.05 for t in tests)


def reject_change(metric, positives, gap, clustered, block, resamples, rng, seed):
    """Count the studies in which the paired bootstrap finds that a signed difference changes between two models."""
    design = Design(positives, 2, clustered, rng)
    patient_weights = resample_patients(design.patient, resamples, seed)
    values = value(metric, design, design.scores(block, gap, rng, models=2), patient_weights)
    signed = contrast(values, design.names, design.names[0])[..., 1]
    return (change_p(signed[:, 1::2] - signed[:, ::2]) <= 0.05).sum()


#: quantity, what is counted, how, metric, true gaps, studies
PLAN = [
    ("coverage", "percentile interval, TPR difference", cover, "tpr", (0.0, 0.1), 2000),
    ("coverage", "percentile interval, AUROC difference", cover, "auroc", (0.0, 0.1), 400),
    ("simultaneous coverage", "max-T, four TPR differences", cover_all, "tpr", (0.0, 0.1), 2000),
    ("rejection", "permutation test, TPR gap", reject_gap, "tpr", (0.0,), 1000),
    ("rejection", "permutation test, AUROC gap", reject_gap, "auroc", (0.0,), 200),
    ("rejection", "paired bootstrap, change of a TPR difference", reject_change, "tpr", (0.0, 0.1), 2000),
]


def simulate(share=1.0, resamples=1000, seed=0) -> pd.DataFrame:
    """Fill the table; ``share`` of the planned studies."""
    cells = [
        (*plan, positives, gap, clustered)
        for plan in PLAN
        for positives in (30, 100, 300)
        for gap in plan[4]
        for clustered in (False, True)
    ]
    rows = []
    for c, cell in enumerate(tqdm(cells, desc="cells", disable=None)):
        quantity, what, count, metric, _, planned, positives, gap, clustered = cell
        blocks = max(1, round(planned * share / 50))
        rng = np.random.default_rng([seed, c])
        hits = sum(
            count(metric, positives, gap, clustered, 50, resamples, rng, 1000 * c + b) for b in range(blocks)
        )
        low, high = proportion_confint(hits, 50 * blocks, method="beta")
        inside = low <= BANDS[quantity][1] and high >= BANDS[quantity][0]
        rows.append(
            {
                "what": what,
                "quantity": quantity,
                "positives": positives,
                "true TPR gap": gap,
                "clustered": "yes" if clustered else "no",
                "studies": 50 * blocks,
                "found": round(hits / (50 * blocks), 4),
                "low": round(low, 4),
                "high": round(high, 4),
                "band": "{:.0%} to {:.0%}".format(*BANDS[quantity]),
                "verdict": "in" if inside else "out",
            }
        )
    return pd.DataFrame(rows)


def extremes(table) -> pd.DataFrame:
    """Lowest and highest share of each kind of interval or test, over all cells."""
    kinds = table.groupby(["what", "quantity", "band"], sort=False)
    return kinds.found.agg(cells="size", lowest="min", highest="max").reset_index()


def sentence(table, minutes, command) -> str:
    """Say what the table says."""
    out = table[table.verdict == "out"]
    lines = [
        f"Made on {datetime.date.today()} by `{command}` in {minutes:.0f} minutes on one core: "
        f"{len(table) - len(out)} of {len(table)} cells are in their band."
    ]
    for what, part in out.groupby("what", sort=False):
        cells = "; ".join(
            f"{r.positives} positives, gap {r['true TPR gap']:g}, {'' if r.clustered == 'yes' else 'not '}clustered: "
            f"{r.found:.1%} [{r.low:.1%}, {r.high:.1%}]"
            for _, r in part.iterrows()
        )
        lines.append(f"Out: {what} ({cells}).")
    return "\n\n".join(lines) + "\n"


def main(arguments=None):
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition(".")[0])
    parser.add_argument("--share", type=float, default=1.0, help="share of the planned studies")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args(arguments)
    began = time.process_time()
    table = simulate(options.share)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(options.out, index=False)
    extremes(table).to_csv(options.out.with_name("operating_extremes.csv"), index=False)
    minutes = (time.process_time() - began) / 60
    options.out.with_suffix(".md").write_text(sentence(table, minutes, "make bench-large"), encoding="utf-8")


if __name__ == "__main__":
    main()
