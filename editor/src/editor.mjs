// The editor of a cell: CodeMirror with what it needs to know about OCaml. The page sees only
// `createEditor`; everything that it learns from the worker goes through functions it is given.

import {
  acceptCompletion, closeBrackets, closeBracketsKeymap, closeCompletion, completionKeymap, completionStatus,
  selectedCompletion,
} from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { bracketMatching, indentUnit } from "@codemirror/language";
import { lintGutter, lintKeymap, setDiagnostics } from "@codemirror/lint";
import { highlightSelectionMatches, search, searchKeymap } from "@codemirror/search";
import { Compartment, EditorState, Prec } from "@codemirror/state";
import { EditorView, drawSelection, keymap, lineNumbers, placeholder } from "@codemirror/view";
import { completion } from "./completion.mjs";
import { look } from "./look.mjs";
import { ocaml } from "./ocaml.mjs";
import { hideType, showType, types } from "./types.mjs";

const isSevere = (kind) => kind === "error" || kind.includes("as_error");

function diagnostic({ kind, loc, main, sub }, length) {
  const clamp = (at) => Math.max(0, Math.min(at.pos_cnum, length));
  let [from, to] = [clamp(loc.loc_start), clamp(loc.loc_end)];
  // What has no width cannot be underlined: the character before the end of the text is.
  if (to <= from) [from, to] = from < length ? [from, from + 1] : [Math.max(0, from - 1), from];
  return { from, to, severity: isSevere(kind) ? "error" : "warning", message: [main, ...(sub ?? [])].join("\n") };
}

// Whether a list is open whose choice would change the text.
function isChoosing({ state }) {
  if (completionStatus(state) !== "active") return false;
  const label = selectedCompletion(state)?.label ?? "";
  const { head } = state.selection.main;
  return state.sliceDoc(Math.max(0, head - label.length), head) !== label;
}

// A word that stands there already is not chosen: Enter is a line's end then.
function closeIdleList(view) {
  if (completionStatus(view.state) === "active" && !isChoosing(view)) closeCompletion(view);
  return false;
}

/**
 * Puts an editor into `parent`.
 * @param root the document or shadow root that `parent` is in: styles go there
 * @param on what happens: `change(text)`, `run()`, `runAndGoOn()`, `recall(step)` (gives a text or
 *   null), `tell(text)` for screen readers, `focus()`, and the questions `complete(text, position)`
 *   and `typeAt(text, position)`, which may answer null.
 */
export function createEditor({ parent, root, text, label, hint = "", on }) {
  const named = new Compartment();
  const name = (label) => EditorView.contentAttributes.of({ "aria-label": label });

  function command(act) {
    return () => {
      act();
      return true;
    };
  }

  function recall(step) {
    return () => {
      const found = on.recall(step);
      if (found !== null) replace(found);
      return true;
    };
  }

  const keys = [
    { key: "Mod-Enter", run: command(on.run) },
    { key: "Shift-Enter", run: command(on.runAndGoOn) },
    { key: "Alt-ArrowUp", run: recall(-1) },
    { key: "Alt-ArrowDown", run: recall(1) },
    { key: "Mod-i", run: showType(on.typeAt, on.tell), preventDefault: true },
    { key: "Escape", run: hideType },
    { key: "Enter", run: closeIdleList },
    // A list that has just come up is not taken from, lest a key meant something else; but it is no reason to leave.
    { key: "Tab", run: (view) => acceptCompletion(view) || completionStatus(view.state) === "active" },
  ];

  const view = new EditorView({
    parent,
    root,
    state: EditorState.create({
      doc: text,
      extensions: [
        Prec.highest(keymap.of(keys)),
        lineNumbers(),
        lintGutter({ hoverTime: 250 }),
        history(),
        drawSelection(),
        bracketMatching(),
        closeBrackets(),
        highlightSelectionMatches({ minSelectionLength: 2 }),
        search({ top: true }),
        indentUnit.of("  "),
        EditorState.tabSize.of(2),
        EditorView.lineWrapping,
        placeholder(hint),
        ocaml,
        completion(on.complete),
        types(on.typeAt),
        look,
        keymap.of([...closeBracketsKeymap, ...completionKeymap, ...searchKeymap, ...historyKeymap, ...lintKeymap, ...defaultKeymap]),
        named.of(name(label)),
        EditorView.contentAttributes.of({ spellcheck: "false", autocapitalize: "off", autocorrect: "off" }),
        EditorView.updateListener.of((update) => {
          if (update.docChanged) on.change(update.state.doc.toString());
          if (update.focusChanged && update.view.hasFocus) on.focus();
        }),
      ],
    }),
  });

  function replace(text) {
    view.dispatch({
      changes: { from: 0, to: view.state.doc.length, insert: text },
      selection: { anchor: text.length },
      scrollIntoView: true,
    });
  }

  return {
    get text() {
      return view.state.doc.toString();
    },
    set text(text) {
      if (text !== view.state.doc.toString()) replace(text);
    },
    focus: () => view.focus(),
    get hasFocus() {
      return view.hasFocus;
    },
    /** A list of completions is open from which something may be chosen. */
    get isChoosing() {
      return isChoosing(view);
    },
    name: (label) => view.dispatch({ effects: named.reconfigure(name(label)) }),
    /** Underlines errors and warnings, in the place of those before. */
    mark: (errors) => {
      const { length } = view.state.doc;
      view.dispatch(setDiagnostics(view.state, errors.map((error) => diagnostic(error, length))));
    },
    /** Selects a part of the text and goes there. */
    select: (from, to) => {
      const { length } = view.state.doc;
      view.dispatch({ selection: { anchor: Math.min(from, length), head: Math.min(to, length) }, scrollIntoView: true });
      view.focus();
    },
    destroy: () => view.destroy(),
  };
}
