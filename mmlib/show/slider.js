(() => {
  const data = DATA;
  const root = document.getElementById("NAME");
  const [slider, verdict, found] = ["input", ".verdict", ".found"].map(s => root.querySelector(s));
  const add = (tag, text, className) => {
    const node = Object.assign(document.createElement(tag), {textContent: text || "", className: className || ""});
    found.append(node);
    return node;
  };
  const rows = data.groups.map((group, g) => {
    add("span", group, `c${g}`);
    const cell = add("output"), bar = add("div", "", "bar");
    const fill = Object.assign(document.createElement("i"), {className: `c${g}`});
    bar.append(fill);
    return {cell, fill};
  });
  slider.max = data.share.length - 1;
  slider.value = 0;
  const draw = () => {
    const at = +slider.value, tpr = data.tpr.map(values => values[at]), gap = tpr[1] - tpr[0];
    const size = Math.abs(gap).toFixed(2), sign = +size === 0 ? "" : gap < 0 ? "\u2212" : "+";
    rows.forEach(({cell, fill}, g) => {
      cell.textContent = tpr[g].toFixed(2);
      fill.style.width = `${100 * tpr[g]}%`;
    });
    slider.setAttribute("aria-valuetext", `${Math.round(100 * data.share[at])} %`);
    verdict.textContent = `${Math.round(100 * data.share[at])} % are selected, from a risk of ${data.threshold[at].toFixed(2)} on. `
      + `TPR difference, ${data.groups[1]} minus ${data.groups[0]}: ${sign + size}.`;
  };
  slider.addEventListener("input", draw);
  draw();
})();
