// The look of <jtw-repl>, as a sheet that its shadow root adopts: no style element and no request,
// so the strictest policy of the page around it allows it. Light or dark is the `color-scheme` of
// that page. The custom properties are for it to set.

export const sheet = new CSSStyleSheet();

sheet.replaceSync(`
:host {
  --jtw-panel: light-dark(#ffffff, #211f1e);
  --jtw-line: light-dark(#dedad3, #3b3835);
  --jtw-text: light-dark(#1d1c1a, #ebe8e3);
  --jtw-quiet: light-dark(#66625b, #a8a29a);
  --jtw-accent: light-dark(#a84300, #ff9c55);
  --jtw-on-accent: light-dark(#ffffff, #1d1206);
  --jtw-hover: light-dark(#f3efe9, #2c2927);
  --jtw-error: light-dark(#a3141c, #ff9d97);
  --jtw-error-panel: light-dark(#fdf1f0, #331f1e);
  --jtw-warning: light-dark(#7a5200, #f0c56a);
  --jtw-warning-panel: light-dark(#fdf6e6, #2f2819);
  --jtw-selection: light-dark(#fbdcc4, #5a3a22);
  --jtw-match: light-dark(#efe6d8, #3d3630);
  --jtw-keyword: light-dark(#9a2257, #ff95bf);
  --jtw-string: light-dark(#2d6a2a, #9dd492);
  --jtw-number: light-dark(#1b5fa8, #8fc3ff);
  --jtw-module: light-dark(#7a4b00, #f0c56a);
  --jtw-type: light-dark(#0b6567, #84d6d2);
  --jtw-operator: light-dark(#59544c, #bdb6ad);
  --jtw-mono: ui-monospace, "SF Mono", "Cascadia Mono", "DejaVu Sans Mono", Menlo, Consolas, monospace;
  --jtw-sans: system-ui, sans-serif;
  display: block;
  margin: 1rem 0;
  color: var(--jtw-text);
  font: 0.9375rem/1.5 var(--jtw-sans);
  text-align: start;
}
:host([hidden]) { display: none; }
:host([theme="light"]) { color-scheme: light; }
:host([theme="dark"]) { color-scheme: dark; }

* { box-sizing: border-box; }
[hidden] { display: none !important; }
.unseen { position: absolute; width: 1px; height: 1px; margin: 0; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
:focus-visible { outline: 2px solid var(--jtw-accent); outline-offset: 2px; }

button {
  display: inline-flex;
  align-items: center;
  gap: 0.35em;
  min-height: 1.8rem;
  padding: 0 0.7rem;
  border: 1px solid var(--jtw-line);
  border-radius: 6px;
  background: var(--jtw-panel);
  color: inherit;
  font: inherit;
  cursor: pointer;
}
button:hover:enabled { background: var(--jtw-hover); }
button:disabled { opacity: 0.45; cursor: default; }
button.quiet { min-width: 1.8rem; padding: 0 0.35rem; justify-content: center; border-color: transparent; background: none; color: var(--jtw-quiet); }
button.quiet:hover:enabled { background: var(--jtw-hover); color: var(--jtw-text); }
button.link { min-height: 0; padding: 0; border: 0; background: none; color: var(--jtw-accent); text-decoration: underline; }
.icon { width: 1em; height: 1em; flex: none; fill: none; stroke: currentColor; stroke-width: 1.6; stroke-linecap: round; stroke-linejoin: round; }
.icon.filled { fill: currentColor; stroke: none; }

.bar {
  position: sticky;
  top: var(--jtw-top, 0px);
  z-index: 3;
  display: flex;
  flex-wrap: wrap;
  align-items: center;
  gap: 0.35rem;
  padding: 0.5rem 0;
  background: var(--jtw-under-bar, var(--jtw-panel));
}
.status { flex: 1; min-width: 0; margin: 0; overflow: hidden; color: var(--jtw-quiet); font-size: 0.88rem; text-overflow: ellipsis; white-space: nowrap; }
.status::before {
  content: "";
  display: inline-block;
  width: 0.6em;
  height: 0.6em;
  margin: 0 0.55em 0 0.1em;
  border: 1.5px solid var(--jtw-accent);
  border-radius: 50%;
}
.frameless[data-state="ready"] .status::before { background: var(--jtw-accent); }
.frameless[data-state="asleep"] .status::before { border-color: var(--jtw-quiet); }
.frameless[data-state="failed"] .status { color: var(--jtw-error); font-weight: 600; }
.frameless[data-state="failed"] .status::before { border-color: var(--jtw-error); border-radius: 0; background: var(--jtw-error); }
@media (prefers-reduced-motion: no-preference) {
  :is([data-state="loading"], [data-state="running"], [data-state="restarting"]) > * > .status::before { animation: breathe 1.1s ease-in-out infinite alternate; }
}
@keyframes breathe { to { background: var(--jtw-accent); } }

.libraries { display: flex; flex-wrap: wrap; gap: 0.35rem; margin: 0 0 0.6rem; padding: 0; list-style: none; font-size: 0.85rem; }
.libraries li { display: inline-flex; align-items: center; padding: 0 0.5rem; border: 1px solid var(--jtw-line); border-radius: 1rem; background: var(--jtw-hover); overflow-wrap: anywhere; }
.libraries li.absent { border-style: dashed; color: var(--jtw-quiet); }
.libraries button { min-width: 1.4rem; min-height: 1.5rem; margin-right: -0.35rem; font-size: 0.8em; }
.problem > button { margin-top: 0.4rem; }
.problem > span { display: block; }
.problem { margin: 0 0 0.6rem; padding: 0.5rem 0.8rem; border-left: 4px solid var(--jtw-error); background: var(--jtw-error-panel); overflow-wrap: anywhere; white-space: pre-wrap; }

.cells { padding-top: 2px; }
.cell { margin: 0 0 0.9rem; border: 1px solid var(--jtw-line); border-radius: 8px; background: var(--jtw-panel); }
.cell:focus-within { border-color: var(--jtw-accent); box-shadow: 0 0 0 1px var(--jtw-accent); }
.cell:last-child { margin-bottom: 0; }
.editor { min-height: 2.6rem; font: 0.9rem/1.5 var(--jtw-mono); }
.plain { margin: 0; padding: 0.55rem 0.7rem 0.55rem 3.6em; font: inherit; white-space: pre-wrap; overflow-wrap: anywhere; }
.foot { display: flex; align-items: center; gap: 0.6rem; min-height: 2.3rem; padding: 0 0.4rem 0.35rem; }
.after { padding: 0.6rem 0; }
.foot .run { min-height: 1.75rem; border-color: var(--jtw-accent); color: var(--jtw-accent); font-weight: 600; font-size: 0.88rem; }
.cell:focus-within .run:enabled { background: var(--jtw-accent); color: var(--jtw-on-accent); }
.mark { flex: none; color: var(--jtw-quiet); font-size: 0.82rem; font-variant-numeric: tabular-nums; }
.foot .status { font-size: 0.82rem; }
@media (max-width: 40rem) { .bar .status { flex-basis: 6rem; } }
.tools { display: flex; gap: 0.1rem; margin-left: auto; }
@media (hover: hover) {
  .tools { opacity: 0.35; }
  .cell:hover .tools, .cell:focus-within .tools { opacity: 1; }
}

.output {
  max-height: 34rem;
  padding: 0.5rem 0.8rem 0.6rem;
  overflow: auto;
  border-top: 1px solid var(--jtw-line);
  font: 0.9rem/1.5 var(--jtw-mono);
}
.output.stale { opacity: 0.55; }
.output > * { margin: 0.3rem 0 0; }
.output > :first-child { margin-top: 0; }
.output pre { margin: 0; font: inherit; white-space: pre-wrap; overflow-wrap: anywhere; tab-size: 8; }
.printed { padding-left: 0.7rem; border-left: 2px solid var(--jtw-line); color: var(--jtw-quiet); }
.error, .warning, .stderr { padding: 0.35rem 0.7rem; border-left: 4px solid var(--jtw-line); background: var(--jtw-hover); }
.error { border-color: var(--jtw-error); background: var(--jtw-error-panel); }
.warning { border-color: var(--jtw-warning); background: var(--jtw-warning-panel); }
.label { display: inline-block; margin-right: 0.8rem; color: var(--jtw-quiet); font: 650 0.8rem/1.5 var(--jtw-sans); }
.error .label { color: var(--jtw-error); }
.warning .label { color: var(--jtw-warning); }
.output .link { font: 0.8rem/1.5 var(--jtw-sans); }
.picture { display: block; max-width: 100%; border-radius: 4px; background: #ffffff; }
.frame { display: block; width: 100%; height: 6rem; border: 1px solid var(--jtw-line); border-radius: 4px; resize: vertical; }
.note, .notice { margin: 0; color: var(--jtw-quiet); font: 0.88rem/1.5 var(--jtw-sans); }

@media (max-width: 40rem) {
  .editor, .output { font-size: 0.86rem; }
}
@media (forced-colors: active) {
  .error, .warning, .problem { border-left-style: double; }
  .icon { stroke: ButtonText; }
}
@media print {
  .bar, .foot, .notice { display: none; }
  .cell, .cell:focus-within { border-color: #999; box-shadow: none; break-inside: avoid-page; }
  .output { max-height: none; overflow: visible; }
}
`);
