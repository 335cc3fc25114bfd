// The page, used as a visitor uses it: by mouse and keys. What Playwright calls a locator looks
// into shadow roots, so cells are found like anything else.

import assert from "node:assert/strict";
import { contains } from "../client.mjs";

const LONG = 60000; // milliseconds

/** One <jtw-repl> of a page: the only one, or the one of `selector`. */
export class Repl {
  constructor(page, selector = "jtw-repl") {
    this.page = page;
    this.element = page.locator(selector);
  }

  /** The cell of a number, from 0; -1 is the last. */
  cell(number = 0) {
    const cells = this.element.locator(".cell");
    return number < 0 ? cells.last() : cells.nth(number);
  }

  input(number = 0) {
    return this.cell(number).locator(".cm-content");
  }

  output(number = 0) {
    return this.cell(number).locator(".output");
  }

  /** Until the toplevel is there, and nothing runs. */
  async ready() {
    await this.until("ready");
  }

  async until(...states) {
    await this.page.waitForFunction(
      ([element, states]) => states.includes(element.dataset.state), [await this.element.elementHandle(), states], { timeout: LONG },
    );
  }

  /** Puts code into a cell. */
  async write(code, number = 0) {
    await this.input(number).fill(code);
  }

  /** The code of a cell, as it is seen. */
  text(number = 0) {
    return this.input(number).evaluate((content) => [...content.querySelectorAll(".cm-line")].map((line) => line.textContent).join("\n"));
  }

  /** Writes code, runs it by its key, waits for its end, and gives what is shown. */
  async run(code, number = 0) {
    await this.write(code, number);
    await this.input(number).press("Control+Enter");
    await this.ended(number);
    return (await this.output(number).isVisible()) ? this.output(number).innerText() : "";
  }

  async ended(number = 0, ...states) {
    const wanted = states.length > 0 ? states : ["done", "failed", "stopped"];
    const handle = await this.cell(number).elementHandle();
    await this.page.waitForFunction(([cell, wanted]) => wanted.includes(cell.dataset.state), [handle, wanted], { timeout: LONG });
  }

  /** Runs code and checks what it answers. */
  async gives(code, expected, number = 0) {
    contains(await this.run(code, number), expected);
  }
}

/** Asks the list of packages for a library. */
export const load = (page, name) =>
  page.locator("jtw-packages").getByRole("button", { name: `Load ${name}`, exact: true }).click();

/** A page of the site, whose problems are collected. */
export async function open(context, url, { isReady = true } = {}) {
  const page = await context.newPage();
  const problems = [];
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) problems.push(message.text());
  });
  await page.setViewportSize({ width: 1100, height: 760 });
  await page.goto(url);
  const repl = new Repl(page);
  if (isReady) {
    await page.waitForFunction(() => ["ready", "failed"].includes(document.body.dataset.state), null, { timeout: LONG });
    assert.equal(await page.evaluate(() => document.body.dataset.state), "ready");
  }
  return { page, repl, problems };
}
