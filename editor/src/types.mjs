// The type of what the mouse is over, or of what the cursor stands at.

import { StateEffect, StateField } from "@codemirror/state";
import { hoverTooltip, showTooltip } from "@codemirror/view";

function box(text) {
  const dom = document.createElement("div");
  dom.className = "cm-type";
  dom.textContent = text;
  return { dom };
}

async function tooltip(view, pos, ask) {
  const { doc } = view.state;
  const text = doc.toString();
  const [innermost] = (await ask(text, pos)) ?? [];
  if (!innermost || view.state.doc !== doc) return null;
  const { loc_start, loc_end } = innermost.loc;
  const [start, end] = [loc_start, loc_end].map((at) => Math.min(at.pos_cnum, doc.length));
  // A definition's whole pattern is said where it begins; a type said far away confuses.
  if (pos < start || pos > end) return null;
  return { pos: start, end, above: true, create: () => box(innermost.type_str), type: innermost.type_str };
}

const shown = StateEffect.define();

const atCursor = StateField.define({
  create: () => null,
  update(tooltip, transaction) {
    for (const effect of transaction.effects) if (effect.is(shown)) return effect.value;
    return transaction.docChanged || transaction.selection ? null : tooltip;
  },
  provide: (field) => showTooltip.from(field),
});

/** `ask(text, position)` gives types, the innermost first; `tell` says a type to who does not see it. */
export const types = (ask) => [
  hoverTooltip((view, pos) => tooltip(view, pos, ask), { hoverTime: 350, hideOnChange: true }),
  atCursor,
];

/** A command: the type at the cursor. */
export const showType = (ask, tell) => (view) => {
  const { head } = view.state.selection.main;
  const at = (pos) => (pos < 0 ? null : tooltip(view, pos, ask));
  // Behind the last letter of a word, the word is meant.
  Promise.resolve(at(head)).then((found) => found ?? at(head - 1)).then((found) => {
    tell(found ? found.type : "No type here");
    view.dispatch({ effects: shown.of(found) });
  });
  return true;
};

/** A command: takes that type away, if it is shown. */
export const hideType = (view) => {
  if (!view.state.field(atCursor)) return false;
  view.dispatch({ effects: shown.of(null) });
  return true;
};
