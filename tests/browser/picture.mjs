// Runs a session in the page of a site and takes a picture of it.
//
//   node picture.mjs SITE_URL SESSION PICTURE.png
//
// SESSION is OCaml; an empty line begins another cell. Exit code 1 when the page marks an answer
// as an error.

import { readFileSync } from "node:fs";
import { launch } from "./client.mjs";
import { open } from "./page/use.mjs";

const [site, session, picture] = process.argv.slice(2);
if (!picture) {
  console.error("usage: node picture.mjs SITE_URL SESSION PICTURE.png");
  process.exit(2);
}
const browser = await launch();
const { page, repl } = await open(await browser.newContext(), site);
await page.setViewportSize({ width: 1100, height: 900 });
const cells = readFileSync(session, "utf8").trim().split(/\n{2,}/);
for (const [at, code] of cells.entries()) {
  await repl.run(code, at);
  if (at + 1 < cells.length) await page.getByRole("button", { name: "New cell", exact: true }).click();
}
await page.evaluate(() => {
  document.activeElement?.shadowRoot?.activeElement?.blur();
  scrollTo(0, 0);
});
await page.screenshot({ path: picture });
const errors = await repl.element.locator(".output .error").allInnerTexts();
await browser.close();
for (const error of errors) console.error(error);
process.exit(errors.length === 0 ? 0 : 1);
