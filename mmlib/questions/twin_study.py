"""One modality added to another in a twin: what a study sees, what is true, and what the formulas say.

The causal model of `mmlib.twins.causal` knows nothing of the formulas of `mmlib.questions.paradox`. The added modality
reads too high or too low for one of two groups. Logistic regressions are fitted to training patients and their
thresholds chosen on validation patients; the truth is what the same fitted models do in a large fresh population.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from mmlib.measure.bootstrap import resample_patients
from mmlib.measure.evaluation import Evaluation, evaluate
from mmlib.measure.groups import Groups
from mmlib.measure.metrics import operating_point
from mmlib.questions.paradox import Group, add_modality, measure_groups, tpr_gaps
from mmlib.twins.causal import Knobs, draw

#: Parts of the simulated patients.
PARTS = ("training", "validation", "tested", "population")


@dataclass(frozen=True)
class TwinStudy:
    """A study of a twin before and after a modality is added, with the truth about it.

    Parameters
    ----------
    study : Evaluation
        Tested patients, with resamples; the key ``stage`` names the modalities of the model.
    truth : Evaluation
        The same models in the population.
    measured : tuple of two Group
        What the population shows of each modality alone, the reference first.
    correlation : float
        Of the two modalities within group and label, in the population.
    bias : float
        How much too high the added modality reads for the second group, in standard deviations.
    """

    study: Evaluation
    truth: Evaluation
    measured: tuple[Group, Group]
    correlation: float
    bias: float

    @property
    def stages(self) -> tuple[str, str]:
        """Modalities of the model before and after."""
        return tuple(self.study.labels)


def study_twin(
    signal: Mapping[str, float],
    groups: Sequence[str],
    *,
    bias: float,
    sizes: Mapping[str, int],
    seed: int = 0,
    resamples: int = 1000,
    bootstrap_seed: int = 0,
) -> TwinStudy:
    """A simulated study in which a modality is added, and the truth about it.

    Parameters
    ----------
    signal : mapping of str to float
        Two modalities and their correlation with severity; the second is added.
    groups : sequence of two str
        Races of the twin, the reference first.
    bias : float
        How much too high the added modality reads for the second group, in standard deviations.
    sizes : mapping of str to int
        Simulated patients by part: ``training, validation, tested`` and ``population``, of all races.
    seed : int
        Of the simulation.
    resamples, bootstrap_seed : int
        Bootstrap resamples of tested patients, and their seed.

    Returns
    -------
    TwinStudy
    """
    from sklearn.linear_model import LogisticRegression

    if len(signal) != 2 or len(groups) != 2 or set(sizes) != set(PARTS):
        raise ValueError(
            f"signal has {len(signal)} modalities, groups holds {len(groups)} and sizes names {list(sizes)}; expected "
            f"2, 2 and {list(PARTS)}."
        )
    old, new = signal
    knobs = Knobs(signal=signal, fields=dict.fromkeys(signal, 1), error={new: {groups[1]: bias}})
    people = draw(sum(sizes.values()), knobs, seed)
    kept = np.isin(people.race, groups)  # two groups, as in the formulas
    X = np.column_stack([people.measured[m][:, 0] for m in signal])[kept]
    part = np.repeat(PARTS, [sizes[name] for name in PARTS])[kept]
    cohort = pd.DataFrame({"race": people.race[kept], "label": people.decided[kept].astype(int), "fold": 0})
    y, patients = cohort["label"].to_numpy(), people.patient[kept]
    training, validation, tested, fresh = (part == name for name in PARTS)
    scores, cuts = [], []
    for columns in ([0], [0, 1]):
        model = LogisticRegression().fit(X[training][:, columns], y[training])
        scores.append(model.predict_proba(X[:, columns])[:, 1])
        cuts.append([operating_point(y[validation], scores[-1][validation])])
    stages = {"stage": [old, f"{old}+{new}"]}
    score = xr.DataArray([scores], stages, ("seed", "stage", "sample"))
    threshold = xr.DataArray([cuts], stages, ("seed", "stage", "fold"))
    wanted = {"groups": Groups({"race": groups[0]}, {"race": groups[1]}), "ranking": {"auroc": ["race"]}}
    weights = {"study": resample_patients(patients[tested], resamples, bootstrap_seed)}
    weights["truth"] = np.ones((1, fresh.sum()))
    found = {
        name: evaluate(score[..., rows], threshold, cohort[rows], weights[name], metrics=["tpr"], **wanted)
        for name, rows in (("study", tested), ("truth", fresh))
    }
    measured = measure_groups(y[fresh], cohort.race[fresh], *X[fresh].T, groups)
    cell = [cohort.race[fresh].to_numpy(), y[fresh]]
    inside = pd.DataFrame(X[fresh], columns=[old, new])
    inside = inside - inside.groupby(cell).transform("mean")
    return TwinStudy(**found, measured=measured, correlation=float(inside[old].corr(inside[new])), bias=bias)


def compare_with_truth(twin: TwinStudy) -> pd.DataFrame:
    """Study, truth and formulas side by side: AUROC of both groups and their difference in true positive rate.

    Returns
    -------
    pandas.DataFrame
        A row per quantity and stage: ``metric, group, reference`` (None for AUROC), ``stage``, the study's
        ``estimate, low, high, n, n_positive``, the ``truth``, the ``formula`` for independent scores, and
        ``correlated``, the same for scores with the correlation of the population.
    """
    reference, other = (g.name for g in twin.measured)
    frames = []
    for name in (reference, other):
        levels = [part.metric("auroc", "race").sel(group=name) for part in (twin.study, twin.truth)]
        by_formula = [
            add_modality(twin.measured, correlation=r).auroc.xs(name, level="group") for r in (0.0, twin.correlation)
        ]
        frames.append(_side_by_side(*levels, *by_formula))
    gaps = [part.difference("tpr", "race").sel(group=other) for part in (twin.study, twin.truth)]
    by_formula = [tpr_gaps(twin.measured, correlation=r).gap for r in (0.0, twin.correlation)]
    return pd.concat([*frames, _side_by_side(*gaps, *by_formula)], ignore_index=True)


def _side_by_side(study, truth, formula, correlated) -> pd.DataFrame:
    columns = ["metric", "group", "reference", "stage", "estimate", "low", "high", "n", "n_positive"]
    return study.frame()[columns].assign(
        truth=truth.value.values, formula=formula.to_numpy(), correlated=correlated.to_numpy()
    )
