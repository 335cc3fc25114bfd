// The toplevel page: one transcript, one input, the packages of one universe.

import { InterruptedError, OcamlWorker, mimeUrl } from "./client/jtw-client.mjs";

const $ = (id) => document.getElementById(id);
const [statusLine, transcript, input, runButton, stopButton, completions, packages] = [
  "status", "transcript", "input", "run", "stop", "completions", "packages",
].map($);

let worker = null;
let baseUrl; // the site's root, when it is known
const loading = new Set(); // libraries, loaded if nothing fails
let current = null; // the transcript entry that is being evaluated

function element(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

function setState(state, text) {
  document.body.dataset.state = state;
  statusLine.textContent = text;
  const usable = state === "ready";
  input.readOnly = state === "running";
  input.disabled = !usable && state !== "running";
  runButton.disabled = !usable;
  transcript.setAttribute("aria-busy", String(!usable));
}

function scrollToEnd() {
  transcript.scrollTop = transcript.scrollHeight;
}

// ---- starting ----------------------------------------------------------------

async function findIndex() {
  const given = new URLSearchParams(location.search).get("index");
  if (given) return new URL(given, location.href).href;
  const where = new URL("universe.json", location.href);
  const response = await fetch(where).catch(() => null);
  if (!response) throw new Error(`${where.href} could not be reached`);
  if (!response.ok) {
    throw new Error(
      `${where.href} could not be loaded: HTTP status ${response.status}. ` +
        "This page also takes the address of a universe's index: ?index=u/…/findlib_index.json",
    );
  }
  const universe = await response.json().catch(() => null);
  if (typeof universe?.index !== "string") throw new Error(`${where.href} names no index`);
  baseUrl = new URL(".", where).href;
  const chosen = chooseUniverse(universe);
  return new URL(chosen.index, where).href;
}

// A site may hold several universes: one is shown, the others are a choice away.
function chooseUniverse(universe) {
  if (!Array.isArray(universe.universes)) return universe;
  const wanted = new URLSearchParams(location.search).get("universe");
  const chosen = universe.universes.find((one) => one.name === wanted) ?? universe.universes[0];
  const choice = document.getElementById("universes");
  choice.replaceChildren(
    ...universe.universes.map((one) => {
      const option = element("option", "", one.name);
      option.selected = one === chosen;
      return option;
    }),
  );
  choice.addEventListener("change", () => {
    location.search = new URLSearchParams({ universe: choice.value });
  });
  document.getElementById("universe").hidden = universe.universes.length < 2;
  return chosen;
}

packages.addEventListener("jtw-require", ({ detail }) => insertRequire(detail.library));

function insertRequire(name) {
  const line = `#require "${name}";;`;
  setInput(input.value.trim() === "" ? line : `${line}\n${input.value}`);
  input.focus();
}

async function start() {
  setState("loading", "Loading OCaml…");
  try {
    const indexUrl = await findIndex();
    packages.index = indexUrl;
    const found = await OcamlWorker.fromIndex(indexUrl, baseUrl, {
      timeout: Infinity, // a program may run for as long as the user lets it
      initTimeout: 120000,
      onProgress: ({ library, done, total }) => {
        loading.add(library);
        statusLine.textContent = `Loading ${library} (${done + 1} of ${total})…`;
      },
    });
    worker = found.worker;
    await worker.init(found);
    setState("ready", `Ready, OCaml ${found.index.compiler.version}`);
    input.focus();
  } catch (error) {
    fail(error);
  }
}

function fail(error) {
  worker?.terminate();
  worker = null;
  stopButton.hidden = true;
  setState("failed", "Could not start");
  transcript.append(element("p", "problem", `The toplevel could not be started. ${error.message}`));
  scrollToEnd();
}

// ---- evaluating ----------------------------------------------------------------

function addBlock(kind, label, text) {
  const block = element("div", kind);
  if (label) block.append(element("span", "label", label));
  block.append(element("pre", "", text));
  current.append(block);
  return block;
}

function addValue(text) {
  if (!current || text === "") return;
  if (/^Exception: |^Stack overflow/.test(text)) addBlock("error", "Exception", text);
  else addBlock("value", "", text);
  scrollToEnd();
}

// A picture, or the text of anything else: nothing that user code made is markup here.
function addRich(value) {
  if (!value.mime_type.startsWith("image/")) return addBlock("printed", value.mime_type, value.data);
  const picture = element("img", "picture");
  picture.alt = `Output of the type ${value.mime_type}`;
  picture.src = mimeUrl(value);
  current.append(picture);
  scrollToEnd();
}

// What a program prints while it runs. The answer repeats all of it.
function addPrinted({ stdout, stderr }) {
  for (const [kind, text] of [["printed", stdout], ["stderr", stderr]]) {
    if (!text) continue;
    const block = current.querySelector(`.${kind}.live`) ?? addBlock(`${kind} live`, "", "");
    block.lastChild.append(text);
  }
  scrollToEnd();
}

// What is on stderr may come from the type checker or from the program itself.
function addErrors(text) {
  if (/^Error\b/m.test(text)) addBlock("error", "Error", text);
  else if (/^(Note:|Warning |Alert )/m.test(text)) addBlock("warning", "Warning", text);
  else addBlock("stderr", "Printed to stderr", text);
}

async function run() {
  const code = input.value.trim();
  if (code === "" || document.body.dataset.state !== "ready") return;
  remember(code);
  setInput("");
  current = element("div", "entry");
  current.append(element("pre", "code", ""));
  current.firstChild.append(element("span", "", code));
  transcript.append(current);
  scrollToEnd();
  setState("running", "Running…");
  const slow = setTimeout(() => (stopButton.hidden = false), 400);
  const entry = current;
  try {
    const { stdout, stderr } = await worker.eval(code, {
      onOutputAt: ({ caml_ppf, mime_vals }) => {
        addValue(caml_ppf);
        mime_vals.forEach(addRich);
      },
      onStream: addPrinted,
    });
    for (const block of entry.querySelectorAll(".live")) block.remove();
    if (stdout !== "") {
      const block = addBlock("printed", "", stdout);
      current.firstChild.after(block);
    }
    if (stderr !== "") addErrors(stderr);
    if (!/^Error\b/m.test(stderr)) packages.loaded = [...packages.loaded, ...loading];
    loading.clear();
    const required = /^#require\s+"([^"]*)"/.exec(code);
    if (required && current.childElementCount === 1) addBlock("quiet", "", `Loaded ${required[1]}.`);
  } catch (error) {
    if (error instanceof InterruptedError) return clearTimeout(slow);
    addBlock("error", "Error", error.message);
  }
  clearTimeout(slow);
  current = null;
  settle();
}

function settle() {
  stopButton.hidden = true;
  scrollToEnd();
  setState("ready", "Ready");
  input.focus();
}

// Pressed while definitions are made again, it leaves them out.
let isReplaying = false;

async function stop() {
  const replay = !isReplaying;
  isReplaying = replay;
  current = null;
  const note = element("p", "note", replay
    ? "Stopped. What was evaluated before is evaluated again…"
    : "Stopped. What was defined before is gone; the toplevel starts afresh.");
  transcript.append(note);
  scrollToEnd();
  setState("running", "Starting again…");
  try {
    await worker.interrupt({ replay });
  } catch (error) {
    if (error instanceof InterruptedError) return;
    return fail(error);
  }
  isReplaying = false;
  if (!replay) packages.loaded = [];
  if (replay) note.textContent = "Stopped. What was evaluated before is there again.";
  settle();
}

stopButton.addEventListener("click", stop);

$("prompt").addEventListener("submit", (event) => {
  event.preventDefault();
  run();
});

// ---- the input ------------------------------------------------------------------

function fit() {
  input.rows = Math.min(12, input.value.split("\n").length);
}

function setInput(text) {
  input.value = text;
  input.selectionStart = input.selectionEnd = text.length;
  fit();
  closeCompletions();
}

const history = [];
let recalled = 0; // index into history; its length means the line being written
let draft = "";

function remember(code) {
  if (history.at(-1) !== code) history.push(code);
  recalled = history.length;
  draft = "";
}

function recall(step) {
  const next = recalled + step;
  if (next < 0 || next > history.length) return;
  if (recalled === history.length) draft = input.value;
  recalled = next;
  setInput(next === history.length ? draft : history[next]);
}

const onFirstLine = () => !input.value.slice(0, input.selectionStart).includes("\n");
const onLastLine = () => !input.value.slice(input.selectionEnd).includes("\n");

let leaving = false; // Esc was pressed: the next Tab moves the focus on

input.addEventListener("input", () => {
  fit();
  closeCompletions();
});
input.addEventListener("blur", () => setTimeout(closeCompletions, 150));

input.addEventListener("keydown", (event) => {
  if (event.isComposing) return;
  const plain = !event.shiftKey && !event.ctrlKey && !event.altKey && !event.metaKey;
  const wasLeaving = leaving;
  leaving = false;
  if (open.length > 0 && plain) {
    switch (event.key) {
      case "ArrowDown": event.preventDefault(); return select(selected + 1);
      case "ArrowUp": event.preventDefault(); return select(selected - 1);
      case "Enter":
      case "Tab": event.preventDefault(); return accept(open[selected]);
      case "Escape": event.preventDefault(); return closeCompletions();
    }
  }
  if (event.key === "Escape") leaving = true;
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    if (event.ctrlKey || event.metaKey || input.value.trimEnd().endsWith(";;")) {
      event.preventDefault();
      run();
    }
  } else if (event.key === "Tab" && plain && !wasLeaving && input.value.trim() !== "") {
    event.preventDefault();
    complete();
  } else if (event.key === "ArrowUp" && plain && onFirstLine()) {
    event.preventDefault();
    recall(-1);
  } else if (event.key === "ArrowDown" && plain && onLastLine()) {
    event.preventDefault();
    recall(1);
  }
});

