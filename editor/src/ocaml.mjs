// OCaml's tokens, for highlighting, brackets and comments. No grammar: a cell is mostly
// unfinished, and the worker knows better what it means.

import { StreamLanguage } from "@codemirror/language";

const words = (text) => new Set(text.split(" "));

const KEYWORDS = words(
  "and as assert begin class constraint do done downto effect else end exception external for fun function functor " +
    "if in include inherit initializer lazy let match method module mutable new nonrec object of open private " +
    "rec sig struct then to try type val virtual when while with",
);
const OPERATOR_WORDS = words("asr land lor lsl lsr lxor mod or");
const ATOMS = words("true false");

const NUMBER = /^(?:0[xX][\da-fA-F][\da-fA-F_]*(?:\.[\da-fA-F_]*)?(?:[pP][+-]?\d[\d_]*)?|0[oO][0-7][0-7_]*|0[bB][01][01_]*|\d[\d_]*(?:\.[\d_]*)?(?:[eE][+-]?\d[\d_]*)?)[g-zG-Z]?/;
const CHARACTER = /^'(?:[^\\'\n\r]|\\(?:[\\"'ntbr ]|\d{3}|x[\da-fA-F]{2}|o[0-3][0-7]{2}))'/u;
const LOWER = /^[\p{Ll}_][\p{L}\w']*/u;
const UPPER = /^\p{Lu}[\p{L}\w']*/u;
const OPERATOR = /^[!$%&*+\-./:<=>?@^|~]+/;

function inString(stream, state) {
  for (let char = stream.next(); char !== undefined; char = stream.next()) {
    if (char === "\\") stream.next();
    else if (char === '"') {
      state.within.pop();
      break;
    }
  }
  return "string";
}

// {id|text|id}
const inQuoted = (end) => (stream, state) => {
  if (stream.skipTo(end)) {
    stream.match(end);
    state.within.pop();
  } else stream.skipToEnd();
  return "string";
};

// Comments nest, and strings within them are strings: a sign of a comment's end in one is none.
function inComment(stream, state) {
  while (!stream.eol()) {
    if (stream.match("(*")) state.within.push(inComment);
    else if (stream.match("*)")) {
      state.within.pop();
      if (state.within.at(-1) !== inComment) break;
    } else if (stream.match(CHARACTER)) continue;
    else if (stream.match('"')) {
      // What is left of a string that goes over lines is taken for comment: no more than a colour.
      let char;
      while ((char = stream.next()) !== undefined && char !== '"') if (char === "\\") stream.next();
    } else stream.next();
  }
  return "comment";
}

function word(stream, state) {
  const text = stream.current();
  if (state.isField) return "propertyName";
  if (KEYWORDS.has(text)) return "keyword";
  if (OPERATOR_WORDS.has(text)) return "operatorKeyword";
  if (ATOMS.has(text)) return "atom";
  return "variableName";
}

function token(stream, state) {
  if (state.within.length > 0) return state.within.at(-1)(stream, state);
  if (stream.eatSpace()) return null;
  if (stream.match("(*") ) {
    if (stream.peek() === ")") {
      stream.next();
      return "operator";
    }
    state.within.push(inComment);
    return inComment(stream, state);
  }
  if (stream.match('"')) {
    state.within.push(inString);
    return inString(stream, state);
  }
  const quoted = stream.match(/^\{(?:%%?[\w.']+ ?)?([a-z_]*)\|/);
  if (quoted) {
    state.within.push(inQuoted(`|${quoted[1]}}`));
    return "string";
  }
  if (stream.match(CHARACTER)) return "character";
  if (stream.match(/^'[\p{L}_][\w']*/u)) return "typeName";
  if (stream.match(NUMBER)) return "number";
  if (stream.match(/^[~?][\p{Ll}_][\w']*:?/u)) return "labelName";
  if (stream.match(/^`[\p{L}_][\w']*/u)) return "tagName";
  if (stream.match(/^\[@@?@?[\w.]*|^\[%%?[\w.]*/)) return "meta";
  if (stream.match(/^#[a-z_]+\b/)) return stream.string.slice(0, stream.start).trim() === "" ? "meta" : "operator";
  const isField = state.isField;
  if (stream.match(UPPER)) {
    const isPath = /^\s*\.(?![.\d])/.test(stream.string.slice(stream.pos));
    state.isField = false;
    return isPath || ["module", "open", "include", "struct", "functor"].includes(state.before) ? "namespace" : "className";
  }
  if (stream.match(LOWER)) {
    const style = word(stream, state);
    state.before = stream.current();
    state.isField = false;
    return style;
  }
  state.isField = false;
  if (stream.match(";;")) return "punctuation";
  if (stream.match(OPERATOR)) {
    // A field, if what the dot stands behind is a value: a module's name has a colour of its own.
    state.isField = stream.current() === "." && !isField && /[\p{Ll}\w')\]]$/u.test(stream.string.slice(0, stream.start)) &&
      !/\p{Lu}[\w']*$/u.test(stream.string.slice(0, stream.start));
    state.before = "";
    return "operator";
  }
  const char = stream.next();
  if ("()[]{}".includes(char)) state.before = "";
  return "()[]{}".includes(char) ? "bracket" : "punctuation";
}

export const ocaml = StreamLanguage.define({
  name: "ocaml",
  startState: () => ({ within: [], isField: false, before: "" }),
  copyState: (state) => ({ ...state, within: [...state.within] }),
  token,
  languageData: {
    commentTokens: { block: { open: "(*", close: "*)" } },
    closeBrackets: { brackets: ["(", "[", "{", '"'] },
    indentOnInput: /^\s*(?:end|done|in|\)|\]|\}|\|)$/,
  },
});
