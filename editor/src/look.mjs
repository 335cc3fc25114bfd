// Colours and sizes. They come from custom properties that the page may set (see
// recipes/page/repl/look.mjs), so light and dark need no second theme.

import { HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { EditorView } from "@codemirror/view";
import { tags } from "@lezer/highlight";

const theme = EditorView.theme({
  "&": { color: "var(--jtw-text)", backgroundColor: "transparent", fontSize: "inherit" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--jtw-mono)", lineHeight: "1.5", overflowX: "auto" },
  ".cm-content": { caretColor: "var(--jtw-text)", padding: "0.55rem 0" },
  ".cm-line": { padding: "0 0.7rem 0 0.35rem" },
  "&.cm-focused > .cm-scroller > .cm-cursorLayer .cm-cursor, .cm-cursor": { borderLeftColor: "var(--jtw-text)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionLayer .cm-selectionBackground":
    { backgroundColor: "var(--jtw-selection)" },
  ".cm-gutters": { backgroundColor: "transparent", color: "var(--jtw-quiet)", border: "0", fontFamily: "var(--jtw-mono)" },
  ".cm-lineNumbers .cm-gutterElement": { minWidth: "1.6em", padding: "0 0.25em 0 0" },
  ".cm-gutter-lint": { width: "1.1em" },
  ".cm-gutter-lint .cm-gutterElement": { padding: "0.25em 0 0 0.1em" },
  "&.cm-focused .cm-matchingBracket": { backgroundColor: "var(--jtw-match)", outline: "1px solid var(--jtw-line)" },
  "&.cm-focused .cm-nonmatchingBracket": { backgroundColor: "transparent", color: "var(--jtw-error)" },
  ".cm-selectionMatch": { backgroundColor: "var(--jtw-match)" },
  ".cm-searchMatch": { backgroundColor: "var(--jtw-match)", outline: "1px solid var(--jtw-warning)" },
  ".cm-searchMatch-selected": { backgroundColor: "var(--jtw-selection)" },
  ".cm-placeholder": { color: "var(--jtw-quiet)" },
  ".cm-tooltip": {
    color: "var(--jtw-text)", backgroundColor: "var(--jtw-panel)", border: "1px solid var(--jtw-line)",
    borderRadius: "6px", boxShadow: "0 4px 18px rgb(0 0 0 / 0.18)", maxWidth: "min(36rem, calc(100vw - 1rem))",
  },
  ".cm-tooltip-lint": { padding: "0.15rem 0" },
  ".cm-tooltip-section:not(:first-child)": { borderTop: "1px solid var(--jtw-line)" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul": { fontFamily: "var(--jtw-mono)", maxHeight: "13em", maxWidth: "min(44rem, calc(100vw - 1rem))" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li": { display: "flex", alignItems: "baseline", gap: "0.4em", padding: "0.12rem 0.5rem", lineHeight: "1.45" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li[aria-selected]": { backgroundColor: "var(--jtw-accent)", color: "var(--jtw-on-accent)" },
  ".cm-completionLabel": { flex: "none", maxWidth: "60%", overflow: "hidden", textOverflow: "ellipsis" },
  ".cm-completionMatchedText": { textDecoration: "none", fontWeight: "700" },
  ".cm-completionDetail": { marginLeft: "0.6em", fontStyle: "normal", color: "var(--jtw-quiet)", overflow: "hidden", textOverflow: "ellipsis", whiteSpace: "nowrap", minWidth: "0" },
  "li[aria-selected] .cm-completionDetail": { color: "inherit" },
  ".cm-completionIcon": { flex: "none", width: "1.2em", padding: "0", opacity: "0.75", textAlign: "center" },
  ".cm-deprecated .cm-completionLabel": { textDecoration: "line-through" },
  ".cm-completionInfo": { padding: "0.35rem 0.6rem", whiteSpace: "pre-wrap", fontFamily: "var(--jtw-mono)", fontSize: "0.92em" },
  ".cm-type": { padding: "0.3rem 0.6rem", whiteSpace: "pre-wrap", overflowWrap: "anywhere", fontFamily: "var(--jtw-mono)", fontSize: "0.92em", maxHeight: "16em", overflowY: "auto" },
  ".cm-diagnostic": { padding: "0.25rem 0.6rem", marginLeft: "0", fontFamily: "var(--jtw-mono)", fontSize: "0.92em" },
  ".cm-diagnostic-error": { borderLeft: "4px solid var(--jtw-error)" },
  ".cm-diagnostic-warning": { borderLeft: "4px solid var(--jtw-warning)" },
  ".cm-panels": { color: "var(--jtw-text)", backgroundColor: "var(--jtw-hover)", borderColor: "var(--jtw-line)" },
  ".cm-panels-top": { borderBottom: "1px solid var(--jtw-line)" },
  ".cm-panel input, .cm-panel button": { font: "inherit", fontSize: "0.9em" },
  ".cm-textfield": { color: "inherit", backgroundColor: "var(--jtw-panel)", border: "1px solid var(--jtw-line)" },
  ".cm-button": { color: "inherit", backgroundImage: "none", backgroundColor: "var(--jtw-panel)", border: "1px solid var(--jtw-line)", borderRadius: "4px" },
  ".cm-search label": { fontSize: "0.85em" },
});

const colours = HighlightStyle.define([
  { tag: [tags.keyword, tags.operatorKeyword], color: "var(--jtw-keyword)", fontWeight: "600" },
  { tag: [tags.string, tags.character], color: "var(--jtw-string)" },
  { tag: [tags.number, tags.atom], color: "var(--jtw-number)" },
  { tag: tags.comment, color: "var(--jtw-quiet)", fontStyle: "italic" },
  { tag: [tags.namespace, tags.className, tags.tagName], color: "var(--jtw-module)" },
  { tag: [tags.typeName, tags.labelName], color: "var(--jtw-type)" },
  { tag: tags.meta, color: "var(--jtw-accent)" },
  // Not `-` here and `>` in the next line; and a space that is typed there stays a space, which
  // within `nowrap` it does not.
  { tag: tags.operator, color: "var(--jtw-operator)", whiteSpace: "pre" },
  { tag: tags.punctuation, color: "var(--jtw-operator)" },
]);

export const look = [theme, syntaxHighlighting(colours)];
