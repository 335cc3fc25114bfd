// Checks a built universe in headless Chromium, from its address alone.
//
//   node run.mjs SITE_URL INDEX_PATH [SCREENSHOT.png]
//   SITE_URL=http://127.0.0.1:8080/ INDEX=u/<hash>/findlib_index.json node run.mjs
//
// The first part talks to the worker: libraries of this universe, and the protocol as
// conformance.mjs checks it; the second uses the page. Further settings: CHROMIUM
// (default /usr/bin/chromium), SKIP (a comma list of libraries that this universe does
// not hold).

import assert from "node:assert/strict";
import { launch, locate, openPage } from "./client.mjs";
import { conform } from "./conformance.mjs";

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
const stop = (text, part) => assert.ok(text.includes(part), `${JSON.stringify(part)} not in ${JSON.stringify(text)}`);

await check("init with the index's path answers ready", async () => {
  assert.deepEqual(await start("main", plain), { type: "ready" });
});

await check("a unit that is not a visible name of the standard library loads lazily", async () => {
  assert.equal((await run('Scanf.sscanf "7 8" "%d %d" (+);;')).text, "- : int = 15");
});

await check('#require "str"', async () => {
  const r = await run('#require "str";; Str.split (Str.regexp ",") "a,b";;');
  assert.equal(r.stderr, "");
  stop(r.text, '["a"; "b"]');
}, ["str"]);

await check('#require "fmt"', async () => {
  const r = await run('#require "fmt";;\nFmt.str "%d" 42;;');
  assert.equal(r.stderr, "");
  stop(r.text, '- : string = "42"');
}, ["fmt"]);

await check('#require "base"', async () => {
  const r = await run('#require "base";; Base.String.hash "hello";;');
  assert.equal(r.stderr, "");
  stop(r.text, "- : int = 840920576");
}, ["base"]);

await check('#require "zarith": 30!', async () => {
  const r = await run(`#require "zarith";;
    let rec fact n = if n = 0 then Z.one else Z.mul (Z.of_int n) (fact (n - 1));;
    Z.to_string (fact 30);;`);
  assert.equal(r.stderr, "");
  stop(r.text, '"265252859812191058636308480000000"');
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

await check("nothing failed behind the scenes", async () => assert.deepEqual(pageErrors, []));
await page.close();

// ---- part two: the page ----------------------------------------------------

const repl = await context.newPage();
const consoleErrors = [];
repl.on("pageerror", (e) => consoleErrors.push(String(e)));
repl.on("console", (m) => {
  if (m.type() === "error") consoleErrors.push(m.text());
});
await repl.setViewportSize({ width: 1100, height: 760 });

const input = repl.locator("#input");
const lastEntry = repl.locator("#transcript .entry").last();
async function type(code, expected) {
  await input.fill(code);
  await input.press("Enter");
  await repl.waitForFunction(() => document.body.dataset.state === "ready", null, { timeout: 60000 });
  const text = await lastEntry.innerText();
  stop(text, expected);
}

await check("page: becomes ready and lists the universe's packages", async () => {
  await repl.goto(new URL(`./?index=${encodeURIComponent(indexUrl.pathname)}`, site).href);
  await repl.waitForFunction(() => document.body.dataset.state !== "loading", null, { timeout: 60000 });
  assert.equal(await repl.evaluate(() => document.body.dataset.state), "ready");
  assert.ok((await repl.locator("#packages button").count()) > 0);
});

await check("page: without ?index= it finds universe.json", async () => {
  await repl.goto(site.href);
  await repl.waitForFunction(() => document.body.dataset.state !== "loading", null, { timeout: 60000 });
  assert.equal(await repl.evaluate(() => document.body.dataset.state), "ready");
});

await check("page: evaluates what is typed", async () => type("1 + 2;;", "- : int = 3"));

await check("page: Enter without ;; starts a new line", async () => {
  await input.fill("let square x =");
  await input.press("Enter");
  await input.pressSequentially("x * x;;");
  await input.press("Enter");
  await repl.waitForFunction(() => document.body.dataset.state === "ready");
  stop(await lastEntry.innerText(), "val square : int -> int = <fun>");
});

await check("page: a type error is marked as one", async () => {
  await type('square "x";;', "^^^");
  assert.equal(await lastEntry.locator(".error").count(), 1);
});

await check("page: a package is required by a click", async () => {
  await repl.locator("#packages button", { hasText: /^fmt$/ }).click();
  await repl.keyboard.press("Enter");
  await repl.waitForFunction(() => document.body.dataset.state === "ready");
  await type('Fmt.str "%a" Fmt.(list ~sep:(any " + ") int) [1; 2; 3];;', '"1 + 2 + 3"');
}, ["fmt"]);

await check("page: history", async () => {
  await input.press("ArrowUp");
  assert.ok((await input.inputValue()).length > 0);
  await input.press("ArrowDown");
  assert.equal(await input.inputValue(), "");
});

await check("page: completion with Tab", async () => {
  await input.fill("List.conc");
  await input.press("Tab");
  await repl.locator("#completions [role=option]").first().waitFor();
  await input.press("Enter");
  stop(await input.inputValue(), "List.concat");
  await input.fill("");
});

await check("page: completion counts what comes before it rightly", async () => {
  await input.fill('"😀é" ^ String.escap');
  await input.press("Tab");
  await repl.waitForFunction(() => document.getElementById("input").value.endsWith("escaped"));
  assert.equal(await input.inputValue(), '"😀é" ^ String.escaped');
  await input.fill("");
});

await check("page: a program that does not end can be stopped", async () => {
  await input.fill("while true do () done;;");
  await input.press("Enter");
  await repl.locator("#stop").click();
  await repl.waitForFunction(() => document.body.dataset.state === "ready", null, { timeout: 60000 });
  await type("3 * 4;;", "- : int = 12");
});

await check("page: an index that is not there gives a readable error", async () => {
  const lost = await context.newPage();
  await lost.goto(new URL("./?index=/no/such/findlib_index.json", site).href);
  await lost.waitForFunction(() => document.body.dataset.state === "failed", null, { timeout: 60000 });
  stop(await lost.locator(".problem").innerText(), "/no/such/findlib_index.json");
  await lost.close();
});

await check("page: without the mouse", async () => {
  await input.focus();
  await input.fill("abc");
  await input.press("Escape");
  await input.press("Tab");
  assert.notEqual(await repl.evaluate(() => document.activeElement.id), "input");
  await input.fill("");
});

await check("page: no errors in the console", async () => assert.deepEqual(consoleErrors, []));

// A session worth looking at: the book's picture.
if (screenshot) {
  await repl.goto(site.href);
  await repl.waitForFunction(() => document.body.dataset.state === "ready", null, { timeout: 60000 });
  const session = [
    ["let primes = [2; 3; 5; 7; 11];;", "int list"],
    ["List.map (fun p -> p * p) primes |> List.fold_left (+) 0;;", "208"],
    ['1 + "two";;', "^^^"],
    ...(skip.has("fmt") ? [] : [['#require "fmt";;', ""], ['Fmt.str "%a" Fmt.(list ~sep:(any " · ") int) primes;;', "11"]]),
    ...(skip.has("zarith") ? [] : [['#require "zarith";;', ""], ["Z.(to_string (fac 30));;", "265252859812191058636308480000000"]]),
  ];
  for (const [code, expected] of session) await type(code, expected);
  await repl.screenshot({ path: screenshot });
}
await browser.close();

console.log(`\n${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
