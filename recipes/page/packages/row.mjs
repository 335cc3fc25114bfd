// One package in the list: a line of it, and all about it below when it is opened.
//
// Texts of packages reach the document as text nodes only.

const [MOST_MODULES, MOST_NEEDED_BY] = [60, 40];
let rows = 0;

export function element(tag, className, ...content) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...content);
  return node;
}

function button(className, label, title) {
  const node = element("button", className, label);
  node.type = "button";
  if (title) node.setAttribute("aria-label", title);
  return node;
}

/** 1234567 as `1.2 MB`. */
export function size(bytes) {
  const [value, unit] = bytes < 1000 ? [bytes, "B"] : bytes < 999500 ? [bytes / 1000, "kB"] : [bytes / 1e6, "MB"];
  return `${unit === "B" || value >= 10 ? Math.round(value) : value.toFixed(1)} ${unit}`;
}

/** Says `label` before what `add` puts there, unless that is nothing. */
function section(label, ...content) {
  return element("div", "section", element("h3", "", label), ...content);
}

export class Row {
  #view;
  #package;
  #detail;
  #marks = element("span", "marks");
  #size = element("span", "size");
  #bar = element("span", "bar", element("span", "own"), element("span", "others"));
  #why = element("span", "why");
  #loads = []; // [button, library]

