"""A small run with planted small cells, written as its chapters would: 1,200 patients, five groups of race."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
import yaml

from mmlib import Groups
from mmlib.questions import score_bins, size_table
from mmlib.runs import artefacts

ROOT = Path(__file__).parents[2]
SUBSETS = ["none", "labs", "vitals", "labs+vitals"]
GROUPS = Groups(
    {"race": "White", "sex": "Male"}, {"race": "Black", "sex": "Female"}, {"race+sex": "White, Male"}
)
RUN = {
    "title": "A twin",
    "run": "toy",
    "kind": "synthetic",
    "cohort": "mds_ed",
    "protected": dict(GROUPS.protected),
    "contrasts": dict(GROUPS.contrasts),
}
#: Race: samples, positives, and true positives and false positives of the model with all modalities.
RACES = {
    "White": (600, 200, 120, 60),
    "Black": (400, 120, 60, 60),
    "Asian": (120, 40, 20, 15),
    "Hispanic": (60, 25, 12, 12),
    "Other": (20, 4, 2, 3),
}
#: The same for the laboratory values alone: five true positives among Asian patients.
LABS = {"White": (100, 80), "Black": (50, 60), "Asian": (5, 15), "Hispanic": (12, 11), "Other": (2, 3)}
FIELDS = {"labs.albumin": "serum albumin", "labs.crp": "C-reactive protein", "vitals.pulse": "heart rate"}


def make_cohort():
    """Patients of the races above, half of each race and label female, and what the models flag."""
    parts = []
    for race, (n, positive, *found) in RACES.items():
        part = pd.DataFrame({"race": race, "label": (np.arange(n) < positive).astype("int8")})
        for name, (hits, alarms) in {"labs+vitals": found, "labs": LABS[race], "vitals": found}.items():
            rank = part.groupby("label").cumcount()
            part[name] = np.where(part.label == 1, rank < hits, rank < alarms)
        part["sex"] = np.where(np.arange(n) % 2 == 0, "Female", "Male")
        parts.append(part)
    cohort = pd.concat(parts, ignore_index=True)
    cohort["none"] = np.arange(len(cohort)) % 3 == 0
    cohort["sample_id"] = [f"s{10000000 + i}" for i in range(len(cohort))]
    cohort["patient_id"] = [str(20000000 + i) for i in range(len(cohort))]
    return cohort.assign(fold=(np.arange(len(cohort)) % 5).astype("int8"))


def rate_rows(cohort, subset, attributes, **more):
    """Levels and differences of rates by group."""
    rows = []
    y, flagged = cohort.label == 1, cohort[subset].astype(bool)
    for attribute in attributes:
        names, masks = GROUPS.masks(cohort)[attribute]
        levels = {}
        for name, inside in zip(names, np.asarray(masks, bool), strict=True):
            sizes = {"n": int(inside.sum()), "n_positive": int((inside & y).sum())}
            for metric, among in (("tpr", y), ("fpr", ~y), ("selection_rate", y | ~y)):
                events, total = (inside & among & flagged).sum(), (inside & among).sum()
                levels[metric, name] = events / total
                rows.append(
                    row(metric, attribute, name, levels[metric, name], **sizes, subset=subset, **more)
                )
                rows[-1] |= {
                    "events": float(events),
                    "total": float(total),
                    "small": bool(min(events, total - events) < 10),
                }
                if name not in ("all", GROUPS.reference(attribute)):
                    gap = levels[metric, name]
                    rows.append(row(metric, attribute, name, gap, **sizes, subset=subset, **more))
                    rows[-1] |= {"reference": GROUPS.reference(attribute), "small": rows[-2]["small"]}
            rows.append(row("auroc", attribute, name, 0.7, **sizes, subset=subset, **more))
        for entry in rows:
            if entry["reference"] and entry["attribute"] == attribute:
                entry["estimate"] = (
                    levels[entry["metric"], entry["group"]] - levels[entry["metric"], entry["reference"]]
                )
    return rows


def row(metric, attribute, group, estimate, n, n_positive, reference=None, **more):
    """One row of a result table."""
    about = {"run": "toy", "metric": metric, "attribute": attribute, "group": group, "reference": reference}
    numbers = {"estimate": estimate, "low": estimate - 0.0123456, "high": estimate + 0.0123456}
    numbers |= {"se_patients": 0.0123456, "se_retrain": np.nan, "n": n, "n_positive": n_positive}
    return about | numbers | {"primary": False, "small": False} | more


def make_tables(cohort):
    """Tables of the run, by name."""
    present = pd.DataFrame({"labs": np.arange(len(cohort)) % 4 > 0, "vitals": True})
    asian = cohort.index[cohort.race == "Asian"]
    present.loc[asian, "vitals"] = np.arange(len(asian)) >= 3  # three of them lack vitals
    score = np.clip(cohort[SUBSETS].to_numpy(float).T * 0.5 + np.linspace(0, 0.4, len(cohort)), 0, 1)
    powerset = xr.Dataset({"score": (("subset", "seed", "sample"), score[:, None])}, {"subset": SUBSETS})
    sizes = {name: (int(part.label.size), int(part.label.sum())) for name, part in cohort.groupby("race")}
    whole = {"n": len(cohort), "n_positive": int(cohort.label.sum())}
    rq1 = [entry for subset in SUBSETS for entry in rate_rows(cohort, subset, ["race", "sex"], kind="level")]
    black, asians = ({"n": sizes[g][0], "n_positive": sizes[g][1]} for g in ("Black", "Asian"))
    for group, own in (("Black", black), ("Asian", asians)):
        change = row(
            "tpr", "race", group, 0.05, **own, reference="White", kind="addition", subset="labs+vitals"
        )
        rq1.append(change | {"versus": "labs"})
    rq2 = [row("auroc", "race", "all", 0.71, **whole, rate=0.2, regime="plain, mask", mechanism="at random")]
    for group, own in (("Black", black), ("Asian", asians)):
        rq2.append(row("tpr", "race", group, -0.02, **own, reference="White", rate=0.2, regime="plain, mask"))
        rq2[-1] |= {"mechanism": "more from Black"}
    gap = row("tpr", "race", "Black", -0.1, **black, reference="White", question="gap", subset="labs+vitals")
    gap |= {
        "refused": "Other: 2 of 4 positives found",
        "verdict": "not tested",
        "p_holm": 0.0123456,
        "each": False,
    }
    audit = []
    for field, label in FIELDS.items():
        about = {
            "field": field,
            "label": label,
            "verdict": "fine",
            "reason": "no sign",
            "source": "a code book",
        }
        about |= {"n_present": 900, "n_absent": 300, "rate_present": 0.3, "rate_absent": 0.4}
        if field == "labs.crp":
            about |= {"n_present": 1190, "n_absent": 10, "rate_absent": 0.2}
        audit.append(row("presence_auroc", "overall", "all", 0.55, **whole) | about)
        for name in ("Asian", "Black", "Hispanic", "Other"):
            n, positive = sizes[name]
            share = -0.75 if name == "Asian" and field == "labs.albumin" else 0.0
            audit.append(row("recorded", "race", name, share, n, positive, reference="White") | about)
    regime = row(
        "tpr", "race", "Black", 0.01, **black, reference="White", rate="0.2", regime="dropout varied"
    )
    choices = [row("tpr", "race", "Black", 0.01, **black, reference="White", way="one modality")]
    choices += [row("tpr", "race", "Asian", 0.02, **asians, reference="White", way="one modality")]
    return {
        "rq1": pd.DataFrame(rq1),
        "rq2": pd.DataFrame(rq2),
        "fairness": pd.DataFrame(
            rate_rows(cohort, "labs+vitals", ["race", "sex", "race+sex"], verdict="described")
        ),
        "declared": pd.DataFrame([gap]),
        "selection": pd.DataFrame(choices),
        "mitigation": pd.DataFrame([regime]),
        "audit": pd.DataFrame(audit),
        "sizes": size_table(cohort, present, GROUPS).assign(run="toy"),
        "bins": score_bins(powerset, cohort, GROUPS).assign(run="toy"),
    }


def write_run(folder, *, tables=None, **about):
    """Write the run into ``folder/results`` and its file into ``folder/notebooks/params``."""
    cohort = make_cohort()
    columns = ["sample_id", "patient_id", "label", "fold", "race", "sex"]
    artefacts.write(
        cohort[columns].assign(present_labs=True),
        "toy",
        "cohort",
        root=folder / "results",
        settings={"root": "/data/secret"},
    )
    fields = pd.DataFrame(
        {"sample_id": cohort.sample_id} | {name: np.arange(len(cohort)) / 7 for name in FIELDS}
    )
    artefacts.write(fields, "toy", "fields", root=folder / "results")
    notes = pd.DataFrame({"sample_id": cohort.sample_id[:1], "modality": "labs", "field": "albumin"})
    notes = notes.assign(sentence="Fell from a ladder while picking apples.")
    artefacts.write(notes, "toy", "notes", root=folder / "results")
    for name, table in (tables or make_tables(cohort)).items():
        settings = {"task": "death in hospital", "root": "/data/secret"}
        artefacts.write(table, "toy", name, root=folder / "results", settings=settings)
    params = folder / "notebooks" / "params"
    params.mkdir(parents=True, exist_ok=True)
    for notebook in (ROOT / "notebooks").glob("*.ipynb"):
        shutil.copy(notebook, folder / "notebooks")
    (params / "toy.yml").write_text(yaml.safe_dump(RUN | about))
    return {"results": folder / "results", "params": params}
