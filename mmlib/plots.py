"""Every figure and table of the book: tidy frames in, axes or styled tables out; nothing is shown or saved here.

One message each, and the message is the title. Intervals are drawn, sizes are written, colours are safe for colour-blind readers,
and backgrounds are opaque so that dark pages do not swallow the ink.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns

sns.set_theme(
    context="notebook",
    style="whitegrid",
    palette="colorblind",
    rc={"figure.facecolor": "white", "axes.titlelocation": "left", "axes.titleweight": "bold", "axes.titlesize": 12,
        "savefig.facecolor": "white", "figure.dpi": 110, "savefig.bbox": "tight", "axes.spines.top": False,
        "axes.spines.right": False, "figure.constrained_layout.use": True},
)
COLOURS = sns.color_palette("colorblind")
GREY = "0.45"


def words(name: str) -> str:
    """Turn a name from the data into words for a reader."""
    return name.replace("_", " ").replace("+", " + ")


def group_sizes(sizes: pd.DataFrame, *, title: str) -> np.ndarray:
    """Draw samples, positives and label rates of groups; takes the frame of ``audit.group_sizes``, returns two axes."""
    rows = sizes.drop_duplicates(["group", "n", "n_positive"]).reset_index(drop=True)
    labels = [g if g != "all" else "everybody" for g in rows.group]
    figure, (left, right) = plt.subplots(1, 2, sharey=True, figsize=(8, 0.36 * len(rows) + 1.3), width_ratios=[3, 2])
    at = np.arange(len(rows))
    left.barh(at, rows.n, color="0.85")
    left.barh(at, rows.n_positive, color=COLOURS[0])
    for y, r in rows.iterrows():
        left.text(r.n, y, f" {r.n:,} / {r.n_positive:,}", va="center", fontsize=9)
    left.set(yticks=at, xlim=(0, rows.n.max() * 1.25), xlabel="samples / of them positive")
    left.set_yticklabels(labels)
    right.errorbar(rows.rate, at, xerr=[rows.rate - rows.low, rows.high - rows.rate], fmt="o", color=COLOURS[0], capsize=2)
    right.axvline(rows.rate[0], color=GREY, lw=1, ls="--")
    right.xaxis.set_major_formatter(plt.matplotlib.ticker.PercentFormatter(1, decimals=0))
    right.set(xlabel="label rate, 95 % interval")
    left.invert_yaxis()
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return np.array([left, right])


def recorded_fields(share: pd.Series, fields, *, title: str) -> plt.Axes:
    """Draw the share of samples in which each field is recorded, coloured by modality."""
    modalities = list(dict.fromkeys(f.modality for f in fields))
    _, ax = plt.subplots(figsize=(8, 0.23 * len(fields) + 1))
    for y, f in enumerate(fields):
        colour = COLOURS[modalities.index(f.modality) % len(COLOURS)]
        ax.barh(y, share[f.column], color=colour, label=f.modality if f.modality not in _labels(ax) else None)
    ax.set_yticks(range(len(fields)), [_short(f.label) for f in fields], fontsize=9)
    ax.xaxis.set_major_formatter(plt.matplotlib.ticker.PercentFormatter(1, decimals=0))
    ax.set(xlim=(0, 1), xlabel="recorded")
    ax.invert_yaxis()
    ax.set_title(title)
    ax.legend(ncols=min(len(modalities), 3), loc="upper left", bbox_to_anchor=(0, -0.09), frameon=False, fontsize=9)
    return ax


def presence(shares: pd.DataFrame, *, title: str) -> np.ndarray:
    """Draw the presence of incomplete modalities by group; takes the frame of ``audit.presence``."""
    everybody = shares[shares.group == "all"].drop_duplicates("name").set_index("name").rate
    names = [n for n in everybody.index if everybody[n] < 0.9995] or list(everybody.index[:1])
    groups = shares[(shares.name == names[0])].drop_duplicates(["group", "n"]).reset_index(drop=True).group
    figure, axes = plt.subplots(
        1, len(names), sharey=True, squeeze=False, figsize=(max(6, 2.6 * len(names)), 0.32 * len(groups) + 1.2)
    )
    for ax, name in zip(axes[0], names, strict=True):
        rows = shares[shares.name == name].drop_duplicates(["group", "n"]).reset_index(drop=True)
        ax.errorbar(rows.rate, rows.index, xerr=[rows.rate - rows.low, rows.high - rows.rate], fmt="o", capsize=2)
        ax.axvline(everybody[name], color=GREY, lw=1, ls="--")
        ax.xaxis.set_major_formatter(plt.matplotlib.ticker.PercentFormatter(1, decimals=0))
        ax.set_title(words(name), fontsize=11, fontweight="normal")
        ax.set(yticks=rows.index, xlabel="present")
        ax.set_yticklabels([f"{g if g != 'all' else 'everybody'} (n={n:,})" for g, n in zip(rows.group, rows.n, strict=True)])
    axes[0, 0].invert_yaxis()
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return axes[0]


def count_table(sizes: pd.DataFrame):
    """Style a frame of ``audit.group_sizes``."""
    table = sizes.assign(rate=[_interval(*r, ".1%") for r in sizes[["rate", "low", "high"]].to_numpy()])
    table = table[["attribute", "group", "n", "n_positive", "rate"]]
    table.columns = ["attribute", "group", "n", "positives", "label rate [95 %]"]
    return table.style.hide(axis="index").format({"n": "{:,}", "positives": "{:,}"})


def presence_table(table: pd.DataFrame):
    """Style a frame of ``audit.presence_and_label``."""
    columns = ["recorded", "n present", "n absent", "label rate if present", "label rate if absent", "AUROC of presence"]
    rates = {c: "{:.1%}" for c in columns[3:5]}
    return (
        table.set_axis(columns, axis=1)
        .style.hide(axis="index")
        .format({"n present": "{:,}", "n absent": "{:,}", **rates, columns[5]: "{:.3f}"})
    )


def _labels(ax):
    return [t.get_label() for t in ax.containers]


def _short(label, most=52):
    return label if len(label) <= most else label[: most - 1].rsplit(" ", 1)[0] + " ..."


def _interval(estimate, low, high, form):
    return f"{estimate:{form}} [{low:{form}}, {high:{form}}]"


def auroc_differences(table: pd.DataFrame, *, title: str) -> plt.Axes:
    """Draw AUROC differences to a reference with intervals; takes the frame of ``evaluate.compare_auroc``."""
    table = table.sort_values("difference", ascending=False).reset_index(drop=True)
    _, ax = plt.subplots(figsize=(8, 0.5 * len(table) + 1.2))
    ax.axvline(0, color=GREY, lw=1)
    spread = [table.difference - table.difference_low, table.difference_high - table.difference]
    ax.errorbar(table.difference, table.index, xerr=spread, fmt="o", capsize=3)
    ax.set_yticks(table.index, [f"{v}\nAUROC {a:.3f}" for v, a in zip(table.variant, table.auroc, strict=True)], fontsize=9)
    ax.set(xlabel="difference in AUROC (95 % interval)")
    ax.invert_yaxis()
    ax.set_title(title)
    return ax


def unit_table(table: pd.DataFrame):
    """Style the comparison of field and note encoding."""
    shown = table.assign(
        auroc=[_interval(*r, ".3f") for r in table[["auroc", "low", "high"]].to_numpy()],
        difference=[_interval(*r, "+.3f") for r in table[["difference", "difference_low", "difference_high"]].to_numpy()],
    )[["variant", "texts", "distinct", "seconds", "auroc", "difference"]]
    shown.columns = ["unit", "texts", "distinct", "seconds", "AUROC [95 %]", "difference [95 %]"]
    return shown.style.hide(axis="index").format({"texts": "{:,}", "distinct": "{:,}", "seconds": "{:.1f}"})


def unimodal_table(result, modalities, silent, prevalence):
    """Style the metrics of each modality alone and of all together; takes an ``Evaluation`` over subsets."""
    flag_all = 2 * prevalence / (1 + prevalence)
    columns = {"auroc": "AUROC", "average_precision": "AUPRC", "f1": "F1", "balanced_accuracy": "balanced accuracy"}
    rows = []
    for name in [*modalities, result.labels[-1]]:
        k = result.labels.index(name)
        row = {"modality": words(name) if name in modalities else "all", "lacking": silent.get(name, 0)}
        for metric, label in columns.items():
            draws = result.overall(metric)[:, k]
            low, high = np.quantile(draws[1:], [0.025, 0.975])
            row[label] = _interval(draws[0], low, high, ".3f")
        rows.append(row)
    constant = ["0.500", f"{prevalence:.3f}", f"{flag_all:.3f}", "0.500"]
    rows.append({"modality": "flag everybody", "lacking": 0} | dict(zip(columns.values(), constant, strict=True)))
    return pd.DataFrame(rows).style.hide(axis="index").format({"lacking": "{:,}"})


def order_path(auroc, gaps, order, *, title: str) -> np.ndarray:
    """Draw AUROC (1 + B, M + 1) and signed differences along one order of addition; returns two axes."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4.2))
    at, ticks = np.arange(len(order) + 1), ["none", *[f"+ {words(m)}" for m in order]]
    _band(left, at, auroc, COLOURS[0], "AUROC")
    left.set(ylabel="AUROC (95 % interval)")
    for i, (name, values) in enumerate(gaps.items()):
        _bars(right, at + 0.12 * (i - (len(gaps) - 1) / 2), values, COLOURS[i], name)
    right.axhline(0, color=GREY, lw=1)
    right.set(ylabel="difference in TPR (95 % interval)")
    right.legend(frameon=False, fontsize=9)
    for ax in (left, right):
        ax.set_xticks(at, ticks, rotation=35, ha="right", fontsize=9)
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return np.array([left, right])


