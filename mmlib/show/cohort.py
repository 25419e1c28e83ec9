"""Figures and tables of chapter 1: who is in the cohort, whose data are missing, what the audit found."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown

from mmlib.core.schema import FEW, MINIMUM, OUTCOMES, Cohort
from mmlib.core.subsets import members
from mmlib.questions.audit import VERDICTS
from mmlib.show.style import COLOURS, GREY, interval, nothing, words

VERDICT_COLOURS = {
    "leak": COLOURS[3],
    "unresolved": COLOURS[1],
    "informative presence": COLOURS[0],
    "not judged": COLOURS[7],
    "fine": GREY,
}


def group_bars(sizes: pd.DataFrame, task: str) -> np.ndarray:
    """Draw samples, positives and label rates of the groups of single attributes.

    Parameters
    ----------
    sizes : pandas.DataFrame
        From `mmlib.questions.audit.group_sizes`.
    task : str
        The label in words.
    """
    single = sizes[[len(members(a)) == 1 for a in sizes.attribute]]
    rows = single.drop_duplicates(["group", "n", "n_positive"]).reset_index(drop=True)
    labels = [g if g != "all" else "all samples" for g in rows.group]
    figure, (left, right) = plt.subplots(
        1, 2, sharey=True, figsize=(8, 0.36 * len(rows) + 1.3), width_ratios=[3, 2]
    )
    at = np.arange(len(rows))
    left.barh(at, rows.n, color="0.85")
    left.barh(at, rows.n_positive, color=COLOURS[0])
    for y, r in rows.iterrows():
        left.text(r.n, y, f" {r.n:,} / {r.n_positive:,}", va="center", fontsize=9)
    left.set(yticks=at, xlim=(0, rows.n.max() * 1.25), xlabel="samples / of them positive")
    left.set_yticklabels(labels)
    right.errorbar(
        rows.rate,
        at,
        xerr=[rows.rate - rows.low, rows.high - rows.rate],
        fmt="o",
        color=COLOURS[0],
        capsize=2,
    )
    right.axvline(rows.rate[0], color=GREY, lw=1, ls="--")
    right.xaxis.set_major_formatter(plt.matplotlib.ticker.PercentFormatter(1))
    right.set(xlabel="label rate, 95 % interval")
    left.invert_yaxis()
    small, known = _small(single), sum(single.group != "all")
    few = f"{small} of {known} groups have" if small else "no group has"
    title = f"{task[:1].upper()}{task[1:]}: {few} fewer than {MINIMUM} positives"
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return np.array([left, right])


def field_bars(cohort: Cohort) -> plt.Axes:
    """Draw the share of samples in which fields are recorded, coloured by modality; of many the rarest ones."""
    share, modalities = cohort.values.notna().mean(), cohort.modalities
    rare = set(share.nsmallest(40, keep="first").index)
    fields = [f for f in cohort.fields if f.column in rare]
    figure, ax = plt.subplots(figsize=(8, 0.23 * len(fields) + 1.4))
    for y, f in enumerate(fields):
        colour = COLOURS[modalities.index(f.modality) % len(COLOURS)]
        ax.barh(y, share[f.column], color=colour, label=f.modality if f.modality not in _labels(ax) else None)
    ax.set_yticks(range(len(fields)), [_short(f.label) for f in fields], fontsize=9)
    ax.xaxis.set_major_formatter(plt.matplotlib.ticker.PercentFormatter(1))
    ax.set(xlim=(0, 1), xlabel="recorded")
    ax.invert_yaxis()
    rarest = min(cohort.fields, key=lambda f: share[f.column])
    title = f"{len(cohort.fields)} fields; rarest: {_short(rarest.label, 40)} ({share.min():.0%} recorded)"
    title = title if share.min() < 1 else "Every field is always recorded"
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    figure.legend(ncols=min(len(modalities), 3), loc="outside lower center", frameon=False, fontsize=9)
    return ax


def presence_dots(shares: pd.DataFrame) -> np.ndarray:
    """Draw the presence of incomplete modalities by group; of `mmlib.questions.audit.presence_shares`."""
    overall = shares[shares.group == "all"].drop_duplicates("name").set_index("name").rate
    names = [name for name in overall.index if overall[name] < 0.9995]
    if not names:
        return np.array([nothing("Nothing to compare between groups.", "Every sample has every modality")])
    groups = shares[(shares.name == names[0])].drop_duplicates(["group", "n"]).reset_index(drop=True).group
    figure, axes = plt.subplots(
        1,
        len(names),
        sharey=True,
        squeeze=False,
        figsize=(max(6, 2.6 * len(names)), 0.32 * len(groups) + 1.2),
    )
    for ax, name in zip(axes[0], names, strict=True):
        rows = shares[shares.name == name].drop_duplicates(["group", "n"]).reset_index(drop=True)
        ax.errorbar(
            rows.rate, rows.index, xerr=[rows.rate - rows.low, rows.high - rows.rate], fmt="o", capsize=2
        )
        ax.axvline(overall[name], color=GREY, lw=1, ls="--")
        ax.xaxis.set_major_formatter(plt.matplotlib.ticker.PercentFormatter(1))
        ax.set_title(words(name), fontsize=11, fontweight="normal")
        ax.set(yticks=rows.index, xlabel="present")
        ax.set_yticklabels(
            [f"{g if g != 'all' else 'all samples'} (n={n:,})" for g, n in zip(rows.group, rows.n, strict=True)]
        )
    axes[0, 0].invert_yaxis()
    title = f"{words(overall.idxmin()).capitalize()} is missing most often: {1 - overall.min():.1%} of samples lack it"
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return axes[0]


def audit_dots(found: pd.DataFrame, verdicts: pd.DataFrame, *, title: str = "", most: int = 12) -> np.ndarray:
    """Draw how well presence alone and values alone predict the label: the strongest, coloured by verdict.

    Parameters
    ----------
    found : pandas.DataFrame
        From `mmlib.questions.audit.predictiveness`.
    verdicts : pandas.DataFrame
        From `mmlib.questions.audit.give_verdicts`.
    title : str
        By default the count of each verdict.
    most : int
        Fields per panel.
    """
    table = found.merge(verdicts[["field", "label", "verdict"]], on="field")
    panels = {"presence_auroc": "presence alone", "value_auroc": "value alone"}
    away = (table.estimate - 0.5).abs()
    rows = {m: table[table.metric == m].loc[lambda d: away[d.index].nlargest(most).index] for m in panels}
    figure, axes = plt.subplots(1, 2, figsize=(10, 0.3 * max(3, *(len(r) for r in rows.values())) + 1.6))
    for ax, (metric, label) in zip(axes, panels.items(), strict=True):
        shown = rows[metric].reset_index(drop=True)
        for y, r in shown.iterrows():
            ax.errorbar(
                r.estimate,
                y,
                xerr=[[r.estimate - r.low], [r.high - r.estimate]],
                fmt="o",
                capsize=2,
                color=VERDICT_COLOURS[r.verdict],
            )
        ax.axvline(0.5, color=GREY, lw=1, ls="--")
        ax.set_yticks(shown.index, [_short(label, 44) for label in shown.label], fontsize=9)
        ax.set(xlabel=f"AUROC of {label}", ylim=(max(len(shown), 1) - 0.5, -0.5))
        if shown.empty:
            ax.text(0.5, 0, "nothing varies enough to judge", ha="center", va="center", color=GREY)
            ax.set_yticks([])
    handles = [plt.Line2D([], [], marker="o", ls="", color=c, label=v) for v, c in VERDICT_COLOURS.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    n = _counts(verdicts)
    counted = (
        f"{n['leak'] or 'No'} documented leaks, {n['unresolved']} unresolved, "
        f"{n['informative presence']} informative by presence, {n['not judged']} not judged, {n['fine']} fine"
    )
    figure.suptitle(title or counted, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return axes


def _labels(ax):
    return [t.get_label() for t in ax.containers]


def _short(label, most=52):
    return label if len(label) <= most else label[: most - 1].rsplit(" ", 1)[0] + " ..."


def count_table(sizes: pd.DataFrame):
    """Style the counts of crossed groups, or of all if none is crossed, fewest positives first."""
    crossed = sizes[[len(members(a)) > 1 for a in sizes.attribute]]
    shown = (crossed if len(crossed) else sizes).sort_values("n_positive", kind="stable")
    table = shown.assign(rate=[interval(*r, ".1%") for r in shown[["rate", "low", "high"]].to_numpy()])
    table = table[["attribute", "group", "n", "n_positive", "rate"]]
    table.columns = ["attribute", "group", "n", "positives", "label rate [95 %]"]
    return table.style.hide(axis="index").format({"n": "{:,}", "positives": "{:,}"})


def left_out_table(counts, n: int):
    """Style what the loader dropped or repaired, and what remains."""
    rows = [*counts.items(), ("samples in the study", n)]
    return pd.DataFrame(rows, columns=["step", "n"]).style.hide(axis="index").format({"n": "{:,}"})


def presence_table(shares: pd.DataFrame, attribute: str):
    """Style the share of samples that have each modality, by group of one attribute; of `audit.presence_shares`."""
    rows = shares[shares.attribute == attribute]
    cells = rows.assign(cell=[interval(*r, ".1%") for r in rows[["rate", "low", "high"]].to_numpy()])
    table = cells.pivot(index=["group", "n"], columns="name", values="cell")[list(dict.fromkeys(rows.name))]
    table = table.reindex(cells[["group", "n"]].drop_duplicates().apply(tuple, axis=1)).reset_index()
    table["group"] = table["group"].replace("all", "all samples")
    table.columns = [attribute.replace("_", " "), "n", *(words(m) for m in table.columns[2:])]
    return table.style.hide(axis="index").format({"n": "{:,}"})


def outcome_table(shares: pd.DataFrame):
    """Style what became of the files behind fields, by group; None without such fields; of `audit.outcome_shares`."""
    if shares.empty:
        return None
    rows = shares[(shares.group != "all") | (shares.attribute == shares.attribute.iloc[0])]
    keys = ["field", "attribute", "group", "n"]
    table = rows.pivot(index=keys, columns="outcome", values="rate")[list(OUTCOMES)]
    table = table.reindex(rows[keys].drop_duplicates().apply(tuple, axis=1)).reset_index()
    table.loc[table["group"] == "all", ["attribute", "group"]] = ["", "all samples"]
    return table.style.hide(axis="index").format({"n": "{:,}"} | dict.fromkeys(OUTCOMES, "{:.1%}"))


def size_caution(samples: pd.DataFrame, *, sample_word: str = "sample", unit_word: str = "patient") -> Markdown:
    """Warning that so few samples settle nothing, for every page of a run; empty for a run of usual size.

    Parameters
    ----------
    samples : pandas.DataFrame
        With ``label`` and ``patient_id``.
    sample_word, unit_word : str
        What one prediction is about, and what stays together in a split.

    Examples
    --------
    >>> size_caution(pd.DataFrame({"label": [0, 1] * 200, "patient_id": range(400)})).data
    ''
    """
    n, positives = len(samples), int(samples["label"].sum())
    fewest = min(positives, n - positives)
    if fewest >= FEW:
        return Markdown("")
    units = "" if sample_word == unit_word else f" of {samples['patient_id'].nunique():,} {unit_word}s"
    return Markdown(
        "```{admonition} Very few samples\n:class: warning\n"
        f"Of {n:,} {sample_word}s{units}, {positives:,} are positive and {n - positives:,} negative. "
        f"A rate of one half among {fewest:,} has a 95 % interval of about ± {0.98 / np.sqrt(fewest):.2f}, before any "
        "groups are compared: this page shows how the study works, and its numbers settle nothing.\n```\n"
    )


def verdict_table(verdicts: pd.DataFrame):
    """Style the verdicts that are worth a look, the worst first; of `mmlib.questions.audit.give_verdicts`."""
    rows = verdicts[verdicts.verdict != "fine"]
    rows = rows.sort_values("verdict", key=lambda v: v.map(list(VERDICT_COLOURS).index), kind="stable")
    columns = ["label", "verdict", "n_absent", "rate_present", "rate_absent", "source", "reason", "field"]
    rest = pd.DataFrame([[f"{len(verdicts) - len(rows)} others", "fine", np.nan, np.nan, np.nan, "", "", ""]])
    table = pd.DataFrame(
        np.concatenate([rows[columns].to_numpy(object), rest.to_numpy(object)]),
        columns=[
            "field",
            "verdict",
            "n without it",
            "label rate with it",
            "without",
            "source",
            "why",
            "name",
        ],
    )
    return (
        table.style.hide(axis="index")
        .format({"n without it": "{:,.0f}", "label rate with it": "{:.1%}", "without": "{:.1%}"}, na_rep="")
        .set_properties(**{"white-space": "normal"})
    )


def lacking_table(differences: pd.DataFrame):
    """Style the largest differences in what is recorded whose interval excludes 0; of `audit.presence_differences`.

    Groups with fewer than 30 positives are left out.
    """
    rows = differences[(differences.n_positive >= MINIMUM) & ((differences.low > 0) | (differences.high < 0))]
    rows = rows.loc[rows.estimate.abs().nlargest(8).index]
    if rows.empty:
        table = pd.DataFrame({"field": ["no clear difference in what is recorded"]})
        return table.style.hide(axis="index")
    table = pd.DataFrame(
        {
            "field": rows.field,
            "group": rows.group + " minus " + rows.reference,
            "n": rows.n,
            "difference [95 %]": [interval(*r, "+.1%") for r in rows[["estimate", "low", "high"]].to_numpy()],
        }
    )
    return table.style.hide(axis="index").format({"n": "{:,}"})


def cohort_in_short(
    cohort: Cohort, sizes: pd.DataFrame, found: pd.DataFrame, verdicts: pd.DataFrame
) -> Markdown:
    """The answer of chapter 1 in a few sentences, after the cohort's caution if it has one.

    Parameters
    ----------
    cohort : mmlib.core.schema.Cohort
    sizes : pandas.DataFrame
        From `mmlib.questions.audit.group_sizes`.
    found : pandas.DataFrame
        From `mmlib.questions.audit.predictiveness`.
    verdicts : pandas.DataFrame
        From `mmlib.questions.audit.give_verdicts`.
    """
    label, counts, groups = cohort.samples["label"], _counts(verdicts), sizes[sizes.group != "all"]
    crossed = ", crossed ones included," if any(len(members(a)) > 1 for a in groups.attribute) else ""
    told = [
        f"**In short.** {len(label):,} samples, {label.mean():.1%} positive. {_small(groups)} of {len(groups)} "
        f"groups{crossed} have fewer than {MINIMUM} positives. Verdicts on {len(verdicts)} fields and modalities: "
        f"{', '.join(f'{verdict} {count}' for verdict, count in counts.items())}."
    ]
    clear = found[(found.metric == "presence_auroc") & ((found.low > 0.5) | (found.high < 0.5))]
    if len(clear):
        strongest = clear.loc[(clear.estimate - 0.5).abs().idxmax()]
        top = verdicts.set_index("field").loc[strongest.field]
        told.append(
            f"The presence that predicts most: where `{top.name}` is recorded, {top.rate_present:.1%} are positive, "
            f"elsewhere {top.rate_absent:.1%}."
        )
    else:
        told.append("No field's presence clearly predicts the label.")
    caution = f"{cohort.caution}\n\n" if cohort.caution else ""
    return Markdown(caution + " ".join(told))


def _counts(verdicts: pd.DataFrame) -> pd.Series:
    return verdicts.verdict.value_counts().reindex(VERDICTS, fill_value=0)


def _small(groups: pd.DataFrame) -> int:
    return int((groups.n_positive[groups.group != "all"] < MINIMUM).sum())
