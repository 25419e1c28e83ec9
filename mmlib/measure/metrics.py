"""Performance and group metrics of many score vectors, for the estimate and every bootstrap resample at once.

Throughout, ``patient_weights`` is ``(1 + B, n)``: row 0 is all ones (the estimate), the others are bootstrap counts
of the n samples; ``groups`` is a bool array ``(G, n)``. Everything returned has the shape ``(1 + B, K, G)``
for K score vectors. One rule for empty denominators: 0/0 is nan, never 0 or 1.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from mmlib.core.subsets import members
from mmlib.measure.ranking import auroc, average_precision, check_shapes, divide

__all__ = [
    "auroc",
    "average_precision",
    "metrics_by_group",
    "group_masks",
    "operating_point",
    "paper_gaps",
    "rates",
    "sizes",
]

IN_MEMORY = 30_000_000  # weights in double precision at once
#: names of what `rates` returns
RATES = ("selection_rate", "tpr", "fpr", "ppv", "fnr", "accuracy", "balanced_accuracy", "f1")


def operating_point(y, scores, rule: str = "prevalence") -> float:
    """Threshold chosen on validation data; the decision is ``score >= threshold``.

    Parameters
    ----------
    y : array-like of shape (n,)
        Labels, 0 or 1.
    scores : array-like of shape (n,)
        Probabilities.
    rule : {"prevalence", "f1", "half"}
        ``prevalence`` selects a share as near as possible to the share of positives (of two equally near, the
        smaller); ``f1`` maximises F1; ``half`` is 0.5.

    Returns
    -------
    float
        ``inf`` if selecting no sample comes nearest to the prevalence, as it can with a constant score.
    """
    y, scores = np.asarray(y), np.asarray(scores, dtype=float)
    if y.shape != scores.shape or y.ndim != 1 or not y.size or not np.isfinite(scores).all():
        raise ValueError(f"y {y.shape} and scores {scores.shape} must be finite vectors of one length.")
    if rule == "half":
        return 0.5
    if rule == "prevalence":
        values, counts = np.unique(-scores, return_counts=True)
        thresholds = np.r_[np.inf, -values]
        selected = np.r_[0, np.cumsum(counts)]  # in samples, so that equal distances are exactly equal
        return float(thresholds[np.argmin(np.abs(selected - y.sum()))])
    if rule == "f1":
        from sklearn.metrics import precision_recall_curve

        precision, recall, thresholds = precision_recall_curve(y, scores)
        f1 = 2 * precision * recall / np.maximum(precision + recall, np.finfo(float).tiny)
        return float(thresholds[np.argmax(f1[:-1])])
    raise ValueError(f"rule is {rule!r}; expected 'prevalence', 'f1' or 'half'.")


def group_masks(frame: pd.DataFrame, attributes: Sequence[str]) -> dict[str, tuple[list[str], np.ndarray]]:
    """Bool masks of all groups of protected attributes, all samples first.

    Parameters
    ----------
    frame : pandas.DataFrame
        A row per sample.
    attributes : sequence of str
        Column names; ``"race+sex"`` means the intersections that occur, named ``"White, Male"``.

    Returns
    -------
    dict of str to (list of str, ndarray of shape (G, n))
        Names begin with ``"all"``; the others are sorted. A missing value belongs to no group but ``"all"``. A category
        without a row is a group without members.
    """
    masks = {}
    for attribute in attributes:
        columns = list(members(attribute))
        if absent := [c for c in columns if c not in frame]:
            found = sorted(map(str, frame))
            raise ValueError(f"Protected attribute {absent[0]!r} is not a column; expected one of {found}.")
        codes, values = zip(*(pd.factorize(frame[c]) for c in columns), strict=True)
        known = np.min(codes, axis=0) >= 0
        kinds, place = np.unique(np.array(codes)[:, known], axis=1, return_inverse=True)
        words = [", ".join(str(value[c]) for value, c in zip(values, kind, strict=True)) for kind in kinds.T]
        one = frame[columns[0]].dtype if len(columns) == 1 else None
        names = sorted(map(str, one.categories if isinstance(one, pd.CategoricalDtype) else set(words)))
        group = np.full(len(frame), -1)
        group[known] = np.array([names.index(word) for word in words], int)[place.ravel()]
        of_group = group == np.arange(len(names))[:, None]
        masks[attribute] = (["all", *names], np.concatenate([np.ones((1, len(frame)), bool), of_group]))
    return masks


def sizes(y, groups) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of samples and of positives of every group; two int arrays of shape ``(G,)``."""
    groups = np.asarray(groups, dtype=bool)
    return groups.sum(axis=1), (groups & (np.asarray(y) == 1)).sum(axis=1)


