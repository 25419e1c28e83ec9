"""Look at the data before any model does: group sizes, whose data are missing, whether presence tells the label."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score
from statsmodels.stats.proportion import proportion_confint

from mmlib.metrics import group_masks


def group_sizes(samples: pd.DataFrame, attributes: Sequence[str]) -> pd.DataFrame:
    """Count samples and positives in every group.

    Parameters
    ----------
    samples : pandas.DataFrame
        With ``label`` and the attributes; ``"race+sex"`` means intersections.
    attributes : sequence of str

    Returns
    -------
    pandas.DataFrame
        Columns attribute, group, n, n_positive, rate, low, high (Wilson's 95 % interval of the label rate).
    """
    return _shares(samples["label"].to_numpy() == 1, samples, attributes).rename(
        columns={"n_true": "n_positive"}
    )


def presence(recorded: pd.DataFrame, samples: pd.DataFrame, attributes: Sequence[str]) -> pd.DataFrame:
    """Share of samples in which something is recorded, by group.

    Parameters
    ----------
    recorded : pandas.DataFrame of bool
        A column per modality or field, rows as in ``samples``.
    samples : pandas.DataFrame
    attributes : sequence of str

    Returns
    -------
    pandas.DataFrame
        Columns name, attribute, group, n, n_true, rate, low, high.
    """
    parts = [_shares(recorded[name].to_numpy(), samples, attributes).assign(name=name) for name in recorded]
    return pd.concat(parts, ignore_index=True)


def presence_and_label(recorded: pd.DataFrame, label) -> pd.DataFrame:
    """Compare the label rate where something is recorded with where it is not.

    Parameters
    ----------
    recorded : pandas.DataFrame of bool
        A column per modality or field; columns that never vary are left out.
    label : array-like of shape (n_samples,)

    Returns
    -------
    pandas.DataFrame
        Columns name, n_present, n_absent, rate_present, rate_absent, auroc (of presence alone as a score),
        sorted by how far the AUROC is from a half.
    """
    y, rows = np.asarray(label), []
    for name in recorded:
        r = recorded[name].to_numpy()
        if r.all() or not r.any():
            continue
        rows.append((name, int(r.sum()), int((~r).sum()), y[r].mean(), y[~r].mean(), roc_auc_score(y, r)))
    table = pd.DataFrame(
        rows, columns=["name", "n_present", "n_absent", "rate_present", "rate_absent", "auroc"]
    )
    return table.iloc[(table["auroc"] - 0.5).abs().argsort(kind="stable")[::-1]].reset_index(drop=True)


def _shares(truth, samples, attributes):
    rows = []
    for attribute, (names, masks) in group_masks(samples, attributes).items():
        for name, mask in zip(names, masks, strict=True):
            n, k = int(mask.sum()), int(truth[mask].sum())
            low, high = proportion_confint(k, n, method="wilson")
            # a share of 0 or 1 is an end of its interval, which rounding may miss
            rows.append((attribute, name, n, k, k / n, min(low, k / n), max(high, k / n)))
    return pd.DataFrame(rows, columns=["attribute", "group", "n", "n_true", "rate", "low", "high"])
