// Headless Chromium and a client of the worker's protocol, for the programs beside this file.
//
// The client is written from the protocol description alone: JSON texts to and from a classic
// worker. Setting: CHROMIUM (default /usr/bin/chromium).

import assert from "node:assert/strict";
import { chromium } from "playwright-core";

/** Fails unless `part` is in `text`. */
export const contains = (text, part) =>
  assert.ok(text.includes(part), `${JSON.stringify(part)} not in ${JSON.stringify(text)}`);

export const launch = () =>
  chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    args: [
      "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync",
    ],
  });

// Runs in the page. Knows nothing but the protocol: JSON texts to and from a
// classic worker whose base address is put into __global_rel_url.
function installClient() {
  window.startClient = (workerUrl, { patience = 60000, ahead = "" } = {}) => {
    const base = workerUrl.replace(/\/worker\.js$/, "");
    const source =
      `${ahead}globalThis.__global_rel_url=${JSON.stringify(base)};` +
      `importScripts(${JSON.stringify(workerUrl)});`;
    const blob = URL.createObjectURL(new Blob([source]));
    const worker = new Worker(blob);
    const waiting = [];
    const log = [];
    worker.onmessage = (event) => {
      const message = JSON.parse(event.data);
      log.push(message);
      for (let i = waiting.length - 1; i >= 0; i--) {
        if (waiting[i].wanted(message)) waiting.splice(i, 1)[0].resolve(message);
      }
    };
    const client = {
      cell: 0,
      log,
      until: (wanted) =>
        new Promise((resolve, reject) => {
          waiting.push({ wanted, resolve });
          setTimeout(() => reject(new Error(`no answer within ${patience / 1000} s`)), patience);
        }),
      raw: (text) => worker.postMessage(text),
      send(message, wanted) {
        const answer = client.until(wanted);
        worker.postMessage(JSON.stringify(message));
        return answer;
      },
      init: (fields) =>
        client.send({ type: "init", ...fields }, (m) => m.type === "ready" || m.type === "init_error"),
      async eval(code, env = "default") {
        const cell_id = ++client.cell;
        const output = await client.send(
          { type: "eval", cell_id, env_id: env, code },
          (m) => m.cell_id === cell_id && (m.type === "output" || m.type === "eval_error"),
        );
        const phrases = log.filter((m) => m.type === "output_at" && m.cell_id === cell_id);
        return { ...output, phrases, text: phrases.map((p) => p.caml_ppf).join("\n") };
      },
      ask(type, fields, env = "default") {
        const cell_id = ++client.cell;
        return client.send(
          { type, cell_id, env_id: env, ...fields },
          (m) => m.cell_id === cell_id && m.type !== "output_at",
        );
      },
      end() {
        worker.terminate();
        URL.revokeObjectURL(blob);
      },
    };
    return client;
  };
}

// Where the index of a universe says that its worker is, and what `init` is told.
export async function locate(site, indexPath) {
  const indexUrl = new URL(indexPath, site);
  const index = await (await fetch(indexUrl)).json();
  const { version, content_hash: hash } = index.compiler;
  const workerUrl = new URL(`../../compiler/${version}/${hash}/worker.js`, indexUrl).href;
  const plain = { findlib_index: indexUrl.pathname, stdlib_dcs: "lib/ocaml/dynamic_cmis.json" };
  return { index, indexUrl, workerUrl, plain };
}

// A page of the site's origin that has the client. Any file of the site will do for it.
export async function openPage(context, site, file = "universe.json") {
  const page = await context.newPage();
  const errors = [];
  page.on("pageerror", (e) => errors.push(String(e)));
  await page.goto(new URL(file, site).href);
  await page.evaluate(installClient);
  return { page, errors };
}
