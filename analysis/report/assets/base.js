"use strict";
// Text from records only ever becomes text nodes: nothing here parses HTML.
const page = {};
page.data = JSON.parse(document.getElementById("data").textContent);
page.byId = (id) => document.getElementById(id);

// The same characters as analysis/report/text.py has.
page.HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{d800}-\u{dfff}\u{e0000}-\u{e007f}]/gu;

page.element = (name, attributes = {}, ...children) => page.filled(document.createElement(name), attributes, children);
page.svg = (name, attributes = {}, ...children) =>
  page.filled(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
page.filled = (node, attributes, children) => {
  for (const [key, value] of Object.entries(attributes)) if (value !== null) node.setAttribute(key, value);
  node.append(...children);
  return node;
};

page.nameOf = (character) => {
  const code = character.codePointAt(0);
  if (code < 0x20) return String.fromCharCode(0x2400 + code);
  return code === 0x7f ? "␡" : `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
};

// Text as nodes: hidden characters marked, and what was searched for, too.
page.shown = (text, sought = "") => {
  const nodes = [];
  let end = 0;
  for (const match of text.matchAll(page.HIDDEN)) {
    nodes.push(...page.found(text.slice(end, match.index), sought));
    nodes.push(page.element("span", { class: "hidden-character" }, page.nameOf(match[0])));
    end = match.index + match[0].length;
  }
  return [...nodes, ...page.found(text.slice(end), sought)];
};
page.found = (text, sought) => {
  const nodes = [];
  const folded = text.toLowerCase();
  let end = 0;
  // Lowering may change a text's length (İ); then places would be wrong, and nothing is marked.
  if (sought && folded.length === text.length) {
    for (let at = folded.indexOf(sought); at >= 0; at = folded.indexOf(sought, end)) {
      if (at > end) nodes.push(text.slice(end, at));
      nodes.push(page.element("mark", {}, text.slice(at, at + sought.length)));
      end = at + sought.length;
    }
  }
  if (end < text.length) nodes.push(text.slice(end));
  return nodes;
};
page.plain = (text) => text.replace(page.HIDDEN, page.nameOf);
page.isolated = (text) => page.element("bdi", {}, ...page.shown(text));

page.announce = (text) => { page.byId("announced").textContent = page.plain(text); };
page.unhide = (...nodes) => { for (const node of nodes) node.hidden = false; };
page.options = (select, pairs) => {
  select.replaceChildren(...pairs.map(([value, text]) => page.element("option", { value }, page.plain(text))));
};
page.soon = (act) => {
  let timer = 0;
  return () => { clearTimeout(timer); timer = setTimeout(act, 120); };
};
// A list of runs to choose from, each with its colour; `change` is called with the run and whether it's chosen.
page.chooser = (list, runs, chosen, change, called = "name") => {
  const boxes = new Map();
  for (const run of runs) {
    const box = page.element("input", { type: "checkbox" });
    box.checked = chosen.has(run);
    box.addEventListener("change", () => change(run, box.checked));
    const about = page.data.runs[run];
    const swatch = page.element("span", { class: `swatch c${about.colour % 7}`, "aria-hidden": "true" });
    list.append(page.element("li", {}, page.element("label", {}, box, " ", swatch, page.isolated(about[called]))));
    boxes.set(run, box);
  }
  return boxes;
};
page.finds = (input, list, runs, called = "name") => {
  input.addEventListener("input", () => {
    const sought = input.value.trim().toLowerCase();
    [...list.children].forEach((entry, place) => {
      const about = page.data.runs[runs[place]];
      entry.hidden = !`${about[called]} ${about.id}`.toLowerCase().includes(sought);
    });
  });
};
