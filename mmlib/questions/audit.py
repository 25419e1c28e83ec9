"""The audit before any model: group sizes, whose data are missing, and for every field whether it is a leak.

What the data can show is whether presence, or the value, predicts the label; whether that is information or a leak
depends on *when* the field was fixed, which only its documentation or its recording times can say.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import xarray as xr
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier
from statsmodels.stats.proportion import proportion_confint

from mmlib.core.schema import MINIMUM, OUTCOMES, Cohort, Field
from mmlib.measure.estimates import simultaneous_rows
from mmlib.measure.evaluation import evaluate
from mmlib.measure.groups import Groups
from mmlib.measure.metrics import rates
from mmlib.measure.ranking import auroc

#: From worst to best; the first two raise an alarm.
VERDICTS = ("leak", "unresolved", "informative presence", "not judged", "fine")


def group_sizes(samples: pd.DataFrame, groups: Groups) -> pd.DataFrame:
    """Samples, positives and label rate of every group.

    Parameters
    ----------
    samples : pandas.DataFrame
        With ``label`` and the attributes.
    groups : Groups

    Returns
    -------
    pandas.DataFrame
        Columns attribute, group, n, n_positive, rate, low, high (Wilson's 95 % interval of the label rate).
    """
    return _shares(samples["label"].to_numpy() == 1, samples, groups).rename(columns={"n_true": "n_positive"})


def presence_shares(recorded: pd.DataFrame, samples: pd.DataFrame, groups: Groups) -> pd.DataFrame:
    """Share of samples in which something is recorded, by group.

    Parameters
    ----------
    recorded : pandas.DataFrame of bool
        A column per modality or field, rows as in ``samples``.
    samples : pandas.DataFrame
    groups : Groups

    Returns
    -------
    pandas.DataFrame
        Columns name, attribute, group, n, n_true, rate, low, high (Wilson's 95 % interval).
    """
    parts = [_shares(recorded[name].to_numpy(), samples, groups).assign(name=name) for name in recorded]
    return pd.concat(parts, ignore_index=True)


def presence_differences(
    recorded: pd.DataFrame, samples: pd.DataFrame, groups: Groups, patient_weights: np.ndarray
) -> pd.DataFrame:
    """Differences between groups in how often something is recorded.

    Parameters
    ----------
    recorded : pandas.DataFrame of bool
        A column per modality or field, rows as in ``samples``.
    samples : pandas.DataFrame
        With ``label`` and ``fold``.
    groups : Groups
    patient_weights : numpy.ndarray of shape (1 + B, n_samples)
        From :func:`mmlib.measure.bootstrap.resample_patients`.

    Returns
    -------
    pandas.DataFrame
        Tidy rows with the key ``field`` and the metric ``recorded``: group minus reference, 95 % intervals
        simultaneous over the groups of an attribute.
    """
    labels = {"seed": [0], "field": list(recorded)}
    there = xr.DataArray(recorded.to_numpy(float).T[None], labels, (*labels, "sample"))
    cut = xr.DataArray(np.full((1, samples["fold"].max() + 1), 0.5), dims=("seed", "fold"))
    found = evaluate(there, cut, samples, patient_weights, groups=groups, metrics=("selection_rate",))
    differences = [replace(found.difference("selection_rate", a), name="recorded") for a in groups.attributes]
    return pd.concat([d.frame(simultaneous="group") for d in differences], ignore_index=True)


def outcome_shares(cohort: Cohort, samples: pd.DataFrame, groups: Groups) -> pd.DataFrame:
    """Share of samples whose picture, recording or report was measured, or why it was not, by group.

    Parameters
    ----------
    cohort : mmlib.core.schema.Cohort
        With its files described.
    samples : pandas.DataFrame
    groups : Groups

    Returns
    -------
    pandas.DataFrame
        Columns field, outcome (one of ``OUTCOMES`` of `mmlib.core.schema`), attribute, group, n, n_true, rate, low,
        high; without rows where no field comes from a file of its own.
    """
    became = pd.DataFrame() if cohort.outcomes is None else cohort.outcomes
    parts = [
        _shares((became[field] == outcome).to_numpy(), samples, groups).assign(field=field, outcome=outcome)
        for field in became
        for outcome in OUTCOMES
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def predictiveness(
    cohort: Cohort, samples: pd.DataFrame, patient_weights: np.ndarray, *, minimum: int = MINIMUM
) -> pd.DataFrame:
    """How well presence alone, and the value alone, predict the label.

    Parameters
    ----------
    cohort : mmlib.core.schema.Cohort
    samples : pandas.DataFrame
        Its samples with their ``fold``.
    patient_weights : numpy.ndarray of shape (1 + B, n_samples)
    minimum : int
        Presence is judged where so many samples have the field and so many lack it, a value where so many
        positives and negatives have it.

    Returns
    -------
    pandas.DataFrame
        Tidy rows with the key ``field`` (``modality.field``, or ``modality`` for a block of several) and the metrics
        ``presence_auroc`` (of presence as the score, all samples) and ``value_auroc`` (samples that have it, scored
        out of fold by a model that sees nothing else: a small decision tree, for free text a logistic regression on
        counted words). Intervals are 95 %, simultaneous over all rows (max-T [Westfall1993]_).
    """
    y, fold = samples["label"].to_numpy(), samples["fold"].to_numpy()
    recorded = recorded_items(cohort)
    judged = recorded.loc[:, (recorded.sum() >= minimum) & ((~recorded).sum() >= minimum)]
    all_samples = np.ones((1, len(y)), bool)
    found = [("presence_auroc", c, len(y), int(y.sum())) for c in judged]
    alone = rates(y, judged.to_numpy(float).T, patient_weights, all_samples)
    values = [(1 + alone["tpr"] - alone["fpr"])[..., 0] / 2]
    for field in cohort.fields:
        there = recorded[field.column].to_numpy()
        if field.kind in ("image", "ecg") or min(y[there].sum(), (1 - y[there]).sum()) < minimum:
            continue
        score = _score_alone(cohort.values[field.column], field, y, fold, there)
        values.append(auroc(y, score, patient_weights, there[None])[..., 0])
        found.append(("value_auroc", field.column, int(there.sum()), int(y[there].sum())))
    table = pd.DataFrame(found, columns=["metric", "field", "n", "n_positive"])
    return simultaneous_rows(table, np.concatenate(values, axis=1), attribute="overall")


def give_verdicts(
    cohort: Cohort, found: pd.DataFrame, *, margin: float = 0.02, suspicious: float = 0.95
) -> pd.DataFrame:
    """Verdict on every field and modality: leak, unresolved, informative presence, not judged or fine.

    Parameters
    ----------
    cohort : mmlib.core.schema.Cohort
    found : pandas.DataFrame
        From :func:`predictiveness`.
    margin : float
        Presence is called informative if its whole interval is farther than this from an AUROC of one half.
    suspicious : float
        A field whose interval lies above this AUROC is not believed to be early, whatever its documentation says.

    Returns
    -------
    pandas.DataFrame
        A row per field and modality: field, label (in words), verdict, reason, source, n_present, n_absent,
        rate_present, rate_absent (label rates).

    Notes
    -----
    - **leak**: fixed after the prediction time, by its documentation or by recording times;
    - **unresolved**: its time is unknown and it predicts (the interval excludes one half), or it is said to be
      early and predicts suspiciously well;
    - **informative presence**: early, and whether it was recorded predicts: information, not a leak;
    - **not judged**: its time is unknown, and neither its presence nor its value could be looked at (too few samples
      have or lack it);
    - **fine**: anything else.
    """
    y, recorded, rows = cohort.samples["label"].to_numpy(), recorded_items(cohort), []
    shown = {
        (r.metric, r.field): (r.estimate, r.low, r.high) for r in found.itertuples() if not np.isnan(r.low)
    }
    for item in recorded:
        there = recorded[item].to_numpy()
        fields = [f for f in cohort.fields if item in (f.column, f.modality)]
        timing, when = _timing(cohort, fields)
        signs = [
            (what, *shown[metric, item])
            for metric, what in (("presence_auroc", "presence"), ("value_auroc", "the value"))
            if (metric, item) in shown
        ]
        verdict, reason = _judge(timing, when, signs, margin, suspicious)
        sources = "; ".join(dict.fromkeys(f.source for f in fields if f.source))
        rates_ = [y[r].mean() if r.any() else np.nan for r in (there, ~there)]
        label = fields[0].label if item == fields[0].column else f"any field of {item.replace('_', ' ')}"
        rows.append((item, label, verdict, reason, sources, int(there.sum()), int((~there).sum()), *rates_))
    columns = ["field", "label", "verdict", "reason", "source", "n_present", "n_absent"]
    return pd.DataFrame(rows, columns=[*columns, "rate_present", "rate_absent"])


def unresolved_modalities(audit: pd.DataFrame, modalities: Sequence[str]) -> list[str]:
    """Modalities of which the audit left the presence or a field unresolved, in the order given.

    Parameters
    ----------
    audit : pandas.DataFrame
        The artefact, with ``field`` and ``verdict``.
    modalities : sequence of str

    Examples
    --------
    >>> audit = pd.DataFrame({"field": ["labs.ph", "labs", "function.adl"], "verdict": ["fine", "fine", "unresolved"]})
    >>> unresolved_modalities(audit, ["labs", "function"])
    ['function']
    """
    doubtful = audit.loc[audit["verdict"] == "unresolved", "field"].str.split(".").str[0]
    return [m for m in modalities if m in set(doubtful)]


def recorded_items(cohort: Cohort) -> pd.DataFrame:
    """What is recorded of each field, and of each modality that has several: a bool frame."""
    present = cohort.present()
    several = [m for m in cohort.modalities if sum(f.modality == m for f in cohort.fields) > 1]
    return pd.concat([present[several], cohort.values.notna()], axis=1)


def _timing(cohort: Cohort, fields: Sequence[Field]) -> tuple[str, str]:
    """Say when some fields are fixed: recording times first, else what is documented; the worst field counts."""
    worst, reason = "before", ""
    for field in fields:
        timing, when = field.timing, f"documented as {field.timing} the prediction"
        if timing == "unknown":
            when = "when it is fixed is not documented"
        if cohort.times is not None and field.column in cohort.times:
            hours = cohort.times[field.column][cohort.values[field.column].notna()].dropna()
            late = int((hours > 0).sum())
            if late:
                timing = "after"
                when = f"{late:,} of {len(hours):,} recorded after the prediction, up to {hours.max():.1f} hours"
            elif len(hours):
                timing, when = "before", f"{len(hours):,} recording times, none after the prediction"
        if ["before", "unknown", "after"].index(timing) >= ["before", "unknown", "after"].index(worst):
            worst, reason = timing, when
    return worst, reason


def _judge(timing, when, signs, margin, suspicious) -> tuple[str, str]:
    """Give the verdict and its reason from timing and (what, AUROC, low, high) of presence and value."""
    if timing == "after":
        return "leak", when
    # absence can predict as well as presence; a value that is scored out of fold cannot be worse than chance
    away = {
        what: (max(low - 0.5, 0.5 - high) if what == "presence" else low - 0.5, auroc)
        for what, auroc, low, high in signs
    }

    def beyond(bound):
        return [f"{what} predicts (AUROC {e:.2f})" for what, (d, e) in away.items() if d > bound]

    if too_well := beyond(suspicious - 0.5):
        return "unresolved", f"{' and '.join(too_well)} better than an early field should; {when}"
    if timing == "unknown" and not signs:
        return "not judged", f"too few samples have or lack it; {when}"
    if timing == "unknown":
        predicts = beyond(0)
        return (
            ("unresolved", f"{' and '.join(predicts)}; {when}") if predicts else ("fine", f"no sign; {when}")
        )
    if away.get("presence", (0, 0))[0] > margin:
        return "informative presence", f"{beyond(margin)[0]}; {when}"
    return "fine", when


def _score_alone(column: pd.Series, field: Field, y, fold, there) -> np.ndarray:
    """Score those who have a field, out of fold, from its value alone; others get 0."""
    score = np.zeros(len(y))
    if field.kind in ("text", "list"):
        X = column.fillna("").to_numpy(str)
    else:
        X = (pd.get_dummies(column) if field.kind == "category" else column.to_frame()).to_numpy(float)
    for f in np.unique(fold):
        training, test = there & (fold != f), there & (fold == f)
        if not test.any() or len(set(y[training])) < 2:
            continue
        model = (
            make_pipeline(TfidfVectorizer(min_df=5, sublinear_tf=True), LogisticRegression(max_iter=1000))
            if field.kind in ("text", "list")
            else DecisionTreeClassifier(max_leaf_nodes=16, min_samples_leaf=20, random_state=0)
        )
        score[test] = model.fit(X[training], y[training]).predict_proba(X[test])[:, 1]
    return score


def _shares(truth, samples, groups):
    rows = []
    for attribute, (names, masks) in groups.masks(samples).items():
        for name, mask in zip(names, masks, strict=True):
            n, k = int(mask.sum()), int(truth[mask].sum())
            low, high = proportion_confint(k, n, method="wilson")
            # at 0 and 1 the rounded bound can lie inside the rate
            rows.append((attribute, name, n, k, k / n, min(low, k / n), max(high, k / n)))
    return pd.DataFrame(rows, columns=["attribute", "group", "n", "n_true", "rate", "low", "high"])
