"""The page on which a reader sets drop rates: exact results per group, computed in the browser from tables.

A few lines of plain script (``explorer.js``) instead of a chart library: the AUROC is a quadratic form in the patterns'
probabilities, and the page must work from a file, without a network.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from IPython.display import HTML, Markdown
from matplotlib.colors import to_hex

from mmlib.core.schema import MINIMUM
from mmlib.show.style import COLOURS, words

QUANTITIES = {"auroc": "AUROC", "tpr": "true positive rate", "selection_rate": "selection rate"}
DIGITS = 1_000_000  # tables are written as whole numbers of this fraction


def drop_explorer(
    pairs: Sequence[tuple[str, Sequence[Mapping]]],
    modalities: Sequence[str],
    name: str,
) -> HTML | Markdown:
    """Interactive page part: sliders for the drop rate of each modality in two groups.

    Parameters
    ----------
    pairs : sequence of (attribute, two groups)
        From `mmlib.questions.drops.pattern_pairs`. Each group is a mapping with ``name``, ``n``, ``n_positive`` and
        the tables of `mmlib.measure.patterns.pattern_tables`: ``tpr`` and ``selection_rate`` (P,), ``auroc`` (P, P).
    modalities : sequence of str
        In the order of the patterns' bits.
    name : str
        Unique on the page.

    Returns
    -------
    IPython.display.HTML
        Or a sentence, if there are no pairs.
    """
    if not pairs:
        return Markdown(f"This run shows no two groups that both have {MINIMUM} positives and {MINIMUM} negatives.")
    data = {
        "modalities": [words(m) for m in modalities],
        "start": 0.2,  # where the first group's sliders stand; the second group's stand at 0
        "digits": DIGITS,
        "quantities": QUANTITIES,
        "pairs": [
            {
                "attribute": words(attribute),
                "groups": [
                    {"name": g["name"], "n": int(g["n"]), "positive": int(g["n_positive"])}
                    | {q: np.rint(np.asarray(g[q]) * DIGITS).astype(int).tolist() for q in QUANTITIES}
                    for g in groups
                ],
            }
            for attribute, groups in pairs
        ],
    }
    return page_part("explorer", f"explorer-{name}", data)


def page_part(part: str, name: str, data: Mapping) -> HTML:
    """Interactive part of a page: its HTML and script beside this module, the style of all parts, and the data."""
    html, script, style = (
        Path(__file__).with_name(file).read_text(encoding="utf-8")
        for file in (f"{part}.html", f"{part}.js", "explorer.css")
    )
    page = html.replace("SCRIPT", script).replace("STYLE", style).replace("NAME", name)
    page = page.replace("COLOUR0", to_hex(COLOURS[0])).replace("COLOUR1", to_hex(COLOURS[3]))
    # "</" would end the script; the data come last, so that no word in them is taken for a place
    written = json.dumps(data, separators=(",", ":")).replace("</", "<\\/")
    return HTML(page.replace("DATA", written))
