// Loss curves of all runs: each can be left out, and stands out when pointed at or focused in the list.
page.startCurves = () => {
  const holder = page.byId("curves-chart");
  if (!holder) return;
  const all = page.data.curves;
  const chosen = new Set(all.map((curve) => curve.run));
  const control = (name) => page.byId(`curves-${name}`);
  const axes = ["step", "tokens", "epoch", "seconds"].filter((axis) => all.some((curve) => curve[axis].some((value) => value !== null)));
  page.options(control("axis"), axes.map((axis) => [axis, axis]));
  const draw = () => page.drawCurves(holder, {
    curves: all.filter((curve) => chosen.has(curve.run)),
    axis: control("axis").value, scale: control("scale").value,
    smooth: Number(control("smooth").value), bands: control("bands").checked,
    series: [["train_nll", "train", control("train").checked], ["eval_nll", "held", control("held").checked]].filter((series) => series[2]),
  });
  const boxes = page.chooser(control("runs"), all.map((curve) => curve.run), chosen, (run, on) => {
    if (on) chosen.add(run); else chosen.delete(run);
    draw();
  }, "run");
  boxes.forEach((box, run) => {
    const entry = box.closest("li");
    for (const kind of ["pointerenter", "focusin"]) entry.addEventListener(kind, () => page.light(holder, run));
    for (const kind of ["pointerleave", "focusout"]) entry.addEventListener(kind, () => page.light(holder, null));
  });
  const choose = (on) => {
    boxes.forEach((box, run) => {
      if (box.closest("li").hidden) return;
      box.checked = on;
      if (on) chosen.add(run); else chosen.delete(run);
    });
    draw();
    page.announce(`${chosen.size} of ${all.length} runs in the chart`);
  };
  control("all").addEventListener("click", () => choose(true));
  control("none").addEventListener("click", () => choose(false));
  page.finds(control("find"), control("runs"), all.map((curve) => curve.run), "run");
  for (const name of ["axis", "scale", "train", "held", "bands"]) control(name).addEventListener("change", draw);
  control("smooth").addEventListener("input", page.soon(draw));
  page.unhide(...document.querySelectorAll("#curves [hidden]:not(li)"));
  control("bands-label").hidden = page.bySetting(all).every((seeds) => seeds.length < 2);
  page.redrawn(holder, draw);
};

