"""Every table of the book: results in, styled frames out; counts beside shares, intervals beside numbers."""

import numpy as np
import pandas as pd

METRIC_NAMES = {
    "tpr": "true positive rate",
    "fpr": "false positive rate",
    "selection_rate": "selection rate",
    "auroc": "AUROC",
    "equalized_odds": "equalized odds",
}


RULE_NAMES = {"prevalence": "matched selection", "f1": "F1-maximal", "half": "0.5"}


def words(name: str) -> str:
    """Turn a name from the data into words for a reader."""
    return name.replace("_", " ").replace("+", " + ")


def listed(names) -> str:
    """Join names as a sentence does."""
    names = [words(n) for n in names]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def count_table(sizes: pd.DataFrame):
    """Style a frame of ``audit.group_sizes``."""
    table = sizes.assign(rate=[_interval(*r, ".1%") for r in sizes[["rate", "low", "high"]].to_numpy()])
    table = table[["attribute", "group", "n", "n_positive", "rate"]]
    table.columns = ["attribute", "group", "n", "positives", "label rate [95 %]"]
    return table.style.hide(axis="index").format({"n": "{:,}", "positives": "{:,}"})


def presence_table(table: pd.DataFrame):
    """Style a frame of ``audit.presence_and_label``."""
    columns = [
        "recorded",
        "n present",
        "n absent",
        "label rate if present",
        "label rate if absent",
        "AUROC of presence",
    ]
    rates = {c: "{:.1%}" for c in columns[3:5]}
    return (
        table.set_axis(columns, axis=1)
        .style.hide(axis="index")
        .format({"n present": "{:,}", "n absent": "{:,}", **rates, columns[5]: "{:.3f}"})
    )


def unit_table(table: pd.DataFrame):
    """Style the comparison of field and note encoding."""
    shown = table.assign(
        auroc=[_interval(*r, ".3f") for r in table[["auroc", "low", "high"]].to_numpy()],
        difference=[
            _interval(*r, "+.3f")
            for r in table[["difference", "difference_low", "difference_high"]].to_numpy()
        ],
    )[["variant", "texts", "distinct", "seconds", "auroc", "difference"]]
    shown.columns = ["unit", "texts", "distinct", "seconds", "AUROC [95 %]", "difference [95 %]"]
    return shown.style.hide(axis="index").format({"texts": "{:,}", "distinct": "{:,}", "seconds": "{:.1f}"})


def unimodal_table(result, modalities, silent, prevalence):
    """Style the metrics of each modality alone and of all together; takes an ``Evaluation`` over subsets."""
    flag_all = 2 * prevalence / (1 + prevalence)
    columns = {
        "auroc": "AUROC",
        "average_precision": "AUPRC",
        "f1": "F1",
        "balanced_accuracy": "balanced accuracy",
    }
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
    rows.append(
        {"modality": "flag everybody", "lacking": 0} | dict(zip(columns.values(), constant, strict=True))
    )
    return pd.DataFrame(rows).style.hide(axis="index").format({"lacking": "{:,}"})


def rules_table(rules, subsets, shown):
    """Style selection rates and signed TPR differences of some subsets under several decision rules."""
    rows = []
    for rule, result in rules.items():
        for name in subsets:
            k = result.labels.index(name)
            row = {
                "rule": RULE_NAMES[rule],
                "modalities": words(name) if name != result.labels[-1] else "all",
            }
            row["selected"] = f"{result.overall('selection_rate')[0, k]:.1%}"
            row |= {
                f"TPR {g} minus {r}": f"{result.contrast('tpr', a, g, r)[0, k]:+.3f}"
                for a, (g, r) in shown.items()
            }
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
            f"{rows.metric.iloc[0].upper()} [95 %]": [
                _interval(*r, ".3f") for r in rows[["estimate", "low", "high"]].to_numpy()
            ],
        }
    )
    return table.style.hide(axis="index").format({"n": "{:,}", "positives": "{:,}"})


def sensitivity_table(result, shown):
    """Style AUROC, its paired difference to the first variant, and signed TPR differences of variants."""
    auroc, rows = result.overall("auroc"), []
    for k, name in enumerate(result.labels):
        draws = auroc[:, k] - auroc[:, 0]
        row = {
            "variant": name,
            "AUROC": f"{auroc[0, k]:.3f}",
            "difference [95 %]": "" if k == 0 else _draws(draws, "+.3f"),
        }
        row |= {
            f"TPR {g} minus {r} [95 %]": _draws(result.contrast("tpr", a, g, r)[:, k], "+.3f")
            for a, (g, r) in shown.items()
        }
        rows.append(row)
    return pd.DataFrame(rows).style.hide(axis="index")


