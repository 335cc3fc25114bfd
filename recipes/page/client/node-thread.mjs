// A thread of Node that looks to worker.js like a browser's classic worker:
// importScripts, postMessage and onmessage, location, and XMLHttpRequest as far
// as it is synchronous and gives bytes or text. There is no rendering, no cache,
// and no rule about origins here.

import { readFileSync } from "node:fs";
import { runInThisContext } from "node:vm";
import { parentPort, receiveMessageOnPort, MessageChannel, Worker, workerData } from "node:worker_threads";

// Synchronous requests: this thread sleeps while another one fetches.
function serveRequests({ port, signal }) {
  port.on("message", async (url) => {
    let answer;
    try {
      const response = await fetch(url);
      answer = { status: response.status, bytes: await response.arrayBuffer() };
    } catch (error) {
      answer = { problem: String(error.cause?.message ?? error.message) };
    }
    port.postMessage(answer);
    Atomics.store(signal, 0, 1);
    Atomics.notify(signal, 0);
  });
}

let requests = null;

function startRequests() {
  const signal = new Int32Array(new SharedArrayBuffer(4));
  const { port1, port2 } = new MessageChannel();
  const thread = new Worker(new URL(import.meta.url), {
    workerData: { requests: { port: port2, signal } }, transferList: [port2], execArgv: [],
  });
  thread.unref();
  return { port: port1, signal };
}

function get(url) {
  if (url.startsWith("file:")) {
    try {
      const bytes = readFileSync(new URL(url));
      return { status: 200, bytes: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) };
    } catch (error) {
      return error.code === "ENOENT" ? { status: 404, bytes: new ArrayBuffer(0) } : { problem: error.message };
    }
  }
  requests ??= startRequests();
  const { port, signal } = requests;
  Atomics.store(signal, 0, 0);
  port.postMessage(url);
  Atomics.wait(signal, 0, 0);
  return receiveMessageOnPort(port).message;
}

class XMLHttpRequest {
  status = 0;
  response = null;
  responseText = "";
  responseType = "";
  #url;

  open(method, url, isAsync = true) {
    if (method !== "GET" || isAsync) throw new Error("only synchronous GET requests can be made in Node");
    this.#url = new URL(url, workerData.script).href;
  }

  send() {
    const { status, bytes, problem } = get(this.#url);
    if (problem !== undefined) throw new Error(`${this.#url}: ${problem}`);
    this.status = status;
    if (this.responseType === "arraybuffer") this.response = bytes;
    else this.response = this.responseText = new TextDecoder().decode(bytes);
  }
}

function importScripts(...urls) {
  for (const url of urls) {
    const { href } = new URL(url, workerData.script);
    const { status, bytes, problem } = get(href);
    if (status !== 200) throw new Error(`${href}: ${problem ?? `HTTP status ${status}`}`);
    runInThisContext(new TextDecoder().decode(bytes), { filename: href });
  }
}

function becomeWorker() {
  // With `process`, js_of_ocaml's programs use the files of this machine.
  delete globalThis.process;
  const failed = (error) => parentPort.postMessage({ failure: String(error?.message ?? error) });
  Object.assign(globalThis, {
    self: globalThis, onmessage: null, importScripts, XMLHttpRequest,
    location: new URL(workerData.script),
    postMessage: (data) => parentPort.postMessage({ data }),
    __global_rel_url: new URL(".", workerData.script).href.replace(/\/$/, ""),
  });
  try {
    importScripts(workerData.script);
  } catch (error) {
    return failed(error);
  }
  parentPort.on("message", (data) => {
    try {
      globalThis.onmessage?.({ data });
    } catch (error) {
      failed(error);
    }
  });
}

if (workerData.requests) serveRequests(workerData.requests);
else becomeWorker();