page.drawCurves = (holder, what) => {
  const lines = [], bands = [];
  for (const seeds of what.bands ? page.bySetting(what.curves) : what.curves.map((curve) => [curve])) {
    for (const [key, kind] of what.series) {
      const each = seeds.map((curve) => page.smoothed(curve, key, kind === "train" ? what.smooth : 0));
      const found = page.together(seeds, each, what.axis);
      if (!found.some(([x, y]) => x !== null && y !== null)) continue;
      lines.push({ run: seeds[0].run, kind, points: found, seeds: seeds.length });
      if (seeds.length > 1) bands.push({ run: seeds[0].run, points: found.filter(([x, y]) => x !== null && y !== null) });
    }
  }
  // As measured: the frame stays where it is while the slider moves, and holds the bands.
  const known = what.curves.flatMap((curve) => what.series.flatMap(([key]) =>
    curve[key].map((value, place) => [curve[what.axis][place], value]).filter(([x, y]) => x !== null && y !== null)));
  if (!lines.length) { holder.replaceChildren(page.element("p", { class: "note" }, "No curve is chosen.")); return; }
  const [low, high] = page.range(known.map(([, y]) => y), what.scale);
  const log = what.scale === "log" && low > 0;
  const [first, last] = page.range(known.map(([x]) => x), "whole");
  const beyond = known.filter(([, y]) => y > high).length;
  const frame = page.frame(holder, { low: first, high: last, label: what.axis }, { low, high, log, label: "NLL (nats a token)" },
    `Loss curves of ${what.curves.length} runs against ${what.axis}`);
  for (const band of bands) frame.inner.append(page.band(band, frame));
  for (const line of lines) frame.inner.append(...page.curve(line, frame, lines.length > 60 ? "crowd" : lines.length > 12 ? "many" : ""));
  frame.root.append(frame.inner);
  const tip = page.tip(holder);
  holder.replaceChildren(frame.root, tip.node);
  if (beyond) holder.append(page.element("p", { class: "note" }, `${beyond} points lie above the frame: “whole range” shows them.`));
  page.follow(holder, frame, lines, tip, what.axis);
};
// The curves of each setting, its seeds together, in the order of their first runs.
page.bySetting = (curves) => {
  const found = new Map();
  for (const curve of curves) {
    const { setting } = page.data.runs[curve.run];
    found.set(setting, [...(found.get(setting) || []), curve]);
  }
  return [...found.values()];
};
// An exponential moving average from the first value on, corrected for its start (as Adam's moments are).
page.smoothed = (curve, key, weight) => {
  if (!weight) return curve[key];
  let sum = 0, share = 0;
  return curve[key].map((value) => {
    if (value === null) return null;
    sum = weight * sum + (1 - weight) * value;
    share = weight * share + 1 - weight;
    return sum / share;
  });
};
// Points [x, mean, least, most] of one run, or of several at the steps that all of them have.
page.together = (curves, values, axis) => {
  const places = curves.map((curve) => new Map(curve.step.map((step, place) => [step, place])));
  const [first] = curves;
  return first.step.map((step, place) => {
    if (curves.length === 1) return [first[axis][place], values[0][place]];
    const at = places.map((known) => known.get(step));
    if (at.includes(undefined)) return [null, null];
    const xs = curves.map((curve, seed) => curve[axis][at[seed]]), ys = values.map((of, seed) => of[at[seed]]);
    if (xs.includes(null) || ys.includes(null)) return [null, null];
    const mean = (numbers) => numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
    return [mean(xs), mean(ys), Math.min(...ys), Math.max(...ys)];
  });
};
page.band = (band, frame) => {
  const edge = (points, side) => points.map((point) => `${frame.across(point[0]).toFixed(1)} ${frame.upward(point[side]).toFixed(1)}`);
  const path = `M${[...edge(band.points, 3), ...edge([...band.points].reverse(), 2)].join("L")}Z`;
  return page.svg("path", { d: path, class: `band c${page.data.runs[band.run].colour % 7}`, "data-run": band.run });
};
// The range of values; framed, it ends where a few diverging points would press all others flat.
page.range = (values, how) => {
  const ordered = [...values].sort((a, b) => a - b);
  const low = ordered[0], high = ordered[ordered.length - 1];
  const most = ordered[Math.floor(0.98 * (ordered.length - 1))];
  return how === "framed" && high - low > 3 * (most - low) && most > low ? [low, most + (most - low) * 0.1] : [low, high];
};
page.curve = (line, frame, density) => {
  const colour = `c${page.data.runs[line.run].colour % 7}`;
  let path = "", open = false;
  const dots = [];
  for (const [x, y] of line.points) {
    if (x === null || y === null) { open = open && line.kind === "held"; continue; } // held-out losses have gaps by nature
    const at = `${frame.across(x).toFixed(1)} ${frame.upward(y).toFixed(1)}`;
    path += `${open ? "L" : "M"}${at}`;
    open = true;
    dots.push([x, y]);
  }
  const marked = (line.kind === "held" && density !== "crowd") || dots.length === 1 ? dots : [];
  return [
    page.svg("path", { d: path, class: `line ${line.kind} ${colour} ${density}`, "data-run": line.run }),
    ...marked.map(([x, y]) => page.svg("circle", { cx: frame.across(x), cy: frame.upward(y), r: density ? 1.6 : 2.6, class: `dot ${colour}`, "data-run": line.run })),
  ];
};
page.light = (holder, run) => {
  for (const mark of holder.querySelectorAll("[data-run]")) {
    mark.classList.toggle("lit", run !== null && Number(mark.dataset.run) === run);
    mark.classList.toggle("dim", run !== null && Number(mark.dataset.run) !== run);
  }
  for (const mark of holder.querySelectorAll(".lit")) mark.parentNode.append(mark); // above all others
};
page.follow = (holder, frame, lines, tip, axis) => {
  frame.root.addEventListener("pointermove", (event) => {
    const box = frame.root.getBoundingClientRect();
    const at = { x: event.clientX - box.left, y: event.clientY - box.top };
    let near = null;
    for (const line of lines) {
      for (const [x, y] of line.points) {
        if (x === null || y === null) continue;
        const away = Math.hypot(frame.across(x) - at.x, frame.upward(y) - at.y);
        if (away < 30 && (!near || away < near.away)) near = { away, line, x, y };
      }
    }
    page.light(holder, near && near.line.run);
    if (!near) { tip.away(); return; }
    const kind = near.line.kind === "held" ? "held out" : "training";
    const whose = near.line.seeds > 1 ? `mean of ${near.line.seeds} seeds, as ` : "";
    tip.place(at, `${whose}${page.data.runs[near.line.run].run}: ${kind} ${page.brief(near.y)} at ${axis} ${page.brief(near.x)}`);
  });
  frame.root.addEventListener("pointerleave", () => { page.light(holder, null); tip.away(); });
};
