// Quality against cost: every point is a link to its run, the front is marked.
page.startQuality = () => {
  const holder = page.byId("quality-chart");
  if (!holder) return;
  const which = page.byId("quality-which"), metric = page.byId("quality-metric"), cost = page.byId("quality-cost");
  const all = page.data.quality;
  page.options(which, all.map((comparison, place) => [place, comparison.title]));
  const draw = () => page.drawQuality(holder, all[which.value], metric.value, cost.value);
  const refill = () => {
    const comparison = all[which.value];
    for (const [select, columns] of [[metric, comparison.values], [cost, comparison.costs]]) {
      page.options(select, Object.keys(columns).map((name) => [name, comparison.names[name]]));
    }
    draw();
  };
  which.addEventListener("change", refill);
  for (const select of [metric, cost]) select.addEventListener("change", draw);
  which.closest("label").hidden = all.length < 2;
  page.unhide(...document.querySelectorAll("#quality .controls"));
  refill();
  page.redrawn(holder, draw);
};

page.drawQuality = (holder, comparison, metric, cost) => {
  const xs = comparison.costs[cost], ys = comparison.values[metric];
  const front = comparison.fronts[metric][cost];
  const known = comparison.labels.map((_, place) => place).filter((place) => xs[place] !== null && ys[place] !== null);
  if (!known.length) { holder.replaceChildren(page.element("p", { class: "note" }, "No setting has both.")); return; }
  const paid = known.map((place) => xs[place]).filter((x) => x > 0);
  const free = paid.length < known.length; // an untuned base trains nothing, which a logarithm has no place for
  const x = { low: Math.min(...paid, Infinity), high: Math.max(...paid, 0), log: true, label: comparison.names[cost] };
  if (!paid.length) [x.low, x.high] = [1, 10];
  const margin = (x.high / x.low) ** 0.04;
  [x.low, x.high] = [x.low / margin, x.high * margin];
  const [least, most] = page.range(known.map((place) => ys[place]), "whole");
  const room = (most - least) * 0.06;
  const [low, high] = [least - room, most + room];
  const better = comparison.less[metric] ? "less is better" : "more is better";
  const frame = page.frame(holder, x, { low, high, label: `${comparison.names[metric]}, ${better}` },
    `${comparison.names[metric]} against ${comparison.names[cost]} of ${known.length} settings`, free ? "0" : null);
  const at = (place) => ({ x: xs[place] > 0 ? frame.across(xs[place]) : frame.zeroAt, y: frame.upward(ys[place]) });
  frame.root.append(page.svg("path", { d: page.steps(front.map(at)), class: "front" }));
  const tip = page.tip(holder);
  for (const place of known) frame.root.append(page.point(comparison, place, at(place), front.includes(place), metric, cost, tip));
  const equals = new Map(); // settings of the front in one place, which share a name
  for (const place of front) {
    const key = `${xs[place]} ${ys[place]}`;
    equals.set(key, [...(equals.get(key) ?? []), place]);
  }
  if (equals.size <= 8) for (const [first, ...others] of equals.values()) {
    const label = comparison.labels[first];
    frame.root.append(page.named(frame, at(first), others.length ? `${label} and ${others.length} more` : label));
  }
  holder.replaceChildren(frame.root, tip.node);
};
page.steps = (points) => points.map(({ x, y }, place) => (place ? `H${x.toFixed(1)}V${y.toFixed(1)}` : `M${x.toFixed(1)} ${y.toFixed(1)}`)).join("");
page.point = (comparison, place, at, onFront, metric, cost, tip) => {
  const runs = comparison.runs[place].map((run) => page.data.runs[run]);
  const value = (columns, name) => `${comparison.names[name]} ${page.brief(columns[name][place])}`;
  const seeds = runs.length > 1 ? `, mean of ${runs.length} seeds` : "";
  const text = `${comparison.labels[place]}: ${value(comparison.values, metric)}, ${value(comparison.costs, cost)}${seeds}${onFront ? ", on the front" : ""}`;
  const dot = page.svg("circle", { cx: at.x, cy: at.y, r: 5, class: `dot c${runs[0].colour % 7}${onFront ? "" : " hollow"}` });
  const link = page.svg("a", { href: `#${runs[0].anchor}`, "aria-label": page.plain(text) }, dot);
  for (const kind of ["pointerenter", "focus"]) link.addEventListener(kind, () => tip.place(at, text));
  for (const kind of ["pointerleave", "blur"]) link.addEventListener(kind, tip.away);
  return link;
};
page.named = (frame, at, label) => {
  const wide = Number(frame.root.getAttribute("width"));
  const end = at.x > wide * 0.6;
  const room = Math.floor(((end ? at.x : wide - at.x) - 24) / 7); // in letters, of about 7 dots each
  const short = page.plain(label.length > room ? `${label.slice(0, room - 1)}…` : label);
  return page.svg("text", { x: at.x + (end ? -9 : 9), y: at.y < 45 ? at.y + 16 : at.y - 8, "text-anchor": end ? "end" : "start", class: "named" }, short);
};
