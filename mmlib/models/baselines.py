"""Baselines on the same folds: gradient boosting on raw columns, counted words, late fusion."""

import numpy as np
import pandas as pd
from scipy.sparse import hstack
from scipy.special import expit, logit
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from mmlib.core.compute import map_parallel
from mmlib.models.logistic import fit_many, log_odds
from mmlib.models.study import Study

#: Settings tried on validation rows; trees are added as long as the loss on these rows falls.
BOOSTING_GRID = tuple(
    {"max_leaf_nodes": leaves, "max_features": share} for leaves in (4, 12) for share in (0.3, 1.0)
)
#: Inverse strengths of the penalty, tried on validation rows.
WORDS_GRID = (0.3, 1.0, 3.0, 10.0)


def boosting(fields: pd.DataFrame, study: Study, *, seed: int = 0) -> np.ndarray:
    """Out-of-fold scores of gradient boosting [Ke2017]_ on the raw columns, tuned on validation rows.

    Parameters
    ----------
    fields : pandas.DataFrame
        The artefact ``fields``: numbers and categories, missing values as they are; free text is left out.
    study : mmlib.models.study.Study
        Gives folds and validation rows. Validation rows stop each of ``BOOSTING_GRID`` and choose the one with the
        highest AUROC, which is refitted on training and validation rows together.
    seed : int

    Returns
    -------
    numpy.ndarray of shape (n_samples,)
    """
    columns, y = table_columns(fields), study.y.numpy().astype(int)
    common = {"learning_rate": 0.06, "categorical_features": "from_dtype", "random_state": seed}
    scores, parts = np.empty(len(y)), list(zip(study.training.numpy(), study.validation.numpy(), strict=True))

    def learn(f):
        (training, held), tried = parts[f], []
        for settings in BOOSTING_GRID:
            model = HistGradientBoostingClassifier(
                **common | settings, max_iter=400, early_stopping=True, n_iter_no_change=20
            ).fit(columns[training], y[training], X_val=columns[held], y_val=y[held])
            quality = roc_auc_score(y[held], model.predict_proba(columns[held])[:, 1])
            tried.append((quality, model.n_iter_, settings))
        _, trees, settings = max(tried, key=lambda t: t[0])
        rows, test = training | held, study.fold == f
        model = HistGradientBoostingClassifier(
            **common | settings, max_iter=trees, early_stopping=False
        ).fit(columns[rows], y[rows])
        scores[test] = model.predict_proba(columns[test])[:, 1]

    map_parallel(learn, range(len(parts)), "boosting")
    return scores


def counted_words(fields: pd.DataFrame, study: Study) -> np.ndarray:
    """Out-of-fold scores of a logistic regression on words and word pairs of free text and the raw columns.

    Parameters
    ----------
    fields : pandas.DataFrame
        The artefact ``fields``. Free text becomes TF-IDF weights of words and pairs that three training samples
        share; categories are one-hot, numbers scaled, with an indicator of absence.
    study : mmlib.models.study.Study
        As in `boosting`; the penalty is chosen from ``WORDS_GRID``.

    Returns
    -------
    numpy.ndarray of shape (n_samples,)

    Raises
    ------
    ValueError
        If no field is free text.
    """
    text = free_text(fields)
    if not text:
        raise ValueError("No field is free text; use gradient boosting on the raw columns.")
    counts = [
        CountVectorizer(ngram_range=(1, 2), dtype=np.float32).fit_transform(fields[c].fillna("")) for c in text
    ]
    columns = table_columns(fields)
    numbers = list(columns.select_dtypes("number"))
    kinds = list(columns.select_dtypes("category"))
    columns = columns.astype(dict.fromkeys(kinds, object)).fillna(dict.fromkeys(kinds, "not recorded"))
    scale = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    read = [("kinds", OneHotEncoder(handle_unknown="ignore"), kinds), ("numbers", scale, numbers)]
    read = ColumnTransformer([part for part in read if part[2]], sparse_threshold=1.0)
    y, scores = study.y.numpy().astype(int), np.empty(len(study.y))
    for f, (training, held) in enumerate(zip(study.training.numpy(), study.validation.numpy(), strict=True)):
        parts = [_weighted(of_text, training) for of_text in counts]
        if numbers or kinds:
            parts.append(read.fit(columns[training]).transform(columns))
        x, rows, test = hstack(parts, format="csr"), training | held, study.fold == f
        # from strong penalties to weak ones, each fit starting where the last one ended
        model, quality = LogisticRegression(solver="newton-cg", max_iter=1000, warm_start=True), []
        for c in WORDS_GRID:
            model.set_params(C=c).fit(x[training], y[training])
            quality.append(roc_auc_score(y[held], model.decision_function(x[held])))
        model.set_params(C=WORDS_GRID[int(np.argmax(quality))]).fit(x[rows], y[rows])
        scores[test] = model.predict_proba(x[test])[:, 1]
    return scores


