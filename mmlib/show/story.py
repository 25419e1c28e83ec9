"""Figures and tables of the story: all cohorts side by side, narrow enough for a telephone.

One colour for each attribute throughout; filled points have a 95 % interval without 0 (or without the value compared).
"""

import textwrap
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML

from mmlib.core.schema import MINIMUM
from mmlib.questions.story import health_only, is_clear, is_found, judged_only, smallest_gains
from mmlib.show.answers import VARIED, short_contrast, span
from mmlib.show.style import COLOURS, GREY, OVERALL, data_links, interval, nothing, words

#: Colour of each attribute; others take what is left.
ATTRIBUTES = {"race": COLOURS[0], "sex": COLOURS[1], "age_group": COLOURS[2]}
NOTHING = "No run of this book has these results."
#: Width of every figure in inches.
WIDTH = 5.6
#: Headings of the kinds of cohorts.
KINDS = {"health": "", "other": " (not about health)", "synthetic": " (synthetic)"}
#: Regimes of the figure on training, and what readers call them.
REGIMES = {
    "dropout varied": "dropout, varied rates",
    "dropout 0.2": "dropout, rate 0.2",
    "late fusion": "late fusion",
    "plain, imputed": "plain, imputed",
    "specialists": "specialists",
}


def positives_figure(rates: pd.DataFrame) -> plt.Axes:
    """How many positives stand behind every group: a line for each cohort and attribute, a dot for each group.

    Parameters
    ----------
    rates : pandas.DataFrame
        From `mmlib.questions.story.group_rates`.
    """
    real = health_only(rates)
    few = int((~real.large.astype(bool)).sum())
    title = f"{few} of {len(real)} groups in real cohorts have fewer than {MINIMUM} patients with the outcome"
    if not len(rates):
        return nothing(NOTHING, title)
    lines = _lines(rates, "attribute")
    figure, ax = _figure(lines, title)
    for at, own in _places(lines, rates, "attribute"):
        colour = _colour(own.attribute.iloc[0])
        ax.plot(np.maximum(own.n_positive, 0.5), np.full(len(own), at), "o", ms=6, alpha=0.8, color=colour)
        least = own.loc[own.n_positive.idxmin()]
        ax.annotate(
            f"{least.group}: {least.n_positive:,}", (max(least.n_positive, 0.5), at), (-6, 0), fontsize=8,
            textcoords="offset points", ha="right", va="center",
        )  # fmt: skip
    ax.axvline(MINIMUM, color=GREY, lw=1, ls="--")
    ax.set_xscale("log")
    ax.set_xlim(min(0.4, rates.n_positive.min() / 60), rates.n_positive.max() * 2)
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value >= 1 else "")
    ax.set_xlabel("patients with the outcome in the group (log scale)")
    return ax


def lacking_figure(lacking: pd.DataFrame) -> plt.Axes:
    """Share of samples that lack each modality that anybody lacks, with the groups that lack it least and most.

    Parameters
    ----------
    lacking : pandas.DataFrame
        From `mmlib.questions.story.lacking_shares`.
    """
    overall = lacking[(lacking.group == "all") & (lacking.lacking > 0)]
    title = "No modality is missing as a whole"
    if not len(overall):
        return nothing(NOTHING, title)
    keys = set(zip(overall.run, overall.modality, strict=True))
    own = lacking[[key in keys for key in zip(lacking.run, lacking.modality, strict=True)]]
    groups = own[(own.group != "all") & (own.n >= MINIMUM)]
    spread = groups.groupby(["run", "modality", "attribute"]).lacking.agg(np.ptp)
    largest = spread.max() if len(spread) else 0.0
    if len(spread):
        run, modality, attribute = spread.idxmax()
        name = lacking[lacking.run == run].title.iloc[0]
        points = f"{100 * largest:.0f} percentage points for {words(modality)} in {name}"
        title = f"Missing input differs most by {words(attribute)}: {points}"
    overall = overall.assign(label=overall.modality.map(words))
    lines = _lines(overall, "label")
    figure, ax = _figure(lines, title)
    for at, row in _places(lines, overall, "label"):
        block = groups[(groups.run == row.run.iloc[0]) & (groups.modality == row.modality.iloc[0])]
        for attribute, part in block.groupby("attribute", sort=False):
            ax.plot(part.lacking, np.full(len(part), at), "o", ms=5, alpha=0.7, color=_colour(attribute))
        ax.plot(row.lacking, [at], "|", ms=16, mew=2.5, color=OVERALL)
    ax.set(xlabel="share of samples that lack it (bar: all samples)", xlim=(-0.02, 1.02))
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    _legend(figure, groups.attribute.unique())
    return ax


