"""When another modality raises AUROC in every group and still widens the gap of true positive rates.

Two groups and two scores, one from the old modalities and one from a new modality. Each score is normal with
variance 1 among negatives and positives of a group (the binormal model [Dorfman1969]_), and
the two are independent given group and label. In group g the old score separates positives from negatives by
``old`` and the new one by ``new``; the new one may also read ``shift`` too high for all of the group. One model,
which does not know the group, adds both scores with weights proportional to their separation in the whole
population, and one threshold selects a fixed share of the population.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from mmlib.measure.ranking import auroc


@dataclass(frozen=True)
class Group:
    """One group of the two-score model; separations and shifts are in standard deviations.

    Parameters
    ----------
    name : str
    share : float
        Of the population.
    prevalence : float
        Of positives in the group, strictly between 0 and 1.
    old, new : float
        Distance between positives and negatives on the old and on the new score.
    shift : float
        What the new score reads too high, for positives and negatives of this group alike.
    """

    name: str
    share: float
    prevalence: float
    old: float
    new: float
    shift: float = 0.0

    def __post_init__(self):
        if not (0 < self.share < 1 and 0 < self.prevalence < 1):
            raise ValueError(
                f"Group {self.name!r} has share {self.share} and prevalence {self.prevalence}; expected both "
                "between 0 and 1."
            )


def combine_scores(groups: Sequence[Group], *, correlation: float = 0.0) -> pd.DataFrame:
    """Separation and shift of each group's combined score, before and after the new modality is added.

    Parameters
    ----------
    groups : sequence of Group
        Shares add up to one.
    correlation : float
        Of the two scores within group and label; 0 is the model above.

    Returns
    -------
    pandas.DataFrame
        Index (stage, group) with stages "old" and "old + new"; columns ``separation`` (of positives from
        negatives) and ``shift`` (of the whole group), on a scale of unit variance.

    Notes
    -----
    With weights w and v of the two scores, w^2 + v^2 = 1, the separation after is w old + v new and the
    shift v shift, both divided by the standard deviation of the sum, sqrt(1 + 2 r w v) at correlation r.
    """
    w, v = score_weights(groups)
    rows = {
        (stage, g.name): np.array([a * g.old + b * g.new, b * g.shift]) / np.sqrt(1 + 2 * correlation * a * b)
        for stage, a, b in (("old", 1.0, 0.0), ("old + new", w, v))
        for g in groups
    }
    index = pd.MultiIndex.from_tuples(rows, names=["stage", "group"])
    return pd.DataFrame(list(rows.values()), index, columns=["separation", "shift"])


def score_weights(groups: Sequence[Group]) -> tuple[float, float]:
    """Weights (w, v) of the old and the new score: w^2 + v^2 = 1, in the ratio of their separation."""
    if abs(sum(g.share for g in groups) - 1) > 1e-9:
        raise ValueError(f"The shares of the groups are {[g.share for g in groups]}; expected a sum of 1.")
    old, new = (sum(g.share * getattr(g, score) for g in groups) for score in ("old", "new"))
    if old <= 0 or new < 0:
        raise ValueError(
            f"On average the old score separates by {old:g} and the new one by {new:g}; expected more than 0, "
            "and 0 or more."
        )
    return _unit(old, new)


def matched_threshold(groups: Sequence[Group], separation, shift, selected: float) -> np.ndarray:
    """Threshold above which a share ``selected`` of the whole population scores.

    Parameters
    ----------
    groups : sequence of Group
    separation, shift : array-like of shape (..., n_groups)
    selected : float
        Strictly between 0 and 1.

    Returns
    -------
    numpy.ndarray of shape (...)
        The selected share falls strictly with the threshold, so there is exactly one; it is found by bisection.
    """
    if not 0 < selected < 1:
        raise ValueError(f"selected is {selected}; expected a share between 0 and 1.")
    share, prevalence = np.array([(g.share, g.prevalence) for g in groups]).T
    separation, shift = np.asarray(separation, float), np.asarray(shift, float)
    reach = 10 + np.abs(separation).max() + np.abs(shift).max()
    low, high = (np.full(separation.shape[:-1], end) for end in (-reach, reach))
    for _ in range(60):
        t = (low + high) / 2
        positive, negative = ndtr(separation + shift - t[..., None]), ndtr(shift - t[..., None])
        above = (prevalence * positive + (1 - prevalence) * negative) @ share > selected
        low, high = np.where(above, t, low), np.where(above, high, t)
    return (low + high) / 2


def add_modality(groups: Sequence[Group], selected: float | None = None, *, correlation: float = 0.0) -> pd.DataFrame:
    """AUROC and rates of each group before and after the new modality is added.

    Parameters
    ----------
    groups : sequence of Group
    selected : float, optional
        Share of the population that is selected, before and after; by default the prevalence.
    correlation : float
        As in :func:`combine_scores`.

    Returns
    -------
    pandas.DataFrame
        Index (stage, group); columns separation, shift, threshold, auroc, tpr, fpr, selection_rate.

    Notes
    -----
    With separation D, shift B and threshold t, the AUROC is Phi(D / sqrt 2), the true positive rate
    Phi(D + B - t), and the false positive rate Phi(B - t).
    """
    if selected is None:
        selected = sum(g.share * g.prevalence for g in groups)
    table = combine_scores(groups, correlation=correlation)
    stages = []
    for _, rows in table.groupby(level="stage", sort=False):
        t = matched_threshold(groups, rows.separation, rows["shift"], selected)
        tpr, fpr = ndtr(rows.separation + rows["shift"] - t), ndtr(rows["shift"] - t)
        p = np.array([g.prevalence for g in groups])
        stages.append(
            rows.assign(
                threshold=t,
                auroc=ndtr(rows.separation / np.sqrt(2)),
                tpr=tpr,
                fpr=fpr,
                selection_rate=p * tpr + (1 - p) * fpr,
            )
        )
    return pd.concat(stages)


def tpr_gaps(groups: Sequence[Group], selected: float | None = None, *, correlation: float = 0.0) -> pd.DataFrame:
    """Difference in true positive rate of the second group to the first, before and after.

    Parameters
    ----------
    groups : sequence of two Group
        The reference first.
    selected : float, optional
    correlation : float
        As in :func:`add_modality`.

    Returns
    -------
    pandas.DataFrame
        Index stage; columns ``gap`` (difference of true positive rates) and ``probit_gap``, the same on the
        probit scale, where it is the difference of separation + shift: threshold and prevalence drop out.
    """
    first, second = groups
    table = add_modality(groups, selected, correlation=correlation)
    a, r = table.xs(second.name, level="group"), table.xs(first.name, level="group")
    probit = (a.separation + a["shift"]) - (r.separation + r["shift"])
    return pd.DataFrame({"gap": a.tpr - r.tpr, "probit_gap": probit})


def is_paradox(groups: Sequence[Group], selected: float | None = None) -> bool:
    """Whether AUROC rises in both groups while the gap of true positive rates widens in size."""
    table, gap = add_modality(groups, selected), tpr_gaps(groups, selected).gap.abs()
    auroc = table.auroc.unstack("stage")
    return bool((auroc["old + new"] > auroc["old"]).all() and gap["old + new"] > gap["old"])


def hurdle(groups: Sequence[Group]) -> float:
    """Separation that the new score needs, per unit of the old one, for a group's AUROC to rise.

    Parameters
    ----------
    groups : sequence of Group

    Returns
    -------
    float
        tau = (1 - w) / v = tan(theta / 2), where tan(theta) is the ratio of the weights.

    Notes
    -----
    The separation of a group grows by v (new - tau old), so its AUROC rises if and only if new > tau old. The
    probit gap changes by v times the difference of new - tau old + shift between the groups. Both together are
    the condition of the chapter.
    """
    w, v = score_weights(groups)
    return float((1 - w) / v) if v > 0 else 0.0


def scan_plane(
    groups: Sequence[Group], separations, selected: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Gain in separation and gap in true positive rate, for every pair of separations of the new score.

    Parameters
    ----------
    groups : sequence of two Group
        The reference first; the separations by their own new score are not used.
    separations : array-like of shape (k,)
        Those tried in either group.
    selected : float, optional
        As in :func:`add_modality`.

    Returns
    -------
    gain : numpy.ndarray of shape (k, k, 2)
        Growth of the separation in each group, above zero where its AUROC rises. The new score separates the
        second group by ``separations`` along the first axis and the reference along the second.
    gap : numpy.ndarray of shape (2, k, k)
        Difference of true positive rates, second group minus reference, before and after.
    """
    share, prevalence, old, shift = np.array([(g.share, g.prevalence, g.old, g.shift) for g in groups]).T
    selected = share @ prevalence if selected is None else selected
    new = np.stack(np.meshgrid(separations, separations), axis=-1)
    w, v = (a[..., None] for a in _unit(old @ share, new @ share))
    separation = np.stack([np.broadcast_to(old, new.shape), w * old + v * new])
    shift = np.stack([np.zeros_like(new), v * shift])
    t = matched_threshold(groups, separation, shift, selected)
    tpr = ndtr(separation + shift - t[..., None])
    return separation[1] - separation[0], tpr[..., 1] - tpr[..., 0]


