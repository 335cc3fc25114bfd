// Measures what a visitor waits for, in headless Chromium: the first answer of a fresh browser, and
// libraries that are required and used.
//
//   node run.mjs NAME=SITE_URL/INDEX_PATH... [--rounds N] [--latency MS]... [--libraries A,B] [--json FILE]
//
// NAME: a heading, such as `before` and `after`; the sites take turns. Prints Markdown. CPU is what
// the renderer's process took (page and worker are threads of it), bytes are bodies after gzip,
// both from before the page is opened. Each answer is of a new browser, with an empty cache.

import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { launch } from "../../browser/client.mjs";
import { startProxy } from "./proxy.mjs";

// A library, and a phrase that uses it as a beginner would.
const USES = {
  str: 'Str.split (Str.regexp ",") "a,b";;',
  unix: "Unix.gettimeofday ();;",
  astring: 'Astring.String.cuts ~sep:"," "a,b";;',
  fmt: 'Fmt.str "%a" Fmt.(list int) [1; 2];;',
  logs: 'Logs.app (fun m -> m "hello");;',
  re: 'Re.execp (Re.Perl.compile_pat "a+b") "caab";;',
  cmdliner: 'Cmdliner.Arg.(value & opt int 0 & info ["n"]);;',
  yojson: 'Yojson.Basic.(to_string (from_string "[1, 2]"));;',
  zarith: "Z.(to_string (pow (of_int 2) 100));;",
  base: "open Base;; List.map ~f:(fun x -> x + 1) [1; 2];; Map.of_alist_exn (module String) [\"a\", 1];;",
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: "string", default: "5" },
    latency: { type: "string", multiple: true, default: ["0"] },
    libraries: { type: "string", default: Object.keys(USES).join(",") },
    json: { type: "string" },
  },
});
const sites = positionals.map((text) => {
  const [, name, site, index] = text.match(/^([^=]+)=(https?:\/\/[^/]+\/)(.+)$/) ?? [];
  if (!name) {
    console.error("usage: node run.mjs NAME=SITE_URL/INDEX_PATH... [--rounds N] [--latency MS]... [--libraries A,B] [--json FILE]");
    process.exit(2);
  }
  return { name, site, index };
});
const rounds = Number(values.rounds);

const median = (numbers) => {
  const sorted = numbers.toSorted((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
};

/** CPU seconds of all renderers of a browser so far. */
async function rendererSeconds(session) {
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  return processInfo.filter((p) => p.type === "renderer").reduce((sum, p) => sum + p.cpuTime, 0);
}

/** One new browser: opens a page of the site, starts its client, and evaluates cells one by one. */
async function visit(proxy, index, cells) {
  const browser = await launch();
  try {
    const session = await browser.newBrowserCDPSession();
    const page = await (await browser.newContext()).newPage();
    const cpu = await rendererSeconds(session);
    proxy.requests.length = 0;
    const began = performance.now();
    await page.goto(`${proxy.origin}universe.json`);
    const steps = [];
    for (const code of cells) {
      const [first, before, start] = [steps.length === 0, await rendererSeconds(session), performance.now()];
      const answer = await page.evaluate(async ([index, code, first]) => {
        if (first) {
          const { OcamlWorker } = await import(new URL("client/jtw-client.mjs", location.href));
          window.ocaml = await OcamlWorker.create(new URL(index, location.href).href, { timeout: 120000 });
        }
        const { caml_ppf, stderr } = await window.ocaml.eval(code);
        return { caml_ppf, stderr };
      }, [index, code, first]);
      const isFine = answer.stderr === "" || answer.stderr.startsWith("Note: library");
      if (!isFine || answer.caml_ppf === "") throw new Error(`${code}: ${answer.stderr}`);
      // Browsers look for an icon when they like.
      const requests = proxy.requests.splice(0).filter((r) => r.path !== "/favicon.ico");
      steps.push({
        ms: performance.now() - (first ? began : start),
        cpu: ((await rendererSeconds(session)) - (first ? cpu : before)) * 1000,
        requests: requests.length,
        bytes: requests.reduce((sum, r) => sum + r.bytes, 0),
        size: requests.reduce((sum, r) => sum + r.size, 0),
        paths: requests.map((r) => r.path),
      });
    }
    return steps;
  } finally {
    await browser.close();
  }
}

const results = [];
const KINDS = ["ms", "cpu", "requests", "bytes", "size"];
function note(what, site, latency, steps) {
  const step = Object.fromEntries(KINDS.map((kind) => [kind, median(steps.map((s) => s[kind]))]));
  results.push({ what, site, latency, rounds: steps.length, ...step, all: steps });
}

const proxies = new Map();
for (const { name, site } of sites) proxies.set(name, await startProxy(site));

for (const latency of values.latency.map(Number)) {
  for (const proxy of proxies.values()) proxy.latency = latency;
  for (const library of values.libraries.split(",").filter(Boolean)) {
    const seen = new Map(sites.map(({ name }) => [name, []]));
    for (let round = 0; round < rounds; round++) {
      for (const { name, index } of sites) {
        const use = `#require "${library}";; ${USES[library] ?? ""}`;
        seen.get(name).push(await visit(proxies.get(name), index, ["1 + 1;;", use]));
      }
    }
    for (const { name } of sites) {
      note("first answer", name, latency, seen.get(name).map((steps) => steps[0]));
      note(library, name, latency, seen.get(name).map((steps) => steps[1]));
    }
  }
}
for (const proxy of proxies.values()) proxy.close();
if (values.json) writeFileSync(values.json, `${JSON.stringify(results, null, 1)}\n`);

const kilo = (bytes) => `${(bytes / 1000).toFixed(0)} kB`;
const cell = (r) => `${r.requests} | ${kilo(r.bytes)} (${kilo(r.size)}) | ${r.ms.toFixed(0)} ms | ${r.cpu.toFixed(0)} ms`;
for (const latency of values.latency.map(Number)) {
  console.log(`\n${latency} ms to the server, medians\n`);
  console.log(`| | ${sites.map((s) => `${s.name}: requests | bytes (plain) | wall | CPU`).join(" | ")} |`);
  console.log(`|---|${"---|".repeat(sites.length * 4)}`);
  const first = sites.map(({ name }) => {
    const steps = results.filter((r) => r.what === "first answer" && r.site === name && r.latency === latency).flatMap((r) => r.all);
    return cell(Object.fromEntries(KINDS.map((kind) => [kind, median(steps.map((s) => s[kind]))])));
  });
  console.log(`| first answer | ${first.join(" | ")} |`);
  for (const library of values.libraries.split(",").filter(Boolean)) {
    const row = sites.map(({ name }) => cell(results.find((r) => r.what === library && r.site === name && r.latency === latency)));
    console.log(`| ${library} | ${row.join(" | ")} |`);
  }
}
