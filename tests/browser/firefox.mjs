// The page in Firefox, as far as to know that it works there: the worker, the editor, libraries,
// links. All of it is checked in Chromium (page.mjs), whose driver cannot drive a distribution's
// Firefox; this one speaks WebDriver BiDi with it.
//
//   node firefox.mjs SITE_URL [PICTURE.png]
//
// Settings: FIREFOX (default /usr/bin/firefox-esr), SKIP as in run.mjs.

import assert from "node:assert/strict";
import puppeteer from "puppeteer-core";
import { contains } from "./client.mjs";

const [site, picture] = process.argv.slice(2);
if (!site) {
  console.error("usage: node firefox.mjs SITE_URL [PICTURE.png]");
  process.exit(2);
}
const skip = new Set((process.env.SKIP ?? "").split(","));
const LONG = { timeout: 90000 };

let [passed, failed] = [0, 0];
async function check(name, body, libraries = []) {
  if (libraries.some((library) => skip.has(library))) return console.log(`skip  ${name}`);
  try {
    await body();
    passed++;
    console.log(`ok    ${name}`);
  } catch (error) {
    failed++;
    console.log(`FAIL  ${name}\n      ${String(error.message).replaceAll("\n", "\n      ")}`);
  }
}

const browser = await puppeteer.launch({
  browser: "firefox",
  executablePath: process.env.FIREFOX ?? "/usr/bin/firefox-esr",
  headless: true,
  ...LONG,
});
const page = await browser.newPage();
await page.setViewport({ width: 1100, height: 760 });
const problems = [];
page.on("pageerror", (error) => problems.push(String(error)));

const inside = (selector) => page.waitForSelector(`jtw-repl >>> ${selector}`, LONG);
const text = async (selector) => (await inside(selector)).evaluate((element) => element.innerText);
const cellIs = (...states) =>
  page.waitForFunction((states) => {
    const cell = document.querySelector("jtw-repl")?.shadowRoot.querySelector(".cell");
    return states.includes(cell?.dataset.state);
  }, LONG, states);
const chord = async (modifier, key) => {
  await page.keyboard.down(modifier);
  await page.keyboard.press(key);
  await page.keyboard.up(modifier);
};

async function write(code) {
  await (await inside(".cm-content")).click();
  await chord("Control", "a");
  await page.keyboard.press("Backspace");
  await page.keyboard.type(code, { delay: 5 });
}

async function run(code) {
  await write(code);
  await page.keyboard.press("Escape");
  await chord("Control", "Enter");
  await cellIs("done", "failed", "stopped");
  return text(".output");
}

await check("firefox: the page becomes ready", async () => {
  await page.goto(site);
  await page.waitForFunction(() => ["ready", "failed"].includes(document.body.dataset.state), LONG);
  assert.equal(await page.evaluate(() => document.body.dataset.state), "ready");
});

await check("firefox: it evaluates, and marks errors", async () => {
  contains(await run("let x = 6 * 7;;"), "val x : int = 42");
  contains(await run("x + true;;"), "expected of type");
  await inside(".cm-lintRange-error");
});

await check("firefox: completions come as one types", async () => {
  await write("List.conc");
  contains(await text("[role=option]"), "concat");
  await new Promise((resolve) => setTimeout(resolve, 200));
  await page.keyboard.press("Enter");
  assert.equal(await text(".cm-line"), "List.concat");
});

await check("firefox: a package is loaded by a click", async () => {
  const load = await page.waitForSelector('jtw-packages >>> [aria-label="Load str"]', LONG);
  await load.evaluate((button) => button.scrollIntoView());
  await load.click();
  await inside(".libraries li:not(.absent)");
  contains(await run('Str.split (Str.regexp ",") "a,b"'), '["a"; "b"]');
}, ["str"]);

await check("firefox: pictures are shown, documents are in their frame", async () => {
  await run(`Mime_printer.push "image/svg+xml" "<svg xmlns='http://www.w3.org/2000/svg' width='40' height='20'/>"`);
  assert.equal(await (await inside(".output img")).evaluate((image) => image.decode().then(() => image.naturalWidth)), 40);
  await run(`Mime_printer.push "text/html" "<p style='height: 99px'>document"`);
  const frame = await inside(".output iframe");
  await page.waitForFunction((frame) => frame.offsetHeight > 110, LONG, frame);
});

await check("firefox: a program that does not end is stopped", async () => {
  contains(await run("let kept = 1;;"), "val kept");
  await write("while true do () done");
  await page.keyboard.press("Escape");
  await chord("Control", "Enter");
  await cellIs("running");
  await (await inside(".cell .run")).click();
  await cellIs("stopped");
  await page.waitForFunction(() => document.body.dataset.state === "ready", LONG);
  contains(await run("kept + 1"), "- : int = 2");
});

await check("firefox: a link can be made and read", async () => {
  const document = { cells: ["let é = 1;;"], requires: ["str"], index: null };
  const found = await page.evaluate(async (document) => {
    const { fromFragment, toFragment } = await import("./share.mjs");
    return fromFragment(await toFragment(document));
  }, document);
  assert.deepEqual(found, document);
});

await check("firefox: no errors in the page", async () => assert.deepEqual(problems, []));

if (picture) await page.screenshot({ path: picture });
await browser.close();
console.log(`\n${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
