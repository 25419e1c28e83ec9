"""The page on which a reader sets drop rates: exact results per group, computed in the browser from tables.

A few lines of plain script instead of a chart library: the AUROC is a quadratic form in the patterns'
probabilities, and the page must work from a file, without a network.
"""

import json
from collections.abc import Mapping, Sequence

import numpy as np
from IPython.display import HTML

from mmlib.show.style import COLOURS, words

QUANTITIES = {"auroc": "AUROC", "tpr": "true positive rate", "selection_rate": "selection rate"}
DIGITS = 1_000_000  # tables are written as whole numbers of this fraction


def explorer(
    pairs: Sequence[tuple[str, Sequence[Mapping]]],
    modalities: Sequence[str],
    name: str,
    *,
    start: float = 0.2,
) -> HTML:
    """Make the interactive page part: sliders for the drop rate of each modality in two groups.

    Parameters
    ----------
    pairs : sequence of (attribute, two groups)
        Each group is a mapping with ``name``, ``n``, ``n_positive`` and the tables of
        `mmlib.measure.patterns.pattern_tables`: ``tpr`` and ``selection_rate`` (P,), ``auroc`` (P, P).
    modalities : sequence of str
        In the order of the patterns' bits.
    name : str
        Unique on the page.
    start : float
        Drop rate at which the first group's sliders stand at first; the second group's stand at 0.

    Returns
    -------
    IPython.display.HTML
    """
    data = {
        "modalities": [words(m) for m in modalities],
        "start": start,
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
    return page_part(PAGE, f"explorer-{name}", data)


def page_part(template: str, name: str, data: Mapping) -> HTML:
    """Put the name, the style of all interactive parts, and the data into a template of one."""
    # "</" would end the script
    written = json.dumps(data, separators=(",", ":")).replace("</", "<\\/")
    colours = ["#" + "".join(f"{round(255 * c):02x}" for c in COLOURS[i]) for i in (0, 3)]
    page = template.replace("NAME", name).replace("STYLE", STYLE)
    return HTML(page.replace("COLOUR0", colours[0]).replace("COLOUR1", colours[1]).replace("DATA", written))


STYLE = """\
<style>
.explorer { background: #fff; color: #222; padding: .8em; font: 15px/1.4 sans-serif; max-width: 46em; }
.explorer .rates, .explorer .found { display: grid; gap: .3em .8em; align-items: center; }
.explorer .rates { grid-template-columns: minmax(5em, auto) 1fr 1fr; }
.explorer .found { grid-template-columns: minmax(6em, auto) 4em 1fr; margin-top: .8em; }
.explorer .rates label, .explorer .rates span { display: flex; align-items: center; gap: .4em; min-width: 0; }
.explorer input[type=range] { flex: 1; min-width: 2em; width: 100%; }
.explorer .rates output { width: 2.8em; text-align: right; font-variant-numeric: tabular-nums; }
.explorer .bar { position: relative; height: .7em; background: #eee; min-width: 2em; }
.explorer .bar i { position: absolute; top: 0; bottom: 0; left: 0; }
.explorer .bar b { position: absolute; top: -.2em; bottom: -.2em; width: 2px; background: #222; }
.explorer .found output { font-variant-numeric: tabular-nums; text-align: right; }
.explorer h5 { grid-column: 1 / -1; margin: .5em 0 0; font-size: 1em; color: #222; }
.explorer .c0 { color: COLOUR0; font-weight: bold; } .explorer .c1 { color: COLOUR1; font-weight: bold; }
.explorer i.c0 { background: COLOUR0; } .explorer i.c1 { background: COLOUR1; }
.explorer button, .explorer select { font: inherit; color: #222; background: #fff; max-width: 100%; }
</style>"""

PAGE = """\
<div id="NAME" class="explorer">
STYLE
<p><label>Compare by <select></select></label> <button type="button">all rates to 0</button></p>
<div class="rates"></div>
<div class="found"></div>
<noscript>This part needs JavaScript.</noscript>
<script>
(() => {
  const data = DATA;
  const root = document.getElementById("NAME");
  const [select, button, rates, found] = ["select", "button", ".rates", ".found"].map(s => root.querySelector(s));
  const add = (parent, tag, text, more) => {
    const node = Object.assign(document.createElement(tag), {textContent: text || ""}, more || {});
    parent.append(node);
    return node;
  };
  data.pairs.forEach((pair, i) => add(select, "option",
    `${pair.attribute}: ${pair.groups[0].name} and ${pair.groups[1].name}`, {value: i}));

  // one slider for each modality and group
  add(rates, "span", "drop rate of");
  const heads = [0, 1].map(g => add(rates, "span", "", {className: `c${g}`}));
  const sliders = data.modalities.map(modality => {
    add(rates, "span", modality);
    return [0, 1].map(g => {
      const label = add(rates, "label");
      const slider = add(label, "input", "", {type: "range", min: 0, max: 1, step: .01});
      slider.value = g ? 0 : data.start;
      slider.dataset.group = g;
      return {slider, shown: add(label, "output")};
    });
  });
  const cells = Object.entries(data.quantities).map(([key, label]) => {
    add(found, "h5", label);
    const rows = [0, 1].map(g => {
      const name = add(found, "span", "", {className: `c${g}`}), value = add(found, "output");
      value.dataset.cell = `${key}-${g}`;
      const bar = add(found, "div", "", {className: "bar"});
      return {name, value, fill: add(bar, "i", "", {className: `c${g}`}), mark: add(bar, "b")};
    });
    add(found, "span", "difference");
    const difference = add(found, "output");
    difference.dataset.cell = `${key}-difference`;
    add(found, "span", "");
    return {key, rows, difference};
  });
  add(found, "h5", "Black marks: nothing dropped.", {style: "font-weight: normal"});

  // bit m of a pattern tells whether modality m is kept
  const chances = drop => Array.from({length: 2 ** drop.length}, (_, pattern) =>
    drop.reduce((product, p, m) => product * (pattern >> m & 1 ? 1 - p : p), 1));
  const sum = (weights, values) => weights.reduce((total, w, i) => total + w * values[i], 0);
  const expected = (table, weights) =>
    sum(weights, Array.isArray(table[0]) ? table.map(row => sum(weights, row)) : table) / data.digits;

  const draw = () => {
    const groups = data.pairs[select.value].groups;
    groups.forEach((group, g) => {
      heads[g].textContent = group.name;
      sliders.forEach((pair, m) => {
        pair[g].shown.textContent = `${Math.round(100 * pair[g].slider.value)} %`;
        pair[g].slider.setAttribute("aria-label", `drop rate of ${data.modalities[m]}, ${group.name}`);
      });
    });
    const weights = [0, 1].map(g => chances(sliders.map(pair => +pair[g].slider.value)));
    const none = chances(data.modalities.map(() => 0));
    cells.forEach(({key, rows, difference}) => {
      const values = groups.map((group, g) => expected(group[key], weights[g]));
      rows.forEach((row, g) => {
        row.name.textContent = `${groups[g].name} (n=${groups[g].n}, ${groups[g].positive} positive)`;
        row.value.textContent = values[g].toFixed(4);
        row.fill.style.width = `${100 * values[g]}%`;
        row.mark.style.left = `${100 * expected(groups[g][key], none)}%`;
      });
      const gap = values[0] - values[1];
      difference.textContent = (gap < 0 ? "\\u2212" : "+") + Math.abs(gap).toFixed(4);
    });
  };
  root.addEventListener("input", draw);
  button.addEventListener("click", () => {
    sliders.flat().forEach(({slider}) => { slider.value = 0; });
    draw();
  });
  draw();
})();
</script>
</div>
"""