def rates(y, q, patient_weights, groups) -> dict[str, np.ndarray]:
    """Threshold metrics from expected confusion cells, by one matrix product per group and label.

    Parameters
    ----------
    y : array-like of shape (n,)
        Labels, 0 or 1.
    q : array-like of shape (K, n) or (n,)
        Probability of being selected: 0 or 1 for a plain decision, in between for randomised or masked ones.
    patient_weights, groups : array-like of shape (1 + B, n) and (G, n)

    Returns
    -------
    dict of str to ndarray of shape (1 + B, K, G)
        ``selection_rate, tpr, fpr, ppv, fnr, accuracy, balanced_accuracy, f1``; nan where a denominator is 0.

    Notes
    -----
    With fractional ``q`` all are exact expectations over the randomness of the decisions except ``ppv`` and
    ``f1``, whose denominators are random too: these two are ratios of expectations (plug-in).
    """
    y, q, patient_weights, groups = check_shapes(y, q, patient_weights, groups)
    if q.size and (q.min() < 0 or q.max() > 1):
        raise ValueError(f"q lies in [{q.min():.3g}, {q.max():.3g}]; expected probabilities of selection.")
    total = np.empty((2, len(patient_weights), 1, len(groups)))
    selected = np.empty((2, len(patient_weights), len(q), len(groups)))
    cells = [(g, label, np.flatnonzero(group & (y == label))) for g, group in enumerate(groups) for label in (0, 1)]
    for b in range(0, len(patient_weights), step := max(64, IN_MEMORY // max(len(y), 1))):
        w = np.ascontiguousarray(patient_weights[b : b + step].T, dtype=float)  # float32 sums would lose digits
        for g, label, cell in cells:
            inside = w[cell]
            total[label, b : b + step, 0, g] = inside.sum(axis=0)
            selected[label, b : b + step, :, g] = (q[:, cell] @ inside).T
    (fp, tp), (negatives, positives) = selected, total
    everybody = negatives + positives
    tpr, fpr = divide(tp, positives), divide(fp, negatives)
    return {
        "selection_rate": divide(tp + fp, everybody),
        "tpr": tpr,
        "fpr": fpr,
        "ppv": divide(tp, tp + fp),
        "fnr": 1 - tpr,
        "accuracy": divide(tp + negatives - fp, everybody),
        "balanced_accuracy": (tpr + 1 - fpr) / 2,
        "f1": divide(2 * tp, tp + fp + positives),
    }


def metrics_by_group(y, scores, selected, frame: pd.DataFrame, attribute: str) -> pd.DataFrame:
    """Point estimates by group through fairlearn's ``MetricFrame``: the table shown to readers.

    Parameters
    ----------
    y, scores, selected : array-like of shape (n,)
        Labels, probabilities and 0/1 decisions.
    frame : pandas.DataFrame
        A row per sample, with the attribute.
    attribute : str
        As in `group_masks`.

    Returns
    -------
    pandas.DataFrame
        Index: ``all``, then the groups; columns: ``n, n_positive, selection_rate, tpr, fpr, fnr, ppv, accuracy,
        balanced_accuracy, f1, auroc, average_precision``; nan where a group lacks the class that a metric
        needs.
    """
    import fairlearn.metrics as fm

    y, scores, selected = np.asarray(y), np.asarray(scores, dtype=float), np.asarray(selected).astype(int)
    names, groups = group_masks(frame, [attribute])[attribute]
    label = np.array([*names[1:], None], dtype=object)[np.where(groups[1:].any(0), groups[1:].argmax(0), -1)]
    known = groups[1:].any(axis=0)
    columns = {}
    for prediction, table in zip((selected, scores), _shown_metrics(), strict=True):
        frame_of = fm.MetricFrame(
            metrics=table, y_true=y[known], y_pred=prediction[known], sensitive_features=label[known]
        )
        by = frame_of.by_group
        for metric, function in table.items():
            columns[metric] = [float(function(y, prediction)), *by[metric].reindex(names[1:]).astype(float)]
    return pd.DataFrame(columns, index=pd.Index(names, name=attribute)).astype({"n": int, "n_positive": int})


def paper_gaps(y, selected, frame: pd.DataFrame, attribute: str) -> dict[str, float]:
    """Max-min gaps as in the paper, from fairlearn: biased upwards, so never report them alone.

    Returns
    -------
    dict of str to float
        ``demographic_parity_difference`` over all groups, ``equalized_odds_difference`` over the groups that
        have both classes (a group without positives has no TPR; fairlearn would call it 0).
    """
    import fairlearn.metrics as fm

    y, selected = np.asarray(y), np.asarray(selected).astype(int)
    names, groups = group_masks(frame, [attribute])[attribute]
    both = np.array([np.ptp(y[g]) > 0 if g.any() else False for g in groups[1:]])
    gaps = {}
    everyone = np.ones_like(both)
    for metric, kept in (("demographic_parity_difference", everyone), ("equalized_odds_difference", both)):
        rows = groups[1:][kept].any(axis=0)
        gaps[metric] = np.nan
        if kept.sum() > 1:
            of = groups[1:].argmax(axis=0)[rows]
            gaps[metric] = float(getattr(fm, metric)(y[rows], selected[rows], sensitive_features=of))
    return gaps


def _needs(classes: Callable, metric: Callable) -> Callable:
    return lambda y, prediction: metric(y, prediction) if classes(y) else np.nan


def _has_positives(y):
    return np.any(y == 1)


def _has_negatives(y):
    return np.any(y == 0)


def _has_both(y):
    return _has_positives(y) and _has_negatives(y)


def _shown_metrics() -> tuple[dict, dict]:
    """Metrics of 0/1 decisions, and metrics of scores, of fairlearn and scikit-learn."""
    import fairlearn.metrics as fm
    from sklearn import metrics as skm

    decided = {
        "n": fm.count,
        "n_positive": lambda y, _: int(np.sum(y)),
        "selection_rate": fm.selection_rate,
        "tpr": _needs(_has_positives, lambda y, d: fm.true_positive_rate(y, d, pos_label=1)),
        "fpr": _needs(_has_negatives, lambda y, d: fm.false_positive_rate(y, d, pos_label=1)),
        "fnr": _needs(_has_positives, lambda y, d: fm.false_negative_rate(y, d, pos_label=1)),
        "ppv": lambda y, d: skm.precision_score(y, d, zero_division=np.nan),
        "accuracy": skm.accuracy_score,
        "balanced_accuracy": _needs(_has_both, skm.balanced_accuracy_score),
        "f1": lambda y, d: skm.f1_score(y, d, zero_division=np.nan),
    }
    ranked = {
        "auroc": _needs(_has_both, skm.roc_auc_score),
        "average_precision": _needs(_has_positives, skm.average_precision_score),
    }
    return decided, ranked
