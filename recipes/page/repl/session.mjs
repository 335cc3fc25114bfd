// One toplevel and what is known of it: its worker, the evaluations that wait for it, the
// libraries that were asked for. Cells and elements share sessions; they hear of changes by the
// events `change` (anything below), `restart` (everything that was defined is gone) and `problem`
// (a library could not be loaded; `detail` says why).

import { InterruptedError, OcamlWorker } from "../client/jtw-client.mjs";

const START_TIME = 120000; // milliseconds for a worker to come and to be initialised
const LIBRARY = /^[\w.+-]+$/;

const shared = new Map();

/** What could be the name of a library. It may come from a link: nothing else gets into code. */
export const isLibrary = (name) => typeof name === "string" && name.length < 200 && LIBRARY.test(name);

/** The JSON value at `url`. */
async function read(url) {
  const response = await fetch(url).catch(() => null);
  if (!response) throw new Error(`${url} could not be reached`);
  if (!response.ok) throw new Error(`${url} could not be loaded: HTTP status ${response.status}`);
  const value = await response.json().catch(() => null);
  if (value === null || typeof value !== "object") throw new Error(`${url} is not JSON`);
  return value;
}

export class Session extends EventTarget {
  /** `asleep`, `loading`, `ready`, `running`, `restarting` (after a stop) or `failed`. */
  state = "asleep";
  /** The same in words. */
  status = "OCaml starts when you run something";
  /** The universe's index and its address, when they are known. */
  index = null;
  indexUrl = null;
  /** What the site has, if it says so: `[{name, index}]`, and which of them this is. */
  universes = [];
  universe;
  /** Libraries that were asked for, and those that are there. */
  wanted = new Set();
  loaded = new Set();
  /** What was evaluated, for the history. */
  inputs = [];
  #src;
  #worker = null;
  #started = null;
  #settling = null; // while it starts again after a stop
  #queue = [];
  #isWorking = false;
  #count = 0;

  /** @param {string} src address of a site's universe.json, or of a universe's index */
  constructor(src, universe) {
    super();
    this.#src = src;
    this.universe = universe;
  }

  /** The session that everything on this page shares which asks for the same. */
  static shared(src, universe) {
    const key = JSON.stringify([src, universe]);
    if (!shared.has(key)) shared.set(key, new Session(src, universe));
    return shared.get(key);
  }

  /** Loads the toplevel, once. Never rejects: `state` says what came of it. */
  start() {
    this.#started ??= this.#load();
    return this.#started;
  }

  /** After a failure. */
  startAgain() {
    this.#worker?.terminate();
    this.#worker = null;
    this.#started = null;
    return this.start();
  }

  /**
   * Evaluates `code` when what came before has ended. `onStart`, `onStream` and `onAnswer` are
   * called while it runs. Resolves to `{kind: "done", output, count, ms}`, `{kind: "stopped"}` or
   * `{kind: "failed", message}`.
   */
  run(code, options = {}) {
    if (!options.isQuiet && this.inputs.at(-1) !== code) this.inputs.push(code);
    return new Promise((resolve) => {
      this.#queue[options.isFirst ? "unshift" : "push"]({ code, ...options, resolve });
      this.#work();
    });
  }

  /** Loads libraries. Resolves to null, or to what went wrong. */
  async require(names, isFirst = false) {
    const odd = names.find((name) => !isLibrary(name));
    if (odd !== undefined) return this.#told(`${JSON.stringify(odd)} cannot be the name of a library`);
    for (const name of names) this.wanted.add(name);
    const fresh = names.filter((name) => !this.loaded.has(name));
    this.#changed();
    if (fresh.length === 0) return null;
    const result = await this.run(`#require "${fresh.join(" ")}";;`, { isQuiet: true, isFirst });
    const problem = result.kind === "done" ? /^Error[^]*/m.exec(result.output.stderr)?.[0] : (result.message ?? "Stopped");
    if (!problem) return null;
    for (const name of fresh) if (!this.loaded.has(name)) this.wanted.delete(name);
    this.#changed();
    return this.#told(problem);
  }

