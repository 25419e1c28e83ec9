"""What is known before a modality is added, and what it then does to a signed difference between groups.

Predictors are measured on validation patients from models that exist already: the one in use and one of the
new modality alone. Outcomes are measured on other, tested patients.
"""

import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import expit, logit
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mmlib.core.schema import MINIMUM
from mmlib.core.subsets import NONE
from mmlib.measure.evaluation import evaluate
from mmlib.measure.groups import Groups
from mmlib.measure.metrics import operating_point
from mmlib.questions.additions import addition_changes, single_additions
from mmlib.questions.choose import validation_rows

#: Name -> what it is. Every one changes its sign when group and reference change places, as the outcome does.
PREDICTORS = {
    "late fusion": "change of the signed difference when the log odds of both models are simply added",
    "pull": "signed difference of the new modality alone minus that in use, times its share of the strength",
    "difference alone": "signed difference of the new modality alone",
    "difference in use": "signed difference of the model in use",
    "AUROC by group": "AUROC of the new modality alone in the group minus that in the reference",
    "presence": "share of the group that has the new modality minus that of the reference",
    "label rate": "label rate of the group minus that of the reference",
    "decoding": "label rate difference, times how well the group can be decoded from the new modality",
    "redundancy": "pull, times the rank correlation of the two models' scores among positives",
}
KEYS = ["attribute", "group", "reference", "modality", "before", "after"]


def measure_predictors(
    powerset: xr.Dataset,
    embeddings: xr.Dataset,
    cohort: pd.DataFrame,
    groups: Groups,
    *,
    measured: np.ndarray,
    rule: str = "prevalence",
) -> pd.DataFrame:
    """Predictors of every addition to a subset that is not empty.

    Parameters
    ----------
    powerset : xarray.Dataset
        The artefact ``powerset``; of an addition only the models before it and of the modality alone are read.
    embeddings : xarray.Dataset
        The artefact ``embeddings``, for decoding the group.
    cohort : pandas.DataFrame
    groups : Groups
        Its contrasts are the signed differences that are predicted.
    measured : array of bool, shape (n_samples,)
        The samples to measure on, of which only validation scores are used.
    rule : str
        Operating point.

    Returns
    -------
    pandas.DataFrame
        Columns attribute, group, reference, modality, before, after, and :data:`PREDICTORS`; a row per
        attribute and addition, none if there is one modality or no contrast.
    """
    names = [str(s) for s in powerset["subset"].values]
    steps = _additions_to_models(names)
    if steps.empty or not groups.contrasts:
        return pd.DataFrame(columns=[*KEYS, *PREDICTORS])
    score, rows = validation_rows(powerset, cohort, groups)
    kept = np.asarray(measured, bool)[rows["position"]]
    score, rows = score[..., kept], rows[kept].reset_index(drop=True)
    before, alone = ([names.index(s) for s in steps[column]] for column in ("before", "modality"))
    once = np.ones((1, len(rows)))
    settings = {"groups": groups.single(), "metrics": ("tpr",)}
    ranking = {"auroc": list(groups.contrasts)}
    each = evaluate(score, powerset["threshold"].sel(rule=rule), rows, once, ranking=ranking, **settings)
    fused = evaluate(*_late_fusion(score, rows, before, alone, rule), rows, once, **settings)
    strength = np.maximum(each.metric("auroc").value.values - 0.5, 1e-3)
    share = strength[alone] / (strength[alone] + strength[before])
    positive = score.mean("seed").values[:, rows["label"] == 1]
    ranks = np.corrcoef(np.apply_along_axis(lambda s: s.argsort().argsort(), 1, positive))
    redundancy = np.nan_to_num(ranks[alone, before])
    label, present = cohort["label"].to_numpy(), embeddings["present"].values
    parts = []
    for attribute, group in groups.contrasts.items():
        reference = groups.reference(attribute)
        value, ranked, late = (
            result.difference(metric, attribute).sel(group=group).value.values
            for result, metric in ((each, "tpr"), (each, "auroc"), (fused, "tpr"))
        )
        pull = share * (value[alone] - value[before])
        members = [((cohort[attribute] == g) & measured).to_numpy() for g in (group, reference)]
        base = label[members[0]].mean() - label[members[1]].mean()
        share_present = present[members[0]].mean(0) - present[members[1]].mean(0)
        there = dict(zip(embeddings["modality"].values, share_present, strict=True))
        decoded = {
            str(m): decode(embeddings["embedding"].values[:, i], present[:, i], members, cohort["patient_id"])
            for i, m in enumerate(embeddings["modality"].values)
        }
        columns = [
            late - value[before],
            pull,
            value[alone],
            value[before],
            ranked[alone],
            steps["modality"].map(there),
            np.full(len(steps), base),
            2 * (steps["modality"].map(decoded) - 0.5) * base,
            redundancy * pull,
        ]
        about = {"attribute": attribute, "group": group, "reference": reference}
        parts.append(steps.assign(**about, **dict(zip(PREDICTORS, columns, strict=True))))
    return pd.concat(parts, ignore_index=True)[[*KEYS, *PREDICTORS]]


