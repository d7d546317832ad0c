// Transcripts: a page of items at a time, with what the chosen runs made of each.
page.MOST = 6;
page.startTranscripts = () => {
  const holder = page.byId("transcripts-page");
  if (!holder) return;
  const data = page.data.transcripts;
  const answers = new Map(data.said.map((said) => [said.run, new Map(said.at.map((item, place) => [item, place]))]));
  const said = new Map(data.said.map((answer) => [answer.run, answer]));
  const state = { chosen: new Set(data.first), persona: "", sought: "", at: 0, data, answers, said };
  const control = (name) => page.byId(`transcripts-${name}`);
  const show = () => page.showTranscripts(holder, state, control);
  const refilter = () => { state.at = 0; show(); };

  const personas = [...new Set(data.items.map((item) => item.persona))].sort();
  page.options(control("persona"), [["-1", "all"], ...personas.map((persona, place) => [String(place), persona])]);
  control("persona").addEventListener("change", (event) => { state.persona = personas[Number(event.target.value)] ?? ""; refilter(); });
  control("find").addEventListener("input", page.soon(() => { state.sought = control("find").value.trim().toLowerCase(); refilter(); }));
  const runs = data.said.map((answer) => answer.run);
  const boxes = page.chooser(control("runs"), runs, state.chosen, (run, on) => {
    if (on) state.chosen.add(run); else state.chosen.delete(run);
    bound();
    show();
  });
  const bound = () => boxes.forEach((box) => { box.disabled = !box.checked && state.chosen.size >= page.MOST; });
  page.finds(control("find-run"), control("runs"), runs);
  const turn = (by) => {
    state.at += by;
    show();
    page.byId("transcripts").scrollIntoView();
  };
  control("back").addEventListener("click", () => turn(-1));
  control("on").addEventListener("click", () => turn(1));
  page.unhide(control("controls"), document.querySelector("#transcripts .pages"));
  bound();
  show();
};

page.showTranscripts = (holder, state, control) => {
  const runs = state.data.said.map((answer) => answer.run).filter((run) => state.chosen.has(run));
  const found = state.data.items.map((_, item) => item).filter((item) => page.isSought(item, runs, state));
  const size = state.data.page, pages = Math.max(1, Math.ceil(found.length / size));
  state.at = Math.min(Math.max(0, state.at), pages - 1);
  const here = found.slice(state.at * size, (state.at + 1) * size);
  holder.replaceChildren(...here.map((item) => page.item(item, runs, state)));
  const all = state.data.items.length;
  control("count").textContent = found.length === all ? `${all} items.` : `${found.length} of ${all} items.`;
  control("where").textContent = `page ${state.at + 1} of ${pages}`;
  control("chosen").textContent = `${runs.length} of ${state.data.said.length}`;
  control("back").disabled = state.at === 0;
  control("on").disabled = state.at >= pages - 1;
};
page.isSought = (place, runs, state) => {
  const item = state.data.items[place];
  if (state.persona && item.persona !== state.persona) return false;
  if (!state.sought) return true;
  const texts = [item.id, item.reference, ...item.prompt.map((turn) => turn.text)];
  for (const run of runs) texts.push(page.answer(run, place, state)?.text ?? "");
  return texts.some((text) => text.toLowerCase().includes(state.sought));
};
page.answer = (run, item, state) => {
  const at = state.answers.get(run).get(item);
  const answer = state.said.get(run);
  return at === undefined ? null : { text: answer.text[at], scores: answer.scores[at] };
};
page.item = (place, runs, state) => {
  const item = state.data.items[place];
  const turns = item.prompt.map((turn) => page.element("div", { class: "turn" },
    page.element("span", { class: "role" }, page.isolated(turn.role || "prompt")), page.spoken(turn.text, state.sought)));
  const persona = page.element("span", { class: "persona" }, page.isolated(item.persona));
  return page.element("article", { class: "item" },
    page.element("h3", {}, page.isolated(item.id), " ", persona),
    page.element("div", { class: "prompt" }, ...turns),
    page.element("div", { class: "sides" },
      page.element("div", { class: "side reference" }, page.element("h4", {}, "reference"), page.spoken(item.reference, state.sought)),
      ...runs.map((run) => page.side(run, page.answer(run, place, state), state))));
};
page.side = (run, answer, state) => {
  const about = page.data.runs[run];
  const heading = page.element("h4", {}, page.element("a", { href: `#${about.anchor}` }, page.isolated(about.name)));
  if (!answer) return page.element("div", { class: "side" }, heading, page.element("p", { class: "absent" }, "not among this run’s items here"));
  const scores = answer.scores.map((score, place) => (score === null ? "" : `${state.data.scores[place]} ${score.toFixed(2)}`)).filter(Boolean);
  const foot = page.element("p", { class: "scores" }, scores.join(" · "));
  if (about.samples) foot.append(scores.length ? " · " : "", page.element("a", { href: about.samples }, "record"));
  return page.element("div", { class: "side" }, heading, page.spoken(answer.text, state.sought), foot);
};
page.spoken = (text, sought) => {
  if (text === null) return page.element("p", { class: "absent" }, "no text was generated");
  if (text === "") return page.element("p", { class: "absent" }, "empty");
  return page.element("div", { class: "text", dir: "auto" }, ...page.shown(text, sought));
};
