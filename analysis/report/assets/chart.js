// What charts share: scales, ticks, a frame with axes, and a tip that follows.
page.ticks = (low, high, wanted) => {
  const rough = (high - low) / Math.max(1, wanted);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((digit) => digit * power).find((size) => size >= rough * 0.999);
  const found = [];
  for (let count = Math.ceil(low / step - 1e-9); count * step <= high + step * 1e-9; count++) found.push(count * step);
  return found;
};
page.logTicks = (low, high) => {
  if (high / low < 12) return page.ticks(low, high, 6);
  const few = high / low < 100 ? [1, 2, 5] : [1];
  const all = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
    for (const digit of few) all.push(digit * 10 ** power);
  }
  const every = Math.max(1, Math.ceil(all.length / 9));
  const found = all.filter((tick, place) => place % every === 0 && tick >= low * 0.999 && tick <= high * 1.001);
  return found.length > 1 ? found : [low, high];
};
page.brief = (value) => {
  const size = Math.abs(value);
  if (size === 0) return "0";
  const unit = [[1e9, "G"], [1e6, "M"], [1e4, "k"]].find(([least]) => size >= least);
  if (unit) return `${Number((value / (unit[1] === "k" ? 1e3 : unit[0])).toPrecision(3))} ${unit[1]}`;
  return size < 1e-3 ? value.toExponential(1) : String(Number(value.toPrecision(4)));
};
page.scale = (low, high, from, to, log) => {
  if (!(high > low)) [low, high] = log ? [low / 2, low * 2] : [low - (Math.abs(low) || 1) / 2, low + (Math.abs(low) || 1) / 2];
  const shape = log ? Math.log : (value) => value;
  const place = (value) => from + ((shape(value) - shape(low)) / (shape(high) - shape(low))) * (to - from);
  return Object.assign(place, { low, high, log });
};
// An SVG of the holder's width with axes; returns it with its two scales. `x` and `y` are {low, high, log, label}.
page.frame = (holder, x, y, label, zero = null) => {
  const width = Math.max(280, holder.clientWidth);
  const height = Math.round(Math.min(440, Math.max(260, width * 0.45)));
  const left = 58, right = width - 14, top = 26, bottom = height - 42;
  const root = page.svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "group", "aria-label": page.plain(label) });
  const across = page.scale(x.low, x.high, left + (zero === null ? 0 : 44), right - 10, x.log);
  const upward = page.scale(y.low, y.high, bottom - 6, top, y.log);
  const ticksOf = (scale, wanted) => (scale.log ? page.logTicks(scale.low, scale.high) : page.ticks(scale.low, scale.high, wanted));
  for (const tick of ticksOf(upward, height / 60)) {
    const at = upward(tick);
    root.append(page.svg("line", { x1: left, x2: right, y1: at, y2: at, class: "grid" }));
    root.append(page.svg("text", { x: left - 8, y: at + 4, "text-anchor": "end" }, page.brief(tick)));
  }
  for (const tick of ticksOf(across, width / 110)) {
    root.append(page.svg("text", { x: across(tick), y: bottom + 16, "text-anchor": "middle" }, page.brief(tick)));
  }
  if (zero !== null) root.append(page.svg("text", { x: left + 14, y: bottom + 16, "text-anchor": "middle" }, zero));
  root.append(page.svg("line", { x1: left, x2: right, y1: bottom, y2: bottom, class: "grid" }));
  root.append(page.svg("text", { x: right, y: height - 6, "text-anchor": "end" }, page.plain(x.label)));
  root.append(page.svg("text", { x: 4, y: 14 }, page.plain(y.label)));
  const clip = page.svg("clipPath", { id: `${holder.id}-clip` }, page.svg("rect", { x: left, y: top - 6, width: right - left, height: bottom - top + 6 }));
  root.append(page.svg("defs", {}, clip));
  return { root, across, upward, zeroAt: left + 14, inner: page.svg("g", { "clip-path": `url(#${holder.id}-clip)` }) };
};
page.tip = (holder) => {
  const tip = page.element("div", { class: "tip", "aria-hidden": "true" });
  tip.hidden = true;
  const place = (at, text) => {
    tip.replaceChildren(...page.shown(text));
    tip.hidden = false;
    const room = holder.clientWidth;
    tip.style.left = `${Math.max(0, Math.min(at.x + 12, room - tip.offsetWidth))}px`;
    tip.style.top = `${Math.max(0, at.y - tip.offsetHeight - 8)}px`;
  };
  return { node: tip, place, away: () => { tip.hidden = true; } };
};
page.redrawn = (holder, draw) => {
  let width = 0;
  new ResizeObserver(() => {
    if (holder.clientWidth !== width) { width = holder.clientWidth; draw(); }
  }).observe(holder);
};
