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
      difference.textContent = (gap < 0 ? "\u2212" : "+") + Math.abs(gap).toFixed(4);
    });
  };
  root.addEventListener("input", draw);
  button.addEventListener("click", () => {
    sliders.flat().forEach(({slider}) => { slider.value = 0; });
    draw();
  });
  draw();
})();
