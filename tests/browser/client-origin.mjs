// Another origin than the site's, as somebody's own page has: a page that has loaded the client
// library from the site, and workers that do what the real one never does.

import { createServer } from "node:http";

// A worker that answers as its address says, `worker.js?behaviour`.
const STUB = `
const behaviour = new URL("WORKER_URL").search.slice(1);
const say = (message) => postMessage(JSON.stringify(message));
onmessage = ({ data }) => {
  const { type, cell_id, env_id } = JSON.parse(data);
  if (behaviour === "mute") return;
  if (type === "init") return say({ type: "ready" });
  // As upstream's: no word of which environment, and no list of them.
  if (type === "list_envs") return say({ type: "init_error", message: "Unknown message type: list_envs" });
  if (type === "create_env" && env_id === "bad") return say({ type: "init_error", message: "no" });
  if (type === "create_env") {
    return setTimeout(() => say({ type: "env_created", env_id }), env_id === "slow" ? 300 : 0);
  }
  if (type === "destroy_env") return say({ type: "env_destroyed", env_id });
  if (behaviour === "crash" && cell_id === 1) throw new Error("out of control");
  if (behaviour === "stream") {
    say({ type: "stream", cell_id, stdout: "a\\n" });
    say({ type: "stream", cell_id, stderr: "b" });
    say({ type: "progress", cell_id, library: "l", done: 1, total: 2 });
    say({ type: "news", about: cell_id });
  }
  if (behaviour === "stream") postMessage("{not json");
  const end = { type: "output", cell_id, stdout: "", stderr: "", caml_ppf: "whole", mime_vals: [] };
  // The source is "é" and three bytes more.
  const [loc_start, loc_end] = [2, 5].map((pos_cnum) => ({ pos_cnum, pos_lnum: 1, pos_bol: 0 }));
  if (behaviour === "stream") end.errors = [{ kind: "error", loc: { loc_start, loc_end }, main: "m", sub: [], source: "typer" }];
  say(end);
};
`;

const PAGE = "<!doctype html><html lang=en><meta charset=utf-8><title>Another origin</title>";

/** Serves `pages` (address to HTML), an empty page at `/`, and the stub; `url` is the origin. */
export async function otherOrigin(pages = {}) {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, "http://x/");
    const send = (type, text, status = 200) => {
      response.writeHead(status, { "content-type": type });
      response.end(text);
    };
    const itself = `http://${request.headers.host}${request.url}`;
    if (pages[pathname] !== undefined) send("text/html", pages[pathname]);
    else if (pathname === "/") send("text/html", PAGE);
    else if (pathname === "/stub/worker.js") send("text/javascript", STUB.replace("WORKER_URL", itself));
    else if (pathname === "/not-json") send("application/json", "<p>");
    else if (pathname === "/no-compiler") send("application/json", "{}");
    else if (pathname === "/hanging") return; // never answered
    else send("text/plain", "", 404);
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${server.address().port}/`, close };
}

/** A page of the other origin in which `lib` is the library, and `failure(promise)` what it rejects with. */
export async function openElsewhere(context, origin, site) {
  const page = await context.newPage();
  const errors = [];
  page.on("pageerror", (e) => errors.push(String(e)));
  await page.goto(origin.url);
  await page.evaluate(async (address) => {
    window.lib = await import(address);
    window.failure = (promise) =>
      promise.then(
        (value) => ({ value }),
        (e) => ({ name: e.name, message: e.message, isOurs: e instanceof lib.OcamlWorkerError, ...e }),
      );
  }, new URL("client/jtw-client.mjs", site).href);
  return { page, errors };
}
