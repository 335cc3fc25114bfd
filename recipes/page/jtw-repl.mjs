// <jtw-repl>: OCaml in any page.
//
//   <script type="module" src="https://repl.example.org/jtw-repl.mjs"></script>
//   <jtw-repl>List.map succ [1; 2; 3];;</jtw-repl>
//
// Attributes, methods and events: book/src/guides/embed.md. The page of a site is made of the same
// element.

import { iconButton, make } from "./repl/dom.mjs";
import { sheet } from "./repl/look.mjs";
import { Notebook } from "./repl/notebook.mjs";
import { Session, isLibrary } from "./repl/session.mjs";

// Asked for at once, beside everything else, and once for all elements.
let fault = null;
const editor = import("./editor.mjs").then(
  ({ createEditor }) => createEditor,
  (error) => {
    fault = `The editor could not be loaded, so code cannot be changed here. ${error.message}`;
    return null;
  },
);

const SITE = new URL("universe.json", import.meta.url).href;
const SAID_EVERY = 1000; // milliseconds: screen readers are told the last of what came meanwhile
const LONGEST_SAID = 300;

const words = (text) => (text ?? "").split(/[\s,]+/).filter(Boolean);

// Code in HTML begins and ends with a line's end, and may be indented as a whole.
function codeOf(text) {
  const lines = text.replace(/^[ \t]*\r?\n/, "").trimEnd().split(/\r?\n/);
  const indents = lines.filter((line) => line.trim() !== "").map((line) => /^[ \t]*/.exec(line)[0].length);
  const common = Math.min(...indents, Infinity);
  return common === Infinity ? "" : lines.map((line) => line.slice(common)).join("\n");
}

export class JtwRepl extends HTMLElement {
  #session = null;
  #book = null;
  #isOwn = false;
  #box = make("div", { class: "frameless" });
  #status = make("p", { class: "status", part: "status" });
  #said = make("p", { class: "unseen", role: "status" });
  #problem = make("p", { class: "problem", role: "alert", hidden: true });
  #libraries = make("ul", { class: "libraries", "aria-label": "Libraries", hidden: true });
  #buttons = {};
  #saying = 0;
  #toSay = "";
  #shown = ""; // the state that the last event told