  #told(problem) {
    this.dispatchEvent(new CustomEvent("problem", { detail: problem }));
    return problem;
  }

  /** Is not asked for any more. What is loaded stays until a restart. */
  forget(name) {
    this.wanted.delete(name);
    this.#changed();
  }

  // A question about code is worth nothing later: what cannot be answered now, or fails, is null.
  async #ask(question, ...rest) {
    if (this.state !== "ready") return null;
    return this.#worker[question](...rest).catch(() => null);
  }

  complete = async (source, position, env) => (await this.#ask("complete", source, position, env))?.completions ?? null;
  typeAt = async (source, position, env) => (await this.#ask("typeAt", source, position, env))?.types ?? null;
  errors = async (source, env) => (await this.#ask("errors", source, env))?.errors ?? null;

  /**
   * Stops what runs and what waits. What had ended before is evaluated again; a second stop
   * meanwhile leaves that out.
   */
  stop() {
    if (this.state === "running") return this.#startOver(true, "Stopped; evaluating again what came before…");
    if (this.state === "restarting") return this.#startOver(false, "Stopped; starting afresh…");
    return Promise.resolve();
  }

  /** A new toplevel that knows nothing but the libraries that were asked for. */
  restart() {
    if (this.state === "failed") return this.startAgain();
    if (this.#worker === null || this.state === "loading") return Promise.resolve();
    return this.#startOver(false, "Starting afresh…");
  }

  /** Ends the worker. */
  end() {
    this.#clear();
    this.#worker?.terminate();
    this.#worker = null;
    this.#started = null;
    this.#become("asleep", "OCaml starts when you run something");
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }

  #become(state, status) {
    this.state = state;
    this.status = status;
    this.#changed();
  }

  #isReady() {
    this.#become("ready", `OCaml ${this.index?.compiler?.version ?? ""}, ready`);
  }

  #fail(error) {
    this.#worker?.terminate();
    this.#worker = null;
    this.#become("failed", `OCaml could not be started. ${error.message}`);
  }

  async #load() {
    this.#become("loading", "Loading OCaml…");
    try {
      const indexUrl = await this.#locate();
      const found = await OcamlWorker.fromIndex(indexUrl, undefined, {
        timeout: Infinity, // a program may run for as long as the user lets it
        initTimeout: START_TIME,
        onProgress: ({ library, done, total }) => this.#become(this.state, `Loading ${library} (${done + 1} of ${total})…`),
      });
      this.#worker = found.worker;
      this.index = found.index;
      this.indexUrl = indexUrl;
      this.#changed();
      await found.worker.init(found);
    } catch (error) {
      return this.#fail(error);
    }
    this.#isReady();
    // Not waited for: it is the first thing that is evaluated, and that waits for this.
    this.require([...this.wanted], true);
  }

  // Where the index is. The address that was given is that of a site's list of universes, or of an index.
  async #locate() {
    const src = new URL(this.#src, document.baseURI).href;
    const value = await read(src);
    if (typeof value.index !== "string" && !Array.isArray(value.universes)) return src;
    const universes = Array.isArray(value.universes) ? value.universes : [value];
    const chosen = universes.find((one) => one.name === this.universe) ?? (this.universe === undefined ? universes[0] : null);
    if (typeof chosen?.index !== "string") {
      throw new Error(this.universe === undefined ? `${src} names no index` : `${src} names no universe ${this.universe}`);
    }
    this.universes = universes.filter((one) => typeof one.name === "string" && typeof one.index === "string");
    this.universe = chosen.name;
    return new URL(chosen.index, src).href;
  }

  async #usable() {
    await this.start();
    // A stop may come while one waits for another.
    for (let settling = null; settling !== this.#settling; ) await (settling = this.#settling);
    return this.state !== "failed";
  }

  async #work() {
    if (this.#isWorking) return;
    this.#isWorking = true;
    while (this.#queue.length > 0) {
      const isUsable = await this.#usable();
      const job = this.#queue.shift();
      if (!job) break; // stopped meanwhile
      job.resolve(isUsable ? await this.#evaluate(job) : { kind: "failed", message: this.status });
    }
    this.#isWorking = false;
    if (this.state === "running") this.#isReady();
  }

  async #evaluate({ code, env, isQuiet, onStart, onStream, onAnswer }) {
    this.#become("running", "Running…");
    onStart?.();
    const began = performance.now();
    const libraries = [];
    try {
      const output = await this.#worker.eval(code, {
        env,
        onStream,
        onOutputAt: onAnswer,
        onProgress: ({ library }) => libraries.push(library),
      });
      this.#noteLibraries(code, libraries, output);
      return { kind: "done", output, count: isQuiet ? this.#count : ++this.#count, ms: performance.now() - began };
    } catch (error) {
      return error instanceof InterruptedError ? { kind: "stopped" } : { kind: "failed", message: error.message };
    }
  }

  #noteLibraries(code, libraries, { stderr }) {
    if (!code.includes("#require") || /^Error/m.test(stderr)) return;
    for (const [, names] of code.matchAll(/^\s*#require\s+"([^"]*)"/gm)) libraries.push(...names.split(/[\s,]+/));
    for (const name of libraries.filter(isLibrary)) this.loaded.add(name);
    this.#changed();
  }

  #clear() {
    for (const job of this.#queue.splice(0)) job.resolve({ kind: "stopped" });
  }

  async #startOver(isReplay, status) {
    this.#clear();
    this.#become("restarting", status);
    const again = this.#worker.interrupt({ replay: isReplay }).then(() => true, (error) => {
      if (!(error instanceof InterruptedError)) this.#fail(error);
      return false; // or another stop has taken over
    });
    this.#settling = again;
    if (!(await again) || this.#settling !== again) return;
    this.#isReady();
    if (isReplay) return;
    this.#count = 0;
    this.loaded = new Set();
    this.dispatchEvent(new Event("restart"));
    await this.require([...this.wanted], true);
  }
}
