"""Fit the model of ``rhythm`` to PTB-XL: ``python -m tests.benchmarks.train_rhythm --ptb-xl FOLDER``.

Folds 1 to 5 alone are read; the others are for the table of "Do the descriptors measure?". Printed are results of
cross-validation over these five folds.
"""

import argparse
import ast
import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from mmlib.text.delineation import delineate
from mmlib.text.rhythm import COEFFICIENTS, FEATURES, rhythm_features
from mmlib.text.signals import read_ecg

FOLDS = (1, 2, 3, 4, 5)


def read_features(folder: Path, folds) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features (n, 8), whether AFIB was stated, and the fold, of records in which three beats were found."""
    table = pd.read_csv(folder / "ptbxl_database.csv")
    table = table[table["strat_fold"].isin(folds)]
    X, y, fold = [], [], []
    for row in tqdm(table.itertuples(), total=len(table), disable=None):
        recording = read_ecg(folder / row.filename_lr)
        waves = delineate(recording.signal, recording.frequency)
        if len(waves.qrs) < 3:
            continue
        X.append(rhythm_features(waves))
        y.append("AFIB" in ast.literal_eval(row.scp_codes))
        fold.append(row.strat_fold)
    return np.array(X), np.array(y), np.array(fold)


def main():
    """Read, fit, choose the threshold by cross-validation, and write the coefficients."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ptb-xl", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    X, y, fold = read_features(options.ptb_xl, FOLDS)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1))
    scores = cross_val_predict(model, X, y, groups=fold, cv=LeaveOneGroupOut(), method="predict_proba")[:, 1]
    # the threshold with equal sensitivity and specificity
    candidates = np.unique(scores)
    balance = [abs((scores[y] > c).mean() - (scores[~y] <= c).mean()) for c in candidates]
    threshold = float(candidates[int(np.argmin(balance))])
    print(
        f"{len(y)} records, {y.sum()} with AFIB: AUROC {roc_auc_score(y, scores):.3f}, sensitivity "
        f"{(scores[y] > threshold).mean():.3f}, specificity {(scores[~y] <= threshold).mean():.3f}"
    )
    scaler, logistic = (step for _, step in model.fit(X, y).steps)
    coefficients = logistic.coef_[0] / scaler.scale_
    out = {
        "source": "PTB-XL, strat_fold 1 to 5, CC BY 4.0; fitted by tests/benchmarks/train_rhythm.py",
        "features": list(FEATURES),
        "coefficients": [float(f"{c:.5g}") for c in coefficients],
        "intercept": float(f"{logistic.intercept_[0] - coefficients @ scaler.mean_:.5g}"),
        "threshold": round(threshold, 4),
    }
    COEFFICIENTS.write_text(json.dumps(out, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