def adding_figure(
    gains: pd.DataFrame, changes: pd.DataFrame, kinds: Sequence[str] = ("health",)
) -> np.ndarray:
    """Gain in AUROC of all modalities over each single one, beside the change of each TPR difference, by cohort.

    Parameters
    ----------
    gains, changes : pandas.DataFrame
        From `mmlib.questions.story`: `all_gains` and `changed_contrasts`.
    kinds : sequence of str
        Kinds of cohorts that are drawn; the title counts real health cohorts only.
    """
    gains = gains[(gains.kept == "headline") & gains.kind.isin(kinds)]
    changes = changes[changes.kind.isin(kinds)]
    least = smallest_gains(gains)
    if not len(least):
        return np.array([nothing(NOTHING, "Gain in AUROC, and change of the TPR difference")])
    rows = pd.concat(
        [
            least.assign(label="AUROC", attribute="all"),
            changes.assign(label=[short_contrast(r) for r in changes.itertuples()]),
        ]
    )
    rows = rows.sort_values("run", key=lambda names: names.map(list(least.run).index), kind="stable")
    lines = _lines(rows, "label")
    figure, axes = _figure(lines, _adding_title(least, changes), panels=2)
    for at, own in _places(lines, rows, "label"):
        row = own.iloc[0]
        if row.attribute == "all":
            others = gains[gains.run == row.run]
            axes[0].plot(others.estimate, np.full(len(others), at), "|", ms=9, color=GREY)
            _point(axes[0], at, row, OVERALL, is_found(row))
        elif np.isfinite([row.low, row.high]).all():
            _point(axes[1], at, row, _colour(row.attribute), is_found(row))
        else:
            axes[1].text(
                0, at, "too few", fontsize=8, color=GREY, ha="center", va="center", backgroundcolor="white"
            )
    for ax, label in zip(
        axes, ("gain in AUROC,\nall over each one", "change of the\nTPR difference"), strict=True
    ):
        ax.axvline(0, color=GREY, lw=1)
        ax.set_xlabel(label)
        ax.locator_params(axis="x", nbins=4)
    return axes


def _adding_title(least, changes):
    """How many real cohorts gain, and how many differences change clearly."""
    least, changes = health_only(least), health_only(changes)
    if not len(least):
        return "Gain in AUROC, and change of the TPR difference"
    tested = judged_only(changes)
    found = int((tested.verdict == "differs").sum())
    raised = int((is_found(least) & (least.estimate > 0)).sum())
    cohorts = (
        f"{raised} of {len(least)} real cohorts" if len(least) > 1 or not raised else "the one real cohort"
    )
    moved = "no change of a TPR difference was declared"
    if len(tested):
        moved = f"{found or 'none'} of {len(tested)} TPR differences {'changes' if found == 1 else 'change'} clearly"
    return f"All modalities beat each single one in {cohorts}; {moved}"


