// Links and saved work.

import assert from "node:assert/strict";
import { contains } from "../client.mjs";
import { load, open } from "./use.mjs";

export async function checkShare({ check, browser, site, skip }) {
  const context = await browser.newContext({ permissions: ["clipboard-read", "clipboard-write"] });
  const { page, repl, problems } = await open(context, site.href);
  const note = page.locator("#note");
  const library = ["fmt", "str"].find((name) => !skip.has(name));
  const hostile = 'print_string "é😀 </script>\u2028";;\n(* & < > " *)';
  let link;

  await check("share: a button puts the link into the clipboard", async () => {
    await repl.write(hostile);
    await page.getByRole("button", { name: "New cell", exact: true }).click();
    await repl.write("let second = 2;;", 1);
    await load(page, library);
    await repl.element.locator(".libraries li:not(.absent)").waitFor();
    await page.getByRole("button", { name: "Share" }).click();
    await note.waitFor();
    contains(await note.innerText(), "clipboard");
    link = await page.evaluate(() => navigator.clipboard.readText());
    assert.match(link, /#jtw1\.[\w-]+$/);
  });

  await check("share: the link restores cells and libraries in another browser, and runs nothing", async () => {
    const other = await browser.newContext();
    const opened = await open(other, link);
    assert.equal(await opened.repl.text(0), hostile.replace("\u2028", "\u2028"));
    assert.equal(await opened.repl.text(1), "let second = 2;;");
    contains(await opened.page.locator("#note").innerText(), "Read it before you run it");
    await opened.repl.element.locator(".libraries li:not(.absent)", { hasText: library }).waitFor();
    await opened.repl.ready();
    assert.deepEqual(await opened.repl.element.locator(".cell").evaluateAll((cells) => cells.map((cell) => cell.dataset.state)), ["idle", "idle"]);
    await opened.page.getByRole("button", { name: "Run all" }).click();
    await opened.repl.ended(1);
    contains(await opened.repl.output(0).innerText(), "é😀 </script>");
    assert.deepEqual(opened.problems, []);
    await other.close();
  });

  await check("share: work survives a reload; a link has a place of its own", async () => {
    await repl.write("let mine = 1;;");
    await page.waitForTimeout(700);
    await page.reload();
    await repl.ready();
    assert.equal(await repl.text(), "let mine = 1;;");
    await page.goto("about:blank");
    await page.goto(link);
    await repl.ready();
    assert.equal(await repl.text(1), "let second = 2;;");
    await repl.write("let changed = 3;;", 1);
    await page.reload(); // at once: what was typed last is saved when the page goes
    await repl.ready();
    assert.equal(await repl.text(1), "let changed = 3;;");
    await page.goto("about:blank");
    await page.goto(site.href);
    await repl.ready();
    assert.equal(await repl.text(), "let mine = 1;;");
  });

  await check("share: another link in the address line is opened", async () => {
    await page.evaluate((hash) => (location.hash = hash), new URL(link).hash);
    await page.waitForFunction(() => document.querySelector("jtw-repl")?.cells.length === 2);
    await repl.ready();
    assert.equal(await repl.text(1), "let changed = 3;;");
  });

  await check("share: damaged and newer links are told, and do no harm", async () => {
    for (const [hash, words] of [["#jtw1.AAAA", "damaged"], ["#jtw1.%", "damaged"], ["#jtw2.x", "newer version"]]) {
      const opened = await open(await browser.newContext(), new URL(hash, site).href);
      contains(await opened.page.locator("#note").innerText(), words);
      await opened.repl.gives("1;;", "- : int = 1");
      await opened.page.context().close();
    }
  });

  await check("share: a link cannot smuggle code in as a library, nor a foreign index", async () => {
    const hash = await page.evaluate(async () => {
      const { toFragment } = await import("./share.mjs");
      return toFragment({ cells: ["1;;"], requires: ['str";; print_string "hacked', "../x y"], index: "https://example.org/u/0/findlib_index.json" });
    });
    const opened = await open(await browser.newContext(), new URL(hash, site).href);
    assert.equal(await opened.repl.element.locator(".libraries li").count(), 0);
    await opened.repl.gives("1;;", "- : int = 1");
    assert.deepEqual(opened.problems, []);
    await opened.page.context().close();
  });

  await check("share: a link that would be endless is refused", async () => {
    const hash = await page.evaluate(async () => {
      const { toFragment } = await import("./share.mjs");
      return toFragment({ cells: ["x".repeat(1 << 24)], requires: [] });
    });
    const opened = await open(await browser.newContext(), new URL(hash, site).href);
    contains(await opened.page.locator("#note").innerText(), "damaged");
    await opened.page.context().close();
  });

  await check("share: a universe that is gone is told", async () => {
    const hash = await page.evaluate(async () => {
      const { toFragment } = await import("./share.mjs");
      return toFragment({ cells: ["1;;"], requires: [], index: "u/0123456789abcdef/findlib_index.json" });
    });
    const opened = await open(await browser.newContext(), new URL(hash, site).href);
    contains(await opened.page.locator("#note").innerText(), "no longer");
    await opened.repl.gives("1;;", "- : int = 1");
    await opened.page.context().close();
  });

  await check("share: without storage the page works", async () => {
    const poor = await browser.newContext();
    await poor.addInitScript(() => Object.defineProperty(window, "localStorage", { get: () => { throw new Error("forbidden"); } }));
    const opened = await open(poor, site.href);
    await opened.repl.gives("1;;", "- : int = 1");
    await opened.page.waitForTimeout(600);
    await opened.page.getByRole("button", { name: "Theme" }).click();
    assert.deepEqual(opened.problems, []);
    await poor.close();
  });

  await check("share: nothing failed behind the scenes", async () => assert.deepEqual(problems, []));
  await context.close();
}
