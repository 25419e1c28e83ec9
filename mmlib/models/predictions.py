"""Scores that somebody else's model gave: a table of predictions becomes the artefacts that chapters compare.

Columns have fixed names: ``score`` and, where there are any, ``fold``, ``seed`` (the number of the retraining, with a
row per sample and retraining), ``threshold``, ``present_<modality>``, ``score_<subset>`` of models trained on exactly
these modalities, ``threshold_<subset>``, ``masked_<pattern>`` of the model of all modalities that sees only these, and
``masked_threshold``. Subsets are joined by ``+``. The schema of predictions of the MEDS evaluation project is read too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from mmlib.core.schema import PLAIN
from mmlib.core.subsets import NONE, subset_masks
from mmlib.core.words import RULES
from mmlib.data.table import read_table, require
from mmlib.measure.metrics import operating_point

#: What the only modality is called if the table names none.
ALL = "all"
#: Names of MEDS and of this module.
MEDS = {
    "subject_id": "patient_id",
    "boolean_value": "label",
    "predicted_boolean_probability": "score",
}
MOST_MODALITIES = 10


@dataclass(frozen=True)
class Scored:
    """Scores and what they are scores of: as much of a study as comparing them needs.

    Parameters
    ----------
    cohort : pandas.DataFrame
        The artefact ``cohort``.
    modalities : tuple of str
    powerset, masking : xarray.Dataset, optional
        The artefacts; without scores of subsets or patterns they hold all modalities alone.
    protected : tuple of str
    counts : mapping
        What was dropped or chosen and how often.
    """

    cohort: pd.DataFrame
    modalities: tuple[str, ...]
    powerset: xr.Dataset | None = None
    masking: xr.Dataset | None = None
    protected: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def present(self) -> np.ndarray:
        """Bool array (n_samples, n_modalities)."""
        return self.cohort[[f"present_{m}" for m in self.modalities]].to_numpy(bool)

    @property
    def y(self) -> np.ndarray:
        """Labels of the samples."""
        return self.cohort["label"].to_numpy(np.float32)

    @property
    def fold(self) -> np.ndarray:
        """Fold in which each sample is tested."""
        return self.cohort["fold"].to_numpy()


def load_scored(run) -> Scored:
    """Cohort and modalities of a run whose predictions were read.

    Parameters
    ----------
    run : mmlib.runs.run.Run
    """
    return Scored(run.read("cohort"), tuple(run.settings("01_cohort")["modalities"]))


def read_predictions(
    root: str | Path,
    *,
    protected: Sequence[str],
    label: str = "label",
    sample_id: str = "sample_id",
    patient_id: str | None = None,
    modalities: Sequence[str] = (),
    groups: str | Path | None = None,
    task: str = "the label",
    rule: str = "prevalence",
) -> Scored:
    """Scores of a table, checked, as the artefacts that the chapters on adding, missing and fairness read.

    Parameters
    ----------
    root : path
        CSV, TSV or Parquet file; a row per sample, or per sample and retraining.
    protected : sequence of str
        Columns of the protected attributes, of the table or of ``groups``; missing values are the group "Unknown".
    label, sample_id, patient_id : str
        Columns; the patient is the sample by default.
    modalities : sequence of str
        Whose subsets or patterns have scores, in the order that subsets are named in.
    groups : path, optional
        Table of the attributes with a row per patient, or, without patients, per sample, found by the same column.
    task : str
        The label in words; stored, not used.
    rule : str
        Operating point of the thresholds. Where the table has none, they are chosen on the tested samples of a fold.

    Returns
    -------
    Scored

    Raises
    ------
    FileNotFoundError, ValueError
        In one sentence: the file, the column, what was found and what was expected.
    """
    frame = _read(root)
    if "predicted_boolean_probability" in frame:
        frame, sample_id, patient_id, label = _from_meds(frame, root)
    _check_names(protected, modalities, rule)
    require(frame, [sample_id, label, *([patient_id] if patient_id else [])], root)
    if groups is not None:
        frame = _with_groups(frame, _read(groups), root, groups, protected, patient_id or sample_id)
    require(frame, protected, root)
    modalities = tuple(map(str, modalities)) or (ALL,)
    names, _ = subset_masks(modalities)
    frame = frame.rename(columns={f"score_{names[-1]}": "score", f"threshold_{names[-1]}": "threshold"})
    if frame.columns.duplicated().any():
        raise ValueError(f"{root} has both score and score_{names[-1]}; expected the scores of all modalities once.")
    if "score" not in frame:
        raise ValueError(f"{root} has no column score; it has {', '.join(map(str, frame.columns[:20]))}.")
    for prefix in ("score_", "threshold_", "masked_", "present_"):
        known = {*modalities} if prefix == "present_" else {*names, *(["threshold"] if prefix == "masked_" else [])}
        own = [c.removeprefix(prefix) for c in map(str, frame) if c.startswith(prefix) and c not in protected]
        if unknown := [name for name in own if name not in known]:
            raise ValueError(
                f"{root}: column {prefix}{unknown[0]} is of no subset of the modalities {', '.join(modalities)}; "
                "expected their names in this order, joined by +."
            )
    known = frame[label].notna()
    counts = {"rows without a label, dropped": int((~known).sum())}
    frame = frame[known].reset_index(drop=True)
    frame["label"] = _labels(frame[label], label, root)
    seeds, samples, at = _by_seed(frame, sample_id, root)
    once = frame.iloc[at[0]].reset_index(drop=True)
    same = ["label", *(c for c in (patient_id, "fold", *protected) if c in frame)]
    for column in same:
        values = frame[column].to_numpy(object)[at]
        if (pd.DataFrame(values).nunique(dropna=False) > 1).any():
            raise ValueError(f"{root}: {column!r} of a sample differs between its rows; expected one for all seeds.")
    words = once[list(protected)].convert_dtypes().astype("object")
    cohort = pd.DataFrame({"sample_id": samples, "patient_id": _words(once, patient_id or sample_id, root)})
    cohort = cohort.assign(label=once["label"].astype("int8"), fold=_folds(once, root))
    if (cohort.groupby("patient_id").fold.nunique() > 1).any():
        raise ValueError(f"{root}: a patient is in two folds; expected all samples of a patient in one.")
    if clash := sorted({"sample_id", "patient_id", "label", "fold"} & set(protected)):
        raise ValueError(f"protected names {clash[0]!r}, which has a meaning of its own; expected another name for it.")
    cohort = cohort.join(words.where(words.notna(), "Unknown").astype(str))
    cohort = cohort.assign(**{f"present_{m}": _presence(once, m, root) for m in modalities})
    if any(f"score_{name}" in frame for name in names[1:-1]):
        columns = {name: f"score_{name}" for name in names[:-1]} | {names[-1]: "score"}
        columns = {n: c for n, c in columns.items() if n != NONE or c in frame}
    else:
        columns = {names[-1]: "score"}
    scores, kept = _scores(frame, columns, at, root)
    cuts = {name: column.replace("score", "threshold", 1) for name, column in columns.items()}
    found, chosen = _thresholds(frame, cuts, scores, at[kept], cohort, rule, root)
    counts["thresholds that the table lacks, chosen on tested samples"] = chosen
    if len(columns) > 1 and NONE not in scores:
        scores = {NONE: np.full_like(scores[names[-1]], cohort["label"].to_numpy(np.float32).mean()), **scores}
        found = {NONE: np.full_like(found[names[-1]], np.nan), **found}
    rules = [rule] if chosen == 0 else list(RULES)
    powerset = _dataset("subset", scores, found, samples, rules)
    empty = np.full((*powerset["threshold"].shape[:3], len(samples)), np.nan, np.float32)
    powerset["validation_score"] = ("subset", "seed", "fold", "sample"), empty
    patterns = {name: f"masked_{name}" for name in names}
    if any(column in frame for column in patterns.values()):
        masked, kept = _scores(frame, patterns, at, root)
        column = "masked_threshold" if "masked_threshold" in frame else "threshold"
        own = {names[-1]: column}
        cut, chosen = _thresholds(frame, own, {names[-1]: masked[names[-1]]}, at[kept], cohort, rule, root)
        rules = [rule] if chosen == 0 else list(RULES)
    else:
        masked, cut = {names[-1]: scores[names[-1]]}, {names[-1]: found[names[-1]]}
    masking = _dataset("pattern", masked, cut, samples, rules).expand_dims(regime=[PLAIN])
    masking = masking.assign(threshold=masking["threshold"].isel(pattern=-1, drop=True))
    return Scored(
        cohort,
        modalities,
        powerset,
        masking.transpose("regime", "seed", "pattern", "sample", "fold", "rule"),
        tuple(protected),
        {what: count for what, count in counts.items() if count},
    )


def _read(root) -> pd.DataFrame:
    if root is None or not Path(root).is_file():
        raise FileNotFoundError(f"{str(root)!r} is not a file; expected a CSV or Parquet file of predictions.")
    return read_table(Path(root))


def _check_names(protected, modalities, rule) -> None:
    if isinstance(protected, str) or not isinstance(protected, Sequence) or not protected:
        raise ValueError(f"protected is {protected!r}; expected a list of columns.")
    if isinstance(modalities, str) or not isinstance(modalities, Sequence):
        raise ValueError(f"modalities is {modalities!r}; expected a list of names.")
    odd = [m for m in modalities if m in ("", NONE) or set(str(m)) & set("+.") or list(modalities).count(m) > 1]
    if odd:
        raise ValueError(f"modalities lists {odd[0]!r}; expected different names without + and . that are not {NONE}.")
    if len(modalities) > MOST_MODALITIES:
        raise ValueError(f"modalities lists {len(modalities)} names; expected at most {MOST_MODALITIES}.")
    if rule not in RULES:
        raise ValueError(f"rule is {rule!r}; expected one of {', '.join(RULES)}.")


def _from_meds(frame, root):
    require(frame, [*MEDS, "prediction_time"], root)
    if frame["prediction_time"].isna().any():
        raise ValueError(f"{root}: {int(frame['prediction_time'].isna().sum())} rows have no prediction_time.")
    frame = frame.rename(columns=MEDS)
    both = frame["patient_id"].astype(str) + " at " + frame["prediction_time"].astype(str)
    return frame.assign(sample_id=both), "sample_id", "patient_id", "label"


def _with_groups(frame, groups, root, source, protected, key):
    groups = groups.rename(columns={"subject_id": "patient_id"}) if key == "patient_id" else groups
    require(groups, [key, *protected], source)
    if groups[key].duplicated().any():
        twice = groups[key][groups[key].duplicated()].tolist()[0]
        raise ValueError(f"{source}: {key} {twice!r} has two rows; expected one.")
    lacking = ~frame[key].isin(groups[key])
    if lacking.any():
        raise ValueError(f"{source} lacks {lacking.sum()} of the {key} of {root}; expected a row for each.")
    return frame.drop(columns=list(protected), errors="ignore").merge(groups[[key, *protected]], on=key, how="left")


def _labels(column, name, root) -> pd.Series:
    values = _truths(column)
    if values.isna().any():
        odd = column[values.isna()].tolist()[0]
        raise ValueError(f"{root}: the label {name!r} holds {odd!r}; expected 0 and 1, or nothing.")
    if values.nunique() < 2:
        raise ValueError(f"{root}: the label {name!r} has {values.nunique()} values; expected both 0 and 1.")
    return values.astype("int8")


def _truths(column) -> pd.Series:
    """1 or 0, and missing for what is neither."""
    known = {"1": 1, "1.0": 1, "true": 1, "0": 0, "0.0": 0, "false": 0}
    return column.astype(str).str.lower().map(known)


def _by_seed(frame, sample_id, root):
    """Seeds, samples in the order of the table, and the row of each (seed, sample)."""
    ids = _words(frame, sample_id, root)
    seed = _whole(frame["seed"], "seed", root) if "seed" in frame else pd.Series(0, frame.index)
    twice = pd.DataFrame({"id": ids, "seed": seed}).duplicated()
    if twice.any():
        raise ValueError(
            f"{root}: {sample_id} {ids[twice].iloc[0]!r} has two rows{' of one seed' if 'seed' in frame else ''}; "
            "expected one row per sample, or one per sample and seed."
        )
    seeds, samples = sorted(seed.unique().tolist()), ids.drop_duplicates().to_numpy(object)
    if seeds != list(range(len(seeds))):
        raise ValueError(f"{root}: seed holds {seeds[:5]}; expected 0, 1, and so on.")
    if len(ids) != len(seeds) * len(samples):
        lacking = len(seeds) * len(samples) - len(ids)
        raise ValueError(f"{root}: {lacking} rows are missing; expected each sample in each seed.")
    order = pd.Series(frame.index, pd.MultiIndex.from_arrays([seed, ids]))
    at = np.stack([order.loc[s].reindex(samples).to_numpy() for s in seeds])
    return seeds, samples, at


def _words(frame, column, root) -> pd.Series:
    if frame[column].isna().any():
        raise ValueError(f"{root}: {int(frame[column].isna().sum())} values of {column!r} are missing; expected none.")
    return frame[column].astype(str)


def _whole(column, name, root) -> pd.Series:
    numbers = pd.to_numeric(column, errors="coerce")
    odd = column[numbers.isna() | (numbers % 1 != 0) | (numbers < 0)]
    if len(odd):
        raise ValueError(f"{root}: {name} holds {odd.tolist()[0]!r}; expected whole numbers from 0.")
    return numbers.astype(int)


def _folds(once, root) -> np.ndarray:
    if "fold" not in once:
        return np.zeros(len(once), "int8")
    fold = _whole(once["fold"], "fold", root)
    if sorted(fold.unique()) != list(range(fold.nunique())):
        raise ValueError(f"{root}: fold holds {sorted(fold.unique().tolist())[:8]}; expected 0, 1, and so on.")
    if (once.groupby(fold)["label"].nunique() < 2).any():
        raise ValueError(f"{root}: a fold has samples of one label only; expected both in each.")
    return fold.to_numpy("int8")


def _presence(once, modality, root) -> np.ndarray:
    column = f"present_{modality}"
    if column not in once:
        return np.ones(len(once), bool)
    values = _truths(once[column])
    if values.isna().any():
        raise ValueError(f"{root}: {column} holds {once[column][values.isna()].tolist()[0]!r}; expected true or false.")
    return values.to_numpy(bool)


def _scores(frame, columns, at, root):
    """Scores (seed, sample) of each column, of the seeds that have them, and which seeds these are."""
    if lacking := [column for column in columns.values() if column not in frame]:
        raise ValueError(
            f"{root} lacks {lacking[0]} beside {len(columns) - len(lacking)} other columns of its kind; expected all "
            f"{len(columns)}, one for every subset, or none."
        )
    found = {}
    for name, column in columns.items():
        numbers = pd.to_numeric(frame[column], errors="coerce")
        odd = frame[column][(numbers.isna() & frame[column].notna()) | (numbers < 0) | (numbers > 1)]
        if len(odd):
            where = f"{root}: {column} holds {odd.tolist()[0]!r} in row {odd.index[0]}"
            raise ValueError(f"{where}; expected probabilities.")
        found[name] = numbers.to_numpy(np.float32 if frame[column].dtype == np.float32 else float)[at]
    there = np.stack([~np.isnan(values) for values in found.values()])
    whole = there.all(axis=(0, 2))  # of a seed that has none, these models were not trained
    if not whole.any() or there[:, ~whole].any():
        place = int(np.argmax((~there[:, ~whole | ~whole.any()]).sum(axis=(1, 2))))
        absent, column = int((~there[place]).sum()), list(columns.values())[place]
        raise ValueError(f"{root}: {absent} values of {column} are missing; expected none.")
    kept = np.flatnonzero(whole)
    if not np.array_equal(kept, np.arange(len(kept))):
        first = list(columns.values())[0]
        raise ValueError(f"{root}: {first} is there in the seeds {kept.tolist()}; expected 0, 1, and so on.")
    return {name: values[kept] for name, values in found.items()}, kept


def _thresholds(frame, columns, scores, at, cohort, rule, root):
    """Thresholds (seed, fold, rule) of each column, and how many had to be chosen on tested samples."""
    fold, y, chosen, found = cohort["fold"].to_numpy(), cohort["label"].to_numpy(), 0, {}
    folds, given = range(fold.max() + 1), any(column in frame for column in columns.values())
    for name, column in columns.items():
        if column in frame:
            own = pd.to_numeric(frame[column], errors="coerce").to_numpy()[at]
            cut = np.empty((*own.shape[:1], len(folds), 1))
            for s, f in np.ndindex(*cut.shape[:2]):
                one = np.unique(own[s, fold == f])
                if len(one) != 1 or np.isnan(one[0]) and name != NONE:
                    raise ValueError(
                        f"{root}: {column} has {len(one)} values in fold {f} of seed {s}, {int(np.isnan(one).sum())} "
                        "missing; expected one threshold for each fold."
                    )
                cut[s, f, 0] = one[0]
        elif given:
            if name != NONE:
                raise ValueError(f"{root} lacks {column} beside other thresholds; expected all of them, or none.")
            cut = np.full((len(at), len(folds), 1), np.nan)
        else:
            cut = np.empty((len(at), len(folds), len(RULES)))
            for s, f, r in np.ndindex(*cut.shape):
                cut[s, f, r] = operating_point(y[fold == f], scores[name][s, fold == f], RULES[r])
            if name == NONE:
                cut[..., 0] = np.nan  # selected at random, at the matched rate
            chosen += cut[..., 0].size
        found[name] = cut
    return found, chosen


def _dataset(key, scores, thresholds, samples, rules) -> xr.Dataset:
    names = list(scores)
    score = np.stack(list(scores.values()))
    cuts = np.stack([thresholds.get(name, next(iter(thresholds.values()))) for name in names])
    coords = {key: names, "seed": range(score.shape[1]), "fold": range(cuts.shape[2]), "rule": list(rules)}
    return xr.Dataset(
        {"score": ((key, "seed", "sample"), score), "threshold": ((key, "seed", "fold", "rule"), cuts)},
        coords | {"sample": samples},
    )