def singles_figure(gains: pd.DataFrame) -> plt.Axes:
    """Gain in AUROC of all modalities over every single one, with its number, in every cohort.

    Parameters
    ----------
    gains : pandas.DataFrame
        From `mmlib.questions.story.all_gains`.
    """
    rows = gains[gains.kept == "headline"]
    rows = rows.assign(label=[f"over {words(v)}" for v in rows.versus])
    real = health_only(rows)
    least = real.estimate.min() if len(real) else np.nan
    title = "Gain of all modalities over each single one"
    title += f": from {least:+.3f} to {real.estimate.max():+.3f} in real cohorts" if len(real) else ""
    return interval_rows(rows, title=title, xlabel="gain in AUROC", form="+z.3f")


def noise_figure(noise: pd.DataFrame) -> plt.Axes:
    """What random sentences add to all modalities, in every cohort.

    Parameters
    ----------
    noise : pandas.DataFrame
        From `mmlib.questions.story.noise_effects`.
    """
    up = int((noise.low > 0).sum())
    title = (
        "No gain by random sentences: no interval lies above 0"
        if not up
        else f"{up} intervals of noise lie above 0"
    )
    rows = noise.assign(label=_titles(noise), title="")
    return interval_rows(rows, title=title, xlabel="change in AUROC when noise is added to all", form="+z.3f")


def dropping_figure(curves: pd.DataFrame, rates: Sequence[float] = (0.002, 0.1, 0.2, 0.5)) -> plt.Axes:
    """Expected loss of AUROC when each modality is dropped at some rate, a line for each cohort.

    Parameters
    ----------
    curves : pandas.DataFrame
        From `mmlib.questions.story.drop_curves`.
    rates : sequence of float
        Marked; the losses of real health cohorts there are in the title.
    """
    if not len(curves):
        return nothing(NOTHING, "Expected loss of AUROC")
    wide = curves.pivot_table(index="rate", columns="run", values="estimate", sort=False).sort_index()
    lost = -(wide - wide.loc[0.0])
    lost = lost[lost.index <= 0.75]
    about = curves.drop_duplicates("run").set_index("run")
    real = [run for run in lost if about.kind[run] == "health"]
    figure, ax = plt.subplots(figsize=(WIDTH, 4))
    ends = []
    for run in lost:
        style = "-" if about.kind[run] == "health" else ":"
        line = lost[run].dropna()
        ax.plot(line.index, line, style, marker="o", ms=4, color=OVERALL if style == "-" else GREY)
        ends.append(
            (line.iloc[-1], f"{about.title[run]}, n={about.n[run]:,}" if style == "-" else about.title[run])
        )
    marked = [rate for rate in rates if rate in lost.index]
    for rate in marked:
        ax.axvline(rate, color=GREY, lw=0.8, ls="--", zorder=0)
        ax.text(
            rate, 1.0, f"{rate:g}", transform=ax.get_xaxis_transform(), ha="center", va="bottom", fontsize=9
        )
    low, high = ax.get_ylim()
    for place, (_, text) in zip(_apart([e for e, _ in ends], 0.055 * (high - low)), ends, strict=True):
        ax.text(lost.index.max() + 0.015, place, text, va="center", fontsize=9)
    ax.set(
        xlabel="rate at which each modality is dropped", ylabel="expected loss of AUROC", xlim=(-0.02, 1.02)
    )
    title = "Expected loss of AUROC"
    if real and marked:
        shown = {rate: span(lost.loc[rate, real], "below 0.001") for rate in (marked[0], marked[-1])}
        ends = [f"{loss} at a drop rate of {rate:g}" for rate, loss in shown.items()]
        title = f"Expected loss of AUROC: {', '.join(ends)}"
    _title(figure, title)
    return ax


def absence_figure(absences: pd.DataFrame) -> plt.Axes:
    """AUROC of those who really lack a modality minus that of like samples from whom it is masked.

    Parameters
    ----------
    absences : pandas.DataFrame
        From `mmlib.questions.story.real_absences`.
    """
    rows = absences[absences.metric == "auroc"]
    rows = rows.assign(label=[f"{words(r.modality)} (n={r.n:,})" for r in rows.itertuples()])
    real = health_only(rows)
    off = int(is_clear(real).sum())
    title = f"Masking at random misjudges real absence clearly in {off or 'none'} of {len(real)} modalities"
    return interval_rows(rows, title=title, xlabel="AUROC: really missing minus masked", form="+z.3f")


