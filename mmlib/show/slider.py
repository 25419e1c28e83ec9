"""One slider for the share that is selected, for the lesson on thresholds."""

import json
from pathlib import Path

import pandas as pd
from IPython.display import HTML
from matplotlib.colors import to_hex

from mmlib.show.style import COLOURS


def share_slider(table: pd.DataFrame, name: str) -> HTML:
    """One slider for the share selected, and the true positive rates of two groups there.

    Parameters
    ----------
    table : pandas.DataFrame
        From `mmlib.questions.lessons.sweep_shares`.
    name : str
        Unique on the page.
    """
    group, reference = [c for c in table if c not in ("share", "threshold", "difference")]
    data = {"groups": [reference, group], "share": [round(float(s), 4) for s in table["share"]]}
    data |= {"threshold": [round(float(t), 4) for t in table["threshold"]]}
    data |= {"tpr": [[round(float(v), 4) for v in table[g]] for g in (reference, group)]}
    page, script, style = (
        Path(__file__).with_suffix(f".{kind}").read_text(encoding="utf-8") for kind in ("html", "js", "css")
    )
    page = page.replace("SCRIPT", script).replace("STYLE", style).replace("NAME", f"slider-{name}")
    page = page.replace("COLOUR0", to_hex(COLOURS[0])).replace("COLOUR1", to_hex(COLOURS[3]))
    # "</" would end the script; the data come last, so that no word in them is taken for a place
    return HTML(page.replace("DATA", json.dumps(data, separators=(",", ":")).replace("</", "<\\/")))
