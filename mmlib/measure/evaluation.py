"""From scores to estimates with uncertainty: every metric, score vector, group and resample in one call."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import pandas as pd
import xarray as xr

from mmlib.core.schema import MINIMUM_EVENTS
from mmlib.core.subsets import NONE
from mmlib.measure.bootstrap import average_seeds
from mmlib.measure.calibration import observed_expected
from mmlib.measure.estimates import RESAMPLE, SEED, Estimate, estimate
from mmlib.measure.exact import effective_number, exact_interval, newcombe_interval
from mmlib.measure.expectation import expected_auroc, expected_selection
from mmlib.measure.groups import Groups
from mmlib.measure.metrics import rates, sizes
from mmlib.measure.ranking import auroc, average_precision, divide

#: Metrics of scores, which need no threshold.
RANKING = {"auroc": auroc, "average_precision": average_precision, "observed_expected": observed_expected}

#: Rates, and the label among whose samples they count: all, positives or negatives, or those selected.
COUNTED = {"selection_rate": "all", "accuracy": "all", "tpr": 1, "fnr": 1, "fpr": 0, "ppv": "selected"}
#: Ranges that are not from 0 to 1.
RANGE = {"observed_expected": (0.0, np.inf)}
#: What vectors are called whose models were trained apart: their spread of retraining is pooled over them.
POOLED = ("subset", "regime", "variant", "way")


@dataclass(frozen=True)
class Evaluation:
    """Metrics of K score vectors for all groups, as estimate and resamples.

    Parameters
    ----------
    values : dict of (metric, attribute) to numpy.ndarray of shape (1 + B, K, G)
        Averaged over retraining seeds; G is 1 where a metric was asked for over all samples only.
    spread : same keys, shape (S, K, G)
        The estimate of each seed.
    key : str
        What the K vectors are: subset, pattern, variant ...
    labels : list
        Their names.
    groups : Groups
    sizes : dict of attribute to (names, n, n_positive)
        Of all samples, then of each group.
    versus : list or None
        If the vectors are paired changes: what each is compared with.
    cells : dict of (metric, attribute) to numpy.ndarray of shape (3, K, G)
        Events, total and effective total behind each rate; for AUROC and the like the rarer label and all samples.
    small : same keys, bool, shape (K, G)
        Where there are too few events or non-events for the bootstrap.
    alike : Evaluation or None
        Of more models of the same study, over which the variance of retraining is pooled.

    Examples
    --------
    >>> cohort = pd.DataFrame({"label": [0, 1, 0, 1], "fold": 0, "sex": ["Male", "Male", "Female", "Female"]})
    >>> both = {"subset": ["labs", "vitals+labs"]}
    >>> score = xr.DataArray([[[.1, .9, .6, .4], [.1, .9, .2, .6]]], both, ("seed", "subset", "sample"))
    >>> threshold = xr.DataArray([[[.5], [.5]]], both, ("seed", "subset", "fold"))
    >>> groups = Groups({"sex": "Male"}, {"sex": "Female"})
    >>> result = evaluate(score, threshold, cohort, np.ones((1, 4)), groups=groups)
    >>> float(result.metric("tpr").sel(subset="labs"))
    0.5
    """

    values: dict[tuple[str, str], np.ndarray]
    spread: dict[tuple[str, str], np.ndarray]
    key: str
    labels: list
    groups: Groups
    sizes: dict[str, tuple[list[str], np.ndarray, np.ndarray]]
    versus: list | None = None
    cells: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)
    small: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)
    alike: "Evaluation | None" = None

    def metric(self, metric: str, attribute: str | None = None) -> Estimate:
        """A metric over all samples, or of every group of an attribute.

        Parameters
        ----------
        metric : str
        attribute : str, optional
            Adds the dimension ``group``, all samples aside.

        Returns
        -------
        Estimate
            With the dimension of the score vectors, and ``group`` if there is an attribute.

        Examples
        --------
        >>> result.metric("tpr", "sex").sel(subset="labs").value.values.tolist()
        [0.0, 1.0]
        """
        if attribute is None:
            owner = next((a for m, a in self.values if m == metric), None)
            return self._estimate(metric, owner, 0)
        names = self.sizes[attribute][0] if attribute in self.sizes else []
        return self._estimate(metric, attribute, list(range(1, len(names))))

    def difference(self, metric: str, attribute: str) -> Estimate:
        """Signed differences of a metric, each group minus the attribute's reference group.

        Returns
        -------
        Estimate
            With the dimensions of the score vectors and ``group``, the reference aside.

        Examples
        --------
        >>> result.difference("tpr", "sex").sel(subset="labs", group="Female").value.item()
        -1.0
        """
        reference = self.groups.reference(attribute)
        names = self.sizes[attribute][0]
        if reference not in names:
            raise ValueError(f"Reference group {reference!r} is not in the cohort; expected one of {names}.")
        at = names.index(reference)
        kept = [g for g in range(1, len(names)) if g != at]
        return self._estimate(metric, attribute, kept, minus=at)

    def contrasts(self, metric: str) -> dict[str, Estimate]:
        """Signed differences that figures show, one for each attribute, by their label.

        Examples
        --------
        >>> list(result.contrasts("tpr"))
        ['Female minus Male (n=2, 1 positive)']
        """
        found = [self.difference(metric, a).sel(group=g) for a, g in self.groups.contrasts.items()]
        return {estimate.label: estimate for estimate in found}

    def changes(self, pairs: Sequence[tuple], metrics: Sequence[str] | None = None) -> "Evaluation":
        """Paired changes ``(before, after)`` between score vectors, of some metrics or all.

        Examples
        --------
        >>> float(result.changes([("labs", "vitals+labs")]).metric("tpr").sel(subset="vitals+labs"))
        0.5
        """
        keys = [k for k in self.values if metrics is None or k[0] in metrics]
        before, after = ([self.labels.index(pair[end]) for pair in pairs] for end in (0, 1))
        return replace(
            self,
            values={k: self.values[k][:, after] - self.values[k][:, before] for k in keys},
            spread={k: self.spread[k][:, after] - self.spread[k][:, before] for k in keys},
            small={k: self.small[k][after] | self.small[k][before] for k in keys if k in self.small},
            cells={},
            labels=[pair[1] for pair in pairs],
            versus=[pair[0] for pair in pairs],
        )

    def part(self, which: Sequence[int], labels: Sequence) -> "Evaluation":
        """Some of the score vectors, by position and under other labels.

        Examples
        --------
        >>> float(result.part([1], ["all"]).metric("tpr").sel(subset="all"))
        1.0
        """
        at = list(which)
        return replace(
            self,
            values={k: part[:, at] for k, part in self.values.items()},
            spread={k: part[:, at] for k, part in self.spread.items()},
            cells={k: part[:, at] for k, part in self.cells.items()},
            small={k: part[at] for k, part in self.small.items()},
            labels=list(labels),
        )

    def _estimate(self, metric, attribute, which, minus=None) -> Estimate:
        if (metric, attribute) not in self.values:
            known = ", ".join(f"{m} by {a}" for m, a in self.values)
            raise ValueError(f"{metric} by {attribute} was not evaluated; there are {known}.")
        names, n, n_positive = self.sizes[attribute]
        dims, coords = [self.key], {self.key: self.labels}
        if self.versus is not None:
            coords["versus"] = (self.key, np.array([str(v) for v in self.versus], dtype=object))
        if isinstance(which, list):
            dims.append("group")
            coords["group"] = np.array([names[g] for g in which], dtype=object)
            n, n_positive = (
                xr.DataArray(part[which], {"group": coords["group"]}, ("group",)) for part in (n, n_positive)
            )
        else:
            n, n_positive = int(n[which]), int(n_positive[which])
        values, spread = (part[metric, attribute] for part in (self.values, self.spread))
        if isinstance(which, list) and values.shape[2] < len(names):
            raise ValueError(f"{metric} was evaluated over all samples only; ask for it by {attribute}.")
        parts = [part[..., which] for part in (values, spread)]
        if minus is not None:
            parts = [part - whole[..., [minus]] for part, whole in zip(parts, (values, spread), strict=True)]
        low, high = RANGE.get(metric, (0.0, 1.0))
        if minus is not None or self.versus is not None:
            low, high = low - high, high - low
        if minus is not None and self.versus is not None:
            low, high = low - high, high - low
        resampled = xr.DataArray(parts[0], coords, (RESAMPLE, *dims))
        labelled = resampled[0]  # labels are made once: that takes longer than all the rest
        found = Estimate(
            resampled,
            xr.DataArray(parts[1], labelled.coords, (SEED, *dims)),
            n,
            n_positive,
            metric,
            attribute,
            None if minus is None else names[minus],
            bounds=(low, high),
            **self._few(metric, attribute, which, minus, labelled),
        )
        if self.alike is not None and self.versus is None and found.seeds > 1:
            others = self.alike._estimate(metric, attribute, which, minus)
            variance = others.pooled[0].isel({others.dims[0]: 0}, drop=True)
            return replace(found, pooled=(variance.broadcast_like(found.value).transpose(*found.dims), others.freedom))
        if self.key not in POOLED or found.seeds < 2:
            return found
        trained = [str(label) != NONE or self.versus is not None for label in self.labels]
        models = {*map(str, self.labels), *map(str, self.versus or ())} - {NONE}
        return found.pool(self.key, trained=trained, freedom=(found.seeds - 1) * min(sum(trained), len(models)))

    def _few(self, metric, attribute, which, minus, labelled) -> dict:
        """Counts behind a rate, where they are small, and the interval that holds there."""
        key = metric, attribute
        if key not in self.small:
            return {}

        def label(values):
            return labelled.copy(deep=False, data=values)

        small = self.small[key]
        few = small[:, which] if minus is None else small[:, which] | small[:, [minus]]
        found = {"small": label(few)}
        if key not in self.cells or metric not in COUNTED:
            return found
        events, total, effective = self.cells[key]
        rate = divide(events, total)
        own = rate * effective, effective
        if minus is None:
            exact = exact_interval(*(part[:, which] for part in own))
            found["counts"] = tuple(label(part[:, which]) for part in (events, total))
        else:
            pairs = [part[:, which] for part in own] + [part[:, [minus]] for part in own]
            exact = newcombe_interval(*pairs, level=1 - 0.05 / max(len(which), 1))
        return found | {"exact": tuple(map(label, exact))}


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
    groups: Groups,
    metrics: Sequence[str] = ("selection_rate", "tpr", "fpr"),
    ranking: Mapping[str, Sequence[str]] | None = None,
    alike: tuple[xr.DataArray, xr.DataArray] | None = None,
) -> Evaluation:
    """Metrics of many score vectors on all groups and resamples.

    Parameters
    ----------
    score : xarray.DataArray with dimensions (seed, <key>, sample) in any order
    threshold : xarray.DataArray with dimensions (seed, <key>, fold)
        Without the key if all vectors share thresholds.
    cohort : pandas.DataFrame
        The artefact ``cohort``.
    patient_weights : numpy.ndarray of shape (1 + B, n_samples)
    groups : Groups
        Protected attributes, crossed ones included, whose groups are wanted.
    metrics : sequence of str
        Threshold metrics of :func:`mmlib.measure.metrics.rates`.
    ranking : mapping of str to sequence of str, optional
        ``auroc``, ``average_precision`` and ``observed_expected`` -> attributes for whose groups they are
        wanted; an empty sequence means all samples only.
    alike : tuple of (score, threshold), optional
        Of more models of the same study, each trained apart: the variance of retraining is pooled over them.

    Returns
    -------
    Evaluation

    Examples
    --------
    >>> cohort = pd.DataFrame({"label": [0, 1, 0, 1], "fold": 0, "sex": ["Male", "Male", "Female", "Female"]})
    >>> score = xr.DataArray([[[.1, .9, .6, .4]]], {"subset": ["labs"]}, ("seed", "subset", "sample"))
    >>> cut = xr.DataArray([[.5]], dims=("seed", "fold"))
    >>> weights = np.ones((1, 4))  # no resamples
    >>> result = evaluate(score, cut, cohort, weights, groups=Groups({"sex": "Male"}), ranking={"auroc": []})
    >>> float(result.metric("auroc").sel(subset="labs"))
    0.75
    """
    (key,) = set(score.dims) - {"seed", "sample"}
    score = score.transpose("seed", key, "sample")
    chosen = select(score, threshold, cohort["fold"]).values
    measures = {m: [partial(RANKING[m], scores=s) for s in score.values] for m in ranking or {}}
    found = _collect(
        chosen, measures, ranking or {}, key, list(score[key].values), cohort, patient_weights, groups, metrics
    )
    if alike is None or score.sizes["seed"] < 2:
        return found
    (other,) = set(alike[0].dims) - {"seed", "sample"}
    trained = [name for name in alike[0][other].values if name != NONE]  # the empty set is not trained
    more = [part.sel({other: trained}) if other in part.dims else part for part in alike]
    once = np.ones((1, len(cohort)), np.float32)
    return replace(found, alike=evaluate(*more, cohort, once, groups=groups, metrics=metrics, ranking=ranking))


def evaluate_masked(
    score: xr.DataArray,
    threshold: xr.DataArray,
    probabilities: np.ndarray,
    rates_named: Sequence,
    cohort: pd.DataFrame,
    patient_weights: np.ndarray,
    *,
    groups: Groups,
    metrics: Sequence[str] = ("selection_rate", "tpr", "fpr"),
    auroc_of: Sequence[str] = (),
) -> Evaluation:
    """Exact expectations of metrics over masks, for several distributions over patterns.

    Parameters
    ----------
    score : xarray.DataArray with dimensions (seed, pattern, sample)
    threshold : xarray.DataArray with dimensions (seed, fold)
        Those of the full input, kept under masking.
    probabilities : numpy.ndarray of shape (n_rates, n_samples, n_patterns)
        From :func:`mmlib.measure.expectation.pattern_probabilities`.
    rates_named : sequence
        Names of these distributions.
    cohort, patient_weights, groups, metrics
        As in :func:`evaluate`; only metrics that are linear in the decisions are exact.
    auroc_of : sequence of str
        Attributes for whose groups AUROC is wanted besides that of all samples.

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
        chosen, measures, {"auroc": auroc_of}, "rate", list(rates_named), cohort, patient_weights, groups, metrics
    )