def rates_figure(rates: pd.DataFrame, kinds: Sequence[str] = ("health",)) -> plt.Axes:
    """True positive rate of every group with its interval and its count, by cohort.

    Parameters
    ----------
    rates : pandas.DataFrame
        From `mmlib.questions.story.group_rates`.
    kinds : sequence of str
        Kinds of cohorts that are drawn.
    """
    rows = rates[rates.kind.isin(kinds)]
    below = rows[rows.below & rows.large]
    rows = rows.assign(
        label=rows.group,
        note=[f"{_count(r.events)}/{r.n_positive:,}" for r in rows.itertuples()],
        clear=rows.below,
    )
    title = (
        f"Clearly fewer are found than overall in {len(below) or 'none'} of {int(rows.large.sum())} groups with "
        f"{MINIMUM} positives or more"
    )
    return interval_rows(
        rows, title=title, xlabel="share of those with the outcome that is found (TPR)", zero=None
    )


def contrasts_figure(contrasts: pd.DataFrame) -> plt.Axes:
    """TPR differences of the full model, with the smallest difference that could be detected as ticks.

    Parameters
    ----------
    contrasts : pandas.DataFrame
        From `mmlib.questions.story.full_contrasts`.
    """
    rows = contrasts.assign(
        label=[short_contrast(r) for r in contrasts.itertuples()], clear=contrasts.verdict == "differs"
    )
    real = judged_only(health_only(rows))
    found = int((real.verdict == "differs").sum())
    verb = "is" if found < 2 else "are"
    title = f"{found or 'None'} of {len(real)} tested TPR differences in real cohorts {verb} clear"
    ax = interval_rows(rows, title=title, xlabel="TPR difference (ticks: smallest detectable)", form="+z.2f")
    for at, own in _places(_lines(rows, "label"), rows, "label") if len(rows) else ():
        size = own.detectable.astype(float).iloc[0]
        if np.isfinite(size):
            ax.plot([-size, size], [at, at], "|", ms=11, mew=1.5, color=COLOURS[3])
    return ax


def calibration_figure(calibration: pd.DataFrame) -> plt.Axes:
    """Observed over expected events of the groups shown, in real health cohorts.

    Parameters
    ----------
    calibration : pandas.DataFrame
        From `mmlib.questions.story.group_calibration`.
    """
    rows = calibration[calibration.low.notna() & (calibration.kind == "health")]
    rows = rows.assign(label=rows.group)
    off = rows[is_clear(rows, 1)]
    title = (
        f"Predicted risks are clearly too high or too low in {len(off) or 'none'} of {len(rows)} groups shown"
    )
    return interval_rows(rows, title=title, xlabel="observed / expected (above 1: risk too low)", zero=1.0)


def claims_figure(claims: pd.DataFrame) -> plt.Axes:
    """Declared comparisons of the real health cohorts under their claims, with the verdict that each run gave.

    Parameters
    ----------
    claims : pandas.DataFrame
        From `mmlib.questions.claims.collect_claims`.
    """
    rows = claims[(claims.kind == "health") & claims.low.notna()]
    groups = ["" if pd.isna(r.reference) else f", {short_contrast(r)}" for r in rows.itertuples()]
    labels = [f"{title}{pair}" for title, pair in zip(rows.title, groups, strict=True)]
    tested = judged_only(health_only(claims))
    found = int((tested.verdict == "differs").sum())
    title = f"{found} of {len(tested)} tested comparisons in real cohorts differ after Holm"
    rows = rows.assign(
        label=labels, note=rows.verdict, clear=rows.verdict == "differs",
        attribute=np.where(rows.reference.isna(), "all", rows.attribute), run=rows.claim, title=rows.claim,
    )  # fmt: skip
    return interval_rows(rows, title=title, xlabel="difference in AUROC (black) or in TPR (colours)")


