// Checks what the worker asks a server for: how often, and what it does about bundles that are
// missing, damaged, or not there at all because the site is older.

import assert from "node:assert/strict";
import { contains, locate, openPage } from "./client.mjs";

// Put before the worker's own script: tells what was asked for, and whether a copy was at hand.
const ahead = `addEventListener("message", (event) => {
  if (event.data !== "jtw-fetched") return;
  event.stopImmediatePropagation();
  const entries = performance.getEntriesByType("resource");
  postMessage(JSON.stringify({ type: "fetched", entries: entries.map((e) => [e.name, e.transferSize]) }));
});`;

// Runs in the page: evaluates cells in a new worker.
async function evaluate({ workerUrl, init, cells, ahead }) {
  const client = window.startClient(workerUrl, { ahead });
  try {
    const steps = [];
    let known = 0;
    const step = async (answer) => {
      const fetched = client.until((m) => m.type === "fetched");
      client.raw("jtw-fetched");
      const { entries } = await fetched;
      const seen = client.log.filter((m) => m.type === "progress").length;
      steps.push({ ...answer, fetched: entries.slice(known), progress: seen });
      known = entries.length;
    };
    await step(await client.init(init));
    for (const code of cells) await step(await client.eval(code));
    return steps;
  } finally {
    client.end();
  }
}

const BASE = '#require "base";; open Base;; List.map ~f:(fun x -> x + 1) [1; 2];;';
const FMT = '#require "fmt";; Fmt.str "%d" 42;;';

export async function checkFetching({ check, context, site, indexPath }) {
  const { index, indexUrl, workerUrl, plain } = await locate(site, indexPath);
  const { page } = await openPage(context, site);
  const run = (cells, init = plain) => page.evaluate(evaluate, { workerUrl, init, cells, ahead });
  const paths = (step) => step.fetched.map(([url]) => url.replace(site.href, ""));
  const isBundle = (path) => path.endsWith(".bundle");
  /** Answers of the server that match are replaced while `body` runs. */
  const instead = async (pattern, answer, body) => {
    await context.route(pattern, answer);
    try {
      return await body();
    } finally {
      await context.unroute(pattern);
    }
  };
  const changed = (change) => async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: change(await response.body()) });
  };

  await check("fetching: the first answer needs the script, the index, and two files of the standard library", async () => {
    const [init, first] = await run(["1 + 1;;"]);
    assert.equal(first.text, "- : int = 2");
    assert.equal(paths(init).length + paths(first).length, 4, [...paths(init), ...paths(first)].join("\n"));
  });

  await check("fetching: a library is one file of code, one of interfaces, and the descriptions", async () => {
    const [, answer] = await run([FMT]);
    assert.equal(answer.stderr, "");
    contains(answer.text, '"42"');
    // And an interface of the standard library, which is for formats.
    assert.ok(paths(answer).length <= 4, paths(answer).join("\n"));
  }, ["fmt"]);

  await check("fetching: base, which has five libraries, and its first use are 10 requests", async () => {
    const [, answer] = await run([BASE]);
    assert.equal(answer.stderr, "");
    contains(answer.text, "[2; 3]");
    assert.ok(paths(answer).length <= 10, paths(answer).join("\n"));
    assert.equal(answer.progress, 5);
  }, ["base"]);

  await check("fetching: interfaces are asked for one by one as long as that is cheaper than all of them", async () => {
    const [, one, many] = await run([
      "Queue.length;;",
      "Stack.length; Buffer.length; Hashtbl.length; Random.int; Scanf.sscanf; Bytes.length; Digest.string;;",
    ]);
    assert.deepEqual(paths(one).map((path) => path.split("/").at(-1)), ["stdlib__Queue.cmi"]);
    assert.equal(many.stderr.includes("cannot"), false, many.stderr);
    assert.equal(paths(many).filter(isBundle).length, 1, paths(many).join("\n"));
    assert.ok(paths(many).length <= 4, paths(many).join("\n"));
  });

  await check("fetching: what is below a hash is asked for once in a browser's life", async () => {
    await run([FMT]);
    for (const step of await run([FMT])) {
      const again = step.fetched.filter(([url, size]) => /\/[0-9a-f]{32}\//.test(url) && size > 0);
      assert.deepEqual(again, []);
    }
  }, ["fmt"]);

  await check("fetching: a site without bundles does as well", async () => {
    const metas = index.meta_files.map((path) => new URL(path, indexUrl).href);
    const older = { ...index, meta_files: metas, metas, jtw_bundle: undefined };
    const init = { ...plain, findlib_index: `data:application/json,${encodeURIComponent(JSON.stringify(older))}` };
    const without = changed((json) => JSON.stringify({ ...JSON.parse(json), jtw_bundle: undefined }));
    const [, answer] = await instead("**/dynamic_cmis.json", without, () => run([FMT], init));
    assert.equal(answer.stderr, "");
    contains(answer.text, '"42"');
    assert.deepEqual(paths(answer).filter(isBundle), []);
  }, ["fmt"]);

  await check("fetching: addresses that are none are told, and the worker goes on", async () => {
    const [refused, early] = await run(["1;;"], { ...plain, findlib_index: "http://[", findlib_requires: ["fmt"] });
    assert.equal(refused.type, "init_error");
    contains(refused.message, "not a usable URL: http://[");
    assert.equal(early.type, "output");
    const wrong = changed((meta) => `directory = "http://["\n${meta}`);
    const [, answer] = await instead("**/*.bundle", (route) => route.fulfill({ status: 404 }), () =>
      instead("**/fmt/META", wrong, () => run([FMT])));
    contains(answer.stderr, "not a usable URL");
  }, ["fmt"]);

  const damages = [
    ["missing", (route) => route.fulfill({ status: 404 }), "HTTP status 404"],
    ["cut off", changed((bytes) => bytes.subarray(0, bytes.length - 1)), "it is cut off"],
    ["cut off early", changed((bytes) => bytes.subarray(0, 40)), "it is cut off"],
    ["another file", changed(() => "<!doctype html>"), "it is no bundle"],
    ["of one byte more", changed((bytes) => Buffer.concat([bytes, Buffer.from("x")])), "it is damaged"],
    ["changed", changed((bytes) => Buffer.from(bytes.map((byte, at) => (at < 2000 ? byte : byte ^ 1)))), "is damaged"],
  ];
  for (const [what, answer, why] of damages) {
    await check(`fetching: bundles that are ${what} are told, and done without`, async () => {
      const [, first] = await instead("**/*.bundle", answer, () => run([FMT]));
      contains(first.text, '"42"');
      contains(first.stderr, "Its files are fetched one by one.");
      contains(first.stderr, why);
    }, ["fmt"]);
  }

  await check("fetching: requests that come meanwhile are answered in their order", async () => {
    const types = await page.evaluate(async ({ workerUrl, plain, code }) => {
      const client = window.startClient(workerUrl);
      try {
        await client.init(plain);
        const answers = [
          client.eval(code), client.ask("complete", { source: "Fmt.st", position: 6 }), client.eval("1;;"),
        ];
        client.raw("no JSON");
        const refused = client.until((m) => m.type === "init_error");
        const [, completions] = await Promise.all([...answers, refused]);
        const order = client.log.map((m) => m.type).filter((t) => !["progress", "output_at", "ready"].includes(t));
        return [order, completions.completions.entries.map((e) => e.name)];
      } finally {
        client.end();
      }
    }, { workerUrl, plain, code: FMT });
    assert.deepEqual(types[0], ["output", "completions", "output", "init_error"]);
    contains(types[1].join(" "), "str");
  }, ["fmt"]);

  await page.close();
}
