"""Figures and tables of chapter 7: training and deciding for missing modalities."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown

from mmlib.measure.estimates import Estimate
from mmlib.measure.evaluation import Evaluation
from mmlib.models.regimes import BASE, FAMILIES, LOST_IN_TRAINING, SPECIALISTS
from mmlib.questions.choose import pareto
from mmlib.questions.mitigation import BY_MECHANISM, COMPLETE, gain_over_base, rate_label, share_closed
from mmlib.show import style
from mmlib.show.style import COLOURS, GREY, band, estimate_cells

#: Said instead of a share where the specialists are not clearly ahead of the plain model.
NO_ROOM = "no clear lead"


def yardstick(auroc: Estimate, *, rate: float) -> plt.Axes:
    """Expected AUROC of the plain model and of the specialists against the drop rate at random.

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
    rates = [float(label) for label in labels]
    plain, specialist = (auroc.sel(regime=name, rate=labels) for name in (BASE, SPECIALISTS))
    _, ax = plt.subplots(figsize=(8, 4.2))
    band(ax, rates, specialist, COLOURS[2], "specialists: trained on what remains")
    band(ax, rates, plain, COLOURS[0], "plain model")
    low, middle = plain.value.values, specialist.value.values
    start = np.full(len(rates), low[0])
    ax.fill_between(rates, middle, start, color=GREY, alpha=0.12, lw=0)
    ax.fill_between(rates, low, middle, color=COLOURS[1], alpha=0.35, lw=0)
    k = max(len(rates) - 2, 0)
    for text, height in (("irreducible", (start[k] + middle[k]) / 2), ("recoverable", (low[k] + middle[k]) / 2)):
        ax.text(rates[k], height, text, ha="center", va="center", fontsize=10)
    ax.set(xlabel="probability that a modality is dropped", ylabel="expected AUROC (95 %)")
    ax.legend(frameon=False, fontsize=9, loc="lower left")
    complete = float(plain.sel(rate=COMPLETE))
    lost = [f"{complete - float(e.sel(rate=rate_label(rate))):.3f}" for e in (plain, specialist)]
    ax.set_title(f"At a drop rate of {rate:g} the plain model loses {lost[0]} AUROC, the specialists {lost[1]}")
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
    clear = "" if int(at_best.clear()) else ", no clear difference"
    ax.set_title(f"At a drop rate of {labels[-1]}, {best} gains most: {float(at_best):+.3f} AUROC{clear}")
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
    ax.set_title(f"Chosen on validation for a drop rate of {rate:g}: {chosen}")
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
    cases = _cases(rate)
    panels = {
        f"TPR, {differences.label}, {case}".replace(" (", "\n("): {case: differences.sel(rate=label)}
        for case, label in cases.items()
    }
    count, moved = moved_differences(differences, rate=rate)
    complete = float(differences.sel(regime=BASE, rate=COMPLETE))
    found = f"{moved} of {count} differences have changed (by chance alone {0.05 * count:.1f})"
    found = found if moved else "no clear change of a difference"
    title = f"Against the plain model ({complete:+.2f} on complete inputs): {found}"
    return style.rows(differences.labels("regime"), panels, title=title)


def moved_differences(differences: Estimate, *, rate: float) -> tuple[int, int]:
    """How many changes of a signed difference against the plain model there are, and whose interval excludes 0."""
    change = gain_over_base(differences).sel(rate=[rate_label(rate), BY_MECHANISM])
    return change.value.size, int(abs(change.clear()).sum())


def closed_table(auroc: Estimate, *, rate: float):
    """Gain over the plain model, and share of the way to the specialists, of every regime, as a table.

    Parameters
    ----------
    auroc : Estimate
        From `mmlib.questions.mitigation.regime_auroc`.
    rate : float
        Drop rate at random.

    Returns
    -------
    pandas.io.formats.style.Styler
    """
    names = [name for name in auroc.labels("regime") if name not in (BASE, SPECIALISTS)]
    gain, share = gain_over_base(auroc).sel(regime=names), share_closed(auroc).sel(regime=names)
    columns = {"AUROC, complete inputs, minus plain": (gain.sel(rate=COMPLETE), "+.3f")}
    for case, label in _cases(rate).items():
        columns[case] = (gain.sel(rate=label), "+.3f")
        columns[f"share closed {case}"] = (share.sel(rate=label), ".0%")
    return _table("regime", names, columns)