def paper_table(tables: Mapping[str, pd.DataFrame]) -> HTML:
    """What the paper reports and what each real health cohort says of it.

    Parameters
    ----------
    tables : mapping of str to pandas.DataFrame
        ``gains``, ``changes``, ``losses`` and ``dropped`` from `mmlib.questions.story`: `all_gains`,
        `changed_contrasts`, `drop_losses`, `dropped_contrasts`.
    """
    least, losses = smallest_gains(tables["gains"]), tables["losses"]
    columns = {}
    for run, own in health_only(least).groupby("run", sort=False):
        of_run = {name: frame[frame.run == run] for name, frame in tables.items()}
        gain, lost = own.iloc[0], losses[losses.run == run].sort_values("rate")
        found = interval(gain.estimate, gain.low, gain.high, "+z.3f").replace("\u00a0[", " [")
        cells = [f"{'yes' if is_found(gain) and gain.estimate > 0 else 'not clearly'}: {found}"]
        cells += [_moved(of_run["changes"])]
        cells += [_seen(lost), _moved(of_run["dropped"])]
        columns[gain.title] = cells
    claims = [
        "More modalities raise AUROC (all over each single one)",
        "They move differences between groups (TPR, first modality to all)",
        "Missing modalities lower AUROC even at small rates (seen in one test run on the same patients)",
        "Missing modalities move differences between groups (TPR, drop rate 0.2)",
    ]
    return story_table(pd.DataFrame({"the paper reports": claims} | columns))


def _moved(changes):
    """How many of the tested differences change clearly, in a cell."""
    tested = judged_only(changes)
    return (
        f"{int((tested.verdict == 'differs').sum())} of {len(tested)} clearly"
        if len(tested)
        else "not tested"
    )


def _seen(losses):
    """Up to which rate one test run cannot show the loss, in a cell."""
    if not len(losses):
        return "not computed"
    seen = losses[losses.seen.astype(bool)]
    parts = {"yes": seen, "no": losses[~losses.seen.astype(bool)]}
    told = {how: " and ".join(f"{rate:g}" for rate in sorted(part.rate)) for how, part in parts.items()}
    return "; ".join(f"{how} at {rates}" for how, rates in told.items() if rates)


def cohort_table(sizes: pd.DataFrame, verdicts: pd.DataFrame) -> HTML:
    """Size, outcome and modalities of every cohort, with how many inputs the audit doubts.

    Parameters
    ----------
    sizes, verdicts : pandas.DataFrame
        From `mmlib.questions.story`: `cohort_sizes` and `audit_verdicts`.
    """
    doubted = verdicts[verdicts.verdict.isin(["leak", "unresolved"])].groupby("run").size()
    shown = pd.DataFrame(
        {
            "cohort": _titles(sizes),
            "samples": sizes.n,
            "of": [f"{r.patients:,} {r.units}" for r in sizes.itertuples()],
            "outcome": sizes.task,
            "with it": sizes.positives / sizes.n,
            "modalities": sizes.modalities,
            "leak or unresolved": [doubted.get(run, 0) for run in sizes.run],
        }
    )
    return story_table(shown, {"samples": "{:,}", "with it": "{:.0%}"})