def rates_table(rates, touched, change, one_run_sd, retrain_sd, sampling_se, margin):
    """Style what a drop rate changes in AUROC (1 + B, R) beside the noise it would have to stand out from."""
    low, high = np.quantile(change[1:], [0.025, 0.975], axis=0)
    table = pd.DataFrame(
        {
            "drop rate": [f"{r:g}" for r in rates],
            "samples touched": [f"{t:.1%}" for t in touched],
            "expected change (a) [95 %]": [
                _interval(*r, "+.5f") for r in zip(change[0], low, high, strict=True)
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
        columns[f"{name} [95 %]"] = [_draws(draws[:, m], "+.4f") for m in range(draws.shape[1])]
    return pd.DataFrame({"dropped": [*map(words, modalities), "sum"]} | columns).style.hide(axis="index")


def regime_table(every_rate, rates, plain, dropout, shown):
    """Style the paired difference between two regimes at some rates: AUROC and signed TPR differences."""
    rows = []
    for rate in rates:
        k = every_rate.index(rate)
        row = {
            "drop rate": f"{rate:g}",
            "AUROC [95 %]": _draws((dropout.overall("auroc") - plain.overall("auroc"))[:, k], "+.3f"),
        }
        for a, (g, r) in shown.items():
            change = dropout.contrast("tpr", a, g, r) - plain.contrast("tpr", a, g, r)
            row[f"TPR {g} minus {r} [95 %]"] = _draws(change[:, k], "+.3f")
        rows.append(row)
    return pd.DataFrame(rows).style.hide(axis="index")


def performance_table(described: pd.DataFrame):
    """Style point estimates by group from ``metrics.describe``, attributes stacked in the index."""
    table = described.reset_index()
    table = table[(table.group != "all") | (table.index == 0)]
    table["attribute"] = table.attribute.map(words).where(table.group != "all", "")
    table["group"] = table.group.replace({"all": "everybody"})
    table.columns = [
        "attribute",
        "group",
        "n",
        "positives",
        "selected",
        "TPR",
        "FPR",
        "accuracy",
        "balanced accuracy",
        "F1",
        "AUROC",
        "AUPRC",
    ]
    return table.style.hide(axis="index").format({"n": "{:,}", "positives": "{:,}"}, precision=3, na_rep="-")


def contrast_table(rows: pd.DataFrame):
    """Style signed differences from tidy rows; a column ``detectable`` holds the smallest detectable ones."""
    table = pd.DataFrame(
        {
            "metric": rows.metric.map(METRIC_NAMES),
            "contrast": [f"{r.group} minus {r.reference}" for r in rows.itertuples()],
            "n": rows.n,
            "positives": rows.n_positive,
            "difference [95 %]": [
                _interval(*r, "+.3f") for r in rows[["estimate", "low", "high"]].to_numpy()
            ],
        }
    )
    if "detectable" in rows:
        table["detectable"] = rows.detectable.map("{:.3f}".format)
    return table.style.hide(axis="index").format({"n": "{:,}", "positives": "{:,}"})


def gap_table(gaps: pd.DataFrame, fairlearn_gaps: dict):
    """Style max-min gaps beside their null means, and fairlearn's numbers over all groups."""
    extra = {"selection_rate": "demographic_parity_difference", "equalized_odds": "equalized_odds_difference"}
    table = pd.DataFrame(
        {
            "attribute": gaps.attribute.map(words),
            "metric": gaps.metric.map(METRIC_NAMES),
            "max-min gap": gaps.gap,
            "mean under shuffled labels": gaps.null,
            "fairlearn, all groups": [
                fairlearn_gaps[a].get(extra.get(m), np.nan)
                for a, m in zip(gaps.attribute, gaps.metric, strict=True)
            ],
        }
    )
    return table.style.hide(axis="index").format(precision=3, na_rep="")


def calibration_table(table: pd.DataFrame, *, minimum: int = 30):
    """Style calibration intercepts and slopes by group."""
    rows = table.drop_duplicates(["group", "n", "n_positive"])
    shown = rows.assign(
        group=rows.group.replace({"all": "everybody"}),
        attribute=rows.attribute.map(words).where(rows.group != "all", ""),
        **{c: rows[c].where(rows.n_positive >= minimum) for c in ("intercept", "slope")},
    )[["attribute", "group", "n", "n_positive", "observed_expected", "intercept", "slope"]]
    shown.columns = ["attribute", "group", "n", "events", "observed / expected", "intercept", "slope"]
    return shown.style.hide(axis="index").format({"n": "{:,}", "events": "{:,}"}, precision=3, na_rep="-")


def _interval(estimate, low, high, form):
    return f"{estimate:{form}} [{low:{form}}, {high:{form}}]"


def _draws(draws, form):
    return _interval(draws[0], *np.quantile(draws[1:], [0.025, 0.975]), form)
