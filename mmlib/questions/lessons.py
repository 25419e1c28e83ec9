"""What the lessons compute in seconds: scores by logistic regression, rates by group, and signs of a hidden fault."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import expit
from scipy.stats import norm

from mmlib.core.schema import Cohort
from mmlib.core.subsets import members, subset_masks
from mmlib.data.splits import assign_folds
from mmlib.measure.metrics import group_masks, rates, sizes
from mmlib.models.logistic import fit_many, log_odds

#: Level at which a twin is searched for a fault, shared by all its comparisons.
LEVEL = 0.02
#: Different signs that have to differ clearly before the groups are taken to differ in how ill they are.
MOST = 3


def quick_scores(cohort: Cohort, modalities: Sequence[str] | None = None, *, folds: int = 5) -> np.ndarray:
    """Out-of-fold risks of a logistic regression on the recorded numbers and categories.

    Parameters
    ----------
    cohort : mmlib.core.schema.Cohort
        A missing number becomes the mean, with an indicator beside it. Text, lists and pictures are left out.
    modalities : sequence of str, optional
        Those that the model may use; all by default. Without any, each sample gets the share of positives.
    folds : int

    Returns
    -------
    numpy.ndarray of shape (n_samples,)
    """
    return _risks(cohort, [cohort.modalities if modalities is None else modalities], folds)[0]


def quick_subsets(cohort: Cohort, modalities: Sequence[str]) -> pd.DataFrame:
    """Out-of-fold risks of a model for each subset of some modalities, a column each, named as in the book.

    Parameters
    ----------
    cohort : mmlib.core.schema.Cohort
    modalities : sequence of str
        Three have eight subsets; the order of columns is that of `mmlib.core.subsets.subset_masks`.
    """
    names, _ = subset_masks(list(modalities))
    return pd.DataFrame(dict(zip(names, _risks(cohort, [members(name) for name in names]), strict=True)))


def rates_at(samples: pd.DataFrame, score, attribute: str, threshold: float) -> pd.DataFrame:
    """Rates of each group when those with a score at or above a threshold are selected.

    Parameters
    ----------
    samples : pandas.DataFrame
        With ``label`` and the attribute.
    score : array-like of shape (n_samples,)
    attribute : str
    threshold : float

    Returns
    -------
    pandas.DataFrame
        Index: ``all``, then the groups; columns ``n, n_positive, selection_rate, tpr, fpr, ppv``.
    """
    y = samples["label"].to_numpy()
    names, masks = group_masks(samples, [attribute])[attribute]
    found = rates(y, (np.asarray(score) >= threshold).astype(float), np.ones((1, len(y))), masks)
    n, n_positive = sizes(y, masks)
    columns = {m: found[m][0, 0] for m in ("selection_rate", "tpr", "fpr", "ppv")}
    return pd.DataFrame({"n": n, "n_positive": n_positive, **columns}, index=pd.Index(names, name=attribute))


def sweep_shares(samples: pd.DataFrame, score, attribute: str, pair: Sequence[str], shares) -> pd.DataFrame:
    """True positive rates of two groups as one threshold moves.

    Parameters
    ----------
    samples : pandas.DataFrame
    score : array-like of shape (n_samples,)
    attribute : str
    pair : sequence of two str
        The group and its reference.
    shares : sequence of float
        Shares of all samples that are selected.

    Returns
    -------
    pandas.DataFrame
        A row per share: ``share, threshold``, the rate of each group under its name, and their ``difference``.
    """
    group, reference = pair
    cuts = np.quantile(score, 1 - np.asarray(shares, float))
    names, masks = group_masks(samples, [attribute])[attribute]
    selected = (np.asarray(score) >= cuts[:, None]).astype(float)
    found = rates(samples["label"], selected, np.ones((1, len(samples))), masks)["tpr"][0]
    table = pd.DataFrame(found, columns=names)[list(pair)]
    table.insert(0, "share", list(shares))
    table.insert(1, "threshold", cuts)
    return table.assign(difference=table[group] - table[reference])


def compare_recorded(cohort: Cohort, attribute: str, group: str, reference: str) -> pd.DataFrame:
    """How a group differs from its reference in what was measured, how often, and how often the label is positive.

    Parameters
    ----------
    cohort : mmlib.core.schema.Cohort
    attribute, group, reference : str

    Returns
    -------
    pandas.DataFrame
        A row per comparison: ``kind`` (value, recorded or label), ``name``, ``sign`` (of values: the oxygen saturation
        of triage and the lowest and highest of later ones are one), ``difference`` (group minus reference; of values
        in standard deviations, else of shares), ``low``, ``high`` and ``clear`` (the interval excludes 0).
        Intervals hold for all rows at once (Bonferroni) at the level 1 - `LEVEL`; patients are clusters.
    """
    samples = cohort.samples
    pair = samples[attribute].isin([group, reference]).to_numpy()
    numbers = [f.column for f in cohort.fields if f.kind == "number" and f.label != "age"]
    tested = [("value", c, cohort.values[c].to_numpy(float)) for c in numbers]
    tested += [("recorded", m, there.to_numpy(float)) for m, there in cohort.present().items() if not there.all()]
    tested += [("label", "label", samples["label"].to_numpy(float))]
    z, rows = norm.isf(LEVEL / len(tested) / 2), []
    for kind, name, values in tested:
        known = pair & np.isfinite(values)
        if kind == "value":
            values = (values - values[known].mean()) / values[known].std()
        found = samples[known].assign(value=values[known])
        (one, error), (two, other) = (_mean(found[found[attribute] == g]) for g in (group, reference))
        reach = z * np.hypot(error, other)
        rows.append((kind, name, one - two, one - two - reach, one - two + reach))
    table = pd.DataFrame(rows, columns=["kind", "name", "difference", "low", "high"])
    sign = table["name"].where(table["kind"] == "value").str.extract(r"\.([^_]+)", expand=False)
    table.insert(2, "sign", sign)
    return table.assign(clear=(table["low"] > 0) | (table["high"] < 0))


def name_fault(compared: pd.DataFrame) -> str:
    """The fault that fits a comparison of two groups best, by four questions in a fixed order.

    Parameters
    ----------
    compared : pandas.DataFrame
        From `compare_recorded`.

    Returns
    -------
    str
        ``base rate`` if at least `MOST` different signs differ clearly; ``measurement`` if fewer do; ``selection`` if
        only how often something was recorded differs; ``label`` if only the label does; else ``none``.
    """
    clear = compared[compared["clear"]]
    if signs := clear["sign"].nunique():
        return "base rate" if signs >= MOST else "measurement"
    for kind, fault in (("recorded", "selection"), ("label", "label")):
        if (clear["kind"] == kind).any():
            return fault
    return "none"


def _mean(found: pd.DataFrame) -> tuple[float, float]:
    """Mean of ``value`` and its standard error, patients taken as clusters."""
    mean = found["value"].mean()
    residuals = (found["value"] - mean).groupby(found["patient_id"]).sum()
    return mean, float(np.sqrt((residuals**2).sum()) / len(found))


def _risks(cohort: Cohort, subsets: Sequence[Sequence[str]], folds: int = 5) -> list[np.ndarray]:
    """Out-of-fold risks for each subset; the folds, which take longest, are drawn once."""
    fold = assign_folds(cohort.samples, folds=folds).to_numpy()
    return [_risk(cohort, subset, fold) for subset in subsets]


def _risk(cohort: Cohort, modalities: Sequence[str], fold: np.ndarray) -> np.ndarray:
    if unknown := [m for m in modalities if m not in cohort.modalities]:
        raise ValueError(f"There is no modality {unknown[0]!r}; {cohort.name} has {', '.join(cohort.modalities)}.")
    x, y = _columns(cohort, modalities), cohort.samples["label"].to_numpy()
    if not x.shape[1]:
        return np.full(len(y), y.mean())
    risk = np.empty(len(y))
    for f in np.unique(fold):
        train, test = fold != f, fold == f
        mean, sd = x[train].mean(axis=0), x[train].std(axis=0)
        z = np.clip((x - mean) / np.where(sd > 0, sd, 1), -4, 4)[None]
        risk[test] = expit(log_odds(z[:, test], fit_many(z[:, train], y[train]))[0])
    return risk


def _columns(cohort: Cohort, modalities: Sequence[str]) -> np.ndarray:
    """Numbers with indicators of absence, and categories as indicators, of some modalities."""
    parts = [np.empty((len(cohort.samples), 0))]
    for field in (f for f in cohort.fields if f.modality in modalities):
        values = cohort.values[field.column]
        if field.kind == "number":
            parts.append(np.column_stack([values.fillna(values.mean()), values.isna()]))
        elif field.kind == "category":
            parts.append(pd.get_dummies(values, dtype=float).to_numpy())
    return np.concatenate(parts, axis=1)
