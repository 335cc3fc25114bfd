// A client of the OCaml toplevel worker, without dependencies.
//
//   import { OcamlWorker } from "./client/jtw-client.mjs";
//   const ocaml = await OcamlWorker.create("u/<hash>/findlib_index.json");
//   const { caml_ppf } = await ocaml.eval("1 + 2;;");      // "- : int = 3"
//
// Positions given and received are indices into JavaScript strings; the worker
// itself counts bytes of UTF-8. Types: jtw-client.d.mts. For Node: node.mjs.

import {
  CrashError, EnvironmentError, InitError, InterruptedError, LoadError, RequestError, TerminatedError, TimeoutError,
} from "./errors.mjs";
import { LONGEST_TIMER, absolute, fetchIndex, indexIn, workerAddress } from "./locate.mjs";
import { fromByteLocation, fromByteOffset, toByteOffset } from "./positions.mjs";

export * from "./errors.mjs";
export { mimeUrl } from "./mime.mjs";
export { fromByteOffset, toByteOffset };

const STDLIB = "lib/ocaml/dynamic_cmis.json";
const PATIENCE = 30000;
// What comes before the answer of an evaluation, and which callback hears of it.
const REPORTS = { output_at: "onOutputAt", stream: "onStream", progress: "onProgress" };

// The worker adds what ends the last phrase.
const asEvaluated = (code) => (code.endsWith(";;") ? code : `${code};;`);

const inUnitsOf = (source, entries) =>
  entries.map((entry) => ({ ...entry, loc: fromByteLocation(source, entry.loc) }));

// A program in the worker can post what it likes.
function understood(data) {
  try {
    return typeof data === "string" ? JSON.parse(data) : data;
  } catch {
    return null;
  }
}

export class OcamlWorker {
  /** The universe's index, when the client was made from one. */
  index;
  #url;
  #timeout;
  #initTimeout;
  #callbacks;
  #worker;
  #isHeard; // the worker has said something: its script was loaded
  #nextCell = 1;
  #pending = []; // in the order in which they were sent, which is the one in which they are answered
  #state = "fresh"; // then "starting", and "ready" or "failed"
  #ready = null;
  #initMessage = null;
  #done = []; // what of requests makes a new worker be where this one is
  #dead = null; // why no request can be answered

  /**
   * Starts a worker; `init` makes it usable.
   * @param {string} workerUrl address of worker.js (another origin is allowed)
   */
  constructor(workerUrl, { timeout, initTimeout, ...callbacks } = {}) {
    this.#timeout = timeout || PATIENCE;
    this.#initTimeout = initTimeout || this.#timeout;
    this.#callbacks = callbacks;
    this.#url = absolute(workerUrl);
    this.#boot();
  }

  /** Makes a client from a universe's index, or from a site's universe.json, and initialises it. */
  static async create(url, { requires = [], universe, baseOutputUrl, ...options } = {}) {
    const patience = options.initTimeout || options.timeout || PATIENCE;
    let address = absolute(url);
    let index = await this.fetchJson(address, patience);
    if (typeof index?.index === "string") {
      address = indexIn(index, address, universe);
      index = await this.fetchJson(address, patience);
    }
    const worker = new this(workerAddress(index, address, baseOutputUrl), options);
    worker.index = index;
    try {
      await worker.init({ findlib_requires: requires, stdlib_dcs: STDLIB, findlib_index: address.href });
    } catch (error) {
      worker.terminate();
      throw error;
    }
    return worker;
  }

  /**
   * Starts the worker of a universe, and does not initialise it.
   * @param {string} indexUrl the universe's findlib_index.json
   * @param {string} [baseOutputUrl] the site's root, where `compiler/` lies.
   *   Without it `compiler.worker_url` of the index is used, relative to it.
   */
  static async fromIndex(indexUrl, baseOutputUrl, options = {}) {
    const address = absolute(indexUrl);
    const index = await this.fetchJson(address, options.initTimeout || options.timeout || PATIENCE);
    const worker = new this(workerAddress(index, address, baseOutputUrl), options);
    worker.index = index;
    return { worker, findlib_index: indexUrl, stdlib_dcs: STDLIB, index };
  }

  /** The JSON value at `url`. A subclass may have another way to it. */
  static fetchJson(url, timeout) {
    return fetchIndex(url, timeout);
  }

  /**
   * A running worker: `postMessage`, `terminate`, `onmessage`, `onerror`. The
   * script that is started has this page's origin and imports the worker's, so
   * that the latter may be of another.
   */
  static startWorker(url) {
    const base = new URL(".", url).href.replace(/\/$/, "");
    const source =
      `globalThis.__global_rel_url = ${JSON.stringify(base)};\n` + `importScripts(${JSON.stringify(url.href)});\n`;
    const blob = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    const worker = new Worker(blob);
    worker.terminate = () => {
      URL.revokeObjectURL(blob);
      Worker.prototype.terminate.call(worker);
    };
    return worker;
  }