def _collect(chosen, measures, wanted, key, labels, cohort, patient_weights, groups, metrics) -> Evaluation:
    """Metrics of selection probabilities (S, K, n) and ranking measures by group, averaged over seeds."""
    y, masks = cohort["label"].to_numpy(), groups.masks(cohort)
    first = next(iter(masks))
    per_seed: dict[tuple[str, str], list] = {}
    # "all" is in the masks of every attribute, and evaluated once
    every = np.concatenate([masks[first][1][:1], *[members[1:] for _, members in masks.values()]])
    ends = np.cumsum([1, *[len(members) - 1 for _, members in masks.values()]])
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
    values = {k: average_seeds(v)[0] for k, v in per_seed.items()}
    cells = _count(values, y, cohort, masks)
    return Evaluation(
        values,
        {k: np.array([x[0] for x in v]) for k, v in per_seed.items()},
        key,
        labels,
        groups,
        {a: (names, *sizes(y, members)) for a, (names, members) in masks.items()},
        cells=cells,
        small={k: np.minimum(c[0], c[1] - c[0]) < MINIMUM_EVENTS for k, c in cells.items()},
    )


def _count(values, y, cohort, masks) -> dict[tuple[str, str], np.ndarray]:
    """Events, total and effective total (3, K, G) behind every metric and group."""
    patient = pd.factorize(cohort["patient_id"])[0] if "patient_id" in cohort else np.arange(len(y))
    found = {}
    for (metric, attribute), value in values.items():
        if metric == "ppv" and ("selection_rate", attribute) not in values:
            continue
        members, rate = masks[attribute][1][: value.shape[2]], np.nan_to_num(value[0])
        among = COUNTED.get(metric, "both")
        inside = members & (y == among) if among in (0, 1) else members
        total = np.broadcast_to(inside.sum(axis=1).astype(float), rate.shape)
        effective = np.broadcast_to(effective_number(patient, inside), rate.shape)
        if among == "both":  # a ranking has no events of its own: it rests on the rarer label
            positive = (members & (y == 1)).sum(axis=1).astype(float)
            events = np.broadcast_to(np.minimum(positive, total - positive), rate.shape)
        else:
            if among == "selected":
                share = np.nan_to_num(values["selection_rate", attribute][0])
                total, effective = total * share, effective * share
            events = rate * total
        found[metric, attribute] = np.stack([events, total, effective])
    return found


