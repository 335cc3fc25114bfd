// The client in Node, for tests: the worker runs in a thread that has as much of
// a browser's worker as ours needs (node-thread.mjs). Besides http: and https:,
// file: addresses are understood, so that a site needs no server.

import { readFile } from "node:fs/promises";
import { Worker } from "node:worker_threads";
import { LoadError, OcamlWorker as BrowserWorker } from "./jtw-client.mjs";

export * from "./jtw-client.mjs";

export class OcamlWorker extends BrowserWorker {
  static async fetchJson(url, timeout) {
    if (url.protocol !== "file:") return super.fetchJson(url, timeout);
    let text;
    try {
      text = await readFile(url, "utf8");
    } catch (cause) {
      throw new LoadError(`The index ${url} could not be read`, url.href, { cause });
    }
    try {
      return JSON.parse(text);
    } catch (cause) {
      throw new LoadError(`The index ${url} is not JSON`, url.href, { cause });
    }
  }

  static startWorker(url) {
    // Without the options of this process: with --input-type, no thread starts from a file.
    const thread = new Worker(new URL("node-thread.mjs", import.meta.url), {
      workerData: { script: url.href }, execArgv: [],
    });
    const worker = {
      onmessage: null,
      onerror: null,
      postMessage: (data) => thread.postMessage(data),
      terminate: () => void thread.terminate(),
    };
    thread.on("message", ({ data, failure }) => {
      if (failure === undefined) worker.onmessage?.({ data });
      else worker.onerror?.({ message: failure });
    });
    thread.on("error", (error) => worker.onerror?.({ message: error.message, isFatal: true }));
    return worker;
  }
}