def additions(steps: pd.DataFrame, *, title: str) -> plt.Axes:
    """Draw the change that each single addition brings, by modality added."""
    names = list(dict.fromkeys(steps.modality))
    _, ax = plt.subplots(figsize=(8, 0.6 * len(names) + 1.2))
    ax.axvline(0, color=GREY, lw=1)
    jitter = (steps["size"] - steps["size"].mean()) / (2.5 * max(steps["size"].max(), 1))
    at = steps.modality.map(names.index) + jitter
    for sign, label in ((True, "raises"), (False, "lowers")):
        rows = (steps.change > 0) == sign
        ax.scatter(steps.change[rows], at[rows], s=22, color=COLOURS[0 if sign else 3], label=label, edgecolor="white", lw=0.4)
    ax.set_yticks(range(len(names)), [words(m) for m in names])
    ax.set(xlabel="change in AUROC; upper dots were added to small subsets, lower ones to large")
    ax.invert_yaxis()
    ax.legend(frameon=False, fontsize=9, loc="lower right")
    ax.set_title(title)
    return ax


def by_modality(shares, modalities, *, title: str, quantity: str = "share") -> np.ndarray:
    """Draw what each modality does (1 + B, M) to several quantities; the first gets a panel of its own."""
    figure, (left, right) = plt.subplots(1, 2, sharey=True, figsize=(9, 0.55 * len(modalities) + 1.6))
    at = np.arange(len(modalities))
    for i, (name, values) in enumerate(shares.items()):
        ax, shift = (left, 0) if i == 0 else (right, 0.15 * (i - len(shares) / 2))
        low, high = np.quantile(values[1:], [0.025, 0.975], axis=0)
        ax.errorbar(values[0], at + shift, xerr=[values[0] - low, high - values[0]], fmt="o", capsize=2, ms=5,
                    color=COLOURS[max(i - 1, 0)], label=name)
    for ax, label in ((left, f"{quantity} of {next(iter(shares))}"), (right, f"{quantity} of the signed difference")):
        ax.axvline(0, color=GREY, lw=1)
        ax.set(xlabel=label)
    left.set_yticks(at, [words(m) for m in modalities])
    left.invert_yaxis()
    right.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(0, -0.2))
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return np.array([left, right])