def training_figure(regimes: pd.DataFrame, rate: float = 0.5) -> np.ndarray:
    """What regimes gain on the plain model when modalities are missing, and what they cost with complete inputs.

    Parameters
    ----------
    regimes : pandas.DataFrame
        From `mmlib.questions.story.regime_gains`.
    rate : float
        Drop rate at random.
    """
    rows = regimes[regimes.regime.isin(REGIMES) | regimes.chosen.eq(True)]
    rows = rows.assign(
        label=[
            REGIMES.get(r.regime, r.regime) + (" *" if r.chosen is True else "") for r in rows.itertuples()
        ]
    )
    real = rows[(rows.kind == "health") & (rows.regime == VARIED) & (rows.case == "at random")]
    clear = int((real.low > 0).sum())
    title = f"Dropout at varied rates gains clearly in {clear or 'none'} of {len(real)} real cohorts"
    if not len(rows):
        return np.array([nothing(NOTHING, title)])
    rows = rows.sort_values("regime", key=lambda r: r.map([*REGIMES, *rows.regime].index), kind="stable")
    rows = rows.sort_values("run", key=lambda r: r.map(list(regimes.run).index), kind="stable")
    lines = _lines(rows, "label")
    figure, axes = _figure(lines, title, panels=2)
    panels = {
        "at random": f"gain in AUROC\nat drop rate {rate:g}",
        "complete": "change with\ncomplete inputs",
    }
    for ax, (case, label) in zip(axes, panels.items(), strict=True):
        for at, own in _places(lines, rows[rows.case == case], "label"):
            row = own.iloc[0]
            _point(ax, at, row, OVERALL, is_clear(row))
        ax.axvline(0, color=GREY, lw=1)
        ax.set_xlabel(label)
        ax.locator_params(axis="x", nbins=4)
    return axes


def interval_rows(
    rows: pd.DataFrame, *, title: str, xlabel: str, form: str = "", zero: float | None = 0.0
) -> plt.Axes:
    """A line for each row under the heading of its cohort: estimate, 95 % interval, and its number or count.

    Parameters
    ----------
    rows : pandas.DataFrame
        Columns run, title, kind, label, estimate, low, high; perhaps attribute (its colour), note (written at the
        right) and clear (whether the point is filled).
    title, xlabel : str
    form : str
        Format of the estimate at the right, where there is no note.
    zero : float, optional
        Where a line is drawn, and from which intervals are clear.
    """
    if not len(rows):
        return nothing(NOTHING, title)
    lines = _lines(rows, "label")
    figure, ax = _figure(lines, title)
    for at, own in _places(lines, rows, "label"):
        row = own.iloc[0]
        clear = row.clear if "clear" in own else zero is not None and is_clear(row, zero)
        colour = _colour(row.attribute) if "attribute" in own else OVERALL
        note = row.note if "note" in own else (f"{row.estimate:{form}}" if form else f"{row.estimate:.2f}")
        if np.isfinite([row.low, row.high]).all():
            _point(ax, at, row, colour, clear)
        else:
            note = "too few"
        ax.annotate(
            note,
            (1.01, at),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=9 if len(note) < 12 else 7.5,
        )
    if zero is not None:
        ax.axvline(zero, color=GREY, lw=1)
    ax.set_xlabel(xlabel)
    ax.locator_params(axis="x", nbins=4)
    if "attribute" in rows:
        _legend(figure, rows.attribute.unique())
    return ax


def story_table(table: pd.DataFrame, form: Mapping[str, str] | None = None) -> HTML:
    """A table and, under it, its rows as a CSV to download; the book puts numbers at the right.

    Parameters
    ----------
    table : pandas.DataFrame
        At most eight columns and fifteen rows, as they are read.
    form : mapping of str to str, optional
        Format of columns of numbers.
    """
    style = table.style.hide(axis="index").format(dict(form or {}), na_rep="-")
    return HTML(style.to_html() + data_links({"this table": table}).data)


def visible_table(losses: pd.DataFrame) -> HTML:
    """Loss of AUROC at each drop rate and the chance of one test run, by real health cohort.

    Parameters
    ----------
    losses : pandas.DataFrame
        From `mmlib.questions.story.drop_losses`.
    """
    losses = health_only(losses)
    cells = losses.assign(
        cohort=_titles(losses),
        cell=[
            f"{_small(r.estimate)} ± {_small(r.chance)}, {'yes' if r.seen else 'no'}"
            for r in losses.itertuples()
        ],
        rate=[f"rate {rate:g}" for rate in losses.rate],
    )
    wide = cells.pivot_table(index="cohort", columns="rate", values="cell", aggfunc="first", sort=False)
    return story_table(wide.reset_index().rename_axis(columns=None))


