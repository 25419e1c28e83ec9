"""What a describer learnt from reports: its loss on held-out patients, and the findings that its texts name."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from mmlib.measure.estimates import Estimate, estimate
from mmlib.measure.metrics import rates
from mmlib.text.describers import IMAGE_PROMPT
from mmlib.text.finetuning import report_losses
from mmlib.text.radiograph import read_image
from mmlib.text.vision import generate, load_describer, shrunk

BEFORE = "before"
AFTER = "after"
ANOTHER = "after, another's picture"


def held_out_losses(
    held: pd.DataFrame, base: str, tuned: str, patient_weights: np.ndarray, **asked
) -> Estimate:
    """Mean loss of a report's token: before training, after it, and after it beside another patient's picture.

    Parameters
    ----------
    held : pandas.DataFrame
        Pairs that no model was trained on, of `mmlib.text.finetuning.read_reports`.
    base, tuned : str
        Folders or hub ids of the model before and after.
    patient_weights : numpy.ndarray of shape (1 + B, n_pairs)
    **asked
        ``prompt``, ``device`` and ``precision`` of `mmlib.text.finetuning.report_losses`.

    Returns
    -------
    Estimate
        By ``scored``: `BEFORE`, `AFTER` and `ANOTHER`.
    """
    another = held.assign(image=np.roll(held["image"].to_numpy(), len(held) // 2))
    losses = {
        BEFORE: report_losses(held, base, **asked),
        AFTER: report_losses(held, tuned, **asked),
        ANOTHER: report_losses(another, tuned, **asked),
    }
    share = patient_weights / patient_weights.sum(axis=1, keepdims=True)
    return estimate(share @ np.stack(list(losses.values()), axis=1), {"scored": losses}, n=len(held), name="loss")


def describe_twice(
    held: pd.DataFrame, base: str, tuned: str, *, longest: int = 60, prompt: str = IMAGE_PROMPT, **asked
) -> dict[str, pd.Series]:
    """Texts of the held-out pictures, before and after training.

    Parameters
    ----------
    held, base, tuned, **asked
        As in `held_out_losses`.
    longest : int
        Tokens of a text.
    prompt : str

    Returns
    -------
    dict of str to pandas.Series
        `BEFORE` and `AFTER`, rows as in ``held``.
    """
    pictures = [shrunk(read_image(path)) for path in held["image"]]
    models = {BEFORE: base, AFTER: tuned}
    asked |= {"prompt": prompt, "max_new_tokens": longest}
    return {
        when: pd.Series(generate(pictures, load_describer(name, **asked)), held.index) for when, name in models.items()
    }


def count_findings(reports: pd.Series, texts: Mapping[str, pd.Series], findings: Sequence[str]) -> pd.DataFrame:
    """How many reports and texts name each finding: a row per word, the columns ``reports`` and whose texts."""
    return pd.DataFrame({whose: _named(told, findings).sum() for whose, told in {"reports": reports, **texts}.items()})


def finding_agreement(
    reports: pd.Series, texts: Mapping[str, pd.Series], findings: Sequence[str], patient_weights: np.ndarray
) -> dict[str, Estimate]:
    """Balanced accuracy of texts against the reports of the same pictures, for each finding.

    Parameters
    ----------
    reports : pandas.Series
    texts : mapping of str to pandas.Series
        Whose texts -> the texts.
    findings : sequence of str
        Words that are looked for.
    patient_weights : numpy.ndarray of shape (1 + B, n_pairs)

    Returns
    -------
    dict of str to Estimate
        Whose texts -> estimate by ``finding``; nan for a finding that all reports name, or none.
    """
    known, overall, found = _named(reports, findings), np.ones((1, len(reports)), bool), {}
    for whose, written in texts.items():
        named = _named(written, findings)
        values = [
            rates(known[word].astype(int), named[word].astype(float), patient_weights, overall)["balanced_accuracy"]
            for word in findings
        ]
        about = {"n": len(reports), "n_positive": known.sum().to_numpy(), "name": "balanced_accuracy"}
        found[whose] = estimate(np.concatenate(values, axis=1)[..., 0], {"finding": findings}, **about)
    return found


def _named(texts: pd.Series, findings: Sequence[str]) -> pd.DataFrame:
    """Which text names which finding: a bool frame with a column for each word."""
    return pd.DataFrame({word: texts.str.contains(word, case=False, regex=False) for word in findings})