  /** Makes the toplevel usable. Rejects with the worker's reason, or when there is no answer in time. */
  init({ findlib_requires, stdlib_dcs, findlib_index } = {}) {
    const message = { type: "init", findlib_requires: findlib_requires ?? [] };
    if (stdlib_dcs) message.stdlib_dcs = stdlib_dcs;
    // the worker resolves relative addresses from its own place, not the page's
    if (findlib_index) message.findlib_index = absolute(findlib_index).href;
    this.#initMessage = message;
    return this.#start(this.#initialise());
  }

  /** When the toplevel is usable: at once if nobody has called `init`. */
  waitReady() {
    return this.#ready ?? Promise.resolve();
  }

  /** Evaluates all phrases of `code`. Errors in them are in the answer's `stderr`. */
  eval(code, where = "default") {
    const { env = "default", timeout, ...callbacks } = typeof where === "string" ? { env: where } : (where ?? {});
    const message = { type: "eval", env_id: env, code: String(code) };
    return this.#whenReady(() => this.#evaluate(message, { timeout, callbacks }));
  }

  /** What can stand at `position`, and which part of `source` it replaces. */
  async complete(source, position, env = "default") {
    const answer = await this.#ask("completions", "complete", source, env, toByteOffset(source, position));
    const { from, to, ...rest } = answer.completions;
    const completions = { from: fromByteOffset(source, from), to: fromByteOffset(source, to), ...rest };
    return { ...answer, completions };
  }

  /** Types of the expressions around `position`, the innermost first. */
  async typeAt(source, position, env = "default") {
    const answer = await this.#ask("types", "type_at", source, env, toByteOffset(source, position));
    return { ...answer, types: inUnitsOf(source, answer.types) };
  }

  /** Errors and warnings of `source`, which is not run. */
  async errors(source, env = "default") {
    const answer = await this.#ask("errors", "errors", source, env);
    return { ...answer, errors: inUnitsOf(source, answer.errors) };
  }

  /** Makes an environment; one that is there is emptied. */
  createEnv(id) {
    return this.#whenReady(() => this.#operate({ type: "create_env", env_id: id }, "env_created"));
  }

  destroyEnv(id) {
    return this.#whenReady(() => this.#operate({ type: "destroy_env", env_id: id }, "env_destroyed"));
  }

  /** The names of the environments. Upstream's worker has no such message: rejects there. */
  async listEnvs() {
    const { env_ids } = await this.#whenReady(() => this.#operate({ type: "list_envs" }, "envs"));
    return env_ids;
  }

  /**
   * Stops what is running: rejects all requests, starts another worker, and
   * evaluates again what had been evaluated to its end. With `replay: false`
   * everything defined is gone instead.
   */
  async interrupt({ replay = true } = {}) {
    if (this.#dead instanceof TerminatedError) throw this.#dead;
    this.#stop(new InterruptedError("Interrupted"));
    if (!replay) this.#done = [];
    this.#dead = null;
    this.#boot();
    const requests = [...this.#done];
    if (this.#initMessage) await this.#start(this.#initialise().then(() => this.#replay(requests)));
    return { replayed: requests.length };
  }

  /** Ends the worker for good; everything pending, and everything asked later, is rejected. */
  terminate() {
    if (this.#dead instanceof TerminatedError) return;
    this.#dead = new TerminatedError("Worker terminated");
    this.#stop(this.#dead);
  }

  // ---- the worker's life ----------------------------------------------------------

  #boot() {
    const worker = this.constructor.startWorker(this.#url);
    this.#worker = worker;
    this.#isHeard = false;
    worker.onmessage = ({ data }) => worker === this.#worker && this.#receive(data);
    worker.onerror = (event) => {
      event.preventDefault?.();
      if (worker !== this.#worker) return;
      const why = event.message ? `: ${event.message}` : "";
      const error = this.#isHeard
        ? new CrashError(event.message || "The worker failed")
        : new LoadError(`The worker could not be started from ${this.#url}${why}`, this.#url.href);
      // A browser's worker survives what its program throws; without its script there is nothing to survive.
      if (!this.#isHeard || event.isFatal) this.#dead = error;
      this.#fail(error);
    };
  }

  #stop(error) {
    this.#worker.terminate();
    this.#worker = null;
    this.#fail(error);
  }

  #initialise() {
    return this.#post({ answer: "ready", timeout: this.#initTimeout }, this.#initMessage);
  }

  #start(started) {
    const become = (state) => {
      if (this.#ready === ready) this.#state = state;
    };
    const ready = started.then(
      () => become("ready"),
      (error) => {
        become("failed");
        throw error;
      },
    );
    ready.catch(() => {}); // the caller has a promise of its own
    this.#ready = ready;
    this.#state = "starting";
    return ready.then(() => undefined);
  }

  async #replay(requests) {
    for (const { answer, redo, timeout } of requests) {
      const again = answer === "output"
        // it may have ended after its own time
        ? this.#evaluate(redo, { timeout: Math.max(timeout ?? 0, this.#timeout), isReplay: true })
        : this.#operate(redo, answer, true);
      await again.catch((error) => {
        if (!(error instanceof RequestError || error instanceof EnvironmentError)) throw error;
      });
    }
  }

  // ---- requests ---------------------------------------------------------------------

  // A worker may misbehave when it is asked something between `init` and its answer.
  #whenReady(send) {
    return this.#state === "starting" || this.#state === "failed" ? this.#ready.then(send) : send();
  }

  #ask(answer, type, source, env, position) {
    const message = { type, env_id: env, source };
    if (position !== undefined) message.position = position;
    return this.#whenReady(() => this.#cell({ answer }, message));
  }

  async #evaluate(message, request) {
    const phrases = [];
    const output = await this.#cell({ ...request, answer: "output", redo: message, phrases }, message);
    const caml_ppf = output.caml_ppf === "" ? phrases.map((phrase) => phrase.caml_ppf).join("") : output.caml_ppf;
    const answer = { ...output, caml_ppf, phrases };
    if (output.errors) answer.errors = inUnitsOf(asEvaluated(message.code), output.errors);
    return answer;
  }

  #cell(request, message) {
    const cell = this.#nextCell++;
    return this.#post({ ...request, cell }, { ...message, cell_id: cell });
  }

