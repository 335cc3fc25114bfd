// What there is to know about the packages of a universe, searched and added up. No DOM here.

const text = (value) => (typeof value === "string" ? value : "");
const list = (value) => (Array.isArray(value) ? value : []);
const texts = (value) => list(value).filter((one) => typeof one === "string");
const count = (value) => (Number.isFinite(value) && value > 0 ? value : 0);

/** `value` if it is an address that a page may link to. */
export function webAddress(value) {
  try {
    const url = new URL(text(value));
    return ["http:", "https:"].includes(url.protocol) ? url.href : undefined;
  } catch {
    return undefined;
  }
}

async function json(url, signal) {
  const response = await fetch(url, { signal }).catch((cause) => {
    throw new Error(`${url} could not be reached`, { cause });
  });
  if (!response.ok) throw Object.assign(new Error(`${url} could not be loaded: HTTP status ${response.status}`), response);
  return response.json().catch((cause) => {
    throw new Error(`${url} is not JSON`, { cause });
  });
}

/** A library as it is shown; what is missing or of another type counts as absent. */
function readLibrary(from, lib) {
  const archives = list(from?.archives).map((one) => ({
    key: `${lib}/${text(one?.path)}`, // libraries may share an archive
    bytes: count(one?.bytes),
  }));
  return {
    name: text(from?.name),
    description: text(from?.description),
    requires: texts(from?.requires),
    missing: texts(from?.missing_primitives),
    directory: text(from?.directory),
    archives,
  };
}

function readPackage(from) {
  const lib = text(from?.lib);
  return {
    name: text(from?.name),
    version: text(from?.version),
    description: text(from?.description),
    homepage: webAddress(from?.homepage),
    license: text(from?.license),
    askedFor: from?.asked_for === true,
    depends: texts(from?.depends),
    libraries: list(from?.libraries).map((one) => readLibrary(one, lib)).filter((one) => one.name),
    directories: list(from?.directories).map((one) => ({
      path: text(one?.path),
      interfaces: count(one?.interfaces),
      bytes: count(one?.bytes),
      modules: texts(one?.modules),
    })),
  };
}

/** From an index alone, as older sites have it: names, and nothing about them. */
function fromMetaFiles(index, indexUrl) {
  const found = new Map();
  for (const meta of texts(index?.meta_files ?? index?.metas)) {
    const parts = new URL(meta, indexUrl).pathname.split("/").map(decodeURIComponent);
    const library = parts.at(-2);
    // …/p/<package>/<version>/<hash>/lib/<library>/META
    const at = parts.lastIndexOf("lib");
    const [name, version] = parts[at - 4] === "p" ? parts.slice(at - 3, at - 1) : [library, ""];
    if (library === "stdlib") continue;
    if (!found.has(name)) found.set(name, { name, version, libraries: [] });
    found.get(name).libraries.push({ name: library });
  }
  return [...found.values()];
}

export class Catalogue {
  #libraries = new Map(); // by name: the library, with its package
  #byName = new Map();
  #neededBy = new Map();