  /** `view` has `catalogue`, `loaded`, `largest`, `require(library)` and `reveal(name)`. */
  constructor(view, one) {
    this.#view = view;
    this.#package = one;
    this.#detail = element("div", "detail");
    this.#detail.id = `detail-${++rows}`;
    this.#detail.hidden = true;
    this.toggle = button("toggle", "");
    this.toggle.setAttribute("aria-expanded", "false");
    this.toggle.setAttribute("aria-controls", this.#detail.id);
    this.#bar.setAttribute("aria-hidden", "true");
    this.toggle.append(
      element("span", "title", element("span", "name", one.name), " ", element("span", "version", one.version), this.#marks),
      element("span", "description", one.description),
      this.#why,
      element("span", "measure", this.#bar, this.#size),
    );
    this.toggle.addEventListener("click", () => this.open(this.#detail.hidden));
    this.main = view.catalogue.mainLibraries(one);
    const head = element("div", "head", this.toggle);
    if (this.main.length > 0) head.append(this.#load(this.main[0]));
    this.item = element("li", "row", head, this.#detail);
    this.item.dataset.package = one.name;
    this.update();
  }

  /** Puts it at `position` of `total`, found because of `why`. */
  place(position, total, why) {
    this.item.setAttribute("aria-posinset", String(position));
    this.item.setAttribute("aria-setsize", String(total));
    this.#why.textContent = why.join(", ");
  }

  open(isOpen) {
    if (isOpen && !this.#detail.hasChildNodes()) this.#fill();
    this.#detail.hidden = !isOpen;
    this.toggle.setAttribute("aria-expanded", String(isOpen));
  }

  /** Shows what depends on what is loaded. */
  update() {
    const { catalogue, loaded, largest } = this.#view;
    const marks = [];
    if (this.#package.askedFor) marks.push(["asked", "asked for", "The universe names this package"]);
    const isLoaded = this.main.length > 0 && this.main.every((library) => loaded.has(library.name));
    if (isLoaded) marks.push(["loaded", "loaded", ""]);
    if (this.#package.libraries.some((library) => library.missing.length > 0)) {
      marks.push(["partial", "works in part", "C primitives are missing"]);
    }
    this.#marks.replaceChildren(
      ...marks.flatMap(([kind, label, title]) => {
        const mark = element("span", `mark ${kind}`, label);
        if (title) mark.title = title;
        return [" ", mark];
      }),
    );
    const bytes = this.main.length > 0 ? catalogue.size(this.main, loaded) : { own: 0, others: 0, total: 0 };
    const isKnown = catalogue.isComplete && !isLoaded;
    this.#size.textContent = isKnown ? size(bytes.total) : "";
    this.#size.title = isKnown ? `${size(bytes.own)} of its own, ${size(bytes.others)} of others that are not loaded yet` : "";
    this.#bar.hidden = !isKnown;
    // The root, so that small ones can be seen beside large ones.
    const length = Math.sqrt(bytes.total / (largest || 1)) / (bytes.total || 1);
    for (const [part, of] of [[this.#bar.firstChild, bytes.own], [this.#bar.lastChild, bytes.others]]) {
      part.style.setProperty("width", `${of > 0 ? Math.max(0.7, 100 * of * length).toFixed(2) : 0}%`);
    }
    for (const [load, library] of this.#loads) {
      const isThere = loaded.has(library.name);
      load.textContent = isThere ? "Loaded" : "Load";
      load.setAttribute("aria-label", isThere ? `${library.name} is loaded` : `Load ${library.name}`);
      // Not `disabled`: the focus would be lost.
      load.setAttribute("aria-disabled", String(isThere));
    }
  }

  #load(library) {
    const load = button("load", "Load");
    load.dataset.library = library.name;
    load.addEventListener("click", () => {
      if (load.getAttribute("aria-disabled") !== "true") this.#view.require(library.name);
    });
    this.#loads.push([load, library]);
    return load;
  }

  #fill() {
    const { catalogue } = this.#view;
    const one = this.#package;
    if (one.description) this.#detail.append(element("p", "whole", one.description));
    const facts = element("p", "facts");
    if (one.homepage) {
      const link = element("a", "", one.homepage.replace(/^https?:\/\//, "").replace(/\/$/, ""));
      Object.assign(link, { href: one.homepage, target: "_blank", rel: "noopener noreferrer" });
      facts.append(link);
    }
    if (one.license) facts.append(element("span", "", one.license));
    if (facts.hasChildNodes()) this.#detail.append(facts);
    const libraries = one.libraries.map((library) => this.#library(library));
    if (libraries.length > 0) this.#detail.append(section("Libraries", element("ul", "libraries", ...libraries)));
    this.#links("Needs", one.depends);
    this.#links("Needed by", catalogue.neededBy(one.name), MOST_NEEDED_BY);
    this.#modules();
    this.update();
  }

  #library(library) {
    const { catalogue, loaded } = this.#view;
    const told = element("div", "told", element("code", "", library.name));
    if (catalogue.isComplete) {
      const bytes = catalogue.size([library], new Set([...loaded].filter((name) => name !== library.name)));
      told.append(" ", element("span", "quiet", library.archives.length > 0 ? size(bytes.own) : "no code of its own"));
    }
    if (library.description) told.append(element("span", "about", library.description));
    if (library.missing.length > 0) {
      const some = library.missing.slice(0, 8).join(", ");
      const rest = library.missing.length > 8 ? ` and ${library.missing.length - 8} more` : "";
      told.append(element("span", "warning", `Works in part: nothing provides its C primitives ${some}${rest}`));
    }
    return element("li", "", told, this.#load(library));
  }

  #links(label, names, most = Infinity) {
    if (names.length === 0) return;
    const links = names.slice(0, most).map((name) => {
      if (!this.#view.catalogue.package(name)) return element("li", "", name);
      const link = button("link", name);
      link.addEventListener("click", () => this.#view.reveal(name));
      return element("li", "", link);
    });
    if (names.length > most) links.push(element("li", "quiet", `and ${names.length - most} more`));
    this.#detail.append(section(label, element("ul", "names", ...links)));
  }

  #modules() {
    const { modules, directories } = this.#package;
    const interfaces = directories.reduce((sum, one) => sum + one.interfaces, 0);
    if (interfaces === 0) return;
    const shown = element("ul", "names");
    const add = (names) => shown.append(...names.map((name) => element("li", "", element("code", "", name))));
    add(modules.slice(0, MOST_MODULES));
    if (modules.length > MOST_MODULES) {
      const all = button("link", `and ${modules.length - MOST_MODULES} more`);
      const rest = element("li", "", all);
      all.addEventListener("click", () => {
        rest.remove();
        add(modules.slice(MOST_MODULES));
        shown.tabIndex = -1;
        shown.focus();
      });
      shown.append(rest);
    }
    const bytes = directories.reduce((sum, one) => sum + one.bytes, 0);
    const many = interfaces === 1 ? "1 interface" : `${interfaces} interfaces`;
    this.#detail.append(section("Modules", shown, element("p", "quiet", `${many}, ${size(bytes)}, fetched when first needed`)));
  }
}
