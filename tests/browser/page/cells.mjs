// Cells: several in one toplevel, what they show, and how they are stopped.

import assert from "node:assert/strict";
import { contains } from "../client.mjs";
import { open } from "./use.mjs";

export async function checkCells({ check, browser, context, site }) {
  const { page, repl, problems } = await open(context, site.href);
  const count = () => repl.element.locator(".cell").count();
  const button = (name) => page.getByRole("button", { name, exact: true });
  const fresh = async () => {
    while ((await count()) > 1) await repl.cell(-1).locator("[aria-label^='Delete']").click();
    await repl.write("");
  };

  await check("cells: Ctrl-Enter runs and stays, Shift-Enter runs and goes on", async () => {
    await repl.gives("let a = 20;;", "val a : int = 20");
    assert.equal(await count(), 1);
    await repl.input().press("Shift+Enter");
    assert.equal(await count(), 2);
    await page.keyboard.type("a + 1"); // the new cell has the focus; the worker adds ;;
    await page.keyboard.press("Shift+Enter");
    await repl.ended(1);
    contains(await repl.output(1).innerText(), "- : int = 21");
    assert.equal(await count(), 3);
    await fresh();
  });

  await check("cells: the answers of all phrases, what is printed, and a number and time", async () => {
    const shown = await repl.run('let x = 1;; print_endline "out";; prerr_endline "err";; x + 1;;');
    const order = ["val x : int = 1", "out", "- : unit = ()", "Printed to stderr", "err", "- : int = 2"].map((part) => shown.indexOf(part));
    assert.deepEqual(order, [...order].sort((one, other) => one - other));
    assert.ok(!order.includes(-1), shown);
    assert.match(await repl.cell().locator(".mark").innerText(), /^\[\d+\] \d/);
  });

  await check("cells: what a program prints is seen while it runs, once", async () => {
    await repl.write('print_endline "early"; let t = Sys.time () in while Sys.time () -. t < 2. do () done;;');
    await repl.input().press("Control+Enter");
    await repl.output().getByText("early").waitFor();
    assert.equal(await repl.cell().getAttribute("data-state"), "running");
    await repl.ended();
    assert.equal((await repl.output().innerText()).split("early").length, 2);
  });

  await check("cells: an error is shown, marked, and leads to its place", async () => {
    const shown = await repl.run('let fine = 1;;\nlet t = "é" in t + 1;;');
    contains(shown, "expected of type");
    assert.equal(await repl.cell().getAttribute("data-state"), "failed");
    assert.equal(await repl.cell().locator(".cm-lintRange-error").first().innerText(), "t");
    await button("Show in the editor").click();
    assert.equal(await page.evaluate(() => getSelection().toString() || "?") !== "", true);
    await page.keyboard.type("7");
    assert.equal(await repl.text(), 'let fine = 1;;\nlet t = "é" in 7 + 1;;');
  });

  await check("cells: exceptions are errors, and the cell runs again", async () => {
    await repl.gives('failwith "no";;', 'Exception: Failure "no"');
    assert.equal(await repl.cell().getAttribute("data-state"), "failed");
    assert.equal(await repl.output().locator(".error").count(), 1);
    await repl.gives("1;;", "- : int = 1");
    assert.equal(await repl.output().locator(".error").count(), 0);
  });

  await check("cells: long output is cut, and it says so", async () => {
    const shown = await repl.run('for _ = 1 to 3000 do print_endline (String.make 99 \'x\') done; print_endline "the end";;');
    contains(shown, "The output is cut here: 200,0"); // 300000 and a few characters, and 100000 are shown
    assert.ok(shown.length < 105000);
    const { inner, outer } = await repl.output().evaluate((output) => ({ inner: output.scrollHeight, outer: output.clientHeight }));
    assert.ok(outer < 600 && inner > outer);
    assert.equal(await repl.output().getAttribute("tabindex"), "0");
  });

  await check("cells: add, move, delete, undo", async () => {
    await fresh();
    await repl.write("1");
    await button("New cell").click();
    await page.keyboard.type("2");
    await page.getByRole("button", { name: "New cell below cell 1" }).click();
    await page.keyboard.type("3");
    const texts = async () => Promise.all([0, 1, 2].map((at) => repl.text(at)));
    assert.deepEqual(await texts(), ["1", "3", "2"]);
    await page.getByRole("button", { name: "Move up: cell 3" }).press("Enter");
    assert.deepEqual(await texts(), ["1", "2", "3"]);
    const focused = await page.evaluate(() => document.activeElement.shadowRoot.activeElement?.getAttribute("aria-label"));
    assert.equal(focused, "Move up: cell 2");
    await page.getByRole("button", { name: "Delete: cell 2" }).press("Enter");
    assert.equal(await count(), 2);
    await button("Undo").click();
    assert.deepEqual(await texts(), ["1", "2", "3"]);
    assert.ok(await page.getByRole("button", { name: "Move up: cell 1" }).isDisabled());
    await fresh();
  });

  await check("cells: run all, in order, in one toplevel", async () => {
    await repl.write("let all = [1];;");
    for (const [at, code] of ["let all = 2 :: all;;", "List.length all;;"].entries()) {
      await button("New cell").click();
      await repl.write(code, at + 1);
    }
    await button("Run all").click();
    await repl.ended(2);
    contains(await repl.output(2).innerText(), "- : int = 2");
    await fresh();
  });

  await check("cells: a program that does not end is stopped, what waits behind it is not run, and what was there is there again", async () => {
    await repl.gives("let kept = 12;;", "val kept : int = 12");
    await repl.write("while true do () done;;");
    await button("New cell").click();
    await repl.write('print_endline "never";;', 1);
    await button("Run all").click();
    await repl.ended(0, "running");
    assert.equal(await repl.cell(1).getAttribute("data-state"), "queued");
    await repl.cell().getByRole("button", { name: "Stop" }).click();
    await repl.ended(0, "stopped");
    await repl.ended(1, "stopped");
    await repl.ready();
    await repl.gives("kept;;", "- : int = 12", 1);
    await fresh();
  });

  await check("cells: stopped once more while definitions are made again, it starts afresh", async () => {
    await repl.gives("let t = Sys.time () in while Sys.time () -. t < 3. do () done;;", "- : unit = ()");
    await repl.write("while true do () done;;");
    await repl.input().press("Control+Enter");
    await repl.ended(0, "running");
    await button("Stop").first().click();
    await repl.until("restarting");
    await button("Stop").first().click();
    await repl.ready();
    await repl.gives("kept;;", "Unbound value kept");
  });

  await check("cells: restart forgets definitions, keeps libraries, and marks answers as old", async () => {
    await repl.gives("let gone = 1;;", "val gone");
    await page.evaluate(() => document.querySelector("jtw-repl").require("str"));
    await button("Restart OCaml").click();
    await repl.element.locator(".output.stale").waitFor();
    await repl.element.locator(".libraries li:not(.absent)").waitFor();
    await repl.ready();
    await repl.gives('Str.global_replace (Str.regexp "a") "b" "banana";;', '"bbnbnb"');
    await repl.gives("gone;;", "Unbound value gone");
  });

  await check("cells: the progress of loads is told", async () => {
    await button("Restart OCaml").click();
    await repl.ready();
    const seen = await page.evaluate(async () => {
      const repl = document.querySelector("jtw-repl");
      const seen = [];
      repl.addEventListener("jtw-state", ({ detail }) => seen.push(detail.status));
      await repl.require("base");
      return seen;
    });
    assert.ok(seen.some((status) => /^Loading [\w.]+ \(\d+ of \d+\)…$/.test(status)), seen.join());
  }, ["base"]);

  await check("cells: a library that is not there is a problem that names it", async () => {
    await page.evaluate(() => document.querySelector("jtw-repl").require("no-such-library"));
    contains(await repl.element.locator(".problem").innerText(), "no-such-library");
    assert.equal(await repl.element.locator(".libraries li", { hasText: "no-such" }).count(), 0);
    await page.evaluate(() => document.querySelector("jtw-repl").require('str";; print_string "'));
    contains(await repl.element.locator(".problem").innerText(), "cannot be the name of a library");
  });

  await check("cells: an index that is not there gives a readable error", async () => {
    const address = new URL("./?index=/no/such/findlib_index.json", site).href;
    const lost = await open(context, address, { isReady: false });
    await lost.repl.until("failed");
    contains(await lost.repl.element.locator(".problem").innerText(), "/no/such/findlib_index.json");
    await lost.repl.gives("1;;", "/no/such/findlib_index.json"); // and so does a cell
    await lost.page.close();
  });

  await check("cells: what could not start is tried again by a button", async () => {
    const poor = await browser.newContext();
    await poor.route("**/universe.json", (route) => route.fulfill({ status: 503 }));
    const late = await open(poor, site.href, { isReady: false });
    await late.repl.until("failed");
    contains(await late.repl.element.locator(".problem").innerText(), "HTTP status 503");
    await poor.unroute("**/universe.json");
    await late.page.getByRole("button", { name: "Try again" }).click();
    await late.repl.ready();
    assert.equal(await late.repl.element.locator(".problem").isVisible(), false);
    await late.repl.gives("1;;", "- : int = 1");
    await poor.close();
  });

  await check("cells: nothing failed behind the scenes", async () => assert.deepEqual(problems, []));
  await page.close();
}