def single_gains_table(gains: pd.DataFrame) -> HTML:
    """AUROC of all modalities and its smallest gain over a single one, a line for each cohort.

    Parameters
    ----------
    gains : pandas.DataFrame
        From `mmlib.questions.story.all_gains`.
    """
    least = smallest_gains(gains)
    ends = [interval(r.estimate, r.low, r.high, "+z.3f") for r in least.itertuples()]
    shown = pd.DataFrame(
        {
            "cohort": _titles(least),
            "samples": least.n,
            "AUROC, all": least.full,
            "smallest gain [95 %]": ends,
            "over": least.versus.map(words),
        }
    )
    return story_table(shown, {"samples": "{:,}", "AUROC, all": "{:.3f}"})


def mechanism_table(levels: pd.DataFrame) -> HTML:
    """Expected AUROC of the plain model at one mean drop rate, by why modalities are missing.

    Parameters
    ----------
    levels : pandas.DataFrame
        From `mmlib.questions.story.mechanism_levels`; mechanisms that only one run has are left out.
    """
    order = ["at random", "all at once", "more at higher predicted risk", "more at lower predicted risk"]
    own = levels[levels.mechanism.isin(order)]
    own = own.assign(cohort=_titles(own))
    wide = own.pivot_table(index=["cohort", "rate"], columns="mechanism", values="estimate", sort=False)
    wide = (
        wide.reindex(columns=[name for name in order if name in wide]).reset_index().rename_axis(columns=None)
    )
    return story_table(wide, {name: "{:.3f}" for name in order if name in wide} | {"rate": "{:g}"})


def parts_table(parts: pd.DataFrame, changes: pd.DataFrame) -> HTML:
    """Change of each TPR difference of the real health cohorts and its three parts: ranking, allocation, overall share.

    Parameters
    ----------
    parts, changes : pandas.DataFrame
        From `mmlib.questions.story`: `contrast_parts` and `changed_contrasts`.
    """
    keys = ["run", "attribute", "group"]
    wide = parts.pivot_table(index=keys, columns="part", values="estimate", sort=False).reset_index()
    table = health_only(changes[changes.low.notna()]).merge(wide, on=keys, how="left")
    names = [name for name in ("ranking", "allocation", "overall share") if name in table]
    shown = pd.DataFrame(
        {
            "cohort": table.title,
            "difference": [short_contrast(r) for r in table.itertuples()],
            "change [95 %]": [interval(r.estimate, r.low, r.high, "+z.2f") for r in table.itertuples()],
        }
    )
    shown[names] = table[names]
    return story_table(shown.head(15), {name: "{:+z.2f}" for name in names})


def needed_table(claims: pd.DataFrame) -> HTML:
    """The six undecided comparisons of real health cohorts that the fewest additional patients would decide.

    Parameters
    ----------
    claims : pandas.DataFrame
        From `mmlib.questions.claims.collect_claims`.
    """
    rows = claims[(claims.kind == "health") & (claims.verdict == "undecided")]
    rows = rows.sort_values("times", kind="stable").head(6)
    digits = [3 if metric == "auroc" else 2 for metric in rows.metric]
    found = zip(rows.estimate, rows.low, rows.high, digits, strict=True)
    shown = pd.DataFrame(
        {
            "cohort": rows.title,
            "claim": rows.claim,
            "groups": ["overall" if pd.isna(r.reference) else short_contrast(r) for r in rows.itertuples()],
            "difference [95 %]": [interval(*ends, f"+z.{d}f") for *ends, d in found],
            "detectable": [f"{v:.{d}f}" for v, d in zip(rows.detectable, digits, strict=True)],
            "patients needed": [_times(t) for t in rows.times.astype(float)],
        }
    )
    return story_table(shown)