def measure_groups(y, A, old, new, names: Sequence[str]) -> tuple[Group, ...]:
    """Share, prevalence, separations and shift of each group, measured in labelled scores.

    Parameters
    ----------
    y : array-like of shape (n,)
        Labels, 0 or 1.
    A : array-like of shape (n,)
        Group of each sample.
    old, new : array-like of shape (n,)
        The two scores; higher speaks for a positive.
    names : sequence of str
        Groups, the reference first; shares are among their samples.

    Returns
    -------
    tuple of Group
        Each separation is the one that the AUROC within the group implies, sqrt 2 Phi^-1(AUROC). The shift is how
        much higher the negatives of the group lie on the new score than those of the reference, in standard
        deviations of the latter.

    Raises
    ------
    ValueError
        If a group lacks positives or negatives.
    """
    y, A, new = np.asarray(y), np.asarray(A), np.asarray(new, float)
    members = np.array([name == A for name in names])
    for name, own in zip(names, members, strict=True):
        if len(np.unique(y[own])) < 2:
            raise ValueError(f"Group {name!r} has {own.sum()} samples and not both labels; expected both.")
    area = auroc(y, np.stack([old, new]), np.ones((1, len(y))), members)[0]
    separation = np.sqrt(2) * ndtri(area)
    negatives = [new[own & (y == 0)] for own in members]
    return tuple(
        Group(
            name,
            share=float(own.sum() / members.sum()),
            prevalence=float(y[own].mean()),
            old=float(separation[0, g]),
            new=float(separation[1, g]),
            shift=float((negatives[g].mean() - negatives[0].mean()) / negatives[0].std()),
        )
        for g, (name, own) in enumerate(zip(names, members, strict=True))
    )


def _unit(old, new):
    return old / np.hypot(old, new), new / np.hypot(old, new)
