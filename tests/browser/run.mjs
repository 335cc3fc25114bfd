// Checks a built universe in headless Chromium, from its address alone.
//
//   node run.mjs SITE_URL INDEX_PATH [SCREENSHOT.png]
//   SITE_URL=http://127.0.0.1:8080/ INDEX=u/<hash>/findlib_index.json node run.mjs
//
// First the worker: libraries of this universe, the protocol as conformance.mjs checks it, and
// what is asked of the server (fetching.mjs); then the shipped client library (client-*.mjs), the
// list of packages (packages.mjs) and the page (page.mjs). Further settings: CHROMIUM (default
// /usr/bin/chromium), SKIP (a comma list of libraries that this universe does not hold).

import assert from "node:assert/strict";
import { contains, launch, locate, openPage } from "./client.mjs";
import { checkGuide } from "./client-guide.mjs";
import { checkLibrary } from "./client-library.mjs";
import { checkNode } from "./client-node.mjs";
import { conform } from "./conformance.mjs";
import { checkFetching } from "./fetching.mjs";
import { checkPackages } from "./packages.mjs";
import { checkPage } from "./page.mjs";

const site = new URL(process.argv[2] ?? process.env.SITE_URL ?? "http://127.0.0.1:8080/");
const indexPath = process.argv[3] ?? process.env.INDEX;
const screenshot = process.argv[4] ?? process.env.SCREENSHOT;
const skip = new Set((process.env.SKIP ?? "").split(",").filter(Boolean));
if (!indexPath) {
  console.error("usage: node run.mjs SITE_URL INDEX_PATH [SCREENSHOT.png]");
  process.exit(2);
}

let passed = 0;
let failed = 0;
async function check(name, body, libraries = []) {
  const absent = libraries.find((l) => skip.has(l));
  if (absent) return console.log(`skip  ${name} (no ${absent})`);
  try {
    await body();
    passed++;
    console.log(`ok    ${name}`);
  } catch (error) {
    failed++;
    console.log(`FAIL  ${name}\n      ${String(error.message).replaceAll("\n", "\n      ")}`);
  }
}

const browser = await launch();

// ---- part one: the worker ------------------------------------------------

const context = await browser.newContext();
const { page, errors: pageErrors } = await openPage(context, site);
const { indexUrl, workerUrl, plain } = await locate(site, indexPath);

const start = (name, fields = {}) =>
  page.evaluate(
    async ([name, workerUrl, fields]) => {
      window[name] = window.startClient(workerUrl);
      return window[name].init(fields);
    },
    [name, workerUrl, fields],
  );
const run = (code, env, client = "main") =>
  page.evaluate(([c, code, env]) => window[c].eval(code, env), [client, code, env ?? "default"]);

await check("init with the index's path answers ready", async () => {
  assert.deepEqual(await start("main", plain), { type: "ready" });
});

await check("a unit that is not a visible name of the standard library loads lazily", async () => {
  assert.equal((await run('Scanf.sscanf "7 8" "%d %d" (+);;')).text, "- : int = 15");
});

await check('#require "str"', async () => {
  const r = await run('#require "str";; Str.split (Str.regexp ",") "a,b";;');
  assert.equal(r.stderr, "");
  contains(r.text, '["a"; "b"]');
}, ["str"]);

await check('#require "fmt"', async () => {
  const r = await run('#require "fmt";;\nFmt.str "%d" 42;;');
  assert.equal(r.stderr, "");
  contains(r.text, '- : string = "42"');
}, ["fmt"]);

await check('#require "base"', async () => {
  const r = await run('#require "base";; Base.String.hash "hello";;');
  assert.equal(r.stderr, "");
  contains(r.text, "- : int = 840920576");
}, ["base"]);

await check('#require "zarith": 30!', async () => {
  const r = await run(`#require "zarith";;
    let rec fact n = if n = 0 then Z.one else Z.mul (Z.of_int n) (fact (n - 1));;
    Z.to_string (fact 30);;`);
  assert.equal(r.stderr, "");
  contains(r.text, '"265252859812191058636308480000000"');
}, ["zarith"]);

await check("the worker finds its place without being told, and takes an absolute index", async () => {
  const answer = await page.evaluate(
    ([workerUrl, index]) =>
      new Promise((resolve) => {
        const worker = new Worker(workerUrl);
        worker.onmessage = (e) => resolve(JSON.parse(e.data));
        worker.postMessage(JSON.stringify({ type: "init", findlib_index: index }));
      }),
    [workerUrl, indexUrl.href],
  );
  assert.deepEqual(answer, { type: "ready" });
});

await conform(
  context,
  { workerUrl, indexUrl, library: ["str", "fmt"].find((l) => !skip.has(l)) },
  (name, body) => check(`worker: ${name}`, body),
);

await checkFetching({ check, context, site, indexPath });

await check("nothing failed behind the scenes", async () => assert.deepEqual(pageErrors, []));
await page.close();

// ---- the client library, and the page -----------------------------------------

const shipped = { check, context, site, indexUrl, workerUrl };
await checkLibrary(shipped);
await checkNode(shipped);
await checkGuide(shipped);
await checkPackages({ ...shipped, skip, screenshot });
await checkPage({ ...shipped, skip, screenshot });
await browser.close();

console.log(`\n${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
