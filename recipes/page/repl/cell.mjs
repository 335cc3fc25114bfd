// One cell: an editor, its buttons, and what its code answered.

import { icon, iconButton, make } from "./dom.mjs";
import { Output } from "./output.mjs";

const CHECK_AFTER = 500; // milliseconds without typing until errors are asked for
const LONGEST_CONTEXT = 50000; // characters of earlier cells that a question may take along

const WORDS = { idle: "", queued: "Waiting…", running: "Running…", done: "", failed: "", stopped: "Stopped" };

export class Cell {
  /** `idle`, `queued`, `running`, `done`, `failed` (there was an error) or `stopped`. */
  state = "idle";
  output = new Output();
  #book;
  #text;
  #editor = null;
  #wantsFocus = false;
  #ran = null; // the text that was evaluated last
  #check = 0;
  #recalled = null; // where in the history, and what was there before
  #place = make("div", { class: "editor", part: "editor" });
  #mark = make("span", { class: "mark" });
  #run;
  #tools = {};

  /** @param book the notebook that it is in */
  constructor(book, text) {
    this.#book = book;
    this.#text = text;
    this.#run = make("button", { type: "button", class: "run", part: "run", onclick: () => this.#runOrStop() });
    this.#place.append(make("pre", { class: "plain" }, text || " "));
    this.#place.addEventListener("pointerdown", () => this.#focused());
    const foot = make("div", { class: "foot" }, this.#run, this.#mark);
    if (book.hasSeveral) {
      this.#tools = {
        up: iconButton("up", "", () => book.move(this, -1)),
        down: iconButton("down", "", () => book.move(this, 1)),
        add: iconButton("add", "", () => book.add("", this).focus()),
        remove: iconButton("remove", "", () => book.remove(this)),
      };
      foot.append(make("span", { class: "tools" }, ...Object.values(this.#tools)));
    }
    this.element = make("div", { class: "cell", part: "cell", role: "group" }, this.#place, foot, this.output.element);
    this.#become("idle");
    book.editor.then((createEditor) => createEditor && this.#edit(createEditor));
  }

  get text() {
    return this.#text;
  }

  set text(text) {
    this.#text = text;
    if (this.#editor) this.#editor.text = text;
    else this.#place.firstChild.textContent = text || " ";
  }

  /** Its code has been evaluated as it stands here. */
  get isEvaluated() {
    return this.#ran === this.#text;
  }

  focus() {
    if (this.#editor) this.#editor.focus();
    else this.#wantsFocus = true;
  }

  /** Its number among the cells, and whether there is one before and one behind it. */
  place(number, count) {
    const label = this.#book.hasSeveral ? `Cell ${number}` : "OCaml code";
    this.element.setAttribute("aria-label", label);
    this.output.name(`Output of ${this.#book.hasSeveral ? `cell ${number}` : "the code"}`);
    this.label = label;
    this.#editor?.name(label);
    const { up, down, add, remove } = this.#tools;
    if (!up) return;
    for (const [button, text] of [[up, "Move up"], [down, "Move down"], [add, "New cell below"], [remove, "Delete"]]) {
      button.title = text;
      button.setAttribute("aria-label", button === add ? `${text} cell ${number}` : `${text}: cell ${number}`);
    }
    up.disabled = number === 1;
    down.disabled = number === count;
  }

  /** Evaluates its code; a cell that holds none has nothing to say. */
  async run() {
    const code = this.#text;
    if (code.trim() === "" || this.state === "queued" || this.state === "running") return;
    this.#become("queued");
    this.#recalled = null;
    const result = await this.#book.session.run(code, {
      env: this.#book.env,
      onStart: () => {
        this.#become("running");
        this.output.begin();
      },
      onStream: (message) => this.output.stream(message),
      onAnswer: (message) => this.output.answer(message),
    });
    this.#ended(code, result);
  }

  /** The toplevel that evaluated it is gone. */
  age() {
    this.#ran = null;
    this.output.age();
    if (this.state !== "running" && this.state !== "queued") this.#become("idle");
  }

  destroy() {
    clearTimeout(this.#check);
    this.#editor?.destroy();
    this.element.remove();
  }

  #ended(code, result) {
    const errors = result.output?.errors ?? [];
    const offset = code.length - code.trimStart().length; // an error at the very beginning is easier seen behind blanks
    this.output.finish(result, ({ loc }) => this.#editor?.select(Math.max(loc.loc_start.pos_cnum, offset), loc.loc_end.pos_cnum));
    const isError = this.output.hasError;
    if (result.kind === "done") {
      this.#ran = code;
      clearTimeout(this.#check);
      if (this.#text === code) this.#editor?.mark(errors);
    }
    this.#become(result.kind === "stopped" ? "stopped" : isError ? "failed" : "done");
    if (result.kind === "done") {
      const ms = result.ms < 1000 ? `${Math.round(result.ms)} ms` : `${(result.ms / 1000).toFixed(1)} s`;
      this.#mark.textContent = `[${result.count}] ${ms}`;
      this.#mark.title = `Evaluation ${result.count}, ${ms}`;
    }
    this.#book.ran(this, result);
  }

  #become(state) {
    this.state = state;
    this.element.dataset.state = state;
    const isBusy = state === "queued" || state === "running";
    this.#run.replaceChildren(icon(isBusy ? "stop" : "run"), isBusy ? "Stop" : "Run");
    this.#mark.textContent = WORDS[state];
    this.output.element.setAttribute("aria-busy", String(isBusy));
  }

  #runOrStop() {
    if (this.state === "queued" || this.state === "running") this.#book.session.stop();
    else this.run();
  }

  #focused() {
    this.#book.focused(this);
  }

  // ---- the editor -----------------------------------------------------------------

  #edit(createEditor) {
    const { root, tell, session } = this.#book;
    this.#place.replaceChildren();
    this.#editor = createEditor({
      parent: this.#place,
      root,
      text: this.#text,
      label: this.label ?? "OCaml code",
      hint: this.#book.hint,
      on: {
        change: (text) => this.#changed(text),
        run: () => this.run(),
        runAndGoOn: () => {
          this.run();
          this.#book.next(this);
        },
        recall: (step) => this.#recall(step),
        tell,
        focus: () => this.#focused(),
        complete: (source, position) => this.#inContext(source, position, async (source, position, start) => {
          const found = await session.complete(source, position, this.#book.env);
          return found && { ...found, from: found.from - start, to: found.to - start };
        }),
        typeAt: (source, position) => this.#inContext(source, position, async (source, position, start) => {
          const found = await session.typeAt(source, position, this.#book.env);
          return found?.map((type) => ({ ...type, loc: shifted(type.loc, start) }));
        }),
      },
    });
    if (this.#wantsFocus) this.#editor.focus();
  }

  // What earlier cells define counts, even if it has not been evaluated yet.
  #inContext(source, position, ask) {
    const before = this.#book.before(this, LONGEST_CONTEXT);
    return ask(before + source, before.length + position, before.length);
  }

