"""Three parts of a changed difference of true positive rates: ranking, allocation between groups, and overall share.

With another modality a group's true positive rate changes because its members are ranked otherwise, because more or
fewer places go to the group, or because more or fewer are selected overall. Three numbers decide the rate: the model
h that ranks within the group, the model a whose common cut sets the group's share, and the share Q selected overall.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import xarray as xr

from mmlib.core.compute import map_parallel
from mmlib.core.schema import MINIMUM_EVENTS
from mmlib.core.subsets import NONE, full_subset, subset_masks
from mmlib.measure.bootstrap import resample_patients
from mmlib.measure.estimates import Estimate, estimate
from mmlib.measure.evaluation import Evaluation
from mmlib.measure.groups import Groups
from mmlib.measure.metrics import sizes
from mmlib.measure.ranking import divide
from mmlib.questions.additions import shapley_matrix

PARTS = ("ranking", "allocation", "overall share")
AT_ONCE = 64  # resamples in memory


def changed_difference(
    score: xr.DataArray,
    threshold: xr.DataArray,
    cohort: pd.DataFrame,
    patient_weights: np.ndarray,
    *,
    groups: Groups,
    attribute: str,
    before: Sequence[str],
    after: str,
    among: Sequence[str] | None = None,
) -> Estimate:
    """Signed differences of true positive rates before and after, and the three parts of their change.

    TPR_g(h, a, Q) is the share of g's positives among its top s by model h, where s is the share of g above the
    common cut at which model a selects the share Q overall. *Ranking* is the step in h, *allocation* that in a,
    *overall share* that in Q, averaged over the six orders in which the steps can be taken.

    Parameters
    ----------
    score : xarray.DataArray with dimensions (subset, seed, sample)
        Scores of different folds are compared by their distance to the fold's threshold; equal ones share a place.
    threshold : xarray.DataArray with dimensions (subset, seed, fold)
    cohort : pandas.DataFrame
    patient_weights : numpy.ndarray of shape (1 + B, n_samples)
    groups : Groups
    attribute : str
        Whose groups are wanted, each minus the reference group.
    before : sequence of str
        Subsets to start from, without the empty one, which ranks nobody.
    after : str
        The subset that each of them is compared with.
    among : sequence of str, optional
        Groups wanted, a reference group included; by default all.

    Returns
    -------
    Estimate
        With dimensions ``part`` (before, ranking, allocation, overall share, after; the three in the middle add up to
        the last minus the first), ``versus`` (the subsets before) and ``group``. Retraining variance is pooled over
        ``versus``. Groups with under 10 positives found, or not found, have no interval.
    """
    subsets = [*before, after]
    if not before or "none" in subsets or len(set(subsets)) < len(subsets):
        raise ValueError(f"before and after are {subsets}; expected different subsets, none of them empty.")
    if unknown := [s for s in subsets if s not in score["subset"].values]:
        raise ValueError(f"There is no subset {unknown[0]!r}; expected some of {', '.join(score['subset'].values)}.")
    fold = xr.DataArray(cohort["fold"].to_numpy().astype(int), dims="sample")
    margin = score.sel(subset=subsets).astype(float) - threshold.sel(subset=subsets).isel(fold=fold)
    y, (names, members) = cohort["label"].to_numpy(), groups.masks(cohort)[attribute]
    wanted = [g for g, name in enumerate(names) if g and (among is None or name in among)]
    names, members = [names[g] for g in wanted], members[wanted]
    by_seed = margin.transpose("seed", "subset", "sample").values
    values = np.stack([_parts(m, y, members, patient_weights) for m in by_seed])
    n, positive = sizes(y, members)
    events = values[:, 0][:, [0, -1]].mean(axis=0) * positive
    few = (np.minimum(events, positive - events) < MINIMUM_EVENTS).any(axis=0)
    if (reference := groups.reference(attribute)) not in names:
        raise ValueError(f"Reference group {reference!r} is not in the cohort; expected one of {names}.")
    at, others = names.index(reference), [g for g, name in enumerate(names) if name != reference]
    values, few = values[..., others] - values[..., [at]], few[:, others] | few[:, [at]]
    names, n, positive = [names[g] for g in others], n[others], positive[others]
    labels = {"part": ["before", *PARTS, "after"], "versus": list(before), "group": names}
    about = {"name": "tpr", "attribute": attribute, "reference": reference, "n": n, "n_positive": positive}
    found = estimate(values.mean(axis=0), labels, spread=values[:, 0], **about, bounds=(-2.0, 2.0))
    small = xr.DataArray(few, [found.values[d] for d in ("versus", "group")])
    return replace(found, small=small).pool("versus")


def shown_parts(
    powerset: xr.Dataset,
    cohort: pd.DataFrame,
    groups: Groups,
    baseline: str,
    *,
    rule: str = "prevalence",
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Parts of how each difference of true positive rates that is shown changes from one modality to all.

    Parameters
    ----------
    powerset : xarray.Dataset
        The artefact.
    cohort : pandas.DataFrame
    groups : Groups
        Whose contrasts are shown.
    baseline : str
        From `mmlib.questions.additions.strongest_single`.
    rule : str
        Operating point.
    resamples, seed : int
        Of the bootstrap of patients.

    Returns
    -------
    dict of str to Estimate
        Attribute -> as from `changed_difference`, of the group shown: the dimension ``part`` alone. The variance of
        retraining is pooled over all subsets to start from. Empty if the baseline holds all modalities.
    """
    subsets, found = list(map(str, powerset["subset"].values)), {}
    after = full_subset(subsets)
    if baseline == after:
        return found
    weights, cut = resample_patients(cohort["patient_id"], resamples, seed), powerset["threshold"].sel(rule=rule)
    others = [s for s in subsets if s not in (NONE, after)]
    for attribute, group in groups.contrasts.items():
        about = {"groups": groups, "attribute": attribute, "after": after}
        about["among"] = [group, groups.reference(attribute)]
        one, many = (
            changed_difference(powerset["score"], cut, cohort, w, before=before, **about).sel(group=group)
            for w, before in ((weights, [baseline]), (weights[:1], others))
        )
        pooled = many.pooled and (many.pooled[0].sel(versus=[baseline]), many.freedom)
        found[attribute] = replace(one, pooled=pooled).sel(versus=baseline)
    return found


