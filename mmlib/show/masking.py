"""Figures and tables of chapter 4: what missing modalities do."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown

from mmlib.core.schema import PLAIN
from mmlib.measure.estimates import Estimate
from mmlib.measure.evaluation import Evaluation
from mmlib.models.names import DROPOUT
from mmlib.questions.drops import both_readings
from mmlib.show import style
from mmlib.show.style import COLOURS, GREY, METRIC_NAMES, OVERALL, band, estimate_cells, words


def drop_curve(auroc: Estimate, run_sd: pd.DataFrame) -> plt.Axes:
    """Expected AUROC against the drop rate: interval (a) of the expectation, and (b) of one masked run.

    Parameters
    ----------
    auroc : Estimate with the dimension ``rate``
    run_sd : pandas.DataFrame
        Standard deviation over masked runs by rate, from `mmlib.questions.drops.one_run`.

    Returns
    -------
    matplotlib.axes.Axes
    """
    rates, half = auroc.labels("rate"), near_half(auroc)
    _, ax = plt.subplots(figsize=(8, 4.2))
    band(ax, rates, auroc, OVERALL, "exact expectation, interval (a)")
    spread = 1.96 * run_sd.one_run[rates].to_numpy()
    settings = {"fmt": "none", "capsize": 4, "color": COLOURS[3], "label": "(b) one masked run"}
    ax.errorbar(rates, auroc.value, yerr=spread, **settings)
    ax.set(xlabel="probability that a modality is dropped", ylabel="AUROC")
    ax.legend(frameon=False, fontsize=9)
    complete, left = (float(auroc.sel(rate=rate)) for rate in (0.0, half))
    ax.set_title(f"At a drop rate of {half:g}, expected AUROC is {left:.3f} instead of {complete:.3f}")
    return ax


def near_half(auroc: Estimate) -> float:
    """Drop rate nearest to one half among those evaluated."""
    return min(auroc.labels("rate"), key=lambda rate: abs(rate - 0.5))


def difference_curves(result: Evaluation, metrics: Sequence[str] = ("tpr", "selection_rate")) -> np.ndarray:
    """Expected signed differences against the drop rate, a panel for each metric.

    Parameters
    ----------
    result : Evaluation with the key ``rate``
    metrics : sequence of str

    Returns
    -------
    numpy.ndarray of matplotlib.axes.Axes
    """
    panels = {metric: result.contrasts(metric) for metric in metrics}
    curves = [curve for panel in panels.values() for curve in panel.values()]
    if not curves:
        return np.array([style.nothing(style.NO_CONTRAST, "Signed differences as modalities go missing")])
    figure, axes = plt.subplots(1, len(panels), figsize=(9, 4), sharey=True)
    for ax, (metric, panel) in zip(np.atleast_1d(axes), panels.items(), strict=True):
        for i, (name, curve) in enumerate(panel.items()):
            band(ax, curve.labels("rate"), curve, COLOURS[i], name)
        ax.axhline(0, color=GREY, lw=1)
        ax.set(xlabel="drop probability", ylabel=f"difference in {METRIC_NAMES[metric]}")
    np.atleast_1d(axes)[0].legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(0, -0.2))
    half = near_half(curves[0])
    changed = sum(abs(int((c.sel(rate=half) - c.sel(rate=0.0)).clear())) for c in curves)
    found = "no clear change of a difference"
    if changed:
        found = f"{changed} of {len(curves)} differences change (95 % interval excludes 0)"
    figure.suptitle(f"At a drop rate of {half:g}: {found}", x=0.01, ha="left", fontweight="bold", fontsize=12)
    return np.atleast_1d(axes)


def simulated_runs(runs: pd.DataFrame, exact: pd.DataFrame, *, attribute: str) -> np.ndarray:
    """Simulated masked runs over the exact expectation, AUROC and max-min gap.

    Parameters
    ----------
    runs, exact : pandas.DataFrame
        From `mmlib.questions.drops.simulate_runs` and `expected_runs`.
    attribute : str
        Whose groups the gap is over.

    Returns
    -------
    numpy.ndarray of matplotlib.axes.Axes
        Without the gap where fewer than two groups have 30 positives.
    """
    labels = {"auroc": "AUROC", "gap": f"max-min gap in TPR by {words(attribute)}"}
    labels = {column: label for column, label in labels.items() if runs[column].notna().any()}
    figure, axes = plt.subplots(1, len(labels), squeeze=False, figsize=(4.5 * len(labels), 4))
    (axes,), highest, told = axes, runs.rate.max(), []
    for ax, (column, label) in zip(axes, labels.items(), strict=True):
        ax.set(xlabel="drop probability", ylabel=label)
        jitter = np.random.default_rng(0).uniform(-0.012, 0.012, len(runs))
        dots = {"s": 5, "alpha": 0.35, "color": COLOURS[0], "lw": 0, "label": "one simulated run"}
        ax.scatter(runs.rate + jitter, runs[column], **dots)
        ax.plot(exact.rate, exact[column], color=COLOURS[3], label="exact")
        mean = runs.groupby("rate")[column].mean()
        ax.plot(mean.index, mean, "D", ms=6, color="black", label="mean of the runs")
        form, name = (".3f", "AUROC") if column == "auroc" else (".2f", "gap")
        told.append(f"{name} {mean[highest]:{form}} (exact {np.interp(highest, exact.rate, exact[column]):{form}})")
    axes[0].legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(0, -0.2))
    title = f"Mean of the runs at a drop rate of {highest:g}: {', '.join(told)}"
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return axes


def masking_regimes(loss: Mapping[str, Evaluation]) -> np.ndarray:
    """Expected AUROC of all regimes against the drop rate, and the paired difference of modality dropout.

    Parameters
    ----------
    loss : mapping of str to Evaluation
        From `mmlib.questions.drops.evaluate_drops`.

    Returns
    -------
    numpy.ndarray of matplotlib.axes.Axes
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4))
    for i, (name, result) in enumerate(loss.items()):
        auroc, line = result.metric("auroc"), "-" if name.startswith("plain") else "--"
        left.plot(auroc.labels("rate"), auroc.value, marker="o", ms=3, color=COLOURS[i], ls=line, label=name)
    left.set(xlabel="drop probability", ylabel="expected AUROC")
    left.legend(frameon=False, fontsize=9)
    gain = loss[DROPOUT].metric("auroc") - loss[PLAIN].metric("auroc")
    band(right, gain.labels("rate"), gain, COLOURS[3], "difference")
    right.axhline(0, color=GREY, lw=1)
    right.set(xlabel="drop probability", ylabel="AUROC, dropout minus plain (95 %)")
    half = near_half(gain)
    changes = [gain.sel(rate=rate) for rate in (0.0, half)]
    told = [f"{float(e):+.3f}{'' if int(e.clear()) else ' (no clear difference)'}" for e in changes]
    title = f"Modality dropout: AUROC {told[0]} on complete inputs,\n{told[1]} at a drop rate of {half:g}"
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return np.array([left, right])


