// The page around <jtw-repl>: which universe, links, saved work, theme, packages.

import "./jtw-repl.mjs";
import { fromFragment, toFragment } from "./share.mjs";
import { forget, save, saved } from "./work.mjs";
import { isLibrary } from "./repl/session.mjs";

const SAVE_AFTER = 400; // milliseconds without a change
const LONG_LINK = 8000; // characters; some programs cut what is longer

const $ = (id) => document.getElementById(id);
const [place, note, said, universes, shareButton, themeButton, packages] = [
  "place", "note", "said", "universes", "share", "theme", "packages",
].map($);
const list = packages.querySelector("jtw-packages");
// Made here, not in the HTML: it begins to load a universe when it is put into the page.
const repl = document.createElement("jtw-repl");
const parameters = new URLSearchParams(location.search);

function say(text, isSeen = true) {
  said.textContent = text;
  note.hidden = !isSeen || text === "";
  note.textContent = text;
}

// ---- the document ---------------------------------------------------------------

const address = new URL(location.href); // the address line may change before this page goes
let saving = 0;
let original = ""; // what the address itself stands for
const current = () => ({ cells: repl.cells, requires: repl.required });

function keep() {
  clearTimeout(saving);
  saving = 0;
  const document = current();
  if (JSON.stringify(document) === original) forget(address);
  else save(address, document);
}

function keepSoon() {
  clearTimeout(saving);
  saving = setTimeout(keep, SAVE_AFTER);
}

/**
 * What is to be shown: work of this browser at this address, else what the link holds, else one
 * empty cell. It is not run: a link may come from anybody, and to open it is not to agree to what
 * its code does. Libraries are loaded, as they come from the site.
 */
async function found() {
  let linked = null;
  try {
    linked = await fromFragment(location.hash);
  } catch (error) {
    say(error.message);
  }
  const shown = linked ?? { cells: [""], requires: [], index: null };
  original = JSON.stringify({ cells: shown.cells, requires: shown.requires });
  const work = saved(address);
  $("help").open = !linked && !work; // on a first visit
  if (linked && !work) say("This code comes from a link. Read it before you run it.");
  return work ? { ...work, index: shown.index } : shown;
}

// Where the universe is: told in the address, pinned by a link, or what the site shows now.
async function whereIs(index) {
  const given = parameters.get("index");
  if (given) return new URL(given, location.href).href;
  if (!index) return new URL("universe.json", location.href).href;
  const pinned = new URL(index, location.href);
  const answer = await fetch(pinned).catch(() => null);
  if (answer?.ok) return pinned.href;
  say("This link was made with a universe that this site has no longer; you see it with the present one.");
  return new URL("universe.json", location.href).href;
}

async function open() {
  const work = await found();
  repl.setAttribute("src", await whereIs(work.index));
  if (parameters.has("universe")) repl.setAttribute("universe", parameters.get("universe"));
  repl.setAttribute("require", work.requires.filter(isLibrary).join(" "));
  repl.setAttribute("cells", "");
  repl.setAttribute("auto", "");
  place.append(repl);
  repl.cells = work.cells;
  if (matchMedia("(hover: hover)").matches && !location.hash) repl.focus();
}

addEventListener("hashchange", () => {
  // Another link has been put into the address line; a link may need another universe.
  if (location.hash.startsWith("#jtw")) location.reload();
});
repl.addEventListener("jtw-change", keepSoon);
addEventListener("pagehide", () => saving && keep());

// ---- the toplevel ---------------------------------------------------------------

let listed = null;

repl.addEventListener("jtw-state", ({ detail }) => {
  document.body.dataset.state = detail.state;
  if (repl.indexUrl && repl.indexUrl !== listed) showUniverse((listed = repl.indexUrl));
});

repl.addEventListener("jtw-libraries", () => {
  list.loaded = repl.loaded;
  keepSoon();
});

// A site may hold several universes: one is shown, the others are a choice away.
function showUniverse(index) {
  list.index = index;
  universes.replaceChildren(...repl.universes.map(({ name }) => new Option(name, name, false, name === repl.universe)));
  $("universe").hidden = repl.universes.length < 2;
}

universes.addEventListener("change", () => {
  keep();
  location.search = new URLSearchParams({ universe: universes.value });
});

addEventListener("jtw-require", ({ detail }) => {
  if (packages.matches(":popover-open")) packages.hidePopover();
  repl.require(detail.library);
});

// ---- a link ---------------------------------------------------------------------

// The universe is part of it, so that the code goes on meaning what it means now.
function pinnedIndex() {
  const root = new URL(".", location.href).href;
  return repl.indexUrl?.startsWith(root) ? repl.indexUrl.slice(root.length) : null;
}

shareButton.addEventListener("click", async () => {
  const link = new URL(location.href);
  link.hash = await toFragment({ ...current(), index: pinnedIndex() });
  const long = link.href.length > LONG_LINK ? ` It has ${link.href.length} characters, which some programs cut.` : "";
  try {
    await navigator.clipboard.writeText(link.href);
    say(`The link to this code is in the clipboard.${long}`);
  } catch {
    // No permission, or no secure context: the address line has it.
    keep();
    history.replaceState(null, "", link);
    original = JSON.stringify(current());
    say(`The address of this page is the link to this code now: copy it.${long}`);
  }
});

// ---- the theme ------------------------------------------------------------------

const THEMES = ["system", "light", "dark"];

function showTheme(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  themeButton.textContent = `Theme: ${theme}`;
}

themeButton.addEventListener("click", () => {
  const before = document.documentElement.dataset.theme ?? "system";
  const theme = THEMES[(THEMES.indexOf(before) + 1) % THEMES.length];
  showTheme(theme);
  try {
    localStorage.setItem("jtw-theme", theme);
  } catch {
    // Storage is forbidden: the choice is for this page.
  }
});

showTheme(document.documentElement.dataset.theme ?? "system");
open();
