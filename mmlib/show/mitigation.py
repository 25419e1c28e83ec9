"""Figures and tables of chapter 7: training and deciding for missing modalities."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown

from mmlib.measure.estimates import Estimate
from mmlib.measure.evaluation import Evaluation
from mmlib.models.names import BASE, LOST_IN_TRAINING, SPECIALISTS, VARIED
from mmlib.questions.choose import pareto
from mmlib.questions.mitigation import (
    COMPLETE,
    absence_as_sign,
    auroc_lost,
    gain_over_base,
    mechanisms_among,
    rate_label,
)
from mmlib.show import style
from mmlib.show.style import COLOURS, GREY, band, estimate_cells


def loss_curves(auroc: Estimate, *, rate: float) -> plt.Axes:
    """Expected AUROC of plain model, varied dropout and specialists against the drop rate at random.

    Parameters
    ----------
    auroc : Estimate
        From `mmlib.questions.mitigation.regime_auroc`.
    rate : float
        The drop rate of the title.

    Returns
    -------
    matplotlib.axes.Axes
    """
    labels = _at_random(auroc)
    rates, names = [float(label) for label in labels], {BASE: BASE, VARIED: VARIED, SPECIALISTS: SPECIALISTS}
    names[SPECIALISTS] = "specialists: trained on exactly what remains"
    _, ax = plt.subplots(figsize=(8, 4.2))
    for i, (regime, name) in enumerate(names.items()):
        band(ax, rates, auroc.sel(regime=regime, rate=labels), COLOURS[i], name)
    ax.set(xlabel="probability that a modality is dropped", ylabel="expected AUROC (95 %)")
    ax.legend(frameon=False, fontsize=9, loc="lower left")
    lost = auroc_lost(auroc).sel(rate=rate_label(rate))
    told = ", ".join(f"{float(lost.sel(regime=name)):.3f} ({name})" for name in names)
    ax.set_title(f"AUROC lost at p = {rate:g}: {told}")
    return ax


def gain_curves(auroc: Estimate, names: Sequence[str]) -> plt.Axes:
    """Gain of some regimes over the plain model against the drop rate at random.

    Parameters
    ----------
    auroc : Estimate
        From `mmlib.questions.mitigation.regime_auroc`.
    names : sequence of str
        Regimes.

    Returns
    -------
    matplotlib.axes.Axes
    """
    labels = _at_random(auroc)
    gain = gain_over_base(auroc).sel(regime=list(names), rate=labels)
    _, ax = plt.subplots(figsize=(8, 4.2))
    for i, name in enumerate(names):
        band(ax, [float(label) for label in labels], gain.sel(regime=name), COLOURS[i], name)
    ax.axhline(0, color=GREY, lw=1)
    ax.set(xlabel="probability that a modality is dropped", ylabel="AUROC, regime minus plain (95 %)")
    ax.legend(frameon=False, fontsize=9, loc="upper left")
    last = gain.sel(rate=labels[-1])
    best = names[int(last.value.values.argmax())]
    at_best = last.sel(regime=best)
    found = f"{best} gains most: {float(at_best):+.3f} AUROC"
    as_good = [name for name in names if name != best and not int((last.sel(regime=name) - at_best).clear())]
    if as_good:
        found = f"{best} gains {float(at_best):+.3f} AUROC, not clearly more than {style.listed(as_good)}"
    if int(at_best.clear()) < 1:
        found = "no clear gain in AUROC"
    ax.set_title(f"At a drop rate of {labels[-1]}, {found}")
    return ax


def regime_front(auroc: Estimate, chosen: str, *, rate: float, margin: float) -> plt.Axes:
    """Gain of every regime over the plain model on complete inputs, and with modalities missing at random.

    Parameters
    ----------
    auroc : Estimate
        From `mmlib.questions.mitigation.regime_auroc`; specialists and the mechanism in training are left out.
    chosen : str
        The regime chosen on validation patients.
    rate : float
        Drop rate.
    margin : float
        Largest loss on complete inputs that was accepted.

    Returns
    -------
    matplotlib.axes.Axes
    """
    names = [name for name in auroc.labels("regime") if name not in (SPECIALISTS, LOST_IN_TRAINING)]
    change = auroc.sel(regime=names) - auroc.sel(regime=BASE)
    cost, gain = change.sel(rate=COMPLETE), change.sel(rate=rate_label(rate))
    at, ends = (cost.value.values, gain.value.values), [e.interval() for e in (cost, gain)]
    best = pareto(at[1], -at[0])
    colours = [COLOURS[3] if name == chosen else COLOURS[0] if b else GREY for name, b in zip(names, best, strict=True)]
    _, ax = plt.subplots(figsize=(8.5, 5.2))
    for k, colour in enumerate(colours):
        errors = [[[v[k] - float(low[k])], [float(high[k]) - v[k]]] for v, (low, high) in zip(at, ends, strict=True)]
        errors = np.maximum(errors, 0)  # a percentile interval may leave out the estimate
        settings = {"fmt": "o", "ms": 5, "lw": 0.8, "color": colour}
        ax.errorbar(at[0][k], at[1][k], xerr=errors[0], yerr=errors[1], **settings)
    # names stand in the right margin, in the order of their points and never on top of each other
    right, room = ax.get_xlim()[1], np.linspace(*ax.get_ylim(), len(names) + 2)[1:-1]
    for k, y in zip(np.argsort(at[1]), room, strict=True):
        arrow = {"arrowstyle": "-", "color": colours[k], "lw": 0.4, "alpha": 0.6}
        settings = {"va": "center", "fontsize": 8, "color": colours[k], "annotation_clip": False, "arrowprops": arrow}
        ax.annotate(names[k], (at[0][k], at[1][k]), xytext=(right, y), **settings)
    ax.set_xlim(right=right)
    ax.axvline(-margin, color=GREY, ls="--", lw=1)
    ax.axvline(0, color=GREY, lw=0.5)
    ax.set(
        xlabel="AUROC on complete inputs, minus plain (95 %)",
        ylabel="AUROC with modalities missing, minus plain (95 %)",
    )
    there = gain.sel(regime=chosen)
    clear = "" if chosen == BASE or int(there.clear()) else ", no clear difference"
    ax.set_title(f"Chosen on validation for a drop rate of {rate:g}: {chosen} ({float(there):+.3f} AUROC{clear})")
    return ax


def difference_rows(differences: Estimate | None, *, rate: float) -> np.ndarray:
    """Signed difference in true positive rate by regime, at random and by the mechanism.

    Parameters
    ----------
    differences : Estimate or None
        From `mmlib.questions.mitigation.regime_differences`.
    rate : float
        Drop rate at random.

    Returns
    -------
    numpy.ndarray of matplotlib.axes.Axes
    """
    if differences is None:
        text, title = "This run shows no group against a reference group.", "Signed differences by regime"
        return np.array([style.nothing(text, title)])
    cases = _cases(differences, rate)
    name = f"TPR, {differences.label}".replace(" (", "\n(")
    panels = {
        f"{name}\n{case}": {case: differences.sel(rate=where)}
        for case, where in cases.items()
    }
    count, moved = moved_differences(differences, rate=rate)
    complete = float(differences.sel(regime=BASE, rate=COMPLETE))
    found = f"{moved} of {count} differences change (by chance alone {0.05 * count:.1f})"
    found = found if moved else "no clear change of a difference"
    title = f"Against the plain model ({complete:+.2f} on complete inputs): {found}"
    return style.rows(differences.labels("regime"), panels, title=title)


def moved_differences(differences: Estimate, *, rate: float) -> tuple[int, int]:
    """How many changes of a signed difference against the plain model there are, and whose interval excludes 0."""
    change = gain_over_base(differences).sel(rate=list(_cases(differences, rate).values()))
    return change.value.size, int(abs(change.clear()).sum())


def loss_table(auroc: Estimate, *, rate: float):
    """Expected AUROC of every regime on complete inputs and with modalities missing at random, and the loss.

    Parameters
    ----------
    auroc : Estimate
        From `mmlib.questions.mitigation.regime_auroc`.
    rate : float
        Drop rate at random.

    Returns
    -------
    pandas.io.formats.style.Styler
        Specialists are one row among the others.
    """
    columns = {
        "AUROC, complete inputs": (auroc.sel(rate=COMPLETE), ".3f"),
        f"AUROC, drop rate {rate:g}": (auroc.sel(rate=rate_label(rate)), ".3f"),
        "AUROC lost": (auroc_lost(auroc).sel(rate=rate_label(rate)), ".3f"),
    }
    return _table("regime", auroc.labels("regime"), columns)


def gain_table(auroc: Estimate, *, rate: float):
    """AUROC of every regime minus that of the plain model: at random, and by the mechanism and its mirror, as a table.

    Parameters
    ----------
    auroc : Estimate
        From `mmlib.questions.mitigation.regime_auroc`.
    rate : float
        Drop rate at random.

    Returns
    -------
    pandas.io.formats.style.Styler
        Where the mechanism has a mirror, it says which regimes read absence as a sign.
    """
    gain, named = gain_over_base(auroc), mechanisms_among(auroc.labels("rate"))
    cases = _cases(auroc, rate, "complete inputs").items()
    cases = sorted(cases, key=lambda case: case[1] not in named)  # mechanisms first
    columns = {f"gain, {case}": (gain.sel(rate=label), "+.3f") for case, label in cases}
    table = _table("regime", gain.labels("regime"), columns).data
    if len(named) > 1:
        readers = absence_as_sign(auroc)
        told = ["yes" if name in readers else "" for name in table.regime]
        table.insert(1 + len(named), "reads absence as a sign", told)
    return table.style.hide(axis="index")


def chosen_table(auroc: Estimate, chosen_for: pd.Series, *, rate: float):
    """What was chosen on validation patients for each expectation, and its results on the tested ones, as a table.

    Parameters
    ----------
    auroc : Estimate
        From `mmlib.questions.mitigation.regime_auroc`.
    chosen_for : pandas.Series
        From `mmlib.questions.mitigation.choose_regime`.
    rate : float
        Drop rate at random.

    Returns
    -------
    pandas.io.formats.style.Styler
    """
    change, rows = auroc - auroc.sel(regime=BASE), []
    for case, label in _cases(auroc, rate, "nothing missing").items():
        best = chosen_for[label]
        found = {"AUROC minus plain, as expected": label, "on complete inputs": COMPLETE}
        found |= {name: name for name in mechanisms_among(auroc.labels("rate"))}
        cells = {f"{k} [95 %]": estimate_cells(change.sel(regime=best, rate=v), "+.3f")[0] for k, v in found.items()}
        rows.append({"expected": case, "chosen": best} | cells)
    return pd.DataFrame(rows).style.hide(axis="index")


def decision_table(decided: Mapping[str, Evaluation], *, rate: float):
    """Selection rate and signed difference in true positive rate of several ways to decide, as a table.

    Parameters
    ----------
    decided : mapping of str to Evaluation
        From `mmlib.questions.mitigation.decide`.
    rate : float
        Drop rate at random.

    Returns
    -------
    pandas.io.formats.style.Styler
    """
    columns = {}
    for case, label in _cases(list(decided), rate, "complete inputs").items():
        result = decided[label]
        columns[f"selected, {case}"] = (result.metric("selection_rate"), ".2f")
        for name, difference in list(result.contrasts("tpr").items())[:1]:
            columns[f"TPR {name}, {case}"] = (difference, "+.2f")
    return _table("way to decide", decided[COMPLETE].labels, columns)


def mitigation_in_short(
    auroc: Estimate,
    chosen_for: pd.Series,
    differences: Estimate | None,
    *,
    rate: float,
    margin: float,
    units: str = "patients",
) -> Markdown:
    """Answer of chapter 7 in a few sentences.

    Parameters
    ----------
    auroc, chosen_for, differences
        From `mmlib.questions.mitigation`: `regime_auroc`, `choose_regime`, `regime_differences`.
    rate : float
        Drop rate at random.
    margin : float
        Largest loss of AUROC on complete inputs that would be accepted.
    units : str
        What was resampled, in the plural.

    Returns
    -------
    IPython.display.Markdown
    """
    plain, lost = auroc.sel(regime=BASE), auroc_lost(auroc).sel(regime=BASE, rate=rate_label(rate))
    chosen = chosen_for[rate_label(rate)]
    change = auroc.sel(regime=chosen, rate=COMPLETE) - plain.sel(rate=COMPLETE)
    varied = gain_over_base(auroc).sel(regime=VARIED, rate=rate_label(rate))
    parts = [
        f"**In short.** When every modality is lost with probability {rate:g} at random, the plain model loses "
        f"{lost:.3f} AUROC. Dropout at varied rates in training {_gains(varied)} there (intervals over "
        f"{units}; each regime was trained once)."
    ]
    if chosen == VARIED:
        parts.append(f"It is the regime chosen on validation {units}.")
    else:
        by = chosen_gain(auroc, chosen_for, rate=rate)
        parts.append(f"The regime chosen on validation {units}, *{chosen}*, {by}.")
    if chosen != BASE:
        parts.append(f"On complete inputs it changes AUROC by {change:+.3f}: {_against(change, margin)}.")
    parts += [_both_ways(auroc, chosen), _chosen_for(auroc, chosen_for)]
    if differences is not None:
        count, moved = moved_differences(differences, rate=rate)
        parts.append(
            f"Of {count} changes of the signed difference in true positive rate against the plain model, "
            f"{differences.label}, {moved} {'has' if moved == 1 else 'have'} a 95 % interval that excludes 0; by "
            f"chance alone, about {0.05 * count:.1f} would."
        )
    return Markdown(" ".join(filter(None, parts)))


def chosen_gain(auroc: Estimate, chosen_for: pd.Series, *, rate: float) -> str:
    """What the regime chosen for drops at random gains on the plain model, as a clause.

    Parameters
    ----------
    auroc, chosen_for, rate
        As in `mitigation_in_short`.

    Returns
    -------
    str
    """
    missing = rate_label(rate)
    chosen = chosen_for[missing]
    if chosen == BASE:
        return "is the plain model itself"
    return f"{_gains(gain_over_base(auroc).sel(regime=chosen, rate=missing))} over the plain model at that rate"


def _gains(gain):
    """A gain or loss with its interval, as a clause."""
    found = int(gain.clear())
    if not found:
        return f"changes AUROC by {gain:+.3f}, which is no clear difference,"
    return f"gains {gain:+.3f} AUROC" if found > 0 else f"loses {-gain:.3f} AUROC"


def _both_ways(auroc, chosen):
    """What the chosen regime does under the mechanism and its mirror, and which regimes read absence as a sign."""
    pair, readers = mechanisms_among(auroc.labels("rate")), absence_as_sign(auroc)
    if len(pair) < 2:
        return ""
    change = auroc.sel(regime=chosen) - auroc.sel(regime=BASE)
    told = " and ".join(f"{change.sel(rate=name):+.3f} ({name})" for name in pair)
    said = [] if chosen == BASE else [f"Under the mechanism and its mirror, it changes AUROC by {told}."]
    if readers:
        verb = "gains under one of these two mechanisms and loses under the other: it has"
        if len(readers) > 1:
            verb = "gain under one of these two mechanisms and lose under the other: they have"
        names = "; ".join(f"*{name}*" for name in readers)
        pronoun = "it is" if len(readers) == 1 else "they are"
        said.append(f"{names} {verb} read absence as a sign of the outcome, and {pronoun} not recommended.")
    return " ".join(said)


def _against(change, margin):
    low, high = (float(end) for end in change.interval())
    if low > 0:
        return "higher"
    if low > -margin:
        return f"no loss beyond the margin of {margin:g}"
    loss = f"a loss beyond the margin of {margin:g}"
    return loss if high < -margin else f"{loss} is not excluded"


def _chosen_for(auroc, chosen_for):
    """The choices where a mechanism or no loss is expected."""
    names = {name: name for name in mechanisms_among(auroc.labels("rate"))} | {"nothing missing": COMPLETE}
    told = ", ".join(f"*{chosen_for[label]}* ({name})" for name, label in names.items())
    if chosen_for.nunique() == 1:
        return "The same regime is chosen whatever is expected."
    return f"Where something else is expected, validation chooses {told}."


def _cases(labels, rate, complete=""):
    """Label along ``rate`` of each way to lose modalities, by what readers call it."""
    labels = labels.labels("rate") if isinstance(labels, Estimate) else labels
    cases = {complete: COMPLETE, f"at random, p = {rate:g}": rate_label(rate)}
    cases |= {name: name for name in mechanisms_among(labels)}
    return {case: label for case, label in cases.items() if case}


def _at_random(auroc):
    labels = auroc.labels("rate")
    return [label for label in labels if label not in mechanisms_among(labels)]


def _table(name, labels, columns):
    table = pd.DataFrame({name: list(labels)})
    for title, (estimate, form) in columns.items():
        table[f"{title} [95 %]"] = estimate_cells(estimate, form)
    return table.style.hide(axis="index")