  #changed(text) {
    if (text === this.#text) return;
    this.#text = text;
    this.#book.changed(this);
    clearTimeout(this.#check);
    this.#check = setTimeout(() => this.#look(text), CHECK_AFTER);
  }

  async #look(text) {
    if (text.trim() === "") return this.#editor.mark([]);
    // A word that is being chosen from a list is no error yet.
    if (this.#editor.isChoosing) return void (this.#check = setTimeout(() => this.#look(text), CHECK_AFTER));
    const before = this.#book.before(this, LONGEST_CONTEXT);
    const found = await this.#book.session.errors(before + text, this.#book.env);
    if (!found || this.#text !== text || this.isEvaluated) return;
    const own = found.filter(({ loc }) => loc.loc_start.pos_cnum >= before.length);
    this.#editor.mark(own.map((error) => ({ ...error, loc: shifted(error.loc, before.length) })));
  }

  #recall(step) {
    const { inputs } = this.#book.session;
    const { at, draft } = this.#recalled ?? { at: inputs.length, draft: this.#text };
    const next = at + step;
    if (next < 0 || next > inputs.length) return null;
    this.#recalled = { at: next, draft };
    return next === inputs.length ? draft : inputs[next];
  }
}

function shifted({ loc_start, loc_end }, start) {
  const shift = (at) => ({ ...at, pos_cnum: at.pos_cnum - start });
  return { loc_start: shift(loc_start), loc_end: shift(loc_end) };
}