RULE_NAMES = {"prevalence": "matched selection", "f1": "F1-maximal", "half": "0.5"}


def operating_points(points: pd.DataFrame, *, contrast: str, title: str) -> np.ndarray:
    """Draw a signed difference against AUROC for every subset, one panel per decision rule."""
    rules = list(dict.fromkeys(points.rule))
    figure, axes = plt.subplots(1, len(rules), sharey=True, figsize=(9, 3.6))
    for ax, rule in zip(axes, rules, strict=True):
        rows = points[points.rule == rule]
        dots = ax.scatter(rows.auroc, rows.contrast, c=rows.selected, cmap="viridis", vmin=0, vmax=1, s=30, edgecolor="white")
        slope, start = np.polyfit(rows.auroc, rows.contrast, 1)
        ends = np.array([rows.auroc.min(), rows.auroc.max()])
        ax.plot(ends, start + slope * ends, color=GREY, lw=1)
        ax.axhline(0, color=GREY, lw=1, ls="--")
        ax.set(xlabel="AUROC of the subset")
        ax.set_title(RULE_NAMES[rule], fontsize=11, fontweight="normal")
    axes[0].set(ylabel=contrast)
    figure.colorbar(dots, ax=axes, label="share selected")
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return axes


def rules_table(rules, subsets, shown):
    """Style selection rates and signed TPR differences of some subsets under several decision rules."""
    rows = []
    for rule, result in rules.items():
        for name in subsets:
            k = result.labels.index(name)
            row = {"rule": RULE_NAMES[rule], "modalities": words(name) if name != result.labels[-1] else "all"}
            row["selected"] = f"{result.overall('selection_rate')[0, k]:.1%}"
            row |= {f"TPR {g} minus {r}": f"{result.contrast('tpr', a, g, r)[0, k]:+.3f}" for a, (g, r) in shown.items()}
            rows.append(row)
    return pd.DataFrame(rows).style.hide(axis="index")


