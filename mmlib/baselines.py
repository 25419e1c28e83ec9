"""What a reader would otherwise use, on the same folds: gradient boosting on raw columns, late fusion."""

import numpy as np
import pandas as pd
from scipy.special import expit, logit
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from mmlib.powerset import Study

#: Tried on validation rows; the other settings are scikit-learn's.
BOOSTING_GRID = tuple(
    {"learning_rate": 0.05, "max_iter": i, "max_leaf_nodes": leaves, "min_samples_leaf": 40}
    for i in (100, 200)
    for leaves in (7, 15)
)


def boosting(fields: pd.DataFrame, study: Study, *, seed: int = 0) -> np.ndarray:
    """Score out of fold with gradient boosting on the raw columns, its size chosen on validation rows.

    Parameters
    ----------
    fields : pandas.DataFrame
        The artefact ``fields``: numbers and categories, missing values as they are; free text is left out.
    study : mmlib.powerset.Study
        Gives folds and validation rows. The chosen model is refitted on training and validation rows
        together.
    seed : int

    Returns
    -------
    numpy.ndarray of shape (n_samples,)
    """
    columns = fields.drop(columns="sample_id").select_dtypes(["number", "category"])
    y, scores = study.y.numpy().astype(int), np.empty(len(study.y))

    def learn(settings, rows):
        model = HistGradientBoostingClassifier(
            **settings, categorical_features="from_dtype", random_state=seed
        )
        return model.fit(columns[rows], y[rows])

    for f, (training, held) in enumerate(zip(study.training.numpy(), study.validation.numpy(), strict=True)):
        quality = [
            roc_auc_score(y[held], learn(s, training).predict_proba(columns[held])[:, 1])
            for s in BOOSTING_GRID
        ]
        test = study.fold == f
        model = learn(BOOSTING_GRID[int(np.argmax(quality))], training | held)
        scores[test] = model.predict_proba(columns[test])[:, 1]
    return scores


def late_fusion(study: Study, *, C: float = 0.1) -> np.ndarray:
    """Score out of fold with one logistic regression per modality, combined by a second one fitted on validation rows.

    A modality that a sample lacks contributes nothing to the combination.

    Parameters
    ----------
    study : mmlib.powerset.Study
    C : float
        Inverse strength of the penalty of the first models.

    Returns
    -------
    numpy.ndarray of shape (n_samples,)
    """
    everything = np.ones((1, len(study.modalities)), bool)
    return late_patterns(study, everything, C=C)[study.fold, 0, np.arange(len(study.y))]


def late_patterns(study: Study, masks: np.ndarray, *, C: float = 0.1) -> np.ndarray:
    """Fuse late under patterns of missing modalities: each has its own combination [Wolpert1992]_.

    It is fitted on validation rows with what the pattern keeps, and so falls back on that, calibrated.

    Parameters
    ----------
    study : mmlib.powerset.Study
    masks : array of bool, shape (P, M)
    C : float

    Returns
    -------
    numpy.ndarray of shape (n_folds, P, n_samples)
        For tested and validation samples, nan elsewhere. Validation samples are scored by combinations fitted
        on the other four fifths of them, so that late fusion can be compared with models on validation rows.
    """
    y, present = study.y.numpy().astype(int), study.present.numpy()
    scores = np.full((len(study.X), len(masks), len(y)), np.nan)
    for f, (training, held) in enumerate(zip(study.training.numpy(), study.validation.numpy(), strict=True)):
        evidence = np.zeros(present.shape)
        for m in range(present.shape[1]):
            x, rows = study.X[f, :, m].numpy(), training & present[:, m]
            if len(np.unique(y[rows])) < 2:
                continue  # nothing to learn: silence
            model = LogisticRegression(C=C, max_iter=1000).fit(x[rows], y[rows])
            # evidence against the modality's own base rate, so that silence means zero
            base = logit(y[rows].mean())
            evidence[:, m] = np.where(present[:, m], model.decision_function(x) - base, 0)
        for k, mask in enumerate(masks):
            scores[f, k] = _combined(evidence[:, mask], y, held, study.tested[f])
    return scores


def _combined(evidence, y, held, tested):
    """Combine by logistic regression on validation rows, cross-fitted for those; nan for other rows."""
    combination, out = LogisticRegression(max_iter=1000), np.full(len(y), np.nan)
    out[held | tested] = y[held].mean()
    fewest = np.bincount(y[held], minlength=2).min()
    if evidence.shape[1] and fewest > 1:
        folds = StratifiedKFold(min(5, fewest), shuffle=True, random_state=0)
        out[held] = expit(
            cross_val_predict(combination, evidence[held], y[held], cv=folds, method="decision_function")
        )
    if evidence.shape[1]:
        out[tested] = combination.fit(evidence[held], y[held]).predict_proba(evidence[tested])[:, 1]
    return out