def each_modality(changes: Evaluation) -> np.ndarray:
    """Change when one modality is taken from all samples: AUROC, and signed differences in TPR.

    Parameters
    ----------
    changes : Evaluation
        From `mmlib.questions.drops.drop_each`.

    Returns
    -------
    numpy.ndarray of matplotlib.axes.Axes
    """
    auroc = changes.metric("auroc")
    panels = {"AUROC": auroc} | {f"TPR, {name}": e for name, e in changes.contrasts("tpr").items()}
    worst = auroc.sel(modality=changes.labels[int(auroc.value.values.argmin())])
    name = words(str(worst.value["modality"].item()))
    others = [m for m in changes.labels if m != worst.value["modality"].item()]
    as_bad = [m for m in others if not int((auroc.sel(modality=m) - worst).clear())]
    title = f"Losing {name} changes AUROC most: {float(worst):+.3f}"
    if as_bad:
        title = f"Losing {name} changes AUROC by {float(worst):+.3f}, not clearly more than {style.listed(as_bad)}"
    if int(worst.clear()) >= 0:
        title = "Losing one modality: no clear loss of AUROC"
    return style.by_modality(panels, changes.labels, title=title, quantity="change")


def mechanism_rows(changes: Mapping[str, Mapping[str, Estimate]], *, rate: float) -> np.ndarray:
    """Change against complete inputs, a row for each mechanism and a panel for each metric.

    Parameters
    ----------
    changes : mapping of metric to mapping of str to Estimate
        From `mmlib.questions.drops.mechanism_changes`.
    rate : float
        The mean drop rate.

    Returns
    -------
    numpy.ndarray of matplotlib.axes.Axes
    """
    lost = changes["auroc"]["overall"]
    panels = {f"change in {METRIC_NAMES[metric]}": panel for metric, panel in changes.items()}
    least, most = float(lost.value.max()), float(lost.value.min())
    title = f"At one mean rate of {rate:g}, AUROC changes by {most:+.3f} to {least:+.3f}, depending on the mechanism"
    return style.rows(lost.labels("mechanism"), panels, title=title)