  connectedCallback() {
    if (this.#book) return this.#listen(true);
    // The parser may not have come to the end of this element.
    if (document.readyState === "loading" && !this.nextSibling) {
      return document.addEventListener("DOMContentLoaded", () => this.isConnected && !this.#book && this.#build(), { once: true });
    }
    this.#build();
  }

  disconnectedCallback() {
    this.#listen(false);
    // It may only be on its way to another place.
    queueMicrotask(() => {
      if (!this.isConnected && this.#isOwn) this.#session?.end();
    });
  }

  // ---- for programs ---------------------------------------------------------------

  /** The code of all cells. */
  get cells() {
    return this.#book?.texts ?? [codeOf(this.textContent)];
  }

  set cells(texts) {
    this.#build();
    this.#book.texts = texts.map(String);
  }

  /** The code of the first cell. */
  get code() {
    return this.cells[0];
  }

  set code(text) {
    this.#build();
    this.#book.cells[0].text = String(text);
  }

  /** `asleep`, `loading`, `ready`, `running`, `restarting` or `failed`, and the same in words. */
  get state() {
    return this.#session?.state ?? "asleep";
  }

  get status() {
    return this.#session?.status ?? "";
  }

  /** Where the universe's index is, once it is known; the site's universes, and the one that this is. */
  get indexUrl() {
    return this.#session?.indexUrl ?? null;
  }

  get universes() {
    return this.#session?.universes ?? [];
  }

  get universe() {
    return this.#session?.universe;
  }

  /** Libraries that were asked for, and those that are there. */
  get required() {
    return [...(this.#session?.wanted ?? [])];
  }

  get loaded() {
    return new Set(this.#session?.loaded);
  }

  /** Loads the toplevel. */
  start() {
    this.#build();
    return this.#session.start();
  }

  /** Evaluates the first cell, or all. */
  run() {
    this.#build();
    return this.#book.cells[0].run();
  }

  runAll() {
    this.#build();
    return this.#book.runAll();
  }

  stop() {
    return this.#session?.stop();
  }

  restart() {
    return this.#session?.restart();
  }

  /** Loads libraries; says what went wrong, or null. */
  async require(...names) {
    this.#build();
    this.#problem.hidden = true;
    return this.#session.require(names);
  }

  focus() {
    this.#book?.cells.at(-1).focus();
  }

  // ---- what is seen ---------------------------------------------------------------

  #build() {
    if (this.#book) return;
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [sheet];
    const code = codeOf(this.textContent);
    const src = new URL(this.getAttribute("src") ?? SITE, document.baseURI).href;
    const universe = this.getAttribute("universe") ?? undefined;
    this.#isOwn = this.hasAttribute("own");
    this.#session = this.#isOwn ? new Session(src, universe) : Session.shared(src, universe);
    const hasSeveral = this.hasAttribute("cells");
    const tell = (text) => this.#tell(text);
    this.#book = new Notebook(
      {
        session: this.#session, root, editor, hasSeveral, tell,
        env: this.getAttribute("env") ?? "default",
        hint: this.getAttribute("placeholder") ?? (hasSeveral ? "let x = 6 * 7;;" : ""),
      },
      {
        focused: () => this.#session.start(),
        changed: () => this.#send("jtw-change"),
        ran: (cell, result) => this.#send("jtw-output", { cell: this.#book.cells.indexOf(cell), code: cell.text, ...result }),
      },
    );
    this.#book.texts = [code];
    const restart = iconButton("again", "Restart OCaml", () => this.restart());
    this.#buttons = { restart };
    if (hasSeveral) {
      this.#buttons.runAll = make("button", { type: "button", onclick: () => this.runAll() }, "Run all");
      this.#buttons.stop = make("button", { type: "button", onclick: () => this.stop() }, "Stop");
      const add = make("button", { type: "button", class: "add", onclick: () => this.#book.add().focus() }, "New cell");
      const bar = make("div", { class: "bar", part: "bar", role: "group", "aria-label": "Toplevel" }, this.#status, this.#buttons.runAll, this.#buttons.stop, restart);
      this.#box.append(bar, this.#libraries, this.#problem, this.#book.element, make("div", { class: "foot after" }, add), this.#said);
    } else {
      this.#book.cells[0].element.querySelector(".foot").append(this.#status, restart);
      this.#box.append(this.#libraries, this.#problem, this.#book.element, this.#said);
    }
    root.append(this.#box);
    this.#listen(true);
    this.#update();
    editor.then(() => fault && this.#complain(fault));
    const wanted = words(this.getAttribute("require")).filter(isLibrary);
    for (const name of wanted) this.#session.wanted.add(name);
    const isAwake = this.hasAttribute("auto") || this.#session.state !== "asleep";
    if (isAwake) this.#session.start();
  }

  #listen(isOn) {
    for (const type of ["change", "problem"]) this.#session?.[isOn ? "addEventListener" : "removeEventListener"](type, this);
  }

  /** What the session says. */
  handleEvent({ type, detail }) {
    if (type === "change") this.#update();
    else if (this.hasAttribute("cells") || this.hasAttribute("require")) this.#complain(detail);
  }

  #update() {
    const { state, status, wanted, loaded } = this.#session;
    this.#box.dataset.state = state;
    this.dataset.state = state;
    this.#status.textContent = this.#status.title = state === "failed" ? "Could not start" : status;
    if (state === "failed") this.#complain(status, make("button", { type: "button", onclick: () => this.restart() }, "Try again"));
    else if (this.#shown.startsWith("failed")) this.#problem.hidden = true;
    const isBusy = state === "running" || state === "restarting";
    this.#buttons.restart.disabled = state === "asleep" || state === "loading";
    if (this.#buttons.stop) this.#buttons.stop.disabled = !isBusy;
    this.#showLibraries([...wanted], loaded);
    if (this.#shown === `${state} ${status}`) return;
    if (state !== this.#shown.split(" ")[0] && ["ready", "failed"].includes(state) && !this.#shown.startsWith("running")) this.#tell(status);
    this.#shown = `${state} ${status}`;
    this.#send("jtw-state", { state, status });
  }

  #showLibraries(wanted, loaded) {
    const key = JSON.stringify(wanted.map((name) => [name, loaded.has(name)]));
    if (this.#libraries.dataset.key === key) return;
    this.#libraries.dataset.key = key;
    this.#libraries.hidden = wanted.length === 0;
    this.#libraries.replaceChildren(
      ...wanted.map((name) => {
        const forget = iconButton("remove", `Do without ${name}`, () => this.#session.forget(name), { title: "From the next start on, do without" });
        return make("li", { class: loaded.has(name) ? "" : "absent" }, name, forget);
      }),
    );
    this.#send("jtw-libraries", { required: wanted, loaded: [...loaded] });
  }

  #complain(text, ...more) {
    this.#problem.replaceChildren(make("span", {}, text), ...more);
    this.#problem.hidden = false;
  }

  // A program that answers often is heard once a second.
  #tell(text) {
    this.#toSay = text.length > LONGEST_SAID ? `${text.slice(0, LONGEST_SAID)}…` : text;
    if (this.#saying) return;
    const say = () => {
      this.#saying = 0;
      this.#said.textContent = this.#toSay;
    };
    this.#saying = setTimeout(say, this.#said.textContent === "" ? 50 : SAID_EVERY);
  }

  #send(type, detail = {}) {
    this.dispatchEvent(new CustomEvent(type, { bubbles: true, composed: true, detail }));
  }
}

customElements.define("jtw-repl", JtwRepl);