def measure_outcomes(
    powerset: xr.Dataset,
    cohort: pd.DataFrame,
    groups: Groups,
    *,
    patient_weights: np.ndarray,
    rule: str = "prevalence",
) -> np.ndarray:
    """Change of the signed TPR difference that every addition brings, in the rows of the predictors.

    Parameters
    ----------
    powerset, cohort, groups, rule
        As in :func:`measure_predictors`.
    patient_weights : numpy.ndarray of shape (W, n_samples)
        Each row one way to weight tested samples: zeros leave samples out.

    Returns
    -------
    numpy.ndarray of shape (W, n_rows)
    """
    weights, threshold = np.asarray(patient_weights, float), powerset["threshold"].sel(rule=rule)
    result = evaluate(powerset["score"], threshold, cohort, weights, groups=groups.single(), metrics=("tpr",))
    changes = [addition_changes(level).values for level in result.contrasts("tpr").values()]
    parts = [change.values[:, change["versus"].values != NONE] for change in changes]
    return np.concatenate([np.empty((len(weights), 0)), *parts], axis=1)


def decode(X: np.ndarray, present: np.ndarray, members, patient_id) -> float:
    """Cross-validated AUROC of telling a group from its reference by what a modality says.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
    present : array of bool, shape (n_samples,)
    members : pair of bool arrays of shape (n_samples,)
        The group and its reference.
    patient_id : array-like of shape (n_samples,)
        Patients stay in one part.

    Returns
    -------
    float
        One half if either has fewer than `MINIMUM` samples with the modality, or they are of too few patients, and
        never less: a decoder that is worse than chance has found nothing.
    """
    rows = np.flatnonzero(present & (members[0] | members[1]))
    group = members[0][rows].astype(int)
    if min(group.sum(), len(group) - group.sum()) < MINIMUM:
        return 0.5
    patients = np.asarray(patient_id)[rows]
    if not np.nanstd(X[rows], axis=0).any() or len(np.unique(patients)) < 3:
        return 0.5
    parts = list(GroupKFold(3).split(rows, group, patients))
    if any(np.ptp(group[learn]) == 0 for learn, _ in parts):  # all of a group are one patient's
        return 0.5
    size = min(32, X.shape[1], *(len(learn) for learn, _ in parts))
    steps = [SimpleImputer(), StandardScaler(), PCA(size, random_state=0), LogisticRegression(max_iter=500)]
    found = cross_val_predict(make_pipeline(*steps), X[rows], group, cv=parts, method="predict_proba")
    return max(0.5, float(roc_auc_score(group, found[:, 1])))


def _additions_to_models(names):
    """Single additions to subsets that are not empty, where a model is in use already."""
    steps = single_additions(names)
    return steps.loc[steps["before"] != NONE, ["modality", "before", "after"]].reset_index(drop=True)


def _late_fusion(score, rows, before, alone, rule):
    """Add the log odds of two models over the prior; thresholds from the same validation rows, fold by fold."""
    y, fold = rows["label"].to_numpy(), rows["fold"].to_numpy()
    odds = logit(np.clip(score.transpose("subset", "seed", "sample").values.astype(float), 1e-4, 1 - 1e-4))
    fused = expit(odds[before] + odds[alone] - logit(y.mean()))
    threshold = np.full((*fused.shape[:2], fold.max() + 1), 0.5)
    for f in np.unique(fold):
        there = fold == f
        threshold[..., f] = np.apply_along_axis(
            lambda s, t=there: operating_point(y[t], s, rule), 2, fused[..., there]
        )
    return (
        xr.DataArray(fused, dims=("addition", "seed", "sample")).assign_coords(addition=range(len(fused))),
        xr.DataArray(threshold, dims=("addition", "seed", "fold")),
    )