def visibility_table(visible: pd.DataFrame, *, units: str = "patients"):
    """Expected change in AUROC at some drop rates beside the noise it would have to stand out from, as a table.

    Parameters
    ----------
    visible : pandas.DataFrame
        From `mmlib.questions.drops.visibility`.
    units : str
        What has several samples, in the plural, if something has.

    Returns
    -------
    pandas.io.formats.style.Styler
    """
    change = [style.interval(r.estimate, r.low, r.high, "+.4f") for r in visible.itertuples()]
    columns = {
        "drop rate": [f"{rate:g}" for rate in visible.rate],
        "samples touched": [f"{share:.1%}" for share in visible.touched],
        "expected change (a) [95 %]": change,
        "one run, SD (b)": _spreads(visible.one_run),
    }
    if "one_run_unit" in visible:
        columns[f"(b) if all samples of {units} lose it together"] = _spreads(visible.one_run_unit)
    columns |= {
        "retraining, SD (c)": _spreads(visible.retrain),
        "sampling SE of AUROC": _spreads(visible.sampling),
        "loss beyond the margin": [f"{r.beyond} ({r.margin:.4g})" for r in visible.itertuples()],
    }
    return pd.DataFrame(columns).style.hide(axis="index")


def slope_table(slopes: Evaluation):
    """Slopes at a drop rate of zero by modality, and their sum, as a table: AUROC and signed differences in TPR.

    Parameters
    ----------
    slopes : Evaluation
        From `mmlib.questions.drops.slope_at_zero`.

    Returns
    -------
    pandas.io.formats.style.Styler
    """
    size = len(slopes.labels)
    with_sum, named = np.vstack([np.eye(size), np.ones(size)]), [*map(words, slopes.labels), "sum"]
    quantities = {"change of AUROC": slopes.metric("auroc")}
    quantities |= {f"change of TPR {name}": e for name, e in slopes.contrasts("tpr").items()}
    columns = {"dropped": named}
    for name, estimate in quantities.items():
        with_last = estimate.map(with_sum, "modality", "dropped", named)
        columns[f"{name} [95 %]"] = estimate_cells(with_last, _form(estimate))
    return pd.DataFrame(columns).style.hide(axis="index")