def part_rows(parts: Mapping[str, Estimate], result: Evaluation, baseline: str) -> pd.DataFrame:
    """Tidy rows of the parts, and of observed over expected before and after, for the table of chapter 3.

    Parameters
    ----------
    parts : mapping of str to Estimate
        From `shown_parts`.
    result : Evaluation
        Of the power set, with ``observed_expected`` by group.
    baseline : str
        The single modality to start from.

    Returns
    -------
    pandas.DataFrame
        Metric ``part_tpr`` with ``part``, ``versus`` and ``subset``, and metric ``observed_expected`` with ``subset``.
    """
    after = full_subset(result.labels)
    rows = [
        replace(found, name="part_tpr").sel(part=list(PARTS)).frame().assign(subset=after, versus=baseline)
        for found in parts.values()
    ]
    rows += [result.metric("observed_expected", a).sel(subset=[baseline, after]).frame() for a in parts]
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame()


def _parts(margin, y, members, patient_weights):
    """Before, the three parts and after (1 + B, 5, versus, group); the last row of margin (subset, n) is after."""
    models, last = range(len(margin)), len(margin) - 1
    order = [np.argsort(-m, kind="stable") for m in margin]
    by_order = shapley_matrix(subset_masks(PARTS)[0])

    def block(start):
        w = patient_weights[start : start + AT_ONCE].astype(float)
        out = np.empty((len(w), 5, last, len(members)))
        selected = np.stack([w[:, m >= 0].sum(axis=1) for m in margin], axis=1)
        total = [_running(w, margin[k], order[k]) for k in models]
        for g, inside in enumerate(members):
            own, share = [o[inside[o]] for o in order], w * inside
            # weight of the group above the cut at which model a selects as much as model q does: (b, a, q)
            places = np.stack([_read(selected, total[k], _running(share, margin[k], order[k])) for k in models], axis=1)
            ranked, hits = ([_running(part, margin[k], own[k]) for k in models] for part in (w, w * y))
            positives = (w[:, inside] @ y[inside])[:, None]
            for i in range(last):
                corner = places[:, [i, last]][:, :, [i, last]].reshape(len(w), 4)
                rates = [divide(_read(corner, ranked[h], hits[h]), positives).reshape(-1, 2, 2) for h in (i, last)]
                # as subsets of the three steps are ordered: h changes first, then a, then q
                cube = np.stack(rates, axis=-1).transpose(0, 2, 1, 3).reshape(len(w), 8)
                parts = cube @ by_order.T
                out[:, :, i, g] = np.concatenate([cube[:, :1], parts, cube[:, -1:]], axis=1)
        return out

    return np.concatenate(map_parallel(block, range(0, len(patient_weights), AT_ONCE)))


def _running(w, margin, order):
    """Weight from the top down to each distinct margin (b, 1 + distinct), 0 first."""
    last = np.flatnonzero(np.r_[np.diff(margin[order]) != 0, True])
    # take, unlike an index, lays rows out along memory
    return np.pad(w.take(order, axis=1).cumsum(axis=1).take(last, axis=1), ((0, 0), (1, 0)))


def _read(at, x, y):
    """Values (b, k) of a curve given by rows x and y, where x is ``at`` (b, k)."""
    return np.stack([np.interp(*row) for row in zip(at, x, y, strict=True)])
