"""What the paper leaves open: settings of the fusion model, and whether protected attributes are inputs."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd
import xarray as xr

from mmlib.measure.bootstrap import resample_patients
from mmlib.measure.estimates import Estimate
from mmlib.measure.evaluation import Evaluation, evaluate
from mmlib.measure.groups import Groups
from mmlib.models.fusion import Architecture
from mmlib.models.powerset import train_variants
from mmlib.models.study import Study, prepare
from mmlib.text.describers import load_described
from mmlib.text.encode import embed_notes
from mmlib.text.encoder import load_encoder
from mmlib.text.notes import write_notes

#: What the unchanged model is called.
UNCHANGED = "as in this chapter"


def protected_studies(study: Study, cohort: Mapping, encoding: Mapping, **prepared) -> dict[str, Study]:
    """Studies whose inputs hold race, sex and the like: as a modality of their own, and written into the first one.

    Parameters
    ----------
    study : Study
        The study without them.
    cohort, encoding : mapping
        Settings of chapters 1 and 2.
    **prepared
        ``dimensions``, ``validation`` and ``seed`` of `mmlib.models.study.prepare`.

    Returns
    -------
    dict of str to Study
        What a table calls it -> study of the same samples and folds.
    """
    settings = {name: encoding[name] for name in ("pooling", "max_length", "precision", "device")}
    encoder, found = load_encoder(encoding["encoder"], **settings), {}
    for kind in ("modality", "lineage"):
        data = load_described(cohort, protected_inputs=kind)
        notes = write_notes(data, flags=cohort["flags"], not_recorded=cohort["not_recorded"])
        vectors = embed_notes(notes, study.samples, data.modalities, encoder, unit=encoding["unit"])
        found[f"protected inputs: {kind}"] = prepare(study.cohort, vectors, **prepared)
    return found


def train_variations(
    study: Study, architecture: Architecture, variations: Mapping[str, Sequence], others: Mapping[str, Study]
) -> xr.Dataset:
    """Scores of models of all modalities: unchanged, with one setting changed at a time, and on other inputs.

    Parameters
    ----------
    study : Study
    architecture : mmlib.models.fusion.Architecture
    variations : mapping of str to sequence
        Setting of the architecture -> other values.
    others : mapping of str to Study
        Name -> study whose inputs differ.

    Returns
    -------
    xarray.Dataset
        As `mmlib.models.powerset.train_variants` gives it, the unchanged model first.
    """
    variants = {UNCHANGED: (study, architecture)}
    variants |= {
        f"{name} = {value}": (study, replace(architecture, **{name: value}))
        for name, values in variations.items()
        for value in values
    }
    return train_variants(variants | {name: (other, architecture) for name, other in others.items()})


def compare_variations(
    varied: xr.Dataset,
    cohort: pd.DataFrame,
    groups: Groups,
    retrained: Evaluation,
    *,
    rule: str = "prevalence",
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Estimate]:
    """AUROC of variants, its difference to the first one, and their signed TPR differences.

    The variants were trained once; their retraining spread is that of the unchanged model.

    Parameters
    ----------
    varied : xarray.Dataset
        From `train_variations`.
    cohort : pandas.DataFrame
    groups : Groups
    retrained : Evaluation
        Of the power set: its last vector is the unchanged model, trained several times.
    rule : str
        Operating point.
    resamples, seed : int
        Of the bootstrap of patients.

    Returns
    -------
    dict of str to Estimate
        ``AUROC``, ``difference`` (the first variant aside), and ``TPR <label>`` for each difference shown; all
        with the dimension ``variant``.
    """
    weights = resample_patients(cohort["patient_id"], resamples, seed)
    threshold = varied["threshold"].sel(rule=rule)
    settings = {"groups": groups, "metrics": ("tpr",), "ranking": {"auroc": []}}
    once = evaluate(varied["score"], threshold, cohort, weights, **settings)
    first, *changed = once.labels
    of_auroc = retrained.metric("auroc").sel(subset=retrained.labels[-1])
    change = once.changes([(first, name) for name in changed], ["auroc"]).metric("auroc")
    found = {"AUROC": _spread_like(once.metric("auroc"), of_auroc), "difference": _spread_like(change, of_auroc, 2)}
    for attribute, group in groups.contrasts.items():
        level, many = (result.difference("tpr", attribute).sel(group=group) for result in (once, retrained))
        found[f"TPR {level.label}"] = _spread_like(level, many.sel(subset=retrained.labels[-1]))
    return found


def _spread_like(once: Estimate, many: Estimate, trainings: int = 1) -> Estimate:
    """Quantities that one training of each of some models gave, with the spread of a model trained several times."""
    if many.seeds < 2:
        return replace(once, spread=None, pooled=None)
    return replace(once, spread=None, pooled=(xr.full_like(once.value, many.pooled[0] * trainings), many.freedom))
