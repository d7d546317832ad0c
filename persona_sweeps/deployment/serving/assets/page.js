"use strict";
// Texts of models are only ever set as textContent: they are shown and never act.

const by = (id) => document.getElementById(id);
let messages = [];
let models = [];
let canVote = false;
let conversation = newId();
let going = null;

// crypto.randomUUID is only there on https and on this machine.
function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function element(kind, className, text) {
  const made = document.createElement(kind);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function say(text) { by("status").textContent = text; }

async function ask(path, body, signal) {
  const headers = { "content-type": "application/json" };
  const key = sessionStorage.getItem("key");
  if (key) headers.authorization = `Bearer ${key}`;
  const options = body === undefined ? { headers, signal } : { method: "POST", headers, body: JSON.stringify(body), signal };
  const response = await fetch(path, options);
  if (response.status === 401) by("unlock").hidden = false;
  if (!response.ok) throw new Error((await response.json()).error.message);
  return response;
}

async function load() {
  const found = await (await ask("/v1/models")).json();
  models = found.data;
  canVote = found.votes === true;
  by("first").replaceChildren(...models.map((model) => option(model)));
  by("second").replaceChildren(new Option("nobody", ""), ...models.map((model) => option(model)));
  by("unlock").hidden = true;
  say("");
  await showCard();
}

function label(name) {
  const model = models.find((one) => one.id === name);
  return model.run_id ? `${model.character || "?"}: ${model.method} (${model.run_id.slice(0, 6)})` : "base, untuned";
}

function option(model) {
  return new Option(label(model.id), model.id);
}

async function showCard() {
  const model = await (await ask(`/v1/models/${encodeURIComponent(by("first").value)}`)).json();
  by("card").value = model.persona_card;
}

function request(model) {
  return {
    model,
    messages: [{ role: "system", content: by("card").value }, ...messages],
    temperature: Number(by("temperature").value),
    max_tokens: Number(by("tokens").value),
    stream: true,
  };
}

// Server-sent events: lines that begin with "data: ", of which an event may be cut anywhere.
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (line === "data: [DONE]") return;
      if (line.startsWith("data: ")) yield JSON.parse(line.slice(6));
    }
  }
}

async function answer(model, label, into, signal) {
  const box = element("div", "answer");
  const text = element("p");
  box.append(element("b", "", label), text);
  into.append(box);
  try {
    for await (const event of events(await ask("/v1/chat/completions", request(model), signal))) {
      if (event.error) throw new Error(event.error.message);
      text.textContent += event.choices[0]?.delta?.content ?? "";
      box.scrollIntoView({ block: "nearest" });
    }
  } catch (error) {
    if (error.name !== "AbortError") throw error;
  }
  return { model, box, text: text.textContent };
}

async function turn(text) {
  const prompt = [...messages.map((one) => `${one.role}: ${one.content}`), `user: ${text}`].join("\n\n");
  messages.push({ role: "user", content: text });
  by("log").append(element("div", "you", text));
  const row = by("log").appendChild(element("div", "answers"));
  const second = by("second").value;
  const names = second ? [by("first").value, second] : [by("first").value];
  const blind = names.length === 2 && by("blind").checked;
  if (blind && crypto.getRandomValues(new Uint8Array(1))[0] < 128) names.reverse();
  const shown = (name, at) => (blind ? "AB"[at] : names.length === 2 ? `${"AB"[at]}: ${label(name)}` : label(name));
  const answers = await Promise.all(names.map((name, at) => answer(name, shown(name, at), row, going.signal)));
  messages.push({ role: "assistant", content: answers[0].text });
  if (names.length === 2 && !going.signal.aborted) offerVote(answers, prompt, blind);
}

function offerVote(answers, prompt, blind) {
  const character = models.find((model) => model.id === by("first").value).character || "the character";
  const question = blind ? `Which reply sounds more like ${character}? It goes on from there.` : "Go on from";
  const row = by("log").appendChild(element("div", "vote", question));
  const history = messages;
  for (const choice of blind ? ["A", "tie", "B"] : ["A", "B"]) {
    const button = element("button", "", choice);
    button.type = "button";
    button.addEventListener("click", () => {
      if (history === messages) messages[messages.length - 1] = { role: "assistant", content: answers[choice === "B" ? 1 : 0].text };
      answers.forEach((one, at) => {
        one.box.querySelector("b").textContent = `${"AB"[at]}: ${label(one.model)}`;
        one.box.classList.toggle("preferred", choice === "AB"[at]);
      });
      row.remove();
      vote(answers, prompt, character, choice, blind).catch((error) => say(error.message));
    });
    row.append(button);
  }
  row.scrollIntoView({ block: "nearest" });
}

async function vote(answers, prompt, persona, choice, blind) {
  if (!blind) return;
  if (!canVote) {
    say("Nothing is recorded here: serve with --votes FOLDER.");
    return;
  }
  await ask("/votes", {
    conversation, prompt, persona, answer: choice,
    models: answers.map((one) => one.model),
    texts: answers.map((one) => one.text),
    rater: by("rater").value.trim() || "anonymous",
  });
  say("Your vote is recorded.");
}

function busy(controller) {
  going = controller;
  by("send").disabled = by("first").disabled = by("second").disabled = controller !== null;
  by("stop").hidden = controller === null;
}

by("say").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = by("message").value.trim();
  if (!text || going) return;
  by("message").value = "";
  for (const old of document.querySelectorAll(".vote")) old.remove();
  busy(new AbortController());
  say("");
  try {
    await turn(text);
  } catch (error) {
    going.abort();
    say(error.message);
    if (messages.at(-1)?.role === "user") messages.pop();
  }
  busy(null);
  by("message").focus();
});
by("message").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    by("say").requestSubmit();
  }
});
by("stop").addEventListener("click", () => going?.abort());
by("first").addEventListener("change", () => showCard().catch((error) => say(error.message)));
by("reset").addEventListener("click", () => {
  going?.abort();
  messages = [];
  conversation = newId();
  by("log").replaceChildren();
  say("");
});
by("unlock").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("key", by("key").value);
  load().catch((error) => say(error.message));
});
load().catch((error) => say(error.message));
