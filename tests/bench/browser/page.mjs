// Measures the first answer of a site's page in headless Chromium: from a new browser to the value of
// a phrase that is run as soon as the editor is there.
//
//   node page.mjs SITE_URL [ROUNDS]
//
// CPU is what the page's own renderer took, with all its threads, the worker's among them. The browser
// has renderers for its own surface besides, which are shown apart. Prints a line for each round, and
// the medians.

import { launch } from "../../browser/client.mjs";

const [site, rounds = "7"] = process.argv.slice(2);
if (!site) {
  console.error("usage: node page.mjs SITE_URL [ROUNDS]");
  process.exit(2);
}

const median = (numbers) => {
  const sorted = numbers.toSorted((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
};

/** CPU seconds of each renderer so far, by its number. */
async function renderers(session) {
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  return new Map(processInfo.filter(({ type }) => type === "renderer").map(({ id, cpuTime }) => [id, cpuTime]));
}

const found = [];
for (let round = 0; round < Number(rounds); round++) {
  const browser = await launch();
  const session = await browser.newBrowserCDPSession();
  const page = await (await browser.newContext()).newPage();
  const before = await renderers(session);
  const begun = performance.now();
  await page.goto(site);
  await page.locator(".cm-content").first().click();
  await page.keyboard.insertText("1 + 1;;");
  await page.keyboard.press("Control+Enter");
  await page.getByText("- : int = 2").first().waitFor();
  const wall = performance.now() - begun;
  const after = await renderers(session);
  // The page's is the one that worked most: the others show an empty window.
  const [cpu, ...others] = [...after].map(([id, time]) => time - (before.get(id) ?? 0)).sort((a, b) => b - a);
  const rest = others.reduce((sum, time) => sum + time, 0);
  console.log(`wall ${wall.toFixed(0)} ms, CPU ${cpu.toFixed(2)} s; the browser's own renderers ${rest.toFixed(2)} s`);
  found.push({ wall, cpu });
  await browser.close();
}
console.log(`median: wall ${median(found.map(({ wall }) => wall)).toFixed(0)} ms, CPU ${median(found.map(({ cpu }) => cpu)).toFixed(2)} s`);