def dropout_table(plain: Evaluation, dropout: Evaluation):
    """Modality dropout minus plain training at some drop rates, as a table: AUROC and signed differences in TPR.

    Parameters
    ----------
    plain, dropout : Evaluation
        Of two regimes, from `mmlib.questions.drops.evaluate_drops`.

    Returns
    -------
    pandas.io.formats.style.Styler
    """
    kept = [rate for rate in plain.labels if rate in (0.0, 0.1, 0.2, 0.5)]
    gains = {"change of AUROC": dropout.metric("auroc") - plain.metric("auroc")}
    before, after = plain.contrasts("tpr"), dropout.contrasts("tpr")
    gains |= {f"change of TPR {name}": after[name] - before[name] for name in before}
    columns = {"drop rate": [f"{rate:g}" for rate in kept]}
    for name, gain in gains.items():
        cells = estimate_cells(gain.sel(rate=kept), _form(gain))
        if set(cells) != {"no interval"}:
            columns[f"{name} [95 %]"] = cells
    return pd.DataFrame(columns).style.hide(axis="index")


def step_table(steps: Mapping[str, Mapping[str, Estimate]]):
    """Rate, structure and interaction of several quantities by mechanism, where there are intervals, as a table.

    Parameters
    ----------
    steps : mapping of metric to mapping of part to Estimate
        From `mmlib.questions.drops.mechanism_steps`.

    Returns
    -------
    pandas.io.formats.style.Styler
    """
    tables, undefined = [], "no interval"
    for metric, parts in steps.items():
        name = METRIC_NAMES[metric] if metric == "auroc" else f"difference in {METRIC_NAMES[metric]}"
        columns = {"mechanism": parts["rate"].labels("mechanism"), "quantity": name}
        cells = {f"{part} [95 %]": estimate_cells(e, _form(e), undefined) for part, e in parts.items()}
        table = pd.DataFrame(columns | cells)
        tables.append(table[(table[list(cells)] != undefined).any(axis=1)])
    return pd.concat(tables, ignore_index=True).style.hide(axis="index")


def masking_in_short(visible: pd.DataFrame, plain: Evaluation, dropout: Evaluation) -> Markdown:
    """Answer of chapter 4 in a few sentences.

    Parameters
    ----------
    visible : pandas.DataFrame
        From `mmlib.questions.drops.visibility`.
    plain, dropout : Evaluation
        Of two regimes, from `mmlib.questions.drops.evaluate_drops`.

    Returns
    -------
    IPython.display.Markdown
    """
    small, large = both_readings(visible)
    run, touched = 1.96 * small.one_run, f"which touches {small.touched:.1%} of the samples"
    seen = "more" if abs(small.estimate) > run else "less"
    lost = style.interval(large.estimate, large.low, large.high, "+.3f")
    gain = dropout.metric("auroc") - plain.metric("auroc")
    complete, lacking = gain.sel(rate=0.0), gain.sel(rate=large.rate)
    return Markdown(
        f"**In short.** At a drop rate of {large.rate:g}, expected AUROC changes by {lost}, {_size(large)}. At a drop "
        f"rate of {small.rate:g}, {touched}, it changes by {small.estimate:+.4f}: {_size(small)}, and {seen} "
        f"than one masked run varies by chance (±{run:.4f}, 95 %). Training with modality dropout changes AUROC by "
        f"{complete:+.3f} on complete inputs ({_verdict(complete)}) and by {lacking:+.3f} at a drop rate of "
        f"{large.rate:g} ({_verdict(lacking)})."
    )


def _size(change):
    """Size of a loss against the margin: any drop lowers expected AUROC, so that its sign is no finding."""
    words = {
        "yes": "a loss beyond the margin of",
        "no": "no loss beyond the margin of",
        "open": "a loss that may or may not exceed the margin of",
    }
    return f"{words[change.beyond]} {change.margin:g}"


def _spreads(values):
    """Standard deviations as cells: four decimals, since those at small rates are small."""
    return ["one seed" if np.isnan(v) else f"{v:.4f}" if v >= 0.00005 else "< 0.0001" for v in values]


def _form(estimate):
    """Format of a change: three decimals for AUROC, two for rates."""
    return "+.3f" if estimate.name == "auroc" else "+.2f"


def _verdict(estimate):
    """What the interval of a difference says, in the words of the field."""
    return {1: "higher", -1: "lower"}.get(int(estimate.clear()), "no clear difference")
