"""Figures and tables of chapter 4: what missing modalities do."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from mmlib.show.style import COLOURS, GREY, band, contrast_of, draws_interval, interval, words


def masking_curve(rates, auroc, one_run_sd, *, title: str) -> plt.Axes:
    """Draw expected AUROC (1 + B, R) against the drop rate: interval over patients, and of one masked run."""
    _, ax = plt.subplots(figsize=(8, 4.2))
    band(ax, rates, auroc, COLOURS[0], "exact expectation, band (a) over patients")
    ax.errorbar(
        rates,
        auroc[0],
        yerr=1.96 * one_run_sd,
        fmt="none",
        capsize=4,
        color=COLOURS[3],
        label="(b) one masked run",
    )
    ax.set(xlabel="probability that a modality is dropped", ylabel="AUROC")
    ax.legend(frameon=False, fontsize=9)
    ax.set_title(title)
    return ax


def contrast_curves(rates, panels, *, title: str) -> np.ndarray:
    """Draw signed differences (1 + B, R) against the drop rate, one panel per metric."""
    figure, axes = plt.subplots(1, len(panels), figsize=(9, 4), sharey=True)
    for ax, (label, curves) in zip(axes, panels.items(), strict=True):
        for i, (name, values) in enumerate(curves.items()):
            band(ax, rates, values, COLOURS[i], name)
        ax.axhline(0, color=GREY, lw=1)
        ax.set(xlabel="drop probability", ylabel=label)
    axes[0].legend(frameon=False, fontsize=9)
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return axes


def simulation(runs: pd.DataFrame, exact: pd.DataFrame, *, attribute: str, title: str) -> np.ndarray:
    """Draw simulated masked runs over the exact expectation; both frames have rate, auroc and gap."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 4))
    for ax, column, label in zip(
        axes, ("auroc", "gap"), ("AUROC", f"max-min gap in TPR by {words(attribute)}"), strict=True
    ):
        jitter = np.random.default_rng(0).uniform(-0.012, 0.012, len(runs))
        ax.scatter(
            runs.rate + jitter,
            runs[column],
            s=5,
            alpha=0.35,
            color=COLOURS[0],
            lw=0,
            label="one simulated run",
        )
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
        left.plot(
            rates,
            values,
            marker="o",
            ms=3,
            color=COLOURS[i],
            ls="-" if name.startswith("plain") else "--",
            label=name,
        )
    left.set(xlabel="drop probability", ylabel="expected AUROC")
    left.legend(frameon=False, fontsize=9)
    band(right, rates, advantage, COLOURS[3], "difference")
    right.axhline(0, color=GREY, lw=1)
    right.set(xlabel="drop probability", ylabel="AUROC, dropout minus plain (95 %)")
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return np.array([left, right])


def rates_table(rates, touched, change, one_run_sd, retrain_sd, sampling_se, margin):
    """Style what a drop rate changes in AUROC (1 + B, R) beside the noise it would have to stand out from."""
    low, high = np.quantile(change[1:], [0.025, 0.975], axis=0)
    table = pd.DataFrame(
        {
            "drop rate": [f"{r:g}" for r in rates],
            "samples touched": [f"{t:.1%}" for t in touched],
            "expected change (a) [95 %]": [
                interval(*r, "+.5f") for r in zip(change[0], low, high, strict=True)
            ],
            "one run, SD (b)": [f"{s:.5f}" for s in one_run_sd],
            "retraining, SD (c)": [f"{s:.5f}" for s in retrain_sd],
            "sampling SE of AUROC": f"{sampling_se:.4f}",
            f"beyond the margin of {margin:g}": [
                "yes" if h < -margin else "no" if lo > -margin else "open"
                for lo, h in zip(low, high, strict=True)
            ],
        }
    )
    return table.style.hide(axis="index")


def slope_table(slope, modalities):
    """Style slopes at zero (1 + B, M) of several quantities, and their sum."""
    columns = {}
    for name, values in slope.items():
        draws = np.concatenate([values, values.sum(axis=1, keepdims=True)], axis=1)
        columns[f"{name} [95 %]"] = [draws_interval(draws[:, m], "+.4f") for m in range(draws.shape[1])]
    return pd.DataFrame({"dropped": [*map(words, modalities), "sum"]} | columns).style.hide(axis="index")


def regime_table(every_rate, rates, plain, dropout, shown):
    """Style the paired difference between two regimes at some rates: AUROC and signed TPR differences."""
    rows = []
    for rate in rates:
        k = every_rate.index(rate)
        row = {
            "drop rate": f"{rate:g}",
            "AUROC [95 %]": draws_interval((dropout.overall("auroc") - plain.overall("auroc"))[:, k], "+.3f"),
        }
        for a, (g, r) in shown.items():
            change = dropout.contrast("tpr", a, g, r) - plain.contrast("tpr", a, g, r)
            row[f"TPR {contrast_of(plain, a, g, r)} [95 %]"] = draws_interval(change[:, k], "+.3f")
        rows.append(row)
    return pd.DataFrame(rows).style.hide(axis="index")


def structure_table(names, parts):
    """Style rate, structure and interaction, each (1 + B, S - 1), of several quantities by mechanism."""
    rows = []
    for s, name in enumerate(names):
        for quantity, split in parts.items():
            row = {"mechanism": name, "quantity": quantity}
            rows.append(
                row | {f"{part} [95 %]": draws_interval(v[:, s], "+.3f") for part, v in split.items()}
            )
    return pd.DataFrame(rows).style.hide(axis="index")