def group_table(frame: pd.DataFrame):
    """Style one metric by group, with sizes and intervals; takes tidy rows."""
    rows = frame.drop_duplicates(["group", "n", "n_positive"])
    table = pd.DataFrame(
        {
            "attribute": rows.attribute.map(words).where(rows.group != "all", ""),
            "group": rows.group.where(rows.group != "all", "everybody"),
            "n": rows.n,
            "positives": rows.n_positive,
            f"{rows.metric.iloc[0].upper()} [95 %]": [_interval(*r, ".3f") for r in rows[["estimate", "low", "high"]].to_numpy()],
        }
    )
    return table.style.hide(axis="index").format({"n": "{:,}", "positives": "{:,}"})


def sensitivity_table(result, shown):
    """Style AUROC, its paired difference to the first variant, and signed TPR differences of every variant."""
    auroc, rows = result.overall("auroc"), []
    for k, name in enumerate(result.labels):
        draws = auroc[:, k] - auroc[:, 0]
        row = {"variant": name, "AUROC": f"{auroc[0, k]:.3f}", "difference [95 %]": "" if k == 0 else _draws(draws, "+.3f")}
        row |= {f"TPR {g} minus {r} [95 %]": _draws(result.contrast("tpr", a, g, r)[:, k], "+.3f") for a, (g, r) in shown.items()}
        rows.append(row)
    return pd.DataFrame(rows).style.hide(axis="index")


def _draws(draws, form):
    return _interval(draws[0], *np.quantile(draws[1:], [0.025, 0.975]), form)


def _band(ax, x, values, colour, label):
    low, high = np.quantile(values[1:], [0.025, 0.975], axis=0)
    ax.plot(x, values[0], marker="o", ms=4, color=colour, label=label)
    ax.fill_between(x, low, high, color=colour, alpha=0.2, lw=0)


def _bars(ax, x, values, colour, label):
    low, high = np.quantile(values[1:], [0.025, 0.975], axis=0)
    ax.errorbar(x, values[0], yerr=[values[0] - low, high - values[0]], fmt="o-", ms=4, lw=1, capsize=2, color=colour, label=label)


def listed(names) -> str:
    """Join names as a sentence does."""
    names = [words(n) for n in names]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def masking_curve(rates, auroc, one_run_sd, *, title: str) -> plt.Axes:
    """Draw expected AUROC (1 + B, R) against the drop rate, with the interval over patients and that of one masked run."""
    _, ax = plt.subplots(figsize=(8, 4.2))
    _band(ax, rates, auroc, COLOURS[0], "exact expectation, band (a) over patients")
    ax.errorbar(rates, auroc[0], yerr=1.96 * one_run_sd, fmt="none", capsize=4, color=COLOURS[3], label="(b) one masked run")
    ax.set(xlabel="probability that a modality is dropped", ylabel="AUROC")
    ax.legend(frameon=False, fontsize=9)
    ax.set_title(title)
    return ax