def _weighted(counts, training):
    """TF-IDF of the words and pairs that three training samples share, learnt from those; counts are read once."""
    shared = counts[:, counts[training].count_nonzero(axis=0) >= 3]
    return TfidfTransformer(sublinear_tf=True).fit(shared[training]).transform(shared)


def table_columns(fields: pd.DataFrame) -> pd.DataFrame:
    """Numbers and categories of the artefact ``fields``."""
    return fields.drop(columns="sample_id").select_dtypes(["number", "category"])


def free_text(fields: pd.DataFrame) -> list[str]:
    """Names of the columns of the artefact ``fields`` that are free text."""
    return [c for c in fields.columns if c != "sample_id" and c not in table_columns(fields)]


def late_fusion(study: Study) -> np.ndarray:
    """Out-of-fold scores of late fusion: one logistic regression per modality, combined by another one.

    The combination is fitted on validation rows. A modality that a sample lacks contributes nothing to it.

    Parameters
    ----------
    study : mmlib.models.study.Study

    Returns
    -------
    numpy.ndarray of shape (n_samples,)
    """
    everything = np.ones((1, len(study.modalities)), bool)
    return late_patterns(study, everything)[study.fold, 0, np.arange(len(study.y))]


def late_patterns(study: Study, masks: np.ndarray) -> np.ndarray:
    """Scores of late fusion under patterns of missing modalities, with one combination each [Wolpert1992]_.

    Each combination is fitted on validation rows with only the modalities that its pattern keeps, so its
    scores are calibrated for that pattern.

    Parameters
    ----------
    study : mmlib.models.study.Study
    masks : array of bool, shape (P, M)

    Returns
    -------
    numpy.ndarray of shape (n_folds, P, n_samples)
        For tested and validation samples, nan elsewhere. Validation samples are scored by combinations fitted
        on the other four fifths of them, so that late fusion can be compared with models on validation rows.
    """
    y, present = study.y.numpy().astype(int), study.present.numpy()
    training, validation = study.training.numpy(), study.validation.numpy()

    def learn(f):
        evidence = np.zeros(present.shape)
        for m in range(present.shape[1]):
            x, rows = study.X[f, :, m].numpy(), training[f] & present[:, m]
            if len(np.unique(y[rows])) < 2:
                continue  # one class only: the modality gives no evidence
            model = LogisticRegression(C=0.1, max_iter=1000).fit(x[rows], y[rows])
            # relative to the modality's base rate, so that an absent modality counts as zero
            base = logit(y[rows].mean())
            evidence[:, m] = np.where(present[:, m], model.decision_function(x) - base, 0)
        return _combined(evidence, masks, y, validation[f], study.tested[f])

    return np.array(map_parallel(learn, range(len(training)), "late fusion"))


def _combined(evidence, masks, y, held, tested):
    """Probabilities from the evidence (n, M) that masks (P, M) keep; cross-fitted on validation rows."""
    known, of_known = evidence[held] * masks[:, None], y[held]
    out = np.full((len(masks), len(y)), np.nan)
    out[:, held] = of_known.mean()
    out[:, tested] = expit(log_odds(evidence[None, tested], fit_many(known, of_known)))
    minimum = np.bincount(of_known, minlength=2).min()
    if minimum > 1:
        folds = StratifiedKFold(min(5, minimum), shuffle=True, random_state=0)
        for rows, test in folds.split(of_known, of_known):
            at = np.flatnonzero(held)[test]
            out[:, at] = expit(log_odds(known[:, test], fit_many(known[:, rows], of_known[rows])))
    silent = np.flatnonzero(~(masks & evidence.any(axis=0)).any(axis=1))  # patterns without any evidence
    out[np.ix_(silent, held | tested)] = of_known.mean()
    return out
