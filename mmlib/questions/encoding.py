"""What is lost when measurements become sentences: other encodings and models on the same folds and patients."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from mmlib.core.schema import MINIMUM, Cohort
from mmlib.data.splits import hold_out, subsample
from mmlib.measure.bootstrap import resample_patients
from mmlib.measure.estimates import Estimate
from mmlib.measure.evaluation import compare_auroc
from mmlib.models import baselines
from mmlib.models.fusion import Architecture
from mmlib.models.powerset import train_variants
from mmlib.models.study import Study, prepare
from mmlib.questions.audit import VERDICTS
from mmlib.text.encode import embed_notes, native
from mmlib.text.encoder import Encoder
from mmlib.text.notes import join_notes, write_notes

BOOSTED = "gradient boosting on raw columns"
COUNTED = "counted words and raw columns"
RAW = "network on raw columns"
UNREDUCED = "network on sentences, unreduced"
#: The network on sentences, by whether a number carries "low" or "high".
BY_FLAGS = {True: "network on sentences, with flags", False: "network on sentences, numbers only"}


@dataclass(frozen=True)
class Ways:
    """Out-of-fold scores of several ways to encode and fuse the same samples.

    Parameters
    ----------
    scores : dict of str to numpy.ndarray of shape (n_seeds, n_samples) or (n_samples,)
    sentences : str
        The way of this book: the network on sentences as the run writes them.
    usual : str
        What many would use instead: gradient boosting on the raw columns, or counted words where there is free text.
    """

    scores: dict[str, np.ndarray]
    sentences: str
    usual: str


def score_ways(
    study: Study,
    cohort: Cohort,
    fields: pd.DataFrame,
    embeddings,
    encoder: Encoder,
    architecture: Architecture,
    *,
    flags: bool = True,
    not_recorded: bool = False,
    unit: str = "field",
    dimensions: int = 64,
    validation: float = 0.15,
    seed: int = 0,
) -> Ways:
    """Scores of every way to encode and fuse, on the folds of the study.

    Parameters
    ----------
    study : Study
        Of sentences.
    cohort : mmlib.core.schema.Cohort
        To write other sentences: with flags if the study has none, without if it has.
    fields : pandas.DataFrame
        The artefact ``fields``.
    embeddings : xarray.Dataset
        The artefact ``embeddings``, which the study reduced.
    encoder : mmlib.text.encoder.Encoder
    architecture : mmlib.models.fusion.Architecture
    flags, not_recorded : bool
        How the sentences of the study were written.
    unit, dimensions, validation, seed
        How the study was made.

    Returns
    -------
    Ways
        The networks on sentences with flags and without (one of them where no field has a reference interval), on raw
        columns, and on joined vectors without attention; where there is free text, on unreduced vectors; boosting,
        counted words and late fusion.
    """
    settings = {"dimensions": dimensions, "validation": validation, "seed": seed}
    columns, text = baselines.table_columns(fields), baselines.free_text(fields)
    flagged = any(field.reference for field in cohort.fields)
    sentences = BY_FLAGS[flags] if flagged else "network on sentences"
    networks = {
        sentences: (study, architecture),
        "concatenation of sentences": (study, replace(architecture, family="concat")),
    }
    if flagged:
        notes = write_notes(cohort, flags=not flags, not_recorded=not_recorded)
        other = embed_notes(notes, study.samples, study.modalities, encoder, unit=unit)
        networks[BY_FLAGS[not flags]] = (prepare(study.cohort, other, **settings), architecture)
    if len(columns.columns):
        networks[RAW] = (prepare(study.cohort, native(fields), **settings), architecture)
    if text:
        whole = prepare(study.cohort, embeddings, **settings | {"dimensions": embeddings.sizes["feature"]})
        networks[UNREDUCED] = (whole, architecture)
    trained = train_variants(networks)["score"]
    scores = {name: trained.sel(variant=name).values for name in networks}
    if len(columns.columns):
        scores[BOOSTED] = baselines.boosting(fields, study)
    if text:
        scores[COUNTED] = baselines.counted_words(fields, study)
    scores["late fusion of sentences"] = baselines.late_fusion(study)
    return Ways(scores, sentences, COUNTED if text else BOOSTED)


def unresolved_fields(audit: pd.DataFrame, fields: pd.DataFrame) -> list[str]:
    """Names of the fields that the audit calls unresolved or leaks.

    Parameters
    ----------
    audit, fields : pandas.DataFrame
        The artefacts.
    """
    alarms = audit["verdict"].isin(VERDICTS[:2]) & audit["field"].isin(fields.columns)
    return sorted(audit["field"][alarms].unique())


def compare_without(
    dropped: Sequence[str],
    ways: Ways,
    study: Study,
    fields: pd.DataFrame,
    notes: pd.DataFrame,
    encoder: Encoder,
    architecture: Architecture,
    patient_weights: np.ndarray,
    *,
    unit: str = "field",
    dimensions: int = 64,
    validation: float = 0.15,
    seed: int = 0,
) -> dict[str, Estimate]:
    """AUROC with all fields and without some, trained again on the same folds.

    Parameters
    ----------
    dropped : sequence of str
        Columns of ``fields``.
    ways : Ways
        Scores with all fields.
    study : Study
    fields, notes : pandas.DataFrame
        The artefacts.
    encoder, architecture, unit, dimensions, validation, seed
        As in `score_ways`.
    patient_weights : numpy.ndarray of shape (1 + B, n_samples)

    Returns
    -------
    dict of str to Estimate
        The network on sentences, and boosting where there are raw columns: AUROC by ``variant``, ``with`` and
        ``without``; only ``with`` where nothing is dropped or nothing would be left.
    """
    scores = {name: {"with": ways.scores[name]} for name in (ways.sentences, BOOSTED) if name in ways.scores}
    kept = notes[~(notes["modality"] + "." + notes["field"]).isin(dropped)]
    if len(dropped) and len(kept):
        left = [m for m in study.modalities if m in set(kept["modality"])]
        vectors = embed_notes(kept, study.samples, left, encoder, unit=unit)
        fewer = prepare(study.cohort, vectors, dimensions=dimensions, validation=validation, seed=seed)
        scores[ways.sentences]["without"] = train_variants({"": (fewer, architecture)})["score"].values[0]
        columns = fields.drop(columns=list(dropped))
        if BOOSTED in scores and len(baselines.table_columns(columns).columns):
            scores[BOOSTED]["without"] = baselines.boosting(columns, study)
    return {name: compare_auroc(pair, study.cohort, patient_weights) for name, pair in scores.items()}


def compare_kinds(
    ways: Ways, cohort: pd.DataFrame, patient_weights: np.ndarray, *, minimum: int = MINIMUM
) -> dict[str, Estimate]:
    """AUROC for each kind of positives against all negatives, of the network on sentences and of the usual method.

    Parameters
    ----------
    ways : Ways
    cohort : pandas.DataFrame
        The artefact ``cohort``; its column ``label_kind``, if it has one, tells kinds of positives apart.
    patient_weights : numpy.ndarray of shape (1 + B, n_samples)
    minimum : int
        Kinds with fewer positives are left out.

    Returns
    -------
    dict of str to Estimate
        ``all positives``, then kinds: AUROC by ``variant``.
    """
    rows = {"all positives": np.ones(len(cohort), bool)}
    if "label_kind" in cohort:
        kinds = sorted(set(cohort["label_kind"]) - {""})
        rows |= {kind: ((cohort["label"] == 0) | (cohort["label_kind"] == kind)).to_numpy() for kind in kinds}
    names = dict.fromkeys((ways.sentences, ways.usual))
    return {
        kind: compare_auroc({n: ways.scores[n][..., r] for n in names}, cohort[r], patient_weights[:, r])
        for kind, r in rows.items()
        if cohort["label"][r].sum() >= minimum
    }


def compare_units(
    notes: pd.DataFrame,
    study: Study,
    encoder: Encoder,
    architecture: Architecture,
    *,
    size: int,
    resamples: int = 1000,
    bootstrap_seed: int = 0,
    dimensions: int = 64,
    validation: float = 0.15,
    seed: int = 0,
) -> tuple[pd.DataFrame, Estimate]:
    """Cost and AUROC of embedding field sentences and of embedding whole notes, on the same part of the cohort.

    Parameters
    ----------
    notes : pandas.DataFrame
        The artefact.
    study : Study
    encoder, architecture, dimensions, validation, seed
        As in `score_ways`.
    size : int
        Samples of the part, which is drawn at random by fold and label; both units embed it without a cache. Twice
        as many are drawn, and so on, where too few patients are among them to set some aside.
    resamples, bootstrap_seed : int
        Of the part's patients.

    Returns
    -------
    pandas.DataFrame
        Columns unit, texts, distinct, seconds.
    Estimate
        AUROC by ``variant``, the unit.
    """
    part = _splittable(study.cohort, size, share=validation, seed=seed).reset_index(drop=True)
    rows = notes[notes["sample_id"].isin(part["sample_id"])]
    costs, studies = [], {}
    for unit, texts in (("field", rows["sentence"]), ("note", join_notes(rows)["sentence"])):
        started = time.perf_counter()
        vectors = embed_notes(rows, part["sample_id"], study.modalities, encoder, unit=unit, cached=False)
        costs.append((unit, len(texts), texts.nunique(), time.perf_counter() - started))
        own = prepare(part, vectors, dimensions=dimensions, validation=validation, seed=seed)
        studies[unit] = (own, architecture)
    score = train_variants(studies)["score"]
    scores = {unit: score.sel(variant=unit).values for unit in studies}
    areas = compare_auroc(scores, part, resample_patients(part["patient_id"], resamples, bootstrap_seed))
    return pd.DataFrame(costs, columns=["unit", "texts", "distinct", "seconds"]), areas


def _splittable(cohort, size, **split):
    part = subsample(cohort, size, seed=split["seed"])
    try:
        for fold in part["fold"].unique():
            hold_out(part, fold, **split)
    except ValueError:
        if size < len(cohort):
            return _splittable(cohort, 2 * size, **split)
    return part


def encoding_table(
    auroc: Estimate, ways: Ways, without: dict[str, Estimate], decoded: pd.DataFrame
) -> pd.DataFrame:
    """Tidy rows of the artefact ``encoding``.

    Parameters
    ----------
    auroc : Estimate
        AUROC of each of the ways.
    ways : Ways
    without : dict of str to Estimate
        From `compare_without`.
    decoded : pandas.DataFrame
        From `mmlib.questions.decoding.decode_groups`.

    Returns
    -------
    pandas.DataFrame
        Keys ``variant`` and ``subset``: AUROC of every way, its difference to the usual one, what the vectors reveal,
        and AUROC with and without unresolved fields.
    """
    parts = [auroc.frame(), _differences(auroc, ways.usual).frame(), decoded]
    for name, pair in without.items():
        named = _renamed(pair, [f"{name}, {label}" for label in pair.labels("variant")])
        parts.append(named.frame())
        if len(named.labels("variant")) > 1:
            parts.append(_differences(named, f"{name}, with").frame())
    if ways.usual == COUNTED and BOOSTED in ways.scores:
        both = auroc.sel(variant=[ways.sentences, BOOSTED])
        parts.append(_differences(both, BOOSTED).frame())
    return pd.concat(parts, ignore_index=True)


def _differences(auroc: Estimate, reference: str) -> Estimate:
    others = [v for v in auroc.labels("variant") if v != reference]
    change = auroc.sel(variant=others) - auroc.sel(variant=reference)
    return replace(change, name="auroc_difference", reference=reference)


def _renamed(auroc: Estimate, labels: list[str]) -> Estimate:
    named = {part: getattr(auroc, part).assign_coords(variant=labels) for part in ("values", "spread")}
    return replace(auroc, **named)
