// <jtw-packages>: the packages of a universe, as a list to choose from.

import { make } from "./repl/dom.mjs";

class JtwPackages extends HTMLElement {
  #index = null;
  #loaded = new Set();
  #list = make("ul");
  #filter = make("input", { type: "search", placeholder: "Filter", "aria-label": "Filter packages", hidden: true });
  #none = make("p", { hidden: true }, "No package matches.");

  connectedCallback() {
    if (this.firstChild) return;
    this.append(this.#filter, this.#list, this.#none);
    this.#filter.addEventListener("input", () => this.#narrow());
  }

  /** The address of the universe's findlib_index.json. */
  set index(url) {
    if (url === this.#index) return;
    this.#index = url;
    this.#show(url);
  }

  get index() {
    return this.#index;
  }

  /** The libraries that are there. */
  set loaded(names) {
    this.#loaded = new Set(names);
    this.#mark();
  }

  async #show(url) {
    const index = await fetch(url).then((response) => response.json(), () => null);
    if (!index || url !== this.#index) return;
    const names = new Set((index.meta_files ?? index.metas ?? []).map((meta) => meta.split("/").at(-2)));
    names.delete("stdlib");
    this.#list.replaceChildren(
      ...[...names].sort().map((name) => {
        const button = make("button", { type: "button", title: `#require "${name}";;` }, name);
        button.addEventListener("click", () => {
          this.dispatchEvent(new CustomEvent("jtw-require", { bubbles: true, composed: true, detail: { library: name } }));
        });
        return make("li", {}, button);
      }),
    );
    this.#filter.hidden = names.size < 12;
    this.#mark();
  }

  #mark() {
    for (const item of this.#list.children) item.toggleAttribute("data-loaded", this.#loaded.has(item.textContent));
  }

  #narrow() {
    const wanted = this.#filter.value.trim().toLowerCase();
    let shown = 0;
    for (const item of this.#list.children) {
      item.hidden = !item.textContent.toLowerCase().includes(wanted);
      if (!item.hidden) shown++;
    }
    this.#none.hidden = shown > 0;
  }
}

customElements.define("jtw-packages", JtwPackages);
