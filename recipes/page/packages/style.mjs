// How <jtw-packages> looks. Colours come from the page's custom properties, with colours of its own
// where the page has none.

const css = `
:host {
  --_text: var(--text, light-dark(#1d1c1a, #ebe8e3));
  --_quiet: var(--quiet, light-dark(#66625b, #a8a29a));
  --_line: var(--line, light-dark(#dedad3, #3b3835));
  --_panel: var(--panel, light-dark(#ffffff, #211f1e));
  --_hover: var(--hover, light-dark(#f3efe9, #2c2927));
  --_accent: var(--accent, light-dark(#a84300, #ff9c55));
  --_on-accent: var(--on-accent, light-dark(#ffffff, #1d1206));
  --_warning: var(--warning, light-dark(#7a5200, #f0c56a));
  --_error: var(--error, light-dark(#a3141c, #ff9d97));
  --_mono: var(--mono, ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace);
  container: jtw-packages / inline-size;
  display: flex;
  flex-direction: column;
  width: 100%; /* a container has no width of its own */
  min-width: 0;
  min-height: 0;
  color: var(--_text);
  font-size: 0.9rem;
  line-height: 1.4;
}
:host([hidden]), [hidden] { display: none !important; }
* { box-sizing: border-box; }
:focus-visible { outline: 2px solid var(--_accent); outline-offset: -2px; }
p, h3, ul { margin: 0; padding: 0; }
ul { list-style: none; }
span, code, p, li, a, button { unicode-bidi: isolate; } /* no text turns what is around it */
button, input, select {
  border: 1px solid var(--_line);
  border-radius: 6px;
  background: var(--_panel);
  color: inherit;
  font: inherit;
}
button { cursor: pointer; }
button:hover { background: var(--_hover); }

.tools { display: flex; gap: 0.4rem; }
.filter { flex: 1; min-width: 0; padding: 0.3rem 0.6rem; }
.filter::placeholder { color: var(--_quiet); opacity: 1; }
.sort { padding: 0.3rem 0.2rem; }
.notes { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 0.8rem; padding: 0.35rem 0.1rem; }
.notes, .quiet { color: var(--_quiet); font-size: 0.8rem; }
:host([data-state="failed"]) .status { color: var(--_error); overflow-wrap: anywhere; }
:host([data-state="failed"]) .legend { display: none; }
.key { display: inline-block; width: 0.7em; height: 0.7em; margin-right: 0.35em; border-radius: 2px; }

.body { flex: 1; min-height: 0; overflow-y: auto; }
.end { height: 1px; }
.row { border-top: 1px solid var(--_line); content-visibility: auto; contain-intrinsic-size: auto 4.2rem; }
.row:last-child { border-bottom: 1px solid var(--_line); }
.head { display: flex; align-items: center; gap: 0.4rem; padding-right: 0.3rem; }
.toggle {
  display: grid;
  flex: 1;
  grid-template-columns: minmax(0, 1fr);
  min-width: 0;
  padding: 0.45rem 0.3rem;
  border: 0;
  border-radius: 4px;
  background: none;
  text-align: left;
}
.title { overflow: hidden; overflow-wrap: anywhere; max-height: 4.2em; }
.name { font: 600 1em var(--_mono); }
.version { color: var(--_quiet); font-size: 0.85em; }
.mark { padding: 0 0.4em; border: 1px solid var(--_line); border-radius: 99px; color: var(--_quiet); font-size: 0.75em; white-space: nowrap; }
.mark.loaded { border-color: var(--_accent); background: var(--_accent); color: var(--_on-accent); }
.mark.partial { border-color: var(--_warning); color: var(--_warning); }
.description { overflow: hidden; color: var(--_quiet); text-overflow: ellipsis; white-space: nowrap; }
.toggle[aria-expanded="true"] .description { display: none; }
.why { font-size: 0.85em; overflow-wrap: anywhere; }
.why:empty { display: none; }
.measure { display: flex; align-items: center; gap: 0.5rem; min-height: 0.4rem; }
.bar { display: flex; flex: 1; height: 6px; border-radius: 3px; background: var(--_hover); overflow: hidden; }
.bar .own, .key.own { background: var(--_accent); }
.bar .others, .key.others { background: color-mix(in srgb, var(--_accent) 40%, var(--_line)); }
.size { flex: none; min-width: 4.2em; color: var(--_quiet); font-size: 0.8rem; font-variant-numeric: tabular-nums; text-align: right; }
.load { flex: none; min-width: 4.4em; padding: 0.15rem 0.5rem; font-size: 0.85em; }
.load[aria-disabled="true"] { border-color: transparent; background: none; color: var(--_quiet); cursor: default; }

.detail { padding: 0.1rem 0.3rem 0.8rem; }
.detail > * + * { margin-top: 0.6rem; }
.whole, .facts { overflow-wrap: anywhere; }
.facts { display: flex; flex-wrap: wrap; gap: 0.1rem 1rem; font-size: 0.9em; }
.facts span { color: var(--_quiet); }
a, .link { color: var(--_accent); }
.link { padding: 0; border: 0; background: none; text-decoration: underline; overflow-wrap: anywhere; text-align: left; }
.link:hover { background: none; text-decoration-thickness: 2px; }
h3 { color: var(--_quiet); font-size: 0.75rem; font-weight: 650; }
code { font-family: var(--_mono); overflow-wrap: anywhere; }
.libraries li { display: flex; align-items: start; gap: 0.5rem; padding: 0.2rem 0; }
.told { flex: 1; min-width: 0; }
.about, .warning { display: block; font-size: 0.9em; overflow-wrap: anywhere; }
.about { color: var(--_quiet); }
.warning { color: var(--_warning); }
.names { display: flex; flex-wrap: wrap; gap: 0.1rem 0.8rem; min-width: 0; }
.names li { min-width: 0; }

@container jtw-packages (min-width: 34rem) {
  .toggle { grid-template-columns: minmax(0, 1fr) 11rem; column-gap: 1rem; align-items: center; }
  .title, .description, .why { grid-column: 1; }
  .measure { grid-column: 2; grid-row: 1 / span 3; }
}
@media (forced-colors: active) {
  .bar .own, .key.own { background: CanvasText; forced-color-adjust: none; }
  .bar .others, .key.others { background: GrayText; forced-color-adjust: none; }
}
`;

let made;

/** The style sheet, one for all elements. */
export function sheet() {
  if (!made) {
    made = new CSSStyleSheet();
    made.replaceSync(css);
  }
  return made;
}