def _titles(rows):
    """What readers call the cohort of each row, with its kind if it is not counted."""
    return (rows.title + rows.kind.map(KINDS)).tolist()


def _times(times):
    if not np.isfinite(times):
        return "more would not decide"
    return "enough, it lies between" if times <= 1 else f"{times:.1f} times as many"


def _small(value):
    """A loss with as many digits as it needs, up to four."""
    return f"{value:.4f}" if abs(value) < 0.0095 else f"{value:.3f}"


def _count(events):
    return f"{events:,.0f}"


def _colour(attribute):
    if attribute in ("all", "overall"):
        return OVERALL
    return ATTRIBUTES.get(attribute, COLOURS[4])


def _lines(rows: pd.DataFrame, name: str) -> list[tuple]:
    """What stands on each line, as (run, entry of a column, label): the heading of a cohort has no entry."""
    lines = []
    for run, own in rows.groupby("run", sort=False):
        title, kind = own[["title", "kind"]].iloc[0]
        if title:
            lines.append((run, None, title + KINDS[kind]))
        lines += [(run, key, words(str(key))) for key in dict.fromkeys(own[name])]
    return lines


def _places(lines, rows, name):
    """Line number of each of these rows, with the rows that stand on it."""
    for at, (run, key, _) in enumerate(lines):
        if key is None:
            continue
        own = rows[(rows.run == run) & (rows[name] == key)]
        if len(own):
            yield at, own


def _figure(lines, title, panels=1):
    """Figure with a line for each label; headings are bold and begin at the left edge, over the whole width."""
    height = 0.235 * len(lines) + 1.35
    figure, axes = plt.subplots(1, panels, sharey=True, figsize=(WIDTH, height))
    first = np.atleast_1d(axes)[0]
    first.set_yticks(
        range(len(lines)), ["" if key is None else label for _, key, label in lines], fontsize=9.5
    )
    place = {"xycoords": ("figure fraction", "data"), "fontweight": "bold", "fontsize": 9.5, "va": "center"}
    place["bbox"] = {"facecolor": figure.get_facecolor(), "edgecolor": "none", "pad": 1}  # no line runs through it
    for at, (_, key, label) in enumerate(lines):
        if key is None:
            first.annotate(label, (0.012, at), **place).set_in_layout(False)
    first.set_ylim(len(lines) - 0.4, -0.6)
    for ax in np.atleast_1d(axes):
        ax.tick_params(axis="x", labelsize=9)
        ax.xaxis.label.set_size(10)
        ax.grid(axis="y", visible=False)
        ax.tick_params(axis="y", length=0)
    _title(figure, title)
    return figure, axes


def _title(figure, title):
    text = "\n".join(textwrap.wrap(title, 56))
    figure.suptitle(text, x=0.01, ha="left", fontweight="bold", fontsize=11.5)


def _point(ax, at, row, colour, clear):
    arms = np.maximum([[row.estimate - row.low], [row.high - row.estimate]], 0)
    face = colour if clear else "white"
    ax.errorbar(row.estimate, at, xerr=arms, fmt="o", ms=5.5, capsize=2.5, color=colour, mfc=face, mew=1.4)


def _legend(figure, attributes):
    """Name the colours of attributes under the figure."""
    order = [*ATTRIBUTES, *attributes]
    attributes = sorted(attributes, key=order.index)
    marks = [plt.Line2D([], [], marker="o", ls="", color=_colour(a), label=words(a)) for a in attributes]
    figure.legend(handles=marks, loc="outside lower left", ncols=len(marks), frameon=False, fontsize=9)


def _apart(values, least):
    """Places near these values that are at least so far apart, in their order."""
    order = np.argsort(values)
    places = np.array(values, float)
    for before, after in zip(order, order[1:], strict=False):
        places[after] = max(places[after], places[before] + least)
    return places
