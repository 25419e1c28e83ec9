"""What a leak does to the conclusions: the same patients read without and with fields of the admission record."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import xarray as xr

from mmlib.core.schema import PLAIN, Cohort
from mmlib.core.subsets import NONE, subset_name
from mmlib.measure.estimates import Estimate
from mmlib.measure.evaluation import Evaluation
from mmlib.measure.groups import Groups
from mmlib.models.fusion import Architecture
from mmlib.models.masking import score_patterns
from mmlib.models.powerset import train_powerset
from mmlib.models.study import Study, prepare
from mmlib.questions.additions import against_each, evaluate_subsets, smallest_gain
from mmlib.questions.audit import give_verdicts, predictiveness
from mmlib.questions.drops import drop_each, evaluate_drops
from mmlib.text.describers import load_described
from mmlib.text.encode import embed_notes
from mmlib.text.encoder import Encoder
from mmlib.text.notes import write_notes

CLEAN = "as registered"
LEAKY = "with the admission record"
#: The option ``arrival_fields`` of the loader, by the way the data are read.
ARRIVAL_FIELDS = {CLEAN: "registration", LEAKY: "lineage"}
ARRIVAL = "arrival"


@dataclass(frozen=True)
class SmallStudy:
    """Models of one way to read the data.

    Parameters
    ----------
    study : Study
    powerset : xarray.Dataset
        As the artefact, of some subsets.
    masking : xarray.Dataset
        As the artefact, of the plain regime.
    """

    study: Study
    powerset: xr.Dataset
    masking: xr.Dataset


@dataclass(frozen=True)
class Answer:
    """What one way to read the data answers to both questions.

    Parameters
    ----------
    result : Evaluation
        Of some subsets: every modality alone, all, and others.
    gone : Estimate
        Change of AUROC by ``modality``, when it is taken from all samples.
    expected : Estimate
        Expected change of AUROC when each modality is lost at random.
    """

    result: Evaluation
    gone: Estimate
    expected: Estimate

    @property
    def modalities(self) -> list[str]:
        """In the order of the cohort."""
        return self.gone.labels("modality")


def read_twice(settings: Mapping) -> dict[str, Cohort]:
    """The cohort without the fields of the admission record, and with them.

    Parameters
    ----------
    settings : mapping
        Those of chapter 1; see `mmlib.text.describers.load_described`.

    Returns
    -------
    dict of str to mmlib.core.schema.Cohort
        `CLEAN`, then `LEAKY`.
    """
    return {
        way: load_described({**settings, "cohort_options": settings["cohort_options"] | {"arrival_fields": fields}})
        for way, fields in ARRIVAL_FIELDS.items()
    }


def audit_twice(
    cohorts: Mapping[str, Cohort], samples: pd.DataFrame, patient_weights: np.ndarray
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The audit of chapter 1, both ways.

    Parameters
    ----------
    cohorts : mapping of str to mmlib.core.schema.Cohort
        From `read_twice`.
    samples : pandas.DataFrame
        The artefact ``cohort``.
    patient_weights : numpy.ndarray of shape (1 + B, n_samples)

    Returns
    -------
    found, verdicts : pandas.DataFrame
        As of `mmlib.questions.audit.predictiveness` and `mmlib.questions.audit.give_verdicts`, with the column ``way``.
    """
    found = {way: predictiveness(cohort, samples, patient_weights) for way, cohort in cohorts.items()}
    verdicts = {way: give_verdicts(cohort, found[way]) for way, cohort in cohorts.items()}
    joined = (pd.concat(parts, names=["way", None]).reset_index("way") for parts in (found, verdicts))
    return tuple(table.reset_index(drop=True) for table in joined)


def leaking_fields(verdicts: pd.DataFrame, way: str) -> pd.DataFrame:
    """Verdicts on the single fields that are leaks, one way, with the column ``modality``.

    Parameters
    ----------
    verdicts : pandas.DataFrame
        From `audit_twice`.
    way : str
    """
    single = verdicts["field"].str.contains(".", regex=False)  # the others are modalities as a whole
    leaks = verdicts[single & (verdicts["way"] == way) & (verdicts["verdict"] == "leak")]
    return leaks.assign(modality=leaks["field"].str.split(".").str[0])


def record_shares(cohort: Cohort, verdicts: pd.DataFrame) -> pd.Series:
    """Shares of positives and of negatives that have an admission record, and the AUROC of having one.

    Parameters
    ----------
    cohort : mmlib.core.schema.Cohort
        That of `LEAKY`.
    verdicts : pandas.DataFrame
        From `audit_twice`.

    Returns
    -------
    pandas.Series
        ``positive``, ``negative`` and ``auroc``.
    """
    leaks = leaking_fields(verdicts, LEAKY)
    record = leaks["field"][leaks["modality"] == ARRIVAL]
    has, positive = cohort.values[record].notna().any(axis=1), cohort.samples["label"] == 1
    shares = has[positive].mean(), has[~positive].mean()
    return pd.Series({"positive": shares[0], "negative": shares[1], "auroc": (1 + shares[0] - shares[1]) / 2})


