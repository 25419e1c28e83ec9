"""From scores to estimates with uncertainty: every metric, score vector, group and resample in one call."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
import xarray as xr

from mmlib.measure.bootstrap import average_seeds, contrast, percentile_interval, tidy
from mmlib.measure.calibration import observed_expected
from mmlib.measure.expectation import expected_auroc, expected_selection
from mmlib.measure.metrics import group_masks, rates, sizes
from mmlib.measure.ranking import auroc, average_precision

#: Metrics of scores, which need no threshold.
RANKING = {"auroc": auroc, "average_precision": average_precision, "observed_expected": observed_expected}


@dataclass(frozen=True)
class Evaluation:
    """Metrics of K score vectors for all groups, as estimate and resamples.

    Parameters
    ----------
    values : dict of (metric, attribute) to numpy.ndarray of shape (1 + B, K, G)
        Averaged over retraining seeds.
    spread : same keys, shape (S, K, G)
        The estimate of each seed.
    key : str
        What the K vectors are: subset, pattern, variant ...
    labels : list
        Their names.
    groups : dict of attribute to (names, n, n_positive)
    versus : list or None
        If the vectors are paired changes: what each is compared with.
    """

    values: dict[tuple[str, str], np.ndarray]
    spread: dict[tuple[str, str], np.ndarray]
    key: str
    labels: list
    groups: dict[str, tuple[list[str], np.ndarray, np.ndarray]]
    versus: list | None = None

    def overall(self, metric: str) -> np.ndarray:
        """Return a metric for everybody, shape (1 + B, K)."""
        return self.values[metric, next(iter(self.groups))][..., 0]

    def group(self, metric: str, attribute: str, name: str) -> np.ndarray:
        """Return a metric of one group, shape (1 + B, K)."""
        return self.values[metric, attribute][..., self.groups[attribute][0].index(name)]

    def contrast(self, metric: str, attribute: str, name: str, reference: str) -> np.ndarray:
        """Return a signed difference, group minus reference, shape (1 + B, K)."""
        return self.group(metric, attribute, name) - self.group(metric, attribute, reference)

    def series(
        self, metric: str, attribute: str | None = None, group: str = "all", reference: str | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return a group's metric, or its signed difference: resamples (1 + B, K), and each seed's estimate (S, K)."""
        attribute = attribute or next(iter(self.groups))
        names = self.groups[attribute][0]
        draws, spread = (part[metric, attribute] for part in (self.values, self.spread))
        if reference is not None:
            draws, spread = (contrast(part, names, reference) for part in (draws, spread))
        return draws[..., names.index(group)], spread[..., names.index(group)]

    def changes(self, pairs: Sequence[tuple], metrics: Sequence[str] | None = None) -> "Evaluation":
        """Return the paired changes ``(before, after)`` between vectors, of some metrics or all."""
        keys = [k for k in self.values if metrics is None or k[0] in metrics]
        before, after = ([self.labels.index(pair[end]) for pair in pairs] for end in (0, 1))
        return replace(
            self,
            values={k: self.values[k][:, after] - self.values[k][:, before] for k in keys},
            spread={k: self.spread[k][:, after] - self.spread[k][:, before] for k in keys},
            labels=[pair[1] for pair in pairs],
            versus=[pair[0] for pair in pairs],
        )

    def frame(
        self,
        run: str,
        metric: str,
        attribute: str,
        *,
        reference: str | None = None,
        primary=False,
        interval="percentile",
    ) -> pd.DataFrame:
        """Return the tidy rows of one metric: by group, or as signed differences to a reference group.

        Rows of changes say in the column ``versus`` what they are compared with.
        """
        size = self.values[metric, attribute].shape[2]  # one: everybody only
        names, n, n_positive = (part[:size] for part in self.groups[attribute])
        spread = self.spread[metric, attribute]
        if reference is not None:
            spread = contrast(spread, names, reference)
        seeds = len(spread)
        table = tidy(
            self.values[metric, attribute],
            run=run,
            metric=metric,
            attribute=attribute,
            names=names,
            key=self.key,
            labels=self.labels,
            n=n,
            n_positive=n_positive,
            reference=reference,
            interval=interval,
            s_retrain=spread.std(axis=0, ddof=1) if seeds > 1 else None,
            seeds=seeds,
            primary=primary,
        )
        if self.versus is None:
            return table
        return table.assign(versus=np.repeat([str(v) for v in self.versus], len(table) // len(self.labels)))


def select(score: xr.DataArray, threshold: xr.DataArray, fold) -> xr.DataArray:
    """Probability of being selected: 1 where the score reaches the threshold of the sample's fold.

    Parameters
    ----------
    score : xarray.DataArray with dimensions (..., sample)
    threshold : xarray.DataArray with dimensions (..., fold)
        NaN means: selected at random with the score as probability (the empty set).
    fold : array-like of shape (n_samples,)

    Returns
    -------
    xarray.DataArray
        Like ``score``.
    """
    own = threshold.isel(fold=xr.DataArray(np.asarray(fold, int), dims="sample"))
    return xr.where(own.isnull(), score, score >= own).transpose(*score.dims)


def evaluate(
    score: xr.DataArray,
    threshold: xr.DataArray,
    cohort: pd.DataFrame,
    patient_weights: np.ndarray,
    *,
    attributes: Sequence[str],
    metrics: Sequence[str] = ("selection_rate", "tpr", "fpr"),
    ranking: Mapping[str, Sequence[str]] | None = None,
) -> Evaluation:
    """Evaluate many score vectors on all groups and resamples.

    Parameters
    ----------
    score : xarray.DataArray with dimensions (seed, <key>, sample) in any order
    threshold : xarray.DataArray with dimensions (seed, <key>, fold)
        Without the key if all vectors share thresholds.
    cohort : pandas.DataFrame
        The artefact ``cohort``.
    patient_weights : numpy.ndarray of shape (1 + B, n_samples)
    attributes : sequence of str
        Protected attributes, ``"race+sex"`` for intersections.
    metrics : sequence of str
        Threshold metrics of :func:`mmlib.measure.metrics.rates`.
    ranking : mapping of str to sequence of str, optional
        ``auroc``, ``average_precision`` and ``observed_expected`` -> attributes for whose groups they are
        wanted; an empty sequence means everybody only.

    Returns
    -------
    Evaluation
    """
    (key,) = set(score.dims) - {"seed", "sample"}
    score = score.transpose("seed", key, "sample")
    chosen = select(score, threshold, cohort["fold"]).values
    measures = {m: [partial(RANKING[m], scores=s) for s in score.values] for m in ranking or {}}
    return _collect(
        chosen, measures, ranking or {}, key, list(score[key].values), cohort, patient_weights, attributes, metrics
    )


def evaluate_masked(
    score: xr.DataArray,
    threshold: xr.DataArray,
    probabilities: np.ndarray,
    rates_named: Sequence,
    cohort: pd.DataFrame,
    patient_weights: np.ndarray,
    *,
    attributes: Sequence[str],
    metrics: Sequence[str] = ("selection_rate", "tpr", "fpr"),
    auroc_of: Sequence[str] = (),
) -> Evaluation:
    """Evaluate the exact expectation over masks, for several distributions over patterns.

    Parameters
    ----------
    score : xarray.DataArray with dimensions (seed, pattern, sample)
    threshold : xarray.DataArray with dimensions (seed, fold)
        Those of the full input, kept under masking.
    probabilities : numpy.ndarray of shape (n_rates, n_samples, n_patterns)
        From :func:`mmlib.measure.expectation.pattern_probabilities`.
    rates_named : sequence
        What to call them.
    cohort, weights, attributes, metrics
        As in :func:`evaluate`; only metrics that are linear in the decisions are exact.
    auroc_of : sequence of str
        Attributes for whose groups AUROC is wanted beside everybody's.

    Returns
    -------
    Evaluation
        With the key ``rate``.
    """
    score = score.transpose("seed", "pattern", "sample")
    own = threshold.transpose("seed", "fold").values[:, cohort["fold"].to_numpy()]
    chosen = np.stack(
        [expected_selection(s, t, probabilities) for s, t in zip(score.values, own, strict=True)]
    )
    measures = {
        "auroc": [partial(expected_auroc, scores=s, probabilities=probabilities) for s in score.values]
    }
    return _collect(
        chosen, measures, {"auroc": auroc_of}, "rate", list(rates_named), cohort, patient_weights, attributes, metrics
    )


def _collect(chosen, measures, wanted, key, labels, cohort, patient_weights, attributes, metrics) -> Evaluation:
    """Evaluate selection probabilities (S, K, n) and ranking measures on all groups; average over seeds."""
    y, masks = cohort["label"].to_numpy(), group_masks(cohort, attributes)
    first = next(iter(masks))
    per_seed: dict[tuple[str, str], list] = {}
    # everybody is in the masks of every attribute, and counted once
    every = np.concatenate([masks[first][1][:1], *[groups[1:] for _, groups in masks.values()]])
    ends = np.cumsum([1, *[len(groups) - 1 for _, groups in masks.values()]])
    for s, q in enumerate(chosen):
        found = rates(y, q, patient_weights, every)
        for attribute, start, end in zip(masks, ends, ends[1:], strict=False):
            for metric in metrics:
                part = found[metric][..., [0, *range(start, end)]]
                per_seed.setdefault((metric, attribute), []).append(part)
        for metric, by_seed in measures.items():
            everybody = by_seed[s](y, patient_weights=patient_weights, groups=masks[first][1][:1])
            if not wanted[metric]:
                per_seed.setdefault((metric, first), []).append(everybody)
            for attribute in wanted[metric]:
                parts = by_seed[s](y, patient_weights=patient_weights, groups=masks[attribute][1][1:])
                per_seed.setdefault((metric, attribute), []).append(
                    np.concatenate([everybody, parts], axis=2)
                )
    return Evaluation(
        {k: average_seeds(v)[0] for k, v in per_seed.items()},
        {k: np.array([x[0] for x in v]) for k, v in per_seed.items()},
        key,
        labels,
        {a: (names, *sizes(y, groups)) for a, (names, groups) in masks.items()},
    )


def compare_auroc(
    scores: Mapping[str, np.ndarray], cohort: pd.DataFrame, patient_weights: np.ndarray, *, reference: str
) -> pd.DataFrame:
    """Compare the AUROC of several models with that of a reference, paired over patients.

    Parameters
    ----------
    scores : mapping of str to numpy.ndarray of shape (n_seeds, n_samples) or (n_samples,)
        Out-of-fold probabilities by name of the model; the AUROC is averaged over seeds.
    cohort : pandas.DataFrame
    patient_weights : numpy.ndarray of shape (1 + B, n_samples)
    reference : str
        One of the names.

    Returns
    -------
    pandas.DataFrame
        Columns variant, auroc, low, high, difference, difference_low, difference_high (95 %, two-sided) and
        at_least: the one-sided 95 % lower bound of the difference.
    """
    y, everybody = cohort["label"].to_numpy(), np.ones((1, len(cohort)), bool)
    value = np.stack([auroc(y, s, patient_weights, everybody)[..., 0].mean(axis=1) for s in scores.values()], axis=1)
    change = value - value[:, [list(scores).index(reference)]]
    low, high = percentile_interval(value)
    below, above = percentile_interval(change)
    return pd.DataFrame(
        {
            "variant": list(scores),
            "auroc": value[0],
            "low": low,
            "high": high,
            "difference": change[0],
            "difference_low": below,
            "difference_high": above,
            "at_least": np.quantile(change[1:], 0.05, axis=0),
        }
    )


def comparison_frame(
    compared: pd.DataFrame, cohort: pd.DataFrame, *, run: str, reference: str
) -> pd.DataFrame:
    """Turn the frame of :func:`compare_auroc` into rows of the results contract.

    Parameters
    ----------
    compared : pandas.DataFrame
    cohort : pandas.DataFrame
    run, reference : str

    Returns
    -------
    pandas.DataFrame
        With the key ``variant`` and the metrics ``auroc`` and, for all but the reference, ``auroc_difference``.
    """
    about = {
        "run": run,
        "attribute": "everybody",
        "group": "all",
        "se_patients": np.nan,
        "se_retrain": np.nan,
    }
    about |= {"n": len(cohort), "n_positive": int(cohort["label"].sum()), "primary": False}
    level = compared[["variant", "auroc", "low", "high"]].assign(metric="auroc", reference=None)
    change = compared.loc[
        compared.variant != reference, ["variant", "difference", "difference_low", "difference_high"]
    ].assign(metric="auroc_difference", reference=reference)
    columns = ["variant", "estimate", "low", "high", "metric", "reference"]
    return pd.concat(
        [level.set_axis(columns, axis=1), change.set_axis(columns, axis=1)], ignore_index=True
    ).assign(**about)