def compare_auroc(
    scores: Mapping[str, np.ndarray], cohort: pd.DataFrame, patient_weights: np.ndarray
) -> Estimate:
    """AUROC of several models on the same patients, so that their differences are paired.

    Parameters
    ----------
    scores : mapping of str to numpy.ndarray of shape (n_seeds, n_samples) or (n_samples,)
        Out-of-fold probabilities by name of the model; the AUROC is averaged over seeds, whose spread is kept. A model
        without seeds counts as one that retraining does not change.
    cohort : pandas.DataFrame
    patient_weights : numpy.ndarray of shape (1 + B, n_samples)

    Returns
    -------
    Estimate
        With the dimension ``variant``, the model.

    Examples
    --------
    >>> cohort = pd.DataFrame({"label": [0, 1, 0, 1]})
    >>> scores = {"good": np.array([.1, .9, .2, .8]), "poor": np.array([.1, .9, .9, .1])}
    >>> areas = compare_auroc(scores, cohort, np.ones((3, 4)))
    >>> float(areas.sel(variant="good") - areas.sel(variant="poor"))
    0.5
    """
    y, all_samples = cohort["label"].to_numpy(), np.ones((1, len(cohort)), bool)
    areas = [auroc(y, np.atleast_2d(s), patient_weights, all_samples)[..., 0] for s in scores.values()]
    seeds = max(area.shape[1] for area in areas)
    if odd := {area.shape[1] for area in areas} - {1, seeds}:
        raise ValueError(f"scores hold {min(odd)} and {seeds} seeds; expected one number of seeds, or none.")
    found = estimate(
        np.stack([area.mean(axis=1) for area in areas], axis=1),
        {"variant": list(scores)},
        spread=np.stack([np.broadcast_to(area[0], seeds) for area in areas], axis=1),
        n=len(cohort),
        n_positive=int(y.sum()),
        name="auroc",
        attribute="overall",
        bounds=(0.0, 1.0),
    )
    return found.pool("variant", trained=[area.shape[1] > 1 for area in areas])