// ---- completion -----------------------------------------------------------------

let open = []; // the entries shown
let selected = 0;
let range = null; // what an accepted entry replaces

async function complete() {
  const position = input.selectionStart;
  const source = input.value;
  if (position === 0 || document.body.dataset.state !== "ready") return;
  const answer = await worker.complete(source, position).catch(() => null);
  if (!answer || input.value !== source || input.selectionStart !== position) return;
  const { from, to, entries } = answer.completions;
  range = [from, to];
  if (entries.length === 0) {
    statusLine.textContent = "No completion here";
    return;
  }
  statusLine.textContent = "Ready";
  if (entries.length === 1) return accept(entries[0]);
  let common = entries[0].name;
  for (const { name } of entries) {
    while (!name.startsWith(common)) common = common.slice(0, -1);
  }
  if (common.length > to - from) {
    input.setRangeText(common, from, to, "end");
    range = [from, from + common.length];
  }
  show(entries.slice(0, 200));
}

function show(entries) {
  open = entries;
  completions.replaceChildren(
    ...entries.map((entry, i) => {
      const item = element("li");
      item.id = `completion-${i}`;
      item.setAttribute("role", "option");
      item.append(element("span", entry.deprecated ? "name deprecated" : "name", entry.name));
      item.append(element("span", "desc", entry.desc || entry.kind.toLowerCase()));
      item.addEventListener("mousedown", (event) => {
        event.preventDefault();
        accept(entry);
      });
      return item;
    }),
  );
  completions.hidden = false;
  select(0);
}

function select(i) {
  selected = (i + open.length) % open.length;
  [...completions.children].forEach((item, k) => {
    item.setAttribute("aria-selected", String(k === selected));
  });
  const item = completions.children[selected];
  item.scrollIntoView({ block: "nearest" });
  input.setAttribute("aria-activedescendant", item.id);
}

function accept(entry) {
  input.setRangeText(entry.name, range[0], range[1], "end");
  fit();
  closeCompletions();
}

function closeCompletions() {
  open = [];
  completions.hidden = true;
  completions.replaceChildren();
  input.removeAttribute("aria-activedescendant");
}

transcript.append(
  element(
    "p", "note",
    "A complete OCaml toplevel that runs in this page; nothing you type is sent anywhere. " +
      "Choose a package to load it. Integers have 32 bits here.",
  ),
);
start();