  #operate(message, answer, isReplay = false) {
    const redo = message.type === "list_envs" ? undefined : message;
    return this.#post({ answer, env: message.env_id, redo, isReplay }, message);
  }

  #post(request, message) {
    if (this.#dead) return Promise.reject(this.#dead);
    return new Promise((resolve, reject) => {
      const limit = request.timeout || this.#timeout;
      Object.assign(request, { resolve, reject });
      if (limit <= LONGEST_TIMER) {
        // Stays in the list: its answer, when it comes, is not that of another.
        const late = () => reject(new TimeoutError(`${message.type === "init" ? "Initialisation" : "Request"} timeout`, limit));
        request.timer = setTimeout(late, limit);
      }
      this.#pending.push(request);
      this.#worker.postMessage(JSON.stringify(message));
    });
  }

  #fail(error) {
    for (const request of this.#pending.splice(0)) {
      clearTimeout(request.timer);
      request.reject(error);
    }
  }

  // The first request in the list that `is` the one, taken out of it.
  #take(is) {
    const at = this.#pending.findIndex(is);
    if (at < 0) return undefined;
    const [request] = this.#pending.splice(at, 1);
    clearTimeout(request.timer);
    return request;
  }

  // ---- answers ------------------------------------------------------------------------

  #receive(data) {
    const message = understood(data);
    this.#isHeard = true;
    switch (message?.type) {
      case "ready":
        return this.#take((r) => r.answer === "ready")?.resolve();
      case "init_error":
        return this.#refuse(message);
      case "output_at":
      case "stream":
      case "progress":
        return this.#report(message);
      case "output":
      case "completions":
      case "types":
      case "errors":
        return this.#finish(message, (r) => r.cell === message.cell_id && r.answer === message.type);
      case "eval_error":
        return this.#take((r) => r.cell === message.cell_id)?.reject(new RequestError(message.message));
      case "env_created":
      case "env_destroyed":
        return this.#finish(message, (r) => r.answer === message.type && r.env === message.env_id);
      case "envs":
        return this.#finish(message, (r) => r.answer === "envs");
      default:
        return this.#tell(message ?? data);
    }
  }

  #finish(message, is) {
    const request = this.#take(is);
    if (request?.redo && !request.isReplay) {
      const { answer, redo, timeout } = request;
      this.#done.push({ answer, redo, timeout });
    }
    request?.resolve(message);
  }

  // `init_error` is also what a worker says of environments, and of what it does not understand.
  #refuse({ message, env_id }) {
    const isOfEnvironment = (r) => r.answer.startsWith("env");
    const named = (r) => isOfEnvironment(r) && r.env === env_id;
    const init = env_id === undefined && this.#take((r) => r.answer === "ready");
    if (init) return init.reject(new InitError(message));
    const request = this.#take(env_id === undefined ? isOfEnvironment : named);
    request?.reject(new EnvironmentError(message, request.env));
  }

  // What is said before an evaluation ends. Replays are silent.
  #report(message) {
    const request = this.#pending.find((r) => r.cell !== undefined && r.cell === message.cell_id);
    if (request && message.type === "output_at") {
      message.loc = fromByteOffset(asEvaluated(request.redo.code), message.loc);
      request.phrases.push(message);
    }
    if (request?.isReplay) return;
    const callback = REPORTS[message.type];
    request?.callbacks[callback]?.(message);
    this.#callbacks[callback]?.(message);
  }

  #tell(message) {
    if (this.#callbacks.onMessage) this.#callbacks.onMessage(message);
    else console.warn("message of an unknown type from the worker", message);
  }
}
