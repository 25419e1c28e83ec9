(() => {
  const data = @DATA@;
  const root = document.getElementById("@NAME@");
  const [guess, svg, legend, verdict, table, turn, note] =
    [".guess", "svg", ".legend", ".verdict", "table", ".turn", ".note"].map(s => root.querySelector(s));
  const buttons = [...guess.children], slider = turn.querySelector("[type=range]"), shown = turn.querySelector("b");
  const usual = Math.round(100 * data.prevalence), bins = data.counts[0][0][0].length;
  const total = list => list.reduce((a, b) => a + b, 0);
  const signed = (x, digits) => (x < 0 && +x.toFixed(digits) ? "\u2212" : "+") + Math.abs(x).toFixed(digits);

  // what the library computes from the same bins
  const cutAt = (set, share) => {
    const whole = data.counts[set][2], n = total(whole[0]) + total(whole[1]);
    let best = bins, left = 0, near = share;
    for (let bin = bins - 1; bin >= 0; bin--) {
      left += whole[0][bin] + whole[1][bin];
      const off = Math.abs(left / n - share);
      if (off <= near) [best, near] = [bin, off];
    }
    return best;
  };
  const measure = (set, share) => {
    const cut = cutAt(set, share);
    return {set, cut, ...Object.fromEntries(["tpr", "fpr", "selected", "auroc"].map(name =>
      [name, data.counts[set].map(([negative, positive]) => {
        const [n, p] = [total(negative), total(positive)];
        const [a, b] = [total(negative.slice(cut)), total(positive.slice(cut))];
        let below = 0, area = 0;
        positive.forEach((count, bin) => {
          area += count * (below + negative[bin] / 2);
          below += negative[bin];
        });
        return {tpr: b / p, fpr: a / n, selected: (a + b) / (n + p), auroc: area / n / p}[name];
      })]))};
  };
  const gap = state => state.tpr[1] - state.tpr[0];
  const all = measure(data.all, data.prevalence);

  // one dot for each per cent of a group, placed by its bin
  const hundred = counts => {
    const shares = counts.map(c => 100 * c / total(counts)), dots = shares.map(Math.floor);
    shares.map((s, i) => [s - dots[i], i]).sort((a, b) => b[0] - a[0])
      .slice(0, 100 - total(dots)).forEach(([, i]) => { dots[i] += 1; });
    return dots;
  };
  const node = (tag, more, text) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    Object.entries(more).forEach(([name, value]) => made.setAttribute(name, value));
    made.textContent = text || "";
    svg.append(made);
  };
  const picture = ({set, cut}) => {
    svg.replaceChildren();
    const x = bin => 8 + 464 * bin / bins;
    [0, 1].forEach(g => {
      const base = 100 + 160 * g;
      node("text", {x: 472, y: base - 70, "text-anchor": "end"}, `${data.groups[g]}: with the outcome`);
      node("text", {x: 472, y: base + 50, "text-anchor": "end"}, "without");
      node("line", {x1: 8, x2: 472, y1: base, y2: base});
      data.counts[set][g].forEach((counts, label) => {
        const dots = hundred(counts), room = label ? 72 : 52;
        const step = Math.min(6, room / Math.max(...dots));
        dots.forEach((count, bin) => {
          for (let i = 0; i < count; i++) node("circle", {
            cx: x(bin + .5), cy: base + (label ? -1 : 1) * (4.5 + i * step), r: 2.8,
            class: `${label ? `g${g}` : "without"} ${bin >= cut ? "in" : ""}`});
        });
      });
    });
    node("line", {x1: x(cut), x2: x(cut), y1: 4, y2: 322, "stroke-width": 2});
    const right = cut < .8 * bins;
    node("text", {x: x(cut) + (right ? 5 : -5), y: 326, "text-anchor": right ? "start" : "end"}, "flagged \u2192");
  };

  const names = set => data.subsets[set].map(m => data.modalities[m]).join(" + ") || "nothing";
  const cell = (name, value, text) => {
    const td = table.querySelector(`[data-cell="${name}"]`);
    if (!td) return; // the small part has fewer rows
    td.textContent = text;
    td.dataset.value = value;
  };
  const found = set => {
    const own = data.found[set];
    return own ? `${signed(own[0], 2)} [${signed(own[1], 2)},\u00a0${signed(own[2], 2)}]` : "\u2013";
  };
  const column = (when, state, operating) => {
    table.querySelector(`[data-head="${when}"]`).textContent = names(state.set);
    [0, 1].forEach(g => {
      cell(`auroc-${g}-${when}`, state.auroc[g], state.auroc[g].toFixed(3));
      cell(`tpr-${g}-${when}`, state.tpr[g], state.tpr[g].toFixed(2));
      cell(`selected-${g}-${when}`, state.selected[g], state.selected[g].toFixed(2));
    });
    cell(`gap-${when}`, gap(state), signed(gap(state), 2));
    cell(`found-${when}`, "", operating ? found(state.set) : "\u2013");
  };
  const sentence = (now, start, operating, said) => {
    const [a, b] = [gap(start), gap(now)], more = Math.abs(b) - Math.abs(a), of = x => Math.round(100 * x);
    const turned = Math.min(Math.abs(a), Math.abs(b)) > .005 && a * b < 0 ? ", the other way round" : "";
    const word = (Math.abs(more) < .005 ? "as wide" : more > 0 ? "wider" : "narrower") + turned;
    const rise = [0, 1].map(g => now.auroc[g] - start.auroc[g]);
    const [one, two] = data.groups;
    const ranked = now.set === start.set ? "" : rise[0] > 0 && rise[1] > 0 ? ` AUROC rises in both groups.`
      : rise[0] <= 0 && rise[1] <= 0 ? ` AUROC rises in neither group.`
      : ` AUROC rises only in ${rise[0] > 0 ? one : two}.`;
    const from = (x, y) => x === y ? `${x}` : `${y}, before ${x}`;
    const per = g => `${data.groups[g]}: ${from(of(start.selected[g]), of(now.selected[g]))}`;
    const own = operating && data.found[now.set];
    const sure = own ? ` The study's interval of this difference ${own[1] > 0 || own[2] < 0 ? "excludes 0" : "includes 0: no clear difference"}.` : "";
    const none = now.selected[2] < .02 ? "none" : now.selected[2] > .98 ? "all" : "";
    const cost = Math.abs(b) > .05 ? "" : none ? ` Within 0.05, but almost ${none} are flagged.`
      : ` Within 0.05. Of 100 with the outcome ${of(now.tpr[2])} are found, of 100 without ${of(now.fpr[2])} are flagged;`
        + ` by all modalities, at the first line: ${of(all.tpr[2])} and ${of(all.fpr[2])}.`;
    return `${said}${word[0].toUpperCase()}${word.slice(1)}: ${from(signed(a, 2), signed(b, 2))}.${ranked}`
      + ` Flagged of 100, ${per(0)}; ${per(1)}.${sure}${cost}`;
  };

  let boxes = [];
  const state = () => {
    const on = boxes.flatMap((box, m) => box.checked ? [m] : []);
    const set = boxes.length ? data.subsets.findIndex(s => s.join() === on.join()) : data.added;
    const operating = !boxes.length || +slider.value === usual;
    const share = operating ? data.prevalence : slider.value / 100;
    return [measure(set, share), measure(data.start, share), operating];
  };
  const draw = (speak, said = "") => {
    const [now, start, operating] = state();
    picture(now);
    column("before", start, operating);
    column("after", now, operating);
    shown.textContent = `${slider.value} %`;
    slider.setAttribute("aria-valuetext", `${slider.value} per cent`);
    if (speak) verdict.textContent = sentence(now, start, operating, said);
  };
  if (data.modalities.length && !data.small) boxes = data.modalities.map(name => {
    const label = document.createElement("label"), box = Object.assign(document.createElement("input"), {type: "checkbox"});
    label.append(box, ` ${name}`);
    turn.querySelector("fieldset").append(label);
    return box;
  });
  const reset = () => {
    boxes.forEach((box, m) => { box.checked = data.subsets[data.added].includes(m); });
    slider.value = usual;
  };
  buttons.forEach(button => {
    button.setAttribute("aria-pressed", false);
    button.addEventListener("click", () => {
      buttons.forEach(other => other.setAttribute("aria-pressed", other === button));
      table.hidden = note.hidden = false;
      turn.hidden = !boxes.length;
      reset();
      draw(true, `You said ${button.textContent}. `);
    });
  });
  turn.addEventListener("input", () => draw(false));
  turn.addEventListener("change", () => draw(true));

  // before the guess: the first model alone
  [guess, svg, legend].forEach(part => part.toggleAttribute("hidden", false));
  table.hidden = note.hidden = true;
  const told = verdict.textContent;
  verdict.textContent = "";
  reset();
  const first = measure(data.start, data.prevalence);
  column("before", first, true);
  column("after", measure(data.added, data.prevalence), true);
  picture(first);

  // on paper nobody can guess
  const paper = on => {
    if (buttons.some(button => button.getAttribute("aria-pressed") === "true")) return;
    table.hidden = note.hidden = !on;
    verdict.textContent = on ? told : "";
  };
  addEventListener("beforeprint", () => paper(true));
  addEventListener("afterprint", () => paper(false));
})();
