"""The learned view of a signal beside the measured one: the same folds, the same fusion network, other inputs."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from mmlib.measure.estimates import Estimate, stack
from mmlib.measure.evaluation import compare_auroc
from mmlib.models.baselines import boosting
from mmlib.models.fusion import Architecture
from mmlib.models.powerset import train_variants
from mmlib.models.study import Study

MEASURED = "measured, in words"
BOOSTED_FIELDS = "measured, gradient boosting"
LEARNED = "learned from the signal"
BOTH = "measured and learned"
MACRO = "mean over labels"


def score_views(
    study: Study,
    learned: Study,
    fields: pd.DataFrame,
    modalities: Sequence[str],
    architecture: Architecture,
    *,
    seeds: int = 1,
) -> dict[str, np.ndarray]:
    """Out-of-fold scores from what was measured in a signal, from the signal itself, and from both.

    Parameters
    ----------
    study : mmlib.models.study.Study
        Of the run.
    learned : mmlib.models.study.Study
        From `mmlib.models.waveform.learn_signals`.
    fields : pandas.DataFrame
        The artefact ``fields``.
    modalities : sequence of str
        Those that were measured in the signal.
    architecture : mmlib.models.fusion.Architecture
    seeds : int
        Retrainings of the fusion network.

    Returns
    -------
    dict of str to numpy.ndarray of shape (seeds, n_samples) or (n_samples,)
    """
    measured = study.columns(modalities)
    inputs = {MEASURED: measured, LEARNED: learned, BOTH: measured.join(learned)}
    scores = train_variants({name: (part, architecture) for name, part in inputs.items()}, seeds=seeds)["score"]
    columns = [c for c in fields.columns if c == "sample_id" or c.partition(".")[0] in modalities]
    boosted = boosting(fields[columns], study)
    return {name: scores.sel(variant=name).values for name in inputs} | {BOOSTED_FIELDS: boosted}


def compare_labels(
    scores: np.ndarray, labels: pd.DataFrame, cohort: pd.DataFrame, patient_weights: np.ndarray
) -> Estimate:
    """AUROC of each label, and their mean.

    Parameters
    ----------
    scores : numpy.ndarray of shape (n_samples, n_labels)
        Out of fold.
    labels : pandas.DataFrame
        A column per label.
    cohort : pandas.DataFrame
        Same rows.
    patient_weights : numpy.ndarray of shape (1 + B, n_samples)

    Returns
    -------
    Estimate
        With the dimension ``label``.
    """
    parts = {}
    for k, name in enumerate(labels):
        own = compare_auroc({name: scores[:, k]}, cohort.assign(label=labels[name].to_numpy()), patient_weights)
        parts[name] = own.sel(variant=name)
    matrix = np.vstack([np.eye(len(parts)), np.full(len(parts), 1 / len(parts))])
    areas = stack(parts, "label")
    mapped = areas.map(matrix, "label", "label", [*parts, MACRO])
    return replace(mapped, n_positive=0)


def learned_table(views: Estimate, areas: Estimate) -> pd.DataFrame:
    """Tidy rows of the artefact ``learned``, with the keys ``variant`` and ``label``.

    Parameters
    ----------
    views : Estimate
        AUROC by ``variant``, of `score_views`.
    areas : Estimate
        From `compare_labels`.
    """
    change = views - views.sel(variant=MEASURED)
    return pd.concat(
        [views.frame(), replace(change, name="auroc_difference", reference=MEASURED).frame(), areas.frame()],
        ignore_index=True,
    )