  /** `isComplete`: whether sizes and descriptions are known. */
  constructor(packages, isComplete = true) {
    this.isComplete = isComplete;
    this.packages = packages.map(readPackage).filter((one) => one.name);
    this.packages.sort((a, b) => (a.name < b.name ? -1 : Number(a.name > b.name)));
    for (const one of this.packages) {
      if (!this.#byName.has(one.name)) this.#byName.set(one.name, one);
      one.modules = [...new Set(one.directories.flatMap((directory) => directory.modules))];
      const lower = (names) => names.map((name) => name.toLowerCase());
      one.search = {
        name: one.name.toLowerCase(),
        description: words(one.description),
        libraries: lower(one.libraries.map((library) => library.name)),
        modules: lower(one.modules),
      };
      for (const library of one.libraries) {
        library.package = one;
        if (!this.#libraries.has(library.name)) this.#libraries.set(library.name, library);
      }
      for (const needed of one.depends) {
        if (!this.#neededBy.has(needed)) this.#neededBy.set(needed, []);
        this.#neededBy.get(needed).push(one.name);
      }
    }
  }

  /** Reads the catalogue of the index at `indexUrl`. */
  static async load(indexUrl, signal) {
    const index = await json(indexUrl, signal);
    const at = text(index?.packages);
    if (at) {
      const told = await json(new URL(at, indexUrl).href, signal);
      if (told?.format === 1) return new Catalogue(list(told.packages));
    }
    return new Catalogue(fromMetaFiles(index, indexUrl), false);
  }

  package(name) {
    return this.#byName.get(name);
  }

  library(name) {
    return this.#libraries.get(name);
  }

  /** Names of packages that need this one. */
  neededBy(name) {
    return this.#neededBy.get(name) ?? [];
  }

  /** The libraries that stand for a package: that of its name, else those without a dot, else all. */
  mainLibraries({ name, libraries }) {
    const same = libraries.filter((library) => library.name === name);
    const plain = libraries.filter((library) => !library.name.includes("."));
    return [same, plain, libraries].find((some) => some.length > 0) ?? [];
  }

  /** `libraries` and all that they require, without those that are loaded. */
  toLoad(libraries, loaded) {
    const found = new Set();
    const waiting = [...libraries];
    while (waiting.length > 0) {
      const library = waiting.pop();
      if (!library || found.has(library) || loaded.has(library.name)) continue;
      found.add(library);
      for (const name of library.requires) waiting.push(this.#libraries.get(name));
    }
    return found;
  }

  /** What requiring `libraries` of one package fetches: its `own` bytes, and those of `others`. */
  size(libraries, loaded) {
    const seen = new Set();
    const size = { own: 0, others: 0, total: 0 };
    for (const library of this.toLoad(libraries, loaded)) {
      for (const { key, bytes } of library.archives) {
        if (seen.has(key)) continue;
        seen.add(key);
        size[library.package === libraries[0].package ? "own" : "others"] += bytes;
      }
    }
    size.total = size.own + size.others;
    return size;
  }

  /**
   * The packages that all words of `query` are found in, best first, and why where the name does not
   * show it. A word with a capital letter is a module before it is anything else.
   */
  search(query) {
    const wanted = query.trim().split(/\s+/).filter(Boolean).map((word) => ({
      exact: word,
      lower: word.toLowerCase(),
      isModule: /^\p{Lu}/u.test(word),
    }));
    const found = [];
    for (const one of this.packages) {
      const hits = wanted.map((word) => match(one, word));
      if (hits.some((hit) => !hit)) continue;
      const rank = hits.reduce((sum, hit) => sum + hit.rank, 0);
      found.push({ package: one, rank, why: hits.map((hit) => hit.why).filter(Boolean) });
    }
    return found.sort((a, b) => a.rank - b.rank);
  }
}

/** `text` as small words, each with a blank before it. */
const words = (text) => ` ${text.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, " ").trim()} `;

/** How well a word fits: the less the better. */
function match({ modules, libraries, search }, { exact, lower, isModule }) {
  const hits = [];
  const isLong = lower.length > 2; // a letter or two are found within every other name
  const hit = (rank, why) => hits.push({ rank, why });
  if (search.name === lower) hit(0);
  else if (search.name.startsWith(lower)) hit(3);
  else if (isLong && search.name.includes(lower)) hit(4);
  const best = (names, test) => names.findIndex(test);
  let at = best(search.libraries, (name) => name === lower);
  if (at < 0) at = best(search.libraries, (name) => (isLong ? name.includes(lower) : name.startsWith(lower)));
  if (at >= 0) hit(search.libraries[at] === lower ? 2 : 5, `library ${libraries[at].name}`);
  // Re is Re before it is RE.
  at = best(modules, (name) => name === exact);
  if (at < 0) at = best(search.modules, (name) => name === lower);
  if (at >= 0) hit(isModule ? -1 : 1, `module ${modules[at]}`);
  else {
    at = best(search.modules, (name) => name.startsWith(lower));
    if (at >= 0) hit(isModule ? 1 : 6, `module ${modules[at]}`);
    else if (isLong && (at = best(search.modules, (name) => name.includes(lower))) >= 0) hit(8, `module ${modules[at]}`);
  }
  if (search.description.includes(words(lower).trimEnd())) hit(7);
  return hits.sort((a, b) => a.rank - b.rank)[0];
}
