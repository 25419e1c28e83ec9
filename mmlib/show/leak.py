"""Figures and tables of what a leak does to the conclusions: the data read without it and with it."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from IPython.display import Markdown

from mmlib.measure.estimates import Estimate
from mmlib.questions.leak import (
    ARRIVAL,
    CLEAN,
    LEAKY,
    Answer,
    gains_after_all_others,
    gains_after_arrival,
    leaking_fields,
    least_gain,
)
from mmlib.show.cohort import audit_dots
from mmlib.show.style import decimals, listed, rows, words


def record_dots(found: pd.DataFrame, verdicts: pd.DataFrame) -> np.ndarray:
    """Draw what presence and values of the fields of arrival predict, those of the admission record included.

    Parameters
    ----------
    found, verdicts : pandas.DataFrame
        From `mmlib.questions.leak.audit_twice`.
    """
    parts = [table[(table.way == LEAKY) & table.field.str.startswith(f"{ARRIVAL}.")] for table in (found, verdicts)]
    counts = [f"{len(_arrival_leaks(verdicts, way))} {way}" for way in (CLEAN, LEAKY)]
    return audit_dots(*parts, title=f"Leaks among the fields of arrival: {', '.join(counts)}")


def leak_dots(answers: Mapping[str, Answer]) -> np.ndarray:
    """Draw what each modality adds and what its loss costs, both ways.

    Parameters
    ----------
    answers : mapping of str to mmlib.questions.leak.Answer
    """
    panels = {
        "AUROC gain after arrival": {way: gains_after_arrival(answer) for way, answer in answers.items()},
        "AUROC gain after all others": {way: gains_after_all_others(answer) for way, answer in answers.items()},
        "AUROC change when gone": {way: answer.gone for way, answer in answers.items()},
    }
    names = [words(m) for m in answers[CLEAN].modalities]
    costly = [f"{_costliest(answer)} {way}" for way, answer in answers.items()]
    return rows(names, panels, title=f"The largest loss: {', '.join(costly)}")


def leak_differences(quantities: Mapping[str, Mapping[str, Estimate]]):
    """Style quantities without and with the fields of the admission record, and their paired differences.

    Parameters
    ----------
    quantities : mapping of str to mapping of str to Estimate
        Way -> quantities of `mmlib.questions.leak.leak_quantities`.
    """
    table = [
        {"quantity": name}
        | {
            f"{way} [95 %]": _written(own[name], "" if name.endswith((": AUROC", ": F1")) else "+")
            for way, own in quantities.items()
        }
        | {"difference [95 %]": _written(quantities[LEAKY][name] - quantities[CLEAN][name], "+")}
        for name in quantities[CLEAN]
    ]
    return pd.DataFrame(table).style.hide(axis="index")


def leak_in_short(verdicts: pd.DataFrame, answers: Mapping[str, Answer]) -> Markdown:
    """The answer of the chapter in a few sentences.

    Parameters
    ----------
    verdicts : pandas.DataFrame
        From `mmlib.questions.leak.audit_twice`.
    answers : mapping of str to mmlib.questions.leak.Answer
    """
    clean, leaky = (_numbers(answers[way], _arrival_leaks(verdicts, way)) for way in (CLEAN, LEAKY))
    return Markdown(
        f"**In short.** Leaks among the fields of arrival: {clean['leaks']} {CLEAN}, {leaky['leaks']} {LEAKY} "
        f"({leaky['names']}). With them, the AUROC of arrival alone goes from {clean['alone']} to {leaky['alone']}, "
        f"from place {clean['place']} to place {leaky['place']} among {clean['modalities']} single modalities. "
        f"*RQ1:* the smallest gain in AUROC of all modalities over a single one is {clean['gain']} (over "
        f"{clean['against']}) without the leak and {leaky['gain']} (over {leaky['against']}) with it. "
        f"Of {clean['modalities'] - 1} modalities added to arrival, {clean['raised']} raise AUROC without it and "
        f"{leaky['raised']} with it (95 % interval above 0, one by one). *RQ2:* losing arrival changes AUROC by "
        f"{clean['lost']} without the leak and by {leaky['lost']} with it. The largest loss: {clean['costliest']} "
        f"without, {leaky['costliest']} with it."
    )


def _numbers(answer: Answer, leaks: pd.DataFrame) -> dict:
    """Numbers of the answer, one way."""
    auroc, modalities = answer.result.metric("auroc"), answer.modalities
    gained, alone = gains_after_arrival(answer), auroc.sel(subset=ARRIVAL)
    singles, gain = auroc.sel(subset=modalities).value, least_gain(answer)
    return {
        "leaks": len(leaks),
        "names": listed(leaks.label),
        "modalities": len(modalities),
        "alone": f"{alone:.3f}",
        "place": int((singles > float(alone)).sum()) + 1,
        "gain": f"{gain:+.3f}",
        "against": words(gain.value["versus"].item()),
        "raised": int((gained.sel(modality=[m for m in modalities if m != ARRIVAL]).clear() > 0).sum()),
        "lost": f"{answer.gone.sel(modality=ARRIVAL):+.3f}",
        "costliest": _costliest(answer),
    }


def _arrival_leaks(verdicts, way) -> pd.DataFrame:
    leaks = leaking_fields(verdicts, way)
    return leaks[leaks.modality == ARRIVAL]


def _costliest(answer) -> str:
    """The modality whose loss lowers AUROC most, or ``no clear loss`` if its 95 % interval does not lie below 0."""
    worst = answer.gone.value.idxmin().item()
    return words(worst) if answer.gone.sel(modality=worst).clear() < 0 else "no clear loss"


def _written(quantity: Estimate, sign: str) -> str:
    return f"{quantity:{sign}.{decimals(quantity.name)}f}"
