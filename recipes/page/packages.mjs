// <jtw-packages>: the packages of a universe, to be searched, read about and loaded.
//
//   <script type="module" src="packages.mjs"></script>
//   <jtw-packages src="u/…/findlib_index.json"></jtw-packages>
//
// Properties: `index`, the address of a universe's index (the attribute `src` sets it); `loaded`, the
// names of libraries that are loaded (any iterable; reading gives a Set); `ready`, a promise for the
// list. Event: `jtw-require` with `detail.library`, when somebody wants a library. Colours are the custom
// properties of the page: see packages/style.mjs. No other script is needed, and no inline style.

import { Catalogue } from "./packages/catalogue.mjs";
import { Row, element } from "./packages/row.mjs";
import { sheet } from "./packages/style.mjs";

/** Rows that are made at once; more come when the end of the list is seen. */
const AT_ONCE = 80;

export class JtwPackages extends HTMLElement {
  static observedAttributes = ["src"];

  #index;
  #loading; // to give up with
  #rows = new Map(); // by package
  #found = []; // what the filter lets through, in order
  #shown = 0; // so many of it have rows in the list
  #filter = Object.assign(element("input", "filter"), { type: "search", placeholder: "Name, text or Module" });
  #sort = element("select", "sort");
  #status = element("p", "status");
  #legend = element("p", "legend");
  #list = element("ul", "list");
  #end = element("div", "end");

