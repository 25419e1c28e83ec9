"""The page part on which a reader adds modalities: two groups' scores as dots, one threshold, and what follows.

Its HTML, script and style are files beside this module; it needs no network and no other script.
"""

import html
import json
import re
from pathlib import Path

import numpy as np
from IPython.display import HTML, Markdown

from mmlib.core.subsets import full_subset, members
from mmlib.questions.binned import BinnedScores
from mmlib.show.style import words

#: Colours of the two groups on light and on dark ground: 4.5:1 or more on either.
GROUND = {"ONE_LIGHT": "#0062a3", "TWO_LIGHT": "#a84300", "ONE_DARK": "#6cc0f5", "TWO_DARK": "#ffa35c"}
LEGEND = "One dot: 1 % of a group. Right of the line: flagged."
TASK = "Task: bring the difference within 0.05, by the boxes or the line. Who pays?"


def try_adding(binned: BinnedScores | None, name: str, *, small: bool = False) -> HTML | Markdown:
    """Interactive part: a guess, then modalities and a threshold to change; without a script, its table.

    Parameters
    ----------
    binned : BinnedScores or None
        From `mmlib.questions.binned.widest_addition`; without any, a sentence says so.
    name : str
        Unique on the page.
    small : bool
        Only the guess and its answer.
    """
    if binned is None:
        return Markdown("No run of this book has counts of scores to try this on; the figure above shows its results.")
    (added,) = set(members(binned.added)) - set(members(binned.start))
    one, two = binned.groups
    kept = [binned.start, binned.added, full_subset(binned.subsets)] if small else binned.subsets
    kept = list(dict.fromkeys(kept))
    data = {
        "groups": [one, two],
        "modalities": [words(m) for m in binned.modalities],
        "subsets": [[i for i, m in enumerate(binned.modalities) if m in members(s)] for s in kept],
        "counts": [binned.counts[binned.subsets.index(s)].astype(int).tolist() for s in kept],
        "found": [_ends(binned.found.loc[s]) for s in kept],
        "prevalence": binned.prevalence,
        "start": kept.index(binned.start),
        "added": kept.index(binned.added),
        "all": kept.index(full_subset(binned.subsets)),
        "small": small,
    }
    synthetic = " (synthetic)" if binned.kind == "synthetic" else ""
    before, after = (binned.metrics(s) for s in (binned.start, binned.added))
    gaps = [m["tpr"][1] - m["tpr"][0] for m in (before, after)]
    false = [m["fpr"][1] - m["fpr"][0] for m in (before, after)]
    alike = (false[1] - false[0]) * (gaps[1] - gaps[0]) > 0
    moved = " One group moves against the other, with and without the outcome, which AUROC does not see."
    moved = moved if alike else ""
    parts = {
        "ASK": f"{binned.title}{synthetic}: a model that reads the modality {words(binned.start)} "
        f"also gets {words(added)}. AUROC rises in "
        f"both {words(binned.attribute)}s. Is the TPR difference, {two} minus {one}, then narrower or wider?",
        "VERDICT": f"AUROC rises in both groups; the TPR difference goes from {gaps[0]:+.2f} to {gaps[1]:+.2f}.",
        "LEGEND": LEGEND,
        "TASK": TASK,
        "NOTE": f"Of the additions that raise AUROC in both groups, this one widens most.{moved}"
        if small
        else "AUROC ranks within a group; TPR counts who passes the one line. Of the additions that raise "
        "AUROC in both groups, this one widens most. TPR differences of these binned scores are within "
        f"{np.ceil(100 * binned.error) / 100:.2f} of the study's.",
    }
    parts = {place: html.escape(text) for place, text in parts.items()} | GROUND
    # "</" would end the script
    parts |= {"NAME": f"adding-{name}", "TABLE": _table(binned, before, after, small)}
    parts |= {"DATA": json.dumps(data, separators=(",", ":")).replace("</", "<\\/")}
    page, parts["SCRIPT"], parts["STYLE"] = (
        Path(__file__).with_suffix(end).read_text(encoding="utf-8") for end in (".html", ".js", ".css")
    )
    for _ in range(2):  # script and style hold places themselves
        page = re.sub("@([A-Z_]+)@", lambda place: parts.get(place[1], place[0]), page)
    return HTML(page)


def landing_part(binned: BinnedScores | None) -> Markdown:
    """The small interactive part as Markdown for another page; empty without data."""
    if binned is None:
        return Markdown("")
    part = try_adding(binned, "landing", small=True)
    return Markdown(f"```{{raw}} html\n{part.data}\n```\n\nMore: [](../notebooks/story/3_adding.ipynb)")


def _ends(row):
    return None if row.isna().any() else [float(value) for value in row]


def _table(binned, before, after, small):
    """Both models beside each other, as a script finds and changes the cells."""
    lines = []
    for metric, label, digits in (("auroc", "AUROC", 3), ("tpr", "TPR", 2), ("selected", "flagged", 2)):
        if small and metric != "tpr":
            continue
        for g, group in enumerate(binned.groups):
            own = [m["selection_rate" if metric == "selected" else metric][g] for m in (before, after)]
            lines.append((f"{metric}-{g}", f"{label}, {group}", [f"{value:.{digits}f}" for value in own]))
    gaps = [f"{m['tpr'][1] - m['tpr'][0]:+.2f}" for m in (before, after)]
    lines.append(("gap", "TPR difference", gaps))
    rows = [binned.found.loc[s] for s in (binned.start, binned.added)]
    found = [f"{r.estimate:+.2f} [{r.low:+.2f},\u00a0{r.high:+.2f}]" for r in rows]
    lines.append(("found", "study [95\u00a0%]", found))
    head = "".join(
        f'<th scope="col" class="number" data-head="{when}">{html.escape(words(s))}</th>'
        for when, s in (("before", binned.start), ("after", binned.added))
    )
    body = "".join(
        f'<tr><th scope="row">{html.escape(label)}</th>'
        + "".join(
            f'<td class="number" data-cell="{key}-{when}">{v}</td>'
            for when, v in zip(("before", "after"), values, strict=True)
        )
        + "</tr>"
        for key, label, values in lines
    )
    return f'<table><thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table>'