def train_small_studies(
    cohorts: Mapping[str, Cohort],
    samples: pd.DataFrame,
    encoder: Encoder,
    architecture: Architecture,
    *,
    flags: bool = True,
    not_recorded: bool = False,
    unit: str = "field",
    seeds: int = 1,
    dimensions: int = 64,
    validation: float = 0.15,
    seed: int = 0,
) -> dict[str, SmallStudy]:
    """Models of every modality alone, of every one added to arrival, of all but one and of all, both ways.

    Parameters
    ----------
    cohorts : mapping of str to mmlib.core.schema.Cohort
        From `read_twice`.
    samples : pandas.DataFrame
        The artefact ``cohort``, whose folds are kept.
    encoder : mmlib.text.encoder.Encoder
    architecture : mmlib.models.fusion.Architecture
    flags, not_recorded, unit
        How notes are written and embedded.
    seeds : int
        Retrainings.
    dimensions, validation, seed
        As in `mmlib.models.study.prepare`.

    Returns
    -------
    dict of str to SmallStudy
    """
    trained = {}
    for way, cohort in cohorts.items():
        notes = write_notes(cohort, flags=flags, not_recorded=not_recorded)
        vectors = embed_notes(notes, samples["sample_id"], cohort.modalities, encoder, unit=unit)
        study = prepare(samples, vectors, dimensions=dimensions, validation=validation, seed=seed)
        pairs = [*_after_arrival(study.modalities), *_after_all_others(study.modalities)]
        subsets = dict.fromkeys([*study.modalities, *(subset for pair in pairs for subset in pair)])
        powerset, full = train_powerset(study, architecture, seeds=seeds, subsets=list(subsets))
        trained[way] = SmallStudy(study, powerset, score_patterns({PLAIN: full}, study))
    return trained


def answer_twice(
    trained: Mapping[str, SmallStudy],
    groups: Groups,
    *,
    rate: float,
    rule: str = "prevalence",
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Answer]:
    """What adding and losing modalities does, both ways, on the same patients and resamples.

    Parameters
    ----------
    trained : mapping of str to SmallStudy
    groups : Groups
    rate : float
        Drop rate of the expected loss.
    rule : str
        Operating point.
    resamples, seed : int
        Of the bootstrap of patients.

    Returns
    -------
    dict of str to Answer
    """
    settings, answers = {"rule": rule, "resamples": resamples, "seed": seed}, {}
    for way, own in trained.items():
        result = evaluate_subsets(own.powerset, own.study.cohort, groups, metrics=("f1", "tpr"), **settings)
        lost = evaluate_drops(own.masking, own.study, groups, rates=[rate], **settings)[PLAIN].metric("auroc")
        gone = drop_each(own.masking.sel(regime=PLAIN), own.study, groups, **settings)
        answers[way] = Answer(result, gone.metric("auroc"), lost.sel(rate=float(rate)) - lost.sel(rate=0.0))
    return answers


def gains_after_arrival(answer: Answer) -> Estimate:
    """Gain in AUROC of arrival over chance, then of each modality added to arrival, by ``modality``."""
    return _by_modality(answer, _after_arrival(answer.modalities))


def gains_after_all_others(answer: Answer) -> Estimate:
    """Gain in AUROC of each modality added to all others, which are trained without it, by ``modality``."""
    return _by_modality(answer, _after_all_others(answer.modalities))


def least_gain(answer: Answer) -> Estimate:
    """Smallest gain in AUROC of all modalities over a single one, whose label ``versus`` names that one."""
    return smallest_gain(against_each(answer.result.metric("auroc")))


def leak_quantities(answer: Answer, groups: Groups, *, rate: float) -> dict[str, Estimate]:
    """The quantities that the chapter compares, by name.

    Parameters
    ----------
    answer : Answer
    groups : Groups
        Whose contrasts are shown.
    rate : float
        Drop rate of the expected loss.
    """
    auroc, f1 = answer.result.metric("auroc"), answer.result.metric("f1")
    everything = subset_name(answer.modalities)
    places = {"arrival alone": ARRIVAL, "all modalities": everything}
    found = {
        f"{place}: {name}": metric.sel(subset=subset)
        for place, subset in places.items()
        for name, metric in (("AUROC", auroc), ("F1", f1))
    }
    whole = auroc.sel(subset=everything)
    found |= {
        "RQ1: smallest AUROC gain of all over a single modality": least_gain(answer),
        "RQ1: AUROC of all minus arrival alone": whole - auroc.sel(subset=ARRIVAL),
        "RQ2: change in AUROC, arrival gone": answer.gone.sel(modality=ARRIVAL),
        f"RQ2: expected change in AUROC at drop rate {rate:g}": answer.expected,
    }
    for pair, difference in answer.result.contrasts("tpr").items():
        found |= {f"TPR, {pair}: {place}": difference.sel(subset=subset) for place, subset in places.items()}
    return found


def leak_table(answers: Mapping[str, Answer]) -> pd.DataFrame:
    """Tidy rows of the artefact ``leak``: metrics by ``subset`` and ``arrival_fields``, the option of the loader."""
    parts = []
    for way, answer in answers.items():
        result, groups = answer.result, answer.result.groups
        levels = [result.metric("auroc"), result.metric("f1"), result.metric("f1", groups.first)]
        differences = [result.difference("tpr", a).frame(simultaneous="group") for a in groups.protected]
        frame = pd.concat([*(level.frame() for level in levels), *differences], ignore_index=True)
        parts.append(frame[frame["subset"] != NONE].assign(arrival_fields=ARRIVAL_FIELDS[way]))
    return pd.concat(parts, ignore_index=True)


def _after_arrival(modalities):
    """Pairs of subsets, before and after each modality is added to arrival, or arrival to nothing."""
    joined = {m: subset_name(n for n in modalities if n in (ARRIVAL, m)) for m in modalities}
    return [(NONE if m == ARRIVAL else ARRIVAL, after) for m, after in joined.items()]


def _after_all_others(modalities):
    return [(subset_name(m for m in modalities if m != gone), subset_name(modalities)) for gone in modalities]


def _by_modality(answer, pairs) -> Estimate:
    changes = answer.result.changes(pairs, ["auroc"])
    return replace(changes, key="modality", labels=answer.modalities).metric("auroc")