  /** What rows read of it. */
  #view = {
    catalogue: new Catalogue([]),
    loaded: new Set(),
    largest: 0,
    require: (library) =>
      this.dispatchEvent(new CustomEvent("jtw-require", { detail: { library }, bubbles: true, composed: true })),
    reveal: (name) => this.reveal(name),
  };

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [sheet()];
    this.#filter.setAttribute("aria-label", "Filter packages by name, description or module");
    this.#filter.spellcheck = false;
    this.#sort.setAttribute("aria-label", "Order");
    this.#sort.append(new Option("by name", "name"), new Option("by size", "size"));
    this.#status.setAttribute("role", "status");
    this.#list.setAttribute("role", "list");
    const body = element("div", "body", this.#list, this.#end);
    root.append(element("div", "tools", this.#filter, this.#sort), element("div", "notes", this.#status, this.#legend), body);
    this.#filter.addEventListener("input", () => this.#search());
    this.#sort.addEventListener("change", () => this.#search());
    root.addEventListener("keydown", (event) => this.#key(event));
    new IntersectionObserver((entries) => entries.some((one) => one.isIntersecting) && this.#more()).observe(this.#end);
    this.#say("idle", "");
  }

  connectedCallback() {
    // What was set before this element was known.
    for (const name of ["index", "loaded"]) {
      if (!Object.hasOwn(this, name)) continue;
      const value = this[name];
      delete this[name];
      this[name] = value;
    }
  }

  attributeChangedCallback(name, before, value) {
    if (value !== before) this.index = value ?? undefined;
  }

  get index() {
    return this.#index;
  }

  /** An address, relative to the page; `undefined` empties the list. */
  set index(value) {
    this.#loading?.abort();
    this.#index = value === undefined || value === null ? undefined : new URL(value, document.baseURI).href;
    this.ready = this.#load();
    this.ready.catch(() => {}); // it is shown
  }

  get loaded() {
    return new Set(this.#view.loaded);
  }

  set loaded(libraries) {
    this.#view.loaded = new Set(libraries);
    for (const row of this.#rows.values()) row.update();
  }

  async #load() {
    const loading = (this.#loading = new AbortController());
    this.#show(new Catalogue([]));
    if (this.#index === undefined) return this.#say("idle", "");
    this.#say("loading", "Loading the list of packages…");
    try {
      const catalogue = await Catalogue.load(this.#index, loading.signal);
      if (!loading.signal.aborted) this.#show(catalogue);
    } catch (error) {
      if (loading.signal.aborted) return;
      this.#say("failed", `The list of packages could not be loaded. ${error.message}`);
      throw error;
    }
  }

  #show(catalogue) {
    this.#view.catalogue = catalogue;
    const nothing = new Set();
    // From the whole of each: bars stay as they are while things are loaded.
    this.sizes = new Map(
      catalogue.packages.map((one) => {
        const main = catalogue.mainLibraries(one);
        return [one, main.length > 0 ? catalogue.size(main, nothing).total : 0];
      }),
    );
    this.#view.largest = [...this.sizes.values()].reduce((most, bytes) => Math.max(most, bytes), 0);
    this.#rows.clear();
    this.#sort.hidden = !catalogue.isComplete;
    this.#legend.hidden = !catalogue.isComplete;
    this.#legend.replaceChildren(
      element("span", "key own"), "own ", element("span", "key others"), "dependencies, uncompressed",
    );
    this.#search();
  }

  #say(state, words) {
    this.dataset.state = state;
    this.#status.textContent = words;
  }

  #search() {
    const { catalogue } = this.#view;
    const query = this.#filter.value;
    this.#found = catalogue.search(query);
    // The order of the search is that of names while nothing is searched.
    if (this.#sort.value === "size") {
      this.#found.sort((a, b) => this.sizes.get(b.package) - this.sizes.get(a.package));
    }
    this.#shown = 0;
    this.#list.replaceChildren();
    this.#list.parentNode.scrollTop = 0;
    this.#more();
    const [all, found] = [catalogue.packages.length, this.#found.length];
    const packages = all === 1 ? "1 package" : `${all} packages`;
    this.#say("ready", query.trim() === "" ? packages : found === 0 ? `None of ${packages}` : `${found} of ${packages}`);
  }

  #row(one) {
    if (!this.#rows.has(one)) this.#rows.set(one, new Row(this.#view, one));
    return this.#rows.get(one);
  }

  /** Makes rows up to the next multiple of AT_ONCE beyond `at`. */
  #more(at = this.#shown) {
    const until = Math.min(this.#found.length, (Math.floor(at / AT_ONCE) + 1) * AT_ONCE);
    for (; this.#shown < until; this.#shown++) {
      const { package: one, why } = this.#found[this.#shown];
      const row = this.#row(one);
      row.place(this.#shown + 1, this.#found.length, why);
      this.#list.append(row.item);
    }
    this.#end.hidden = this.#shown === this.#found.length;
  }

  /** Opens the package of this name and goes there. */
  reveal(name) {
    const one = this.#view.catalogue.package(name);
    if (!one) return;
    const place = () => this.#found.findIndex((found) => found.package === one);
    if (place() < 0) {
      this.#filter.value = "";
      this.#search();
    }
    this.#more(Math.max(place(), this.#shown - 1));
    const row = this.#row(one);
    row.open(true);
    row.toggle.focus({ preventScroll: true });
    row.item.scrollIntoView({ block: "nearest" });
  }

  focus(options) {
    this.#filter.focus(options);
  }

  #key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    const { target, key } = event;
    if (target === this.#filter && key === "Escape" && this.#filter.value !== "") {
      this.#filter.value = "";
      this.#search();
      return event.preventDefault();
    }
    const isToggle = target.classList.contains("toggle");
    if (!isToggle && target !== this.#filter) return;
    const item = isToggle ? target.closest(".row") : null;
    let next;
    if (key === "ArrowDown") next = item ? item.nextElementSibling : this.#list.firstElementChild;
    else if (key === "ArrowUp" && item) next = item.previousElementSibling ?? this.#filter;
    else if (key === "Home" && item) next = this.#list.firstElementChild;
    else if (key === "End" && item) next = this.#list.lastElementChild;
    else return;
    event.preventDefault();
    if (next && next !== this.#filter && !next.nextElementSibling) this.#more();
    (next?.querySelector?.(".toggle") ?? next)?.focus();
  }
}

if (!customElements.get("jtw-packages")) customElements.define("jtw-packages", JtwPackages);