def rates_table(rates, touched, change, one_run_sd, retrain_sd, sampling_se, margin):
    """Style what a drop rate changes in AUROC (1 + B, R) beside the noise in which it would have to be seen."""
    low, high = np.quantile(change[1:], [0.025, 0.975], axis=0)
    table = pd.DataFrame(
        {
            "drop rate": [f"{r:g}" for r in rates],
            "samples touched": [f"{t:.1%}" for t in touched],
            "expected change (a) [95 %]": [_interval(*r, "+.5f") for r in zip(change[0], low, high, strict=True)],
            "one run, SD (b)": [f"{s:.5f}" for s in one_run_sd],
            "retraining, SD (c)": [f"{s:.5f}" for s in retrain_sd],
            "sampling SE of AUROC": f"{sampling_se:.4f}",
            f"beyond the margin of {margin:g}": ["yes" if h < -margin else "no" if lo > -margin else "open" for lo, h in zip(low, high, strict=True)],
        }
    )
    return table.style.hide(axis="index")


def slope_table(slope, modalities):
    """Style slopes at zero (1 + B, M) of several quantities, and their sum."""
    columns = {}
    for name, values in slope.items():
        draws = np.concatenate([values, values.sum(axis=1, keepdims=True)], axis=1)
        columns[f"{name} [95 %]"] = [_draws(draws[:, m], "+.4f") for m in range(draws.shape[1])]
    return pd.DataFrame({"dropped": [*map(words, modalities), "sum"]} | columns).style.hide(axis="index")


def contrast_curves(rates, panels, *, title: str) -> np.ndarray:
    """Draw signed differences (1 + B, R) against the drop rate, one panel per metric."""
    figure, axes = plt.subplots(1, len(panels), figsize=(9, 4), sharey=True)
    for ax, (label, curves) in zip(axes, panels.items(), strict=True):
        for i, (name, values) in enumerate(curves.items()):
            _band(ax, rates, values, COLOURS[i], name)
        ax.axhline(0, color=GREY, lw=1)
        ax.set(xlabel="drop probability", ylabel=label)
    axes[0].legend(frameon=False, fontsize=9)
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return axes


def simulation(runs: pd.DataFrame, exact: pd.DataFrame, *, attribute: str, title: str) -> np.ndarray:
    """Draw simulated masked runs over the exact expectation; both frames have rate, auroc and gap."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 4))
    for ax, column, label in zip(axes, ("auroc", "gap"), ("AUROC", f"max-min gap in TPR by {words(attribute)}"), strict=True):
        jitter = np.random.default_rng(0).uniform(-0.012, 0.012, len(runs))
        ax.scatter(runs.rate + jitter, runs[column], s=5, alpha=0.35, color=COLOURS[0], lw=0, label="one simulated run")
        ax.plot(exact.rate, exact[column], color=COLOURS[3], label="exact")
        mean = runs.groupby("rate")[column].mean()
        ax.plot(mean.index, mean, "D", ms=6, color="black", label="mean of the runs")
        ax.set(xlabel="drop probability", ylabel=label)
    axes[1].legend(frameon=False, fontsize=9)
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return axes


def regimes(rates, curves, advantage, *, title: str) -> np.ndarray:
    """Draw expected AUROC of several regimes, and the paired difference of two of them (1 + B, R)."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4))
    for i, (name, values) in enumerate(curves.items()):
        left.plot(rates, values, marker="o", ms=3, color=COLOURS[i], ls="-" if name.startswith("plain") else "--", label=name)
    left.set(xlabel="drop probability", ylabel="expected AUROC")
    left.legend(frameon=False, fontsize=9)
    _band(right, rates, advantage, COLOURS[3], "difference")
    right.axhline(0, color=GREY, lw=1)
    right.set(xlabel="drop probability", ylabel="AUROC, dropout minus plain (95 %)")
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return np.array([left, right])


def regime_table(every_rate, rates, plain, dropout, shown):
    """Style the paired difference between two regimes at some rates: AUROC and signed TPR differences."""
    rows = []
    for rate in rates:
        k = every_rate.index(rate)
        row = {"drop rate": f"{rate:g}", "AUROC [95 %]": _draws((dropout.overall("auroc") - plain.overall("auroc"))[:, k], "+.3f")}
        for a, (g, r) in shown.items():
            change = dropout.contrast("tpr", a, g, r) - plain.contrast("tpr", a, g, r)
            row[f"TPR {g} minus {r} [95 %]"] = _draws(change[:, k], "+.3f")
        rows.append(row)
    return pd.DataFrame(rows).style.hide(axis="index")
