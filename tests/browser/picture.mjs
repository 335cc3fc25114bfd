// Types a session into the page of a site, phrase by phrase, and takes a picture of it.
//
//   node picture.mjs SITE_URL SESSION PICTURE.png
//
// SESSION has one phrase a line. Exit code 1 when the page marks an answer as an error.

import { readFileSync } from "node:fs";
import { launch } from "./client.mjs";

const [site, session, picture] = process.argv.slice(2);
if (!picture) {
  console.error("usage: node picture.mjs SITE_URL SESSION PICTURE.png");
  process.exit(2);
}
const browser = await launch();
const page = await (await browser.newContext()).newPage();
await page.setViewportSize({ width: 1100, height: 900 });
await page.goto(site);
const ready = () => page.waitForFunction(() => document.body.dataset.state === "ready", null, { timeout: 120000 });
await ready();
const input = page.locator("#input");
for (const phrase of readFileSync(session, "utf8").split("\n").filter(Boolean)) {
  await input.fill(phrase);
  await input.press("Enter");
  await ready();
}
await page.screenshot({ path: picture });
const errors = await page.locator("#transcript .error").allInnerTexts();
await browser.close();
for (const error of errors) console.error(error);
process.exit(errors.length === 0 ? 0 : 1);
