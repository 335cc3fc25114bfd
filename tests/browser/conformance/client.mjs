// A client of the worker's protocol that hides nothing: what is posted, and every message that
// comes back, as they are. Written from the protocol's description; it shares no code with the
// client that sites ship.

import assert from "node:assert/strict";
import { problemsOf } from "./shapes.mjs";

// Runs in the page. The blob sets the worker's base address, as pages on other origins must.
function install() {
  const sessions = new Map();
  window.conformance = {
    open(id, workerUrl) {
      const base = workerUrl.replace(/\/worker\.js$/, "");
      const script = `globalThis.__global_rel_url=${JSON.stringify(base)};importScripts(${JSON.stringify(workerUrl)});`;
      const worker = new Worker(URL.createObjectURL(new Blob([script])));
      const session = { worker, log: [], woken: () => {}, broken: null };
      worker.onmessage = ({ data }) => {
        session.log.push(data);
        session.woken();
      };
      worker.onerror = (event) => {
        session.broken = event.message || "the worker's script cannot be loaded";
        session.woken();
      };
      sessions.set(id, session);
    },
    // Posts, and answers with all that comes until every one of `awaited` was there: patterns are
    // objects whose fields a message has to have.
    async exchange(id, posted, awaited, patience) {
      const session = sessions.get(id);
      const from = session.log.length;
      for (const message of posted) session.worker.postMessage(message);
      const matches = (pattern, data) => {
        let message;
        try {
          message = typeof data === "string" ? JSON.parse(data) : data;
        } catch {
          return false;
        }
        return Object.entries(pattern).every(([key, value]) =>
          Array.isArray(value) ? value.includes(message?.[key]) : message?.[key] === value);
      };
      const late = performance.now() + patience;
      for (;;) {
        const got = session.log.slice(from);
        if (awaited.every((pattern) => got.some((data) => matches(pattern, data)))) return got;
        if (session.broken) throw new Error(session.broken);
        const left = late - performance.now();
        if (left <= 0) throw new Error(`no answer like ${JSON.stringify(awaited)} in ${patience / 1000} s, but ${got.length} messages`);
        await new Promise((resolve) => {
          session.woken = resolve;
          setTimeout(resolve, left);
        });
      }
    },
    close(id) {
      sessions.get(id).worker.terminate();
      sessions.delete(id);
    },
  };
}

let sessions = 0;

/** One worker. `problems` collects what was wrong with the form of its messages. */
export class Session {
  static async open(page, workerUrl, problems) {
    if (await page.evaluate(() => window.conformance === undefined)) await page.evaluate(install);
    const session = new Session();
    Object.assign(session, { page, id: ++sessions, cell: 0, problems });
    await page.evaluate(([id, url]) => window.conformance.open(id, url), [session.id, workerUrl]);
    return session;
  }

  /** Posts values as they are, and answers with the messages until all of `awaited` came. */
  async exchange(posted, awaited, patience = 90000) {
    const texts = await this.page.evaluate(
      (args) => window.conformance.exchange(...args),
      [this.id, posted, awaited, patience],
    );
    return texts.map((text) => {
      if (typeof text !== "string") {
        this.problems.push(`a message is no string, but ${typeof text}`);
        return text;
      }
      const message = JSON.parse(text);
      this.problems.push(...problemsOf(message));
      return message;
    });
  }

  /** Posts one message; answers with the last one awaited. */
  async send(message, ...types) {
    return (await this.exchange([JSON.stringify(message)], [{ type: types }])).findLast((m) => types.includes(m.type));
  }

  init(fields = {}) {
    return this.send({ type: "init", ...fields }, "ready", "init_error");
  }

  async ready(fields) {
    assert.deepEqual(await this.init(fields), { type: "ready" });
    return this;
  }

  /** {all, phrases, output}: all messages of the cell, its `output_at`, and how it ended. */
  async eval(code, env_id = "default", extra = {}) {
    const cell_id = ++this.cell;
    const all = await this.exchange(
      [JSON.stringify({ type: "eval", cell_id, env_id, code, ...extra })],
      [{ type: ["output", "eval_error"], cell_id }],
    );
    const phrases = all.filter((m) => m.type === "output_at" && m.cell_id === cell_id);
    const output = all.find((m) => ["output", "eval_error"].includes(m.type) && m.cell_id === cell_id);
    return { all, phrases, output, text: phrases.map((p) => p.caml_ppf).join("\n") };
  }

  /** The answer to `complete`, `type_at` or `errors`. */
  async ask(type, source, position, { env_id = "default", ...extra } = {}) {
    const cell_id = ++this.cell;
    const answer = { complete: "completions", type_at: "types", errors: "errors" }[type];
    const all = await this.exchange(
      [JSON.stringify({ type, cell_id, env_id, source, ...(position === undefined ? {} : { position }), ...extra })],
      [{ type: [answer, "eval_error"], cell_id }],
    );
    return all.find((m) => m.cell_id === cell_id);
  }

  /** Completion at "│" in the source: {from, to, entries, names}, positions in bytes. */
  async complete(marked, options) {
    const [before, after] = marked.split("│");
    const answer = await this.ask("complete", before + after, Buffer.byteLength(before), options);
    assert.equal(answer.type, "completions", JSON.stringify(answer));
    const { completions } = answer;
    return { ...completions, names: completions.entries.map((e) => e.name) };
  }

  close() {
    return this.page.evaluate((id) => window.conformance.close(id), this.id);
  }
}
