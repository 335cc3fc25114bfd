// The cells of one element, in their order, over one session.

import { Cell } from "./cell.mjs";
import { make } from "./dom.mjs";

const ENDED = /;;\s*$/;

export class Notebook {
  cells = [];
  element = make("div", { class: "cells" });
  #notice;
  #events;

  /**
   * @param options `session`, `root` (where styles go), `editor` (a promise of `createEditor`),
   *   `hasSeveral` (cells can be added, moved and deleted), `env`, `hint`, `tell` (for screen readers)
   * @param events `focused()`, `changed()` and `ran(cell, result)`
   */
  constructor(options, events) {
    Object.assign(this, options);
    this.#events = events;
    this.#notice = make("div", { class: "notice", hidden: true });
    this.session.addEventListener("restart", this);
  }

  handleEvent() {
    for (const cell of this.cells) cell.age();
  }

  get texts() {
    return this.cells.map(({ text }) => text);
  }

  /** Other cells in the place of these; what they had answered is gone. */
  set texts(texts) {
    for (const cell of this.cells.splice(0)) cell.destroy();
    for (const text of texts.length > 0 ? texts : [""]) this.#insert(new Cell(this, text), this.cells.length);
    this.#number();
  }

  /** A new cell behind `cell`, or at the end. */
  add(text = "", cell = this.cells.at(-1)) {
    const added = new Cell(this, text);
    this.#insert(added, this.cells.indexOf(cell) + 1);
    this.#number();
    this.changed();
    return added;
  }

  remove(cell) {
    const at = this.cells.indexOf(cell);
    const { text } = cell;
    this.cells.splice(at, 1);
    cell.destroy();
    if (this.cells.length === 0) this.#insert(new Cell(this, ""), 0);
    this.#number();
    this.changed();
    if (text.trim() !== "") this.#offerUndo(text, at);
    (this.cells[at] ?? this.cells.at(-1)).focus();
  }

  move(cell, step) {
    const from = this.cells.indexOf(cell);
    const to = from + step;
    if (to < 0 || to >= this.cells.length) return;
    this.cells.splice(from, 1);
    this.cells.splice(to, 0, cell);
    // The other one is moved: what is moved loses the focus.
    const other = this.cells[from];
    if (step < 0) cell.element.after(other.element);
    else cell.element.before(other.element);
    this.#number();
    this.changed();
    this.tell(`Moved, now cell ${to + 1} of ${this.cells.length}`);
  }

  /** Behind the last cell begins a new one. */
  next(cell) {
    if (!this.hasSeveral) return;
    const following = this.cells[this.cells.indexOf(cell) + 1] ?? (cell.text.trim() === "" ? cell : this.add("", cell));
    following.focus();
    following.element.scrollIntoView({ block: "nearest" });
  }

  async runAll() {
    await Promise.all(this.cells.map((cell) => cell.run()));
  }

  /** The code before `cell` that is not evaluated as it stands, with an end, if it is not too long. */
  before(cell, longest) {
    let code = "";
    for (const one of this.cells) {
      if (one === cell) break;
      if (one.text.trim() === "" || one.isEvaluated) continue;
      code += ENDED.test(one.text) ? `${one.text}\n` : `${one.text}\n;;\n`;
    }
    return code.length > longest ? "" : code;
  }

  // ---- what cells say ---------------------------------------------------------------

  focused() {
    this.#events.focused();
  }

  changed() {
    this.#events.changed();
  }

  ran(cell, result) {
    this.tell(cell.output.summary || "Done");
    this.#events.ran(cell, result);
  }

  #insert(cell, at) {
    this.cells.splice(at, 0, cell);
    const before = this.cells[at - 1];
    if (before) before.element.after(cell.element);
    else this.element.prepend(cell.element);
  }

  #number() {
    this.cells.forEach((cell, at) => cell.place(at + 1, this.cells.length));
  }

  #offerUndo(text, at) {
    const undo = () => {
      this.#notice.remove();
      const cell = new Cell(this, text);
      this.#insert(cell, Math.min(at, this.cells.length));
      this.#number();
      this.changed();
      cell.focus();
    };
    this.tell("Cell deleted");
    this.#notice.hidden = false;
    this.#notice.replaceChildren("Cell deleted. ", make("button", { type: "button", class: "link", onclick: undo }, "Undo"));
    this.element.append(this.#notice);
  }
}
