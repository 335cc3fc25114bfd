// A client of the OCaml toplevel worker: one class, no dependencies.
//
//   import { OcamlWorker } from "./jtw-client.mjs";
//   const { worker, stdlib_dcs, findlib_index } = await OcamlWorker.fromIndex(indexUrl);
//   await worker.init({ findlib_requires: [], stdlib_dcs, findlib_index });
//   const { caml_ppf } = await worker.eval("1 + 2;;");
//
// Positions given and received are indices into JavaScript strings; the worker
// itself counts UTF-8 bytes.

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** UTF-8 length of the first `index` UTF-16 units of `text`. */
export function toByteOffset(text, index) {
  return encoder.encode(text.slice(0, index)).length;
}

/** The inverse of toByteOffset. */
export function fromByteOffset(text, offset) {
  return decoder.decode(encoder.encode(text).subarray(0, offset)).length;
}

const isEndOfPhrase = (code) => code.endsWith(";;");

export class OcamlWorker {
  #worker;
  #timeout;
  #initTimeout;
  #onOutputAt;
  #blobUrl;
  #nextCell = 1;
  #pending = new Map(); // "init", "cell:1", "env:create:x" -> request
  #ready = null;
  #dead = null;

  /**
   * @param {string} workerUrl address of worker.js (another origin is allowed)
   * @param {{timeout?: number, initTimeout?: number,
   *          onOutputAt?: (message: object) => void}} options
   *   timeout in milliseconds for every request, 30000 unless given;
   *   initTimeout for `init` alone
   */
  constructor(workerUrl, { timeout, initTimeout, onOutputAt } = {}) {
    this.#timeout = timeout || 30000;
    this.#initTimeout = initTimeout || this.#timeout;
    this.#onOutputAt = onOutputAt ?? (() => {});
    const url = new URL(workerUrl, globalThis.location?.href);
    const base = new URL(".", url).href.replace(/\/$/, "");
    const bootstrap =
      `globalThis.__global_rel_url = ${JSON.stringify(base)};\n` +
      `importScripts(${JSON.stringify(url.href)});\n`;
    this.#blobUrl = URL.createObjectURL(new Blob([bootstrap], { type: "text/javascript" }));
    this.#worker = new Worker(this.#blobUrl);
    this.#worker.onmessage = ({ data }) => this.#receive(data);
    this.#worker.onerror = (event) => {
      event.preventDefault?.();
      this.#fail(new Error(event.message || `The worker could not be started from ${url.href}`));
    };
  }

  /**
   * Finds the worker of a universe.
   * @param {string} indexUrl the universe's findlib_index.json
   * @param {string} [baseOutputUrl] the site's root, where `compiler/` lies.
   *   Without it `compiler.worker_url` of the index is used, relative to it.
   */
  static async fromIndex(indexUrl, baseOutputUrl, options) {
    const absolute = new URL(indexUrl, globalThis.location?.href);
    let response;
    try {
      response = await fetch(absolute);
    } catch {
      throw new Error(`The index ${absolute.href} could not be reached`);
    }
    if (!response.ok) {
      throw new Error(`The index ${absolute.href} could not be loaded: HTTP status ${response.status}`);
    }
    let index;
    try {
      index = await response.json();
    } catch {
      throw new Error(`The index ${absolute.href} is not JSON`);
    }
    const compiler = index?.compiler;
    if (!compiler) throw new Error(`The index ${absolute.href} names no compiler`);
    let workerUrl;
    if (baseOutputUrl === undefined && typeof compiler.worker_url === "string") {
      workerUrl = new URL(compiler.worker_url, absolute).href;
    } else {
      const root = baseOutputUrl ?? new URL("../../", absolute).href;
      const directory = `compiler/${compiler.version}/${compiler.content_hash}`;
      workerUrl = `${root.replace(/\/$/, "")}/${directory}/worker.js`;
    }
    return {
      worker: new OcamlWorker(workerUrl, options),
      findlib_index: indexUrl,
      stdlib_dcs: "lib/ocaml/dynamic_cmis.json",
      index,
    };
  }

  /** Rejects with the worker's reason, or when there is no answer in time. */
  init({ findlib_requires = [], stdlib_dcs, findlib_index } = {}) {
    const message = { type: "init", findlib_requires };
    if (stdlib_dcs) message.stdlib_dcs = stdlib_dcs;
    // the worker resolves relative addresses from its own place, not the page's
    if (findlib_index) message.findlib_index = new URL(findlib_index, globalThis.location?.href).href;
    this.#ready = this.#request("init", message).then(() => undefined);
    return this.#ready;
  }

  waitReady() {
    return this.#ready ?? Promise.resolve();
  }

  async eval(code, env = "default") {
    const request = { parts: [], code };
    const output = await this.#cell({ type: "eval", env_id: env, code }, request);
    return output.caml_ppf === "" ? { ...output, caml_ppf: request.parts.join("") } : output;
  }

  async complete(source, position, env = "default") {
    const answer = await this.#cell({
      type: "complete", env_id: env, source, position: toByteOffset(source, position),
    });
    const { from, to, entries } = answer.completions;
    answer.completions = { from: fromByteOffset(source, from), to: fromByteOffset(source, to), entries };
    return answer;
  }

  async typeAt(source, position, env = "default") {
    const answer = await this.#cell({
      type: "type_at", env_id: env, source, position: toByteOffset(source, position),
    });
    for (const entry of answer.types) entry.loc = convertLocation(source, entry.loc);
    return answer;
  }

  async errors(source, env = "default") {
    const answer = await this.#cell({ type: "errors", env_id: env, source });
    for (const entry of answer.errors) entry.loc = convertLocation(source, entry.loc);
    return answer;
  }

  createEnv(id) {
    return this.#request(`env:create:${id}`, { type: "create_env", env_id: id });
  }

  destroyEnv(id) {
    return this.#request(`env:destroy:${id}`, { type: "destroy_env", env_id: id });
  }

  /** The only way to stop a program that does not end. */
  terminate() {
    this.#worker.terminate();
    URL.revokeObjectURL(this.#blobUrl);
    this.#fail(new Error("Worker terminated"));
    this.#dead = new Error("Worker terminated");
  }

  #cell(message, extra = {}) {
    const cell_id = this.#nextCell++;
    return this.#request(`cell:${cell_id}`, { ...message, cell_id }, extra);
  }

  #request(key, message, extra = {}) {
    if (this.#dead) return Promise.reject(this.#dead);
    if (this.#pending.has(key)) {
      return Promise.reject(new Error(`A request of this kind is already waiting: ${key}`));
    }
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#pending.delete(key);
        reject(new Error(key === "init" ? "Initialisation timeout" : "Request timeout"));
      }, key === "init" ? this.#initTimeout : this.#timeout);
      this.#pending.set(key, Object.assign(extra, { resolve, reject, timer }));
      this.#worker.postMessage(JSON.stringify(message));
    });
  }

  #settle(key, outcome, value) {
    const request = this.#pending.get(key);
    if (!request) return;
    this.#pending.delete(key);
    clearTimeout(request.timer);
    request[outcome](value);
  }

  #fail(error) {
    for (const key of [...this.#pending.keys()]) this.#settle(key, "reject", error);
  }

  #receive(data) {
    const message = typeof data === "string" ? JSON.parse(data) : data;
    const cell = `cell:${message.cell_id}`;
    switch (message.type) {
      case "ready":
        return this.#settle("init", "resolve");
      case "init_error": {
        const error = new Error(message.message);
        if (message.env_id === undefined) return this.#settle("init", "reject", error);
        this.#settle(`env:create:${message.env_id}`, "reject", error);
        return this.#settle(`env:destroy:${message.env_id}`, "reject", error);
      }
      case "output_at": {
        const request = this.#pending.get(cell);
        if (request) {
          request.parts.push(message.caml_ppf);
          const code = isEndOfPhrase(request.code) ? request.code : request.code + ";;";
          message.loc = fromByteOffset(code, message.loc);
        }
        return this.#onOutputAt(message);
      }
      case "output":
      case "completions":
      case "types":
      case "errors":
        return this.#settle(cell, "resolve", message);
      case "eval_error":
        return this.#settle(cell, "reject", new Error(message.message));
      case "env_created":
        return this.#settle(`env:create:${message.env_id}`, "resolve", message);
      case "env_destroyed":
        return this.#settle(`env:destroy:${message.env_id}`, "resolve", message);
      default:
        console.warn("message of an unknown type from the worker", message);
    }
  }
}

function convertLocation(source, { loc_start, loc_end }) {
  const convert = (p) => ({
    pos_cnum: fromByteOffset(source, p.pos_cnum),
    pos_lnum: p.pos_lnum,
    pos_bol: fromByteOffset(source, p.pos_bol),
  });
  return { loc_start: convert(loc_start), loc_end: convert(loc_end) };
}
