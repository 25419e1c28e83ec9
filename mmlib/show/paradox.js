(() => {
  const data = DATA;
  const root = document.getElementById("NAME");
  const [select, rates, verdict, found] = ["select", ".rates", ".verdict", ".found"].map(s => root.querySelector(s));
  const add = (parent, tag, text, more) => {
    const node = Object.assign(document.createElement(tag), {textContent: text || ""}, more || {});
    parent.append(node);
    return node;
  };
  data.settings.forEach((setting, i) => add(select, "option", setting.name, {value: i}));

  // sliders, named key-group; what only the second group sets is shown for the first
  const sliders = {}, shown = {};
  add(rates, "span");
  data.groups.forEach((group, g) => add(rates, "span", group, {className: `c${g}`}));
  data.knobs.forEach(({key, label, low, high, of}) => {
    add(rates, "span", label);
    const wide = key === "selected";
    (wide ? [0] : [0, 1]).forEach(g => {
      const name = `${key}-${g}`, cell = add(rates, "label", "", {className: wide ? "wide" : ""});
      if (of.includes(g)) {
        sliders[name] = add(cell, "input", "", {type: "range", min: low, max: high, step: .01});
        sliders[name].dataset.knob = name;
        sliders[name].setAttribute("aria-label", wide ? label : `${label}, ${data.groups[g]}`);
      }
      shown[name] = add(cell, "output");
    });
  });

  ["", "before", "after", ""].forEach(text => add(found, "span", text, {className: "head"}));
  const value = name => {
    const cell = add(found, "output");
    cell.dataset.cell = name;
    return cell;
  };
  const rows = {};
  [["auroc", "AUROC"], ["tpr", "true positive rate"]].forEach(([key, label]) => {
    add(found, "h5", label);
    data.groups.forEach((group, g) => {
      const name = `${key}-${g}`;
      add(found, "span", group, {className: `c${g}`});
      const cells = [value(`${name}-before`), value(`${name}-after`)];
      const bar = add(found, "div", "", {className: "bar"});
      rows[name] = {cells, fill: add(bar, "i", "", {className: `c${g}`}), mark: add(bar, "b")};
    });
  });
  add(found, "span", "gap");
  const gapCells = [value("gap-before"), value("gap-after")];
  add(found, "h5", "Bars: with the new modality; black marks: before.", {style: "font-weight: normal"});

  // standard normal distribution, by its series around zero
  const cdf = x => {
    if (Math.abs(x) > 8) return x > 0 ? 1 : 0;
    let total = x, term = x;
    for (let k = 3; total + term !== total; k += 2) total += term *= x * x / k;
    return .5 + total * Math.exp(-x * x / 2) / Math.sqrt(2 * Math.PI);
  };
  const mean = (share, values) => share[0] * values[0] + share[1] * values[1];
  const rate = (separation, shift, share, prevalence, selected) => {
    const above = t => mean(share, [0, 1].map(g =>
      prevalence[g] * cdf(separation[g] + shift[g] - t) + (1 - prevalence[g]) * cdf(shift[g] - t)));
    let low = -20, high = 20;
    for (let step = 0; step < 60; step++) {
      const t = (low + high) / 2;
      if (above(t) > selected) low = t; else high = t;
    }
    return [0, 1].map(g => cdf(separation[g] + shift[g] - low));
  };
  const signed = (x, digits) => (x < 0 ? "\u2212" : "+") + Math.abs(x).toFixed(digits);

  const draw = () => {
    const at = Object.fromEntries(Object.entries(sliders).map(([name, slider]) => [name, +slider.value]));
    Object.assign(at, {"shift-0": 0, "share-0": 1 - at["share-1"]});
    Object.entries(shown).forEach(([name, cell]) => { cell.textContent = at[name].toFixed(2); });
    const [old, added, shift, prevalence, share] = ["old", "new", "shift", "prevalence", "share"].map(key =>
      [at[`${key}-0`], at[`${key}-1`]]);
    const length = Math.hypot(mean(share, old), mean(share, added));
    const [w, v] = [mean(share, old) / length, mean(share, added) / length];
    const hurdle = v > 0 ? (1 - w) / v : 0;
    const stages = [[old, [0, 0]], [old.map((d, g) => w * d + v * added[g]), shift.map(s => v * s)]];
    const tpr = stages.map(([separation, moved]) => rate(separation, moved, share, prevalence, at["selected-0"]));
    const gaps = tpr.map(([reference, group]) => group - reference);
    [0, 1].forEach(g => {
      const values = {auroc: stages.map(([separation]) => cdf(separation[g] / Math.SQRT2)), tpr: tpr.map(t => t[g])};
      Object.entries(values).forEach(([key, both]) => {
        const {cells, fill, mark} = rows[`${key}-${g}`];
        cells.forEach((cell, i) => { cell.textContent = both[i].toFixed(4); });
        mark.style.left = `${100 * both[0]}%`;
        fill.style.width = `${100 * both[1]}%`;
      });
    });
    gapCells.forEach((cell, i) => { cell.textContent = signed(gaps[i], 4); });

    const gain = [0, 1].map(g => stages[1][0][g] - old[g]), least = 1e-9;
    const stuck = [0, 1].filter(g => gain[g] <= least), growth = Math.abs(gaps[1]) - Math.abs(gaps[0]);
    const change = growth > least ? "widens" : growth < -least ? "narrows" : "stays";
    const paradox = !stuck.length && change === "widens";
    const where = stuck.map(g => data.groups[g]).join(" and the ");
    verdict.innerHTML = "";
    add(verdict, "b", paradox ? "A paradox. " : "No paradox. ").dataset.paradox = paradox;
    verdict.append(`AUROC ${stuck.length ? `does not rise in the ${where}` : "rises in both groups"}; the gap in true `
      + `positive rates ${change}${change === "stays" ? "" : `, from ${signed(gaps[0], 3)} to ${signed(gaps[1], 3)}`}. `
      + "AUROC rises where the new score separates by more than "
      + `\u03c4 = ${hurdle.toFixed(2)} times what the old one does: `
      + `${data.groups.map((group, g) => `${(hurdle * old[g]).toFixed(2)} in the ${group}`).join(", ")}.`);
  };
  const start = () => {
    Object.entries(data.settings[select.value].values).forEach(([name, x]) => { sliders[name].value = x; });
    draw();
  };
  rates.addEventListener("input", draw);
  select.addEventListener("change", start);
  start();
})();
