// Completion as one types, from what the worker says.

import { autocompletion } from "@codemirror/autocomplete";
import { syntaxTree } from "@codemirror/language";

// The worker's kinds, by the names under which CodeMirror has icons.
const ICONS = {
  Constructor: "enum", Keyword: "keyword", Label: "property", MethodCall: "method", Modtype: "interface",
  Module: "namespace", Type: "type", Variant: "enum",
};
const icon = ({ kind, desc }) => ICONS[kind] ?? (desc.includes("->") ? "function" : "variable");

const MOST = 300; // entries of one list; further letters make it shorter
const WIDE = 44; // characters of a type that is shown in full beside the list, too

function option(entry) {
  const { name, desc, deprecated } = entry;
  return {
    label: name,
    type: icon(entry),
    detail: desc.replace(/\s+/g, " "),
    isDeprecated: deprecated,
    ...(desc.length > WIDE && { info: desc }),
  };
}

// Behind one letter the list is long and of little use; a path, a label or a method is asked for at once.
const BEGUN = /(?:[\p{L}_][\w']+|[\p{L}\w')]\.[\p{L}_]?[\w']*|#[\p{Ll}_]?[\w']*|[~?][\p{Ll}_]?[\w']*)$/u;

const isInText = ({ state, pos }) => /string|comment|number|character/.test(syntaxTree(state).resolveInner(pos, -1).name);

/** `ask(text, position)` gives the worker's completions, or null when it cannot be asked now. */
export const completion = (ask) =>
  autocompletion({
    icons: true,
    activateOnTypingDelay: 80,
    maxRenderedOptions: 60,
    optionClass: ({ isDeprecated }) => (isDeprecated ? "cm-deprecated" : ""),
    override: [
      async (context) => {
        if (!context.explicit && (isInText(context) || !context.matchBefore(BEGUN))) return null;
        if (context.pos === 0) return null;
        const found = await ask(context.state.doc.toString(), context.pos);
        if (!found || context.aborted || found.entries.length === 0) return null;
        const { from, to, entries } = found;
        return {
          from, to,
          options: entries.slice(0, MOST).map(option),
          // A list that was cut may lack what the next letter asks for.
          ...(entries.length <= MOST && { validFor: /^[~?]?[\p{L}\w']*$/u }),
        };
      },
    ],
  });