def family_table(auroc: Estimate, *, rate: float):
    """Expected AUROC by family of models, trained plainly and with varied dropout, as a table.

    Parameters
    ----------
    auroc : Estimate
        From `mmlib.questions.mitigation.regime_auroc`.
    rate : float
        Drop rate at random.

    Returns
    -------
    pandas.io.formats.style.Styler
    """
    of_family = auroc.sel(regime=list(FAMILIES.values()))
    cases = _cases(rate, "AUROC, complete inputs")
    columns = {case: (of_family.sel(rate=label), ".3f") for case, label in cases.items()}
    return _table("regime", list(FAMILIES), columns)


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
    change, share = auroc - auroc.sel(regime=BASE), share_closed(auroc)
    cost = (auroc.sel(regime=BASE) - auroc).sel(rate=COMPLETE)
    cases = _cases(rate, "nothing missing")
    rows = []
    for case, label in cases.items():
        best = chosen_for[label]
        found = {
            "AUROC minus plain": estimate_cells(change.sel(regime=best, rate=label), "+.3f"),
            "cost on complete inputs": estimate_cells(cost.sel(regime=best), "+.3f"),
            "share closed": estimate_cells(share.sel(regime=best, rate=label), ".0%", NO_ROOM),
        }
        rows.append({"expected": case, "chosen": best} | {f"{k} [95 %]": v for k, (v,) in found.items()})
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
    cases, columns = _cases(rate, "complete inputs"), {}
    for case, label in cases.items():
        result = decided[label]
        columns[f"selected, {case}"] = (result.metric("selection_rate"), ".2f")
        for name, difference in list(result.contrasts("tpr").items())[:1]:
            columns[f"TPR {name}, {case}"] = (difference, "+.2f")
    return _table("way to decide", decided[COMPLETE].labels, columns)


def mitigation_in_short(
    auroc: Estimate, chosen_for: pd.Series, differences: Estimate | None, *, rate: float, margin: float
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

    Returns
    -------
    IPython.display.Markdown
    """
    missing, plain = rate_label(rate), auroc.sel(regime=BASE)
    chosen, lost = chosen_for[missing], plain.sel(rate=COMPLETE) - plain.sel(rate=missing)
    change = auroc.sel(regime=chosen, rate=COMPLETE) - plain.sel(rate=COMPLETE)
    answer = (
        f"**In short.** When every modality is lost with probability {rate:g} at random, the plain model loses "
        f"{lost:.3f} AUROC. The regime chosen on validation patients, *{chosen}*, "
        f"{came_back(auroc, chosen_for, rate=rate)}. On complete inputs it changes AUROC by {change:+.3f}: "
        f"{_against(change, margin)}. {_others(chosen, chosen_for)}"
    )
    if differences is None:
        return Markdown(answer)
    count, moved = moved_differences(differences, rate=rate)
    return Markdown(
        f"{answer} Of {count} changes of the signed difference in true positive rate against the plain model, "
        f"{differences.label}, {moved} {'has' if moved == 1 else 'have'} a 95 % interval that excludes 0; by chance "
        f"alone, about {0.05 * count:.1f} would."
    )


def came_back(auroc: Estimate, chosen_for: pd.Series, *, rate: float) -> str:
    """What the regime chosen for drops at random gains, and which share of the way to the specialists, as a clause.

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
    gain = gain_over_base(auroc).sel(rate=missing)
    said = f"gains {gain.sel(regime=chosen):+.3f} AUROC at a drop rate of {rate:g}"
    if int(gain.sel(regime=SPECIALISTS).clear()) < 1:
        return f"{said}; the specialists are not clearly ahead of the plain model, so no share of their lead is given"
    return f"{said}, {share_closed(auroc).sel(regime=chosen, rate=missing):.0%} of the lead of the specialists"


def _against(change, margin):
    low, high = (float(end) for end in change.interval())
    if low > -margin:
        return f"no loss beyond the margin of {margin:g}"
    loss = f"a loss beyond the margin of {margin:g}"
    return loss if high < -margin else f"{loss} is not excluded"


def _others(chosen, chosen_for):
    by_mechanism, complete = chosen_for[BY_MECHANISM], chosen_for[COMPLETE]
    if by_mechanism == complete == chosen:
        return "The same regime is chosen where modalities go missing by the mechanism, and where nothing does."
    return (
        f"Validation patients choose *{by_mechanism}* where modalities go missing by the mechanism, and *{complete}* "
        "where nothing does."
    )


def _cases(rate, complete=""):
    """Label along ``rate`` of each way to lose modalities, by what readers call it."""
    cases = {complete: COMPLETE, f"at random, p = {rate:g}": rate_label(rate), "by mechanism": BY_MECHANISM}
    return {case: label for case, label in cases.items() if case}


def _at_random(auroc):
    return [label for label in auroc.labels("rate") if label != BY_MECHANISM]


def _table(name, labels, columns):
    table = pd.DataFrame({name: list(labels)})
    for title, (estimate, form) in columns.items():
        table[f"{title} [95 %]"] = estimate_cells(estimate, form, NO_ROOM if form.endswith("%") else "no interval")
    return table.style.hide(axis="index")
