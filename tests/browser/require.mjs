// Requires every library of a built universe in headless Chromium, each in a fresh worker.
//
//   node require.mjs SITE_URL INDEX_PATH [--json FILE] [--side-by-side N] [--expect PATTERN=REASON]...
//
// Reads the site's universe.json, and says for each findlib library of each package: whether
// `#require` succeeds, how long it takes and how many bytes it fetches (its dependencies
// included, the worker's own start not), which C primitives the worker says are missing, and
// whether every interface of the library's directory can be read together with those that it
// refers to. A library may fail without failing the run when an `--expect` names it (`*` stands
// for anything). Exit code 1: something else failed; 2: usage.

import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { launch, locate, openPage } from "./client.mjs";

const usage = (problem) => {
  console.error(`${problem}\nusage: node require.mjs SITE_URL INDEX_PATH [--json FILE] [--side-by-side N] [--expect PATTERN=REASON]...`);
  process.exit(2);
};
let options;
try {
  options = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: "string" },
      "side-by-side": { type: "string", default: "2" },
      expect: { type: "string", multiple: true, default: [] },
    },
  });
} catch (error) {
  usage(error.message);
}
const { values, positionals } = options;
if (positionals.length !== 2) usage("SITE_URL and INDEX_PATH are needed");
const [site, indexPath] = [new URL(positionals[0]), positionals[1]];
const pages = Number(values["side-by-side"]);
if (!(Number.isInteger(pages) && pages > 0)) usage("--side-by-side needs a positive number");
const expectations = values.expect.map((text) => {
  const at = text.indexOf("=");
  if (at < 1) usage(`--expect ${text}: no reason is given`);
  const words = text.slice(0, at).split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
  return { pattern: text.slice(0, at), reason: text.slice(at + 1), matches: new RegExp(`^${words.join(".*")}$`) };
});

// Time for one answer: enough for the largest library on a busy machine.
const patience = 180000;

// Put before the worker's own script: tells what the worker has fetched, which the page cannot see.
const ahead = `performance.setResourceTimingBufferSize(100000);
addEventListener("message", (event) => {
  if (event.data !== "jtw-fetched") return;
  event.stopImmediatePropagation();
  const entries = performance.getEntriesByType("resource");
  postMessage(JSON.stringify({ type: "fetched", entries: entries.map((e) => [e.name, e.encodedBodySize]) }));
});`;

const universe = await (await fetch(new URL("universe.json", site))).json();
const { index, indexUrl, workerUrl, plain } = await locate(site, indexPath);
// The universe's index, without the bundle of descriptions: which of them were read tells where a
// library's interfaces are.
const metas = index.meta_files.map((path) => new URL(path, indexUrl).href);
const unbundled = { ...index, meta_files: metas, metas, jtw_bundle: undefined };
plain.findlib_index = `data:application/json,${encodeURIComponent(JSON.stringify(unbundled))}`;

// Runs in the page: one library in a worker of its own.
async function requireOne({ library, workerUrl, plain, ahead, patience }) {
  const client = window.startClient(workerUrl, { ahead, patience });
  const fetched = async () => {
    const answer = client.until((m) => m.type === "fetched");
    client.raw("jtw-fetched");
    return (await answer).entries;
  };
  try {
    const began = performance.now();
    const ready = await client.init(plain);
    if (ready.type !== "ready") return { error: ready.message };
    const before = await fetched();
    const asked = performance.now();
    const answer = await client.eval(`#require ${JSON.stringify(library)};;`);
    const done = performance.now();
    const after = (await fetched()).slice(before.length);
    const result = {
      start: asked - began,
      ms: done - asked,
      bytes: after.reduce((sum, [, bytes]) => sum + bytes, 0),
      requests: after.length,
      modules: 0,
      said: answer.type === "output" ? (answer.stdout + answer.stderr).trim() : answer.message,
      unreadable: [],
    };
    // The library's own description comes last: its dependencies are loaded before it.
    const own = after.findLast(([url]) => url.endsWith("/dynamic_cmis.json"));
    if (own) {
      const modules = (await (await fetch(own[0])).json()).dcs_toplevel_modules;
      result.modules = modules.length;
      for (const module of modules) {
        const name = module[0].toUpperCase() + module.slice(1);
        // Reads the interface, and runs nothing. It may say that the module is deprecated.
        const { phrases, stderr } = await client.eval(`let open ${name} in ();;`);
        if (phrases.length === 0) result.unreadable.push({ module: name, error: stderr.trim() });
      }
    }
    return result;
  } catch (error) {
    return { error: String(error.message ?? error) };
  } finally {
    client.end();
  }
}

// `Note: library "unix" works only in part, nothing here provides its C primitives a, b and 80 more.`
const note = /^Note: library "[^"]*" works only in part, nothing here provides its C primitives (.*)\.$/;

function judge(result) {
  if (result.error !== undefined) return { outcome: "failed", error: result.error };
  const lines = result.said === "" ? [] : result.said.split("\n");
  const partial = lines.length === 1 && lines[0].match(note);
  if (partial) return { outcome: "partial", missing: partial[1] };
  if (lines.length > 0) return { outcome: "failed", error: result.said };
  if (result.unreadable.length > 0) {
    const { module, error } = result.unreadable[0];
    return { outcome: "failed", error: `${result.unreadable.length} of ${result.modules} interfaces, first ${module}: ${error}` };
  }
  return { outcome: "ok" };
}

const wanted = universe.packages.flatMap((p) =>
  p.libraries.map((l) => ({ package: p.name, version: p.version, library: l.name })),
);
const results = new Array(wanted.length);
const began = performance.now();
const browser = await launch();
const context = await browser.newContext();
let next = 0;
const indent = (text) => text.replaceAll("\n", "\n          ");
async function work() {
  const { page } = await openPage(context, site);
  for (let at = next++; at < wanted.length; at = next++) {
    const one = wanted[at];
    const raw = await page.evaluate(requireOne, { library: one.library, workerUrl, plain, ahead, patience });
    const { said, error, unreadable, ...figures } = raw;
    const result = { ...one, ...judge(raw), ...figures };
    if (unreadable?.length > 0) result.unreadable = unreadable;
    const expected = result.outcome === "failed" && expectations.find((e) => e.matches.test(one.library));
    if (expected) Object.assign(result, { outcome: "expected", reason: expected.reason });
    results[at] = result;
    const sizes = result.ms === undefined ? "" : `${Math.round(result.ms)} ms, ${result.bytes} bytes, ${result.modules} interfaces`;
    console.log(`${result.outcome.padEnd(8)}  ${one.library} (${one.package}.${one.version}): ${sizes}`);
    if (result.reason) console.log(`          expected: ${result.reason}`);
    if (result.error) console.log(`          ${indent(result.error)}`);
    if (result.missing) console.log(`          without the primitives ${result.missing}`);
  }
}
await Promise.all(Array.from({ length: pages }, work));
await browser.close();

const count = (outcome) => results.filter((r) => r.outcome === outcome).length;
const seconds = (performance.now() - began) / 1000;
if (values.json) {
  const text = JSON.stringify({ universe: universe.name, site: site.href, seconds, libraries: results }, null, 2);
  writeFileSync(values.json, `${text}\n`);
}
console.log(
  `\n${universe.packages.length} packages, ${results.length} libraries in ${seconds.toFixed(1)} s: ` +
    `${count("ok")} ok, ${count("partial")} in part, ${count("expected")} expected to fail, ${count("failed")} failed`,
);
process.exit(count("failed") === 0 ? 0 : 1);
