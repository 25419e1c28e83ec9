"""Missingness that happened: samples that lack a modality beside like ones from which it is masked.

If modalities were lost at random, a model would do as well on both. Everywhere *observed* is a sample that lacks the
modality, scored with what it has; *masked* is one that has it, scored without it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import xarray as xr
from scipy.sparse import csr_array

from mmlib.core.schema import MINIMUM, MINIMUM_EVENTS
from mmlib.core.subsets import full_subset, members
from mmlib.measure.calibration import observed_expected
from mmlib.measure.estimates import RESAMPLE, SEED, Estimate
from mmlib.measure.evaluation import select
from mmlib.measure.exact import exact_interval, newcombe_interval
from mmlib.measure.metrics import rates
from mmlib.measure.ranking import auroc, divide

SIDES = ("observed", "masked")
#: Metrics compared between the two, over samples with the same covariates.
COMPARED = ("auroc", "tpr", "fpr")
#: Share of those who lack a modality that may have nobody like them.
UNSUPPORTED = 0.10


@dataclass(frozen=True)
class Absence:
    """Metrics where modalities are absent by themselves, and where they are masked.

    Parameters
    ----------
    blocks : pandas.DataFrame
        A row per modality that some samples lack: ``modality, n_lack, n_positive_lack, n_have, n_positive_have``,
        ``unsupported`` (share of those who lack it that have nobody like them), ``computed`` and, if not, ``why``.
    metrics : dict of str to Estimate
        ``auroc, tpr, fpr`` and ``observed_expected``, with dimensions (regime, modality, side).
    cells : dict of str to numpy.ndarray of shape (2, n_regimes, n_modalities, 2)
        Effective events and total behind them, for intervals where there are few.
    """

    blocks: pd.DataFrame
    metrics: dict[str, Estimate]
    cells: dict[str, np.ndarray]

    def metric(self, metric: str) -> Estimate:
        """A metric of both sides, its retraining variance pooled over regimes.

        Parameters
        ----------
        metric : {"auroc", "tpr", "fpr", "observed_expected"}
            The first three are over samples that have somebody like them on the other side, and those whose modality
            is masked are weighted; observed over expected is over all, unweighted.

        Returns
        -------
        Estimate
            With dimensions regime, modality and side ("observed" or "masked").
        """
        return self._known(metric).pool("regime")

    def difference(self, metric: str) -> Estimate:
        """Observed minus masked: what masking at random leaves out of the real loss.

        Parameters
        ----------
        metric : {"auroc", "tpr", "fpr"}

        Returns
        -------
        Estimate
            With dimensions regime and modality. Where a rate has few events, Newcombe's interval with Bonferroni
            over modalities.
        """
        if metric not in COMPARED:
            raise ValueError(f"metric is {metric!r}, which is not weighted; expected {', '.join(COMPARED)}.")
        both = self._known(metric)
        found = both.sel(side="observed") - both.sel(side="masked")
        if metric in ("tpr", "fpr"):
            events, total = self.cells[metric]
            parts = events[..., 0], total[..., 0], events[..., 1], total[..., 1]
            ends = newcombe_interval(*parts, level=1 - 0.05 / events.shape[1])
            found = replace(found, exact=tuple(found.value.copy(data=end) for end in ends))
        return replace(found, reference="masked").pool("regime")

    def frame(self) -> pd.DataFrame:
        """Tidy rows of the results contract: every metric of both sides, and the differences (reference "masked")."""
        levels = [self.metric(metric).frame() for metric in self.metrics]
        return pd.concat([*levels, *(self.difference(m).frame() for m in COMPARED if m in self.metrics)])

    def _known(self, metric: str) -> Estimate:
        if metric not in self.metrics:
            known = ", ".join(self.metrics) or "none, since no modality could be compared (see blocks)"
            raise ValueError(f"There is no {metric!r}; there are {known}.")
        return self.metrics[metric]


def observed_absence(
    score: xr.DataArray,
    threshold: xr.DataArray,
    cohort: pd.DataFrame,
    patient_weights: np.ndarray,
    *,
    covariates: Sequence[str] | None = None,
) -> Absence:
    """Compare samples that lack a modality with like ones from which it is masked, for every modality.

    Those who have the modality are weighted, within label, to the distribution of covariates and remaining
    modalities among those who lack it; every resample has weights of its own.

    Parameters
    ----------
    score : xarray.DataArray with dimensions (regime, seed, pattern, sample)
        Of the artefact ``masking``.
    threshold : xarray.DataArray with dimensions (regime, seed, fold)
        Those of the full input.
    cohort : pandas.DataFrame
        With ``present_<modality>`` and the covariates.
    patient_weights : numpy.ndarray of shape (1 + B, n_samples)
    covariates : sequence of str, optional
        Columns of the cohort; by default those of ``age_group`` and ``sex`` that it has.

    Returns
    -------
    Absence
        Modalities that fewer than 30 positives or 30 negatives lack are not computed, nor are those where more than
        10 % of the samples that lack one have nobody like them.
    """
    scored, y = _own_scores(score, threshold, cohort), cohort["label"].to_numpy()
    blocks, found = [], {}
    for modality, parts in scored.items():
        has = cohort[f"present_{modality}"].to_numpy()
        if has.all():
            continue
        like = strata(cohort, modality, list(scored), covariates)
        alone = float((~np.isin(like[~has], like[has])).mean())
        positive, negative = int(y[~has].sum()), int((1 - y[~has]).sum())
        why = ""
        if min(positive, negative) < MINIMUM:
            why = f"{positive} positives and {negative} negatives lack it; expected {MINIMUM} of each"
        elif alone > UNSUPPORTED:
            why = f"{alone:.0%} of those who lack it have nobody like them; at most {UNSUPPORTED:.0%} may"
        else:
            found[modality] = _compare(*parts, cohort, like, ~has, has, patient_weights)
        blocks.append((modality, positive + negative, positive, has.sum(), y[has].sum(), alone, not why, why))
    columns = ["modality", "n_lack", "n_positive_lack", "n_have", "n_positive_have", "unsupported", "computed", "why"]
    table = pd.DataFrame(blocks, columns=columns)
    if not found:
        return Absence(table, {}, {})

    names = {"regime": score["regime"].values, "modality": list(found), "side": list(SIDES)}
    coords = {dim: np.array(labels, dtype=object) for dim, labels in names.items()}
    sizes = {}
    for size in ("n", "n_positive"):
        counts = table.loc[table.computed, [f"{size}_lack", f"{size}_have"]].to_numpy()
        sizes[size] = xr.DataArray(counts, {d: coords[d] for d in ("modality", "side")}, ("modality", "side"))
    metrics, cells = {}, {}
    for metric in (*COMPARED, "observed_expected"):
        values = np.stack([values[metric] for values, _ in found.values()], axis=3)
        cells[metric] = events, total = np.stack([few[metric] for _, few in found.values()], axis=2)
        exact = exact_interval(events, total) if metric in ("tpr", "fpr") else None
        metrics[metric] = Estimate(
            xr.DataArray(values.mean(axis=1), coords, (RESAMPLE, *coords)),
            xr.DataArray(values[0], coords, (SEED, *coords)),
            **sizes,
            name=metric,
            attribute="overall",
            bounds=(0.0, np.inf if metric == "observed_expected" else 1.0),
            small=xr.DataArray(np.minimum(events, total - events) < MINIMUM_EVENTS, coords, tuple(coords)),
            exact=exact and tuple(xr.DataArray(end, coords, tuple(coords)) for end in exact),
        )
    return Absence(table, metrics, cells)


def placebo(
    score: xr.DataArray,
    threshold: xr.DataArray,
    cohort: pd.DataFrame,
    patient_weights: np.ndarray,
    modality: str,
    *,
    covariates: Sequence[str] | None = None,
    realisations: int = 200,
    seed: int = 0,
) -> Iterator[pd.DataFrame]:
    """Differences where there is none: samples that have a modality, some of which play those who lack it.

    In each draw they are chosen at random, with the share that their label, covariates and remaining modalities have
    in the cohort. All are scored without the modality.

    Parameters
    ----------
    score, threshold, cohort, patient_weights, covariates
        As in `observed_absence`.
    modality : str
    realisations, seed : int

    Yields
    ------
    pandas.DataFrame
        For each draw, a row per regime and metric: ``regime, metric, estimate, low, high, holds`` (whether the 95 %
        interval includes 0). The models stay the same, so the interval is over patients alone.
    """
    scored = _own_scores(score, threshold, cohort)
    if modality not in scored or cohort[f"present_{modality}"].all():
        raise ValueError(f"modality is {modality!r}; expected one of {', '.join(scored)} that some samples lack.")
    has, like = cohort[f"present_{modality}"].to_numpy(), strata(cohort, modality, list(scored), covariates)
    chance = pd.Series(~has).groupby(like).transform("mean").to_numpy()
    for draw in range(realisations):
        lacks = has & (np.random.default_rng([seed, draw]).random(len(has)) < chance)
        values, _ = _compare(*scored[modality], cohort, like, lacks, has & ~lacks, patient_weights)
        tables = []
        for metric in COMPARED:
            both = values[metric].mean(axis=1)
            change = xr.DataArray(both[..., 0] - both[..., 1], {"regime": score["regime"].values}, (RESAMPLE, "regime"))
            tables.append(Estimate(change, name=metric).frame())
        table = pd.concat(tables, ignore_index=True)[["regime", "metric", "estimate", "low", "high"]]
        yield table.assign(holds=(table.low <= 0) & (table.high >= 0))


def strata(
    cohort: pd.DataFrame, modality: str, modalities: Sequence[str], covariates: Sequence[str] | None = None
) -> np.ndarray:
    """Number of each sample's stratum: same label, covariates and modalities other than the one given.

    Parameters
    ----------
    cohort : pandas.DataFrame
    modality : str
    modalities : sequence of str
        All of the cohort.
    covariates : sequence of str, optional
        As in `observed_absence`.

    Returns
    -------
    numpy.ndarray of shape (n_samples,), int
    """
    chosen = [c for c in ("age_group", "sex") if c in cohort] if covariates is None else list(covariates)
    if absent := [c for c in chosen if c not in cohort]:
        raise ValueError(f"The covariate {absent[0]!r} is not a column of the cohort; it has {', '.join(cohort)}.")
    like = cohort[["label", *(f"present_{m}" for m in modalities if m != modality), *chosen]]
    return like.groupby(list(like.columns), sort=False, dropna=False).ngroup().to_numpy()


def _own_scores(score, threshold, cohort):
    """Scores and decisions (R, S, n) without each modality, at the thresholds of the full input."""
    names = [str(name) for name in score["pattern"].values]
    modalities, known = members(full_subset(names)), set(names)
    parts = {}
    for m in modalities:
        # for those who lack m this is their own score: what is absent is absent in every pattern
        rest = "+".join(other for other in modalities if other != m) or "none"
        if rest not in known:
            raise ValueError(f"score has no pattern {rest!r}; expected all of the artefact masking.")
        own = score.sel(pattern=rest, drop=True).transpose("regime", "seed", "sample")
        parts[m] = own.values, select(own, threshold, cohort["fold"]).values
    return parts


def _compare(own, chosen, cohort, like, lacks, has, patient_weights):
    """Metrics (1 + B, S, R, side) of both sides, and effective events and total (2, R, side) behind them."""
    y, patient = cohort["label"].to_numpy(), pd.factorize(cohort["patient_id"])[0]
    lacking, having = (_totals(patient_weights[:, part], like[part], like.max() + 1) for part in (lacks, has))
    ratio = np.nan_to_num(divide(lacking, having)).astype(np.float32)
    # in a resample without anybody like them, those who lack the modality are left out too
    factor = (having > 0)[:, like[lacks]], ratio[:, like[has]]
    values, cells = {}, {}
    for part, f in zip((lacks, has), factor, strict=True):
        label, everybody, plain = y[part], np.ones((1, part.sum()), bool), patient_weights[:, part]
        scores, q, w = own[..., part].reshape(-1, part.sum()), chosen[..., part].reshape(-1, part.sum()), plain * f
        found = rates(label, q, w, everybody) | {"auroc": auroc(label, scores, w, everybody)}
        found["observed_expected"] = observed_expected(label, scores, plain, everybody)
        for metric in (*COMPARED, "observed_expected"):
            value = np.moveaxis(found[metric].reshape(-1, *own.shape[:2]), 1, 2)
            used = plain[0] if metric == "observed_expected" else w[0]
            total = [_effective(used[label == one], patient[part][label == one]) for one in (0, 1)]
            if metric in ("tpr", "fpr"):
                total = np.full(len(own), total[metric == "tpr"])
                events = total * value[0].mean(axis=0)
            else:  # a ranking has no events of its own: it rests on the rarer label
                events, total = np.full(len(own), min(total)), np.full(len(own), sum(total))
            values.setdefault(metric, []).append(value)
            cells.setdefault(metric, []).append(np.stack([events, total]))
    return tuple({k: np.stack(v, axis=-1) for k, v in part.items()} for part in (values, cells))


def _totals(weights, like, strata):
    """Weight (1 + B, strata) of every stratum."""
    of = csr_array((np.ones(len(like), np.float32), (np.arange(len(like)), like)), shape=(len(like), strata))
    return weights @ of


def _effective(weight, patient) -> float:
    """Effective number of samples: (sum w)^2 / sum w^2, with w the weight of a patient."""
    by_patient = np.bincount(patient, weights=weight, minlength=1)
    return float(by_patient.sum() ** 2 / max((by_patient**2).sum(), np.finfo(float).tiny))
