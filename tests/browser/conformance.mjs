// Checks that a toplevel worker keeps the protocol, whoever built it.
//
//   node conformance.mjs WORKER_URL INDEX_URL [--contract] [--library NAME]
//
// WORKER_URL: the worker's script; INDEX_URL: a findlib index for it, on the same origin. Its
// client was written from the protocol's description (book/src/reference/protocol.md) and is not
// the one that sites ship. --contract: only what every worker must do, without jtwbuild's
// additions. NAME: a library of the index to require, `str` unless given. Setting: CHROMIUM
// (default /usr/bin/chromium).

import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { additions } from "./conformance/additions.mjs";
import { contract } from "./conformance/contract.mjs";

/** Runs the suite in `context`, a browser's; `check(name, body)` runs and counts one check. */
export async function conform(context, { workerUrl, indexUrl, library = "str", contractOnly = false }, check) {
  const page = await context.newPage();
  const problems = [];
  const broken = [];
  page.on("pageerror", (e) => broken.push(String(e)));
  const index = await (await page.goto(indexUrl.href)).json();
  const plain = { findlib_index: indexUrl.pathname, stdlib_dcs: "lib/ocaml/dynamic_cmis.json" };
  const suite = { page, workerUrl, indexUrl, index, plain, library, problems, check };
  await contract(suite);
  if (!contractOnly) await additions(suite);
  await check("§2 every message had its fields, of their types", async () => assert.deepEqual(problems, []));
  await check("nothing failed in the page", async () => assert.deepEqual(broken, []));
  await page.close();
}

async function main() {
  const usage = "usage: node conformance.mjs WORKER_URL INDEX_URL [--contract] [--library NAME]";
  let workerUrl, indexUrl, values;
  try {
    const args = parseArgs({
      allowPositionals: true,
      options: { contract: { type: "boolean" }, library: { type: "string" } },
    });
    [workerUrl, indexUrl] = args.positionals.map((text) => new URL(text));
    values = args.values;
    if (args.positionals.length !== 2) throw new Error("WORKER_URL and INDEX_URL are needed");
  } catch (error) {
    console.error(`${error.message}\n${usage}`);
    process.exit(2);
  }
  let passed = 0;
  let failed = 0;
  const check = async (name, body) => {
    try {
      await body();
      passed++;
      console.log(`ok    ${name}`);
    } catch (error) {
      failed++;
      console.log(`FAIL  ${name}\n      ${String(error.message).replaceAll("\n", "\n      ")}`);
    }
  };
  const { launch } = await import("./client.mjs");
  const browser = await launch();
  await conform(
    await browser.newContext(),
    { workerUrl: workerUrl.href, indexUrl, library: values.library, contractOnly: values.contract },
    check,
  );
  await browser.close();
  console.log(`\n${passed} passed, ${failed} failed`);
  process.exit(failed === 0 ? 0 : 1);
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) await main();
