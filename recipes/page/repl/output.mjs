// What a cell answers, in the order in which it came: what was printed, values, errors, pictures.
// Nothing that user code made is markup of the page: HTML goes into a frame that runs no script.

import { mimeUrl } from "../client/jtw-client.mjs";
import { make } from "./dom.mjs";

const LONGEST = 100000; // characters that one cell shows
const MOST = 50; // pictures and the like that one cell shows
const TALLEST = 480; // pixels of a frame

const FRAME_HEAD =
  '<!doctype html><meta charset="utf-8">' +
  `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; media-src data:">` +
  "<style>:root{color-scheme:light dark}body{margin:4px;font:15px/1.5 system-ui,sans-serif}</style>";

// What is on stderr may come from the type checker or from the program itself.
function kindOf(text) {
  if (/^Error\b/m.test(text)) return ["error", "Error"];
  if (/^(Warning |Alert )/m.test(text)) return ["warning", "Warning"];
  if (/^Note:/m.test(text)) return ["warning", "Note"];
  return ["stderr", "Printed to stderr"];
}

function frame(markup) {
  // Without `allow-scripts` nothing in it runs; with `allow-same-origin` its height can be read.
  const element = make("iframe", { class: "frame", sandbox: "allow-same-origin", title: "HTML output", referrerpolicy: "no-referrer" });
  element.addEventListener("load", () => {
    const height = element.contentDocument?.documentElement.scrollHeight;
    if (height) element.style.height = `${Math.min(height + 2, TALLEST)}px`;
  });
  element.srcdoc = FRAME_HEAD + markup;
  return element;
}

function rich(value) {
  const type = value.mime_type.split(";")[0].trim().toLowerCase();
  if (type.startsWith("image/")) {
    return make("img", { class: "picture", alt: `Output of the type ${type}`, src: mimeUrl(value) });
  }
  const isText = value.encoding === undefined;
  if (type === "text/html" && isText) return frame(value.data);
  if (isText) return make("div", { class: "printed" }, make("span", { class: "label" }, type), make("pre", {}, value.data));
  return make("p", {}, make("a", { href: mimeUrl(value), download: "output" }, `Download (${type})`));
}

export class Output {
  element = make("div", { class: "output", part: "output", role: "group", hidden: true });
  /** The last thing worth telling somebody who does not see it. */
  summary = "";
  hasError = false;
  #shown = 0; // characters
  #left = 0; // characters that were not
  #rich = 0;
  #cut = null;
  #printed = { stdout: "", stderr: "" };
  #isOld = false;

  name(label) {
    this.element.setAttribute("aria-label", label);
  }

  clear() {
    this.begin();
    this.#empty();
  }

  /** A new evaluation. What the one before has shown stays until there is something new. */
  begin() {
    this.#isOld = true;
    this.#shown = this.#left = this.#rich = 0;
    this.#cut = null;
    this.#printed = { stdout: "", stderr: "" };
    this.summary = "";
    this.hasError = false;
  }

  /** What is shown belongs to a toplevel that is gone. */
  age() {
    this.element.classList.add("stale");
  }

  #empty() {
    this.#isOld = false;
    this.element.replaceChildren();
    this.element.hidden = true;
    this.element.classList.remove("stale");
    this.element.removeAttribute("tabindex");
  }

  /** A part of what the program prints. */
  stream({ stdout = "", stderr = "" }) {
    this.#print("stdout", stdout);
    this.#print("stderr", stderr);
  }

  /** The answer of one phrase. */
  answer({ caml_ppf, mime_vals }) {
    if (caml_ppf !== "") {
      const isError = /^Exception: |^Stack overflow/.test(caml_ppf);
      if (isError) this.#block("error", "Exception", caml_ppf);
      else this.#block("value", "", caml_ppf);
      this.hasError ||= isError;
      this.summary = caml_ppf;
    }
    for (const value of mime_vals) this.#addRich(value);
  }

  /** The evaluation has ended. `goTo(error)` leads to an error's place. */
  finish(result, goTo) {
    if (this.#isOld) this.#empty();
    if (result.kind === "stopped") this.#add(make("p", { class: "note" }, (this.summary = "Stopped.")));
    if (result.kind === "failed") {
      this.hasError = true;
      this.#block("error", "", (this.summary = result.message));
    }
    if (result.kind !== "done") return;
    for (const channel of ["stdout", "stderr"]) this.#complete(channel, result.output[channel]);
    const place = (result.output.errors ?? []).find(({ kind }) => kind === "error");
    const block = this.element.querySelector(".error:not(.placed)");
    if (place && block && goTo) {
      block.firstChild.after(make("button", { type: "button", class: "link", onclick: () => goTo(place) }, "Show in the editor"));
    }
    // Only what can be scrolled needs to be reached by the keyboard.
    if (this.element.scrollHeight > this.element.clientHeight + 1) this.element.tabIndex = 0;
  }

  note(text) {
    this.#add(make("p", { class: "note" }, text));
  }

  // A worker that sends no `stream` says everything at the end; one that does repeats it, trimmed.
  #complete(channel, whole) {
    const seen = this.#printed[channel].trim();
    if (whole === seen) return;
    this.#print(channel, whole.startsWith(seen) ? whole.slice(seen.length) : whole);
  }

  #print(channel, text) {
    if (text === "") return;
    this.#printed[channel] += text;
    if (channel === "stdout") this.#block("printed", "", text, true);
    else {
      const [kind, label] = kindOf(text);
      this.hasError ||= kind === "error";
      if (kind !== "stderr") this.summary = text;
      this.#block(kind, label, text, kind === "stderr");
    }
  }

  #block(kind, label, text, isContinued = false) {
    const fitting = this.#fit(text);
    if (fitting === "") return;
    const last = this.element.lastElementChild;
    if (isContinued && !this.#isOld && last?.classList.contains(kind)) return last.lastChild.append(fitting);
    const parts = label ? [make("span", { class: "label" }, label)] : [];
    const trimmed = isContinued ? fitting : fitting.replace(/^\n+|\s+$/g, "");
    this.#add(make("div", { class: kind }, ...parts, make("pre", {}, trimmed)));
  }

  #add(element) {
    if (this.#isOld) this.#empty();
    this.element.hidden = false;
    if (this.#cut) this.#cut.before(element);
    else this.element.append(element);
  }

  #addRich(value) {
    this.#rich++;
    if (this.#rich <= MOST) this.#add(rich(value));
    else if (this.#rich === MOST + 1) this.note(`Only ${MOST} pictures and documents of a cell are shown.`);
  }

  #fit(text) {
    const part = text.slice(0, LONGEST - this.#shown);
    this.#shown += part.length;
    this.#left += text.length - part.length;
    if (this.#left > 0) {
      if (!this.#cut) {
        const cut = make("p", { class: "note cut" });
        this.#add(cut);
        this.#cut = cut;
      }
      this.#cut.textContent = `The output is cut here: ${this.#left.toLocaleString("en")} more characters are not shown.`;
    }
    return part;
  }
}
