"""What a reader would otherwise use, on the same folds: gradient boosting on raw columns, late fusion."""

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

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
    y, present = study.y.numpy().astype(int), study.present.numpy()
    scores = np.empty(len(y))
    for f, (training, held) in enumerate(zip(study.training.numpy(), study.validation.numpy(), strict=True)):
        evidence = np.zeros(present.shape)
        for m in range(present.shape[1]):
            x, rows = study.X[f, :, m].numpy(), training & present[:, m]
            model = LogisticRegression(C=C, max_iter=1000).fit(x[rows], y[rows])
            # evidence against the modality's own base rate, so that silence means zero
            base = np.log(y[rows].mean() / (1 - y[rows].mean()))
            evidence[:, m] = np.where(present[:, m], model.decision_function(x) - base, 0)
        test = study.fold == f
        scores[test] = (
            LogisticRegression(max_iter=1000).fit(evidence[held], y[held]).predict_proba(evidence[test])[:, 1]
        )
    return scores
