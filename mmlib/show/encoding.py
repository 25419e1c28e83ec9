"""Figures and tables of chapter 2: what is lost when measurements become sentences, and what the vectors reveal."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown

from mmlib.measure.estimates import Estimate
from mmlib.models.study import Study
from mmlib.questions.encoding import BY_FLAGS, COUNTED, RAW, UNREDUCED, Ways
from mmlib.show.style import COLOURS, GREY, interval, nothing, words


def kept_table(study: Study):
    """Style the share of variance that the reduction keeps of each modality, the smallest over folds."""
    table = pd.DataFrame({"modality": study.modalities, "variance kept": study.kept.min(0)})
    return table.style.hide(axis="index").format({"variance kept": "{:.1%}"})


def price_dots(auroc: Estimate, ways: Ways, *, farthest: float = 0.15) -> plt.Axes:
    """Draw the AUROC of each way to encode and fuse, minus that of the usual method.

    Those farther below than ``farthest`` are written, not drawn, so that the others can be told apart.

    Parameters
    ----------
    auroc : Estimate
        Of `mmlib.measure.evaluation.compare_auroc`.
    ways : mmlib.questions.encoding.Ways
    farthest : float
    """
    change = auroc - auroc.sel(variant=ways.usual)
    table = change.frame().assign(auroc=auroc.value.values)
    table = table.sort_values("estimate", ascending=False).reset_index(drop=True)
    _, ax = plt.subplots(figsize=(8, 0.5 * len(table) + 1.2))
    ax.axvline(0, color=GREY, lw=1)
    far = table.estimate < -farthest
    spread = [table.estimate - table.low, table.high - table.estimate]
    ax.errorbar(table.estimate.mask(far), table.index, xerr=spread, fmt="o", capsize=3)
    for y, r in table[far].iterrows():
        place = {"transform": ax.get_yaxis_transform(), "va": "center", "backgroundcolor": "white"}
        text = f"$\\leftarrow$ {interval(r.estimate, r.low, r.high, '+.3f')}"
        ax.text(0.01, y, text, fontsize=9, color=GREY, **place)
    labels = [f"{v}\nAUROC {a:.3f}" for v, a in zip(table.variant, table.auroc, strict=True)]
    ax.set_yticks(table.index, labels, fontsize=9)
    ax.set(xlabel="difference in AUROC (95 % interval)", ylim=(len(table) - 0.5, -0.5))
    through = change.sel(variant=ways.sentences)
    unclear = "" if through.clear() else " (no clear difference)"
    ax.set_title(f"Through sentences, AUROC changes by {float(through):+.3f} against\n{ways.usual}{unclear}")
    return ax


def price_steps(auroc: Estimate, ways: Ways, *, dimensions: int, features: int) -> Markdown:
    """What each step from the usual method to the network on sentences changes, in sentences.

    Parameters
    ----------
    auroc : Estimate
    ways : mmlib.questions.encoding.Ways
    dimensions, features : int
        Components kept of the vectors, and their length.
    """
    there = auroc.labels("variant")

    def step(to, since):
        change = auroc.sel(variant=to) - auroc.sel(variant=since)
        return f"{change:+.3f}{_verdict(change)}"

    told = [
        f"**Where the difference comes from.** The ways change one thing at a time. From {ways.usual} to the network "
        f"on sentences, AUROC changes by {step(ways.sentences, ways.usual)}."
    ]
    if RAW in there and ways.usual != COUNTED:
        told.append(
            f"The network instead of trees, both on raw columns, changes it by {step(RAW, ways.usual)}; words instead "
            f"of numbers, both in the network, by {step(ways.sentences, RAW)}."
        )
    if BY_FLAGS[True] in there:
        told.append(
            f'The words "low" and "high" beside the numbers change it by {step(BY_FLAGS[True], BY_FLAGS[False])}.'
        )
    if UNREDUCED in there:
        told.append(
            f"All {features} components instead of {dimensions} change it by {step(UNREDUCED, ways.sentences)}. What "
            "remains is between single words, counted, and one vector for a whole passage."
        )
    return Markdown(" ".join(told))


def unit_table(costs: pd.DataFrame, auroc: Estimate):
    """Style the comparison of field and note encoding, of `mmlib.questions.encoding.compare_units`."""
    table = costs.join(_areas(auroc, "field").set_index("variant"), on="unit")
    formats = {"texts": "{:,}", "distinct": "{:,}", "seconds": "{:.1f}"}
    return table.style.hide(axis="index").format(formats)


def without_table(comparisons: Mapping[str, Estimate]):
    """Style the comparisons, by model, of all fields with fewer; of `mmlib.questions.encoding.compare_without`."""
    parts = [
        _areas(pair, "with").assign(model=name, n=pair.n, positives=pair.n_positive)
        for name, pair in comparisons.items()
    ]
    table = pd.concat(parts).rename(columns={"variant": "unresolved fields"})
    first = ["model", "unresolved fields", "n", "positives"]
    table = table[[*first, *(c for c in table if c not in first)]]
    return table.style.hide(axis="index").format({"n": "{:,}", "positives": "{:,}"})


def kinds_table(comparisons: Mapping[str, Estimate], reference: str):
    """Style the comparisons, by kind of positives, with a reference; of `mmlib.questions.encoding.compare_kinds`."""
    parts = [
        _areas(pair, reference).assign(positives=kind, n=pair.n, known=pair.n_positive)
        for kind, pair in comparisons.items()
    ]
    if not parts:
        table = pd.DataFrame({"positives": ["too few of any kind for an interval"]})
        return table.style.hide(axis="index")
    table = pd.concat(parts).rename(columns={"variant": "model", "known": "of them positive"})
    first = ["positives", "n", "of them positive"]
    table = table[[*first, *(c for c in table if c not in first)]]
    return table.style.hide(axis="index").format({"n": "{:,}", "of them positive": "{:,}"})


def decoded_dots(table: pd.DataFrame) -> np.ndarray:
    """Draw how well each group is told from all others by each modality; of `decoding.decode_groups`."""
    if table.empty:
        return np.array([nothing("No group is large enough, or all samples are in one.", "Nothing to tell apart")])
    attributes, modalities = (list(dict.fromkeys(table[c])) for c in ("attribute", "subset"))
    most = table.groupby("attribute").group.nunique().max()
    size = max(6, 3.6 * len(attributes)), len(modalities) * (0.3 + 0.12 * most) + 1.2 + 0.2 * most
    figure, axes = plt.subplots(1, len(attributes), sharey=True, squeeze=False, figsize=size)
    for ax, attribute in zip(axes[0], attributes, strict=True):
        rows = table[table.attribute == attribute]
        groups = list(dict.fromkeys(rows.group))
        for i, group in enumerate(groups):
            own = rows[rows.group == group]
            at = own.subset.map(modalities.index) + 0.7 * ((i + 0.5) / len(groups) - 0.5)
            ax.errorbar(
                own.estimate,
                at,
                xerr=[own.estimate - own.low, own.high - own.estimate],
                fmt="o",
                ms=4,
                capsize=2,
                color=COLOURS[i % len(COLOURS)],
                label=f"{group} (n={own.n_positive.max():,})",
            )
        ax.axvline(0.5, color=GREY, lw=1, ls="--")
        ax.set_title(words(attribute), fontsize=11, fontweight="normal")
        ax.set(xlabel="AUROC against the others")
        ax.legend(
            loc="upper left", bbox_to_anchor=(0, -0.45 / len(modalities) - 0.05), frameon=False, fontsize=8
        )
    axes[0, 0].set_yticks(range(len(modalities)), [words(m) for m in modalities])
    axes[0, 0].set_ylim(len(modalities) - 0.5, -0.5)
    best = _clearest(table)
    title = f"{words(best.subset).capitalize()} tells {best.group} from the others best: AUROC {best.estimate:.2f}"
    if best.low <= 0.5:
        title = "No modality tells a group clearly from the others"
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return axes[0]


def encoding_in_short(
    auroc: Estimate, ways: Ways, without: Mapping[str, Estimate], decoded: pd.DataFrame, *, margin: float = 0.02
) -> Markdown:
    """The answer of chapter 2 in a few sentences.

    Parameters
    ----------
    auroc : Estimate
        Of every way.
    ways : mmlib.questions.encoding.Ways
    without : mapping of str to Estimate
        From `mmlib.questions.encoding.compare_without`.
    decoded : pandas.DataFrame
        From `mmlib.questions.decoding.decode_groups`.
    margin : float
        Loss of AUROC that the one-sided 95 % bound is compared with.
    """
    change = auroc.sel(variant=ways.sentences) - auroc.sel(variant=ways.usual)
    reached = float(auroc.sel(variant=ways.usual))
    bound = float(change.interval(level=0.9)[0])
    excluded = "excludes" if bound > -margin else "does not exclude"
    told = [
        f"**In short.** {ways.usual.capitalize()}: AUROC {reached:.3f}. The fusion network on sentences differs from "
        f"it by {change:+.3f}{_verdict(change)}. The one-sided 95 % bound {excluded} a loss of more than {margin:g}."
    ]
    if decoded.empty:
        told.append("No group is large enough to ask whether the vectors reveal it.")
    else:
        best = _clearest(decoded)
        area = interval(best.estimate, best.low, best.high, ".2f")
        told.append(
            f"The vectors reveal groups: from {words(best.subset)} alone, a linear model tells {best.group} from the "
            f"others with an AUROC of {area}."
            if best.low > 0.5
            else "No modality's vectors tell a group clearly from the others."
        )
    pair = without[ways.sentences]
    if "without" in pair.labels("variant"):
        change = pair.sel(variant="without") - pair.sel(variant="with")
        told.append(
            f"Without the fields that chapter 1 leaves unresolved, AUROC changes by {change:+.3f}{_verdict(change)}."
        )
    return Markdown(" ".join(told))


def _areas(auroc: Estimate, reference: str) -> pd.DataFrame:
    """A row per variant: AUROC and difference to the reference, each with its interval."""
    change = auroc - auroc.sel(variant=reference)
    rows = [
        {
            "variant": v,
            "AUROC [95 %]": f"{auroc.sel(variant=v):.3f}",
            "difference [95 %]": "" if v == reference else f"{change.sel(variant=v):+.3f}",
        }
        for v in auroc.labels("variant")
    ]
    return pd.DataFrame(rows)


def _clearest(decoded: pd.DataFrame) -> pd.Series:
    """The group that is told best; one of 100 samples or more, and of an attribute other than age, if there is any."""
    others = decoded[(decoded.attribute != "age_group") & (decoded.n_positive >= 100)]
    return decoded.loc[(others if len(others) else decoded).low.idxmax()]


def _verdict(change: Estimate) -> str:
    return "" if change.clear() else " (no clear difference)"
