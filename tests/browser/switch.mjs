// Evaluates phrases in headless Chromium with what `jtwbuild opam` or `opam-all` has written.
//
//   node switch.mjs SITE_URL INDEX_PATH [--stdlib PATH] [--worker PATH] CODE EXPECTED [CODE EXPECTED]...
//
// Each CODE is evaluated in the same worker, in order; EXPECTED has to be part of what the worker
// prints of its values, or of its standard output. An answer on standard error is a failure. The
// worker's address comes from the index (`compiler.worker_url`), or from `--worker`; the standard
// library's description is at PATH below the worker's directory. Exit code 1: something failed;
// 2: usage.

import { parseArgs } from "node:util";
import { launch, openPage } from "./client.mjs";

const usage = (problem) => {
  console.error(`${problem}\nusage: node switch.mjs SITE_URL INDEX_PATH [--stdlib PATH] [--worker PATH] CODE EXPECTED...`);
  process.exit(2);
};
let options;
try {
  options = parseArgs({
    allowPositionals: true,
    options: {
      stdlib: { type: "string", default: "lib/ocaml/dynamic_cmis.json" },
      worker: { type: "string" },
    },
  });
} catch (error) {
  usage(error.message);
}
const [siteUrl, indexPath, ...pairs] = options.positionals;
if (!indexPath || pairs.length === 0 || pairs.length % 2 !== 0) usage("SITE_URL, INDEX_PATH and pairs are needed");
const indexUrl = new URL(indexPath, new URL(siteUrl));
const index = await (await fetch(indexUrl)).json();
const worker = options.values.worker ? new URL(options.values.worker, siteUrl) : new URL(index.compiler.worker_url, indexUrl);

const browser = await launch();
let failed = 0;
try {
  const { page } = await openPage(await browser.newContext(), new URL(siteUrl), indexUrl.href);
  const ready = await page.evaluate(
    ([workerUrl, fields]) => {
      window.main = window.startClient(workerUrl, { patience: 180000 });
      return window.main.init(fields);
    },
    [worker.href, { findlib_index: indexUrl.pathname, stdlib_dcs: options.values.stdlib }],
  );
  if (ready.type !== "ready") throw new Error(`init: ${ready.message}`);
  for (let at = 0; at < pairs.length; at += 2) {
    const [code, expected] = [pairs[at], pairs[at + 1]];
    const answer = await page.evaluate((code) => window.main.eval(code), code);
    const said = `${answer.text ?? ""}\n${answer.stdout ?? ""}`;
    const wrong = answer.type !== "output" ? answer.message : answer.stderr;
    if (wrong || !said.includes(expected)) {
      failed++;
      console.log(`FAIL  ${code}\n      expected ${JSON.stringify(expected)}, got ${JSON.stringify(wrong || said)}`);
    } else {
      console.log(`ok    ${code}`);
    }
  }
} catch (error) {
  failed++;
  console.log(`FAIL  ${error.message}`);
} finally {
  await browser.close();
}
console.log(`${pairs.length / 2 - failed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
