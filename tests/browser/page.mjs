// The page in Chromium, used as a visitor uses it.

import assert from "node:assert/strict";
import { contains } from "./client.mjs";

/** A `screenshot` is the name of a file to write; `skip` holds libraries that are not there. */
export async function checkPage({ check, context, site, indexUrl, skip, screenshot }) {
  const repl = await context.newPage();
  const consoleErrors = [];
  repl.on("pageerror", (e) => consoleErrors.push(String(e)));
  repl.on("console", (m) => {
    if (m.type() === "error") consoleErrors.push(m.text());
  });
  await repl.setViewportSize({ width: 1100, height: 760 });

  const input = repl.locator("#input");
  const lastEntry = repl.locator("#transcript .entry").last();
  const ready = () => repl.waitForFunction(() => document.body.dataset.state === "ready", null, { timeout: 60000 });
  async function type(code, expected) {
    await input.fill(code);
    await input.press("Enter");
    await ready();
    contains(await lastEntry.innerText(), expected);
  }

  await check("page: becomes ready and lists the universe's packages", async () => {
    await repl.goto(new URL(`./?index=${encodeURIComponent(indexUrl.pathname)}`, site).href);
    await repl.waitForFunction(() => document.body.dataset.state !== "loading", null, { timeout: 60000 });
    assert.equal(await repl.evaluate(() => document.body.dataset.state), "ready");
    await repl.locator("#packages .row").first().waitFor();
  });

  await check("page: without ?index= it finds universe.json", async () => {
    await repl.goto(site.href);
    await repl.waitForFunction(() => document.body.dataset.state !== "loading", null, { timeout: 60000 });
    assert.equal(await repl.evaluate(() => document.body.dataset.state), "ready");
  });

  await check("page: evaluates what is typed", async () => type("1 + 2;;", "- : int = 3"));

  await check("page: Enter without ;; starts a new line", async () => {
    await input.fill("let square x =");
    await input.press("Enter");
    await input.pressSequentially("x * x;;");
    await input.press("Enter");
    await ready();
    contains(await lastEntry.innerText(), "val square : int -> int = <fun>");
  });

  await check("page: a type error is marked as one", async () => {
    await type('square "x";;', "^^^");
    assert.equal(await lastEntry.locator(".error").count(), 1);
  });

  await check("page: a package is required by a click", async () => {
    await repl.locator("#packages").getByRole("button", { name: "Load fmt", exact: true }).click();
    await repl.keyboard.press("Enter");
    await ready();
    assert.equal(await repl.locator('#packages .row[data-package="fmt"] .mark.loaded').count(), 1);
    await type('Fmt.str "%a" Fmt.(list ~sep:(any " + ") int) [1; 2; 3];;', '"1 + 2 + 3"');
  }, ["fmt"]);

  await check("page: history", async () => {
    await input.press("ArrowUp");
    assert.ok((await input.inputValue()).length > 0);
    await input.press("ArrowDown");
    assert.equal(await input.inputValue(), "");
  });

  await check("page: completion with Tab", async () => {
    await input.fill("List.conc");
    await input.press("Tab");
    await repl.locator("#completions [role=option]").first().waitFor();
    await input.press("Enter");
    contains(await input.inputValue(), "List.concat");
    await input.fill("");
  });

  await check("page: completion counts what comes before it rightly", async () => {
    await input.fill('"😀é" ^ String.escap');
    await input.press("Tab");
    await repl.waitForFunction(() => document.getElementById("input").value.endsWith("escaped"));
    assert.equal(await input.inputValue(), '"😀é" ^ String.escaped');
    await input.fill("");
  });

  await check("page: what a program prints is seen while it runs, once", async () => {
    await input.fill('print_endline "early"; flush stdout; let t = Sys.time () in while Sys.time () -. t < 2. do () done;;');
    await input.press("Enter");
    await lastEntry.locator(".live", { hasText: "early" }).waitFor({ timeout: 60000 });
    assert.equal(await repl.evaluate(() => document.body.dataset.state), "running");
    await ready();
    assert.equal(await lastEntry.locator(".printed").count(), 1);
    assert.equal(await lastEntry.locator(".live").count(), 0);
  });

  await check("page: pictures are shown, and markup is text", async () => {
    const svg = "<svg xmlns='http://www.w3.org/2000/svg' width='40' height='20'><circle cx='9' cy='9' r='9'/></svg>";
    await type(`Mime_printer.push "image/svg+xml" "${svg}";; Mime_printer.push "text/html" "<b id='b'>bold</b>";;`, "<b id='b'>");
    const picture = lastEntry.locator("img");
    await picture.evaluate((image) => image.decode());
    assert.deepEqual(await picture.evaluate((image) => [image.naturalWidth, image.naturalHeight]), [40, 20]);
    assert.equal(await repl.locator("#b").count(), 0);
  });

  const endless = async () => {
    await input.fill("while true do () done;;");
    await input.press("Enter");
    await repl.locator("#stop").click();
  };
  const note = repl.locator("#transcript .note").last();

  await check("page: a program that does not end can be stopped, and what was defined is there again", async () => {
    await type("let kept = 12;;", "val kept : int = 12");
    await endless();
    await ready();
    contains(await note.innerText(), "is there again");
    await type("kept;;", "- : int = 12");
  });

  await check("page: stopped once more while definitions are made again, it starts afresh", async () => {
    await type("let t = Sys.time () in while Sys.time () -. t < 3. do () done;;", "- : unit = ()");
    await endless();
    await repl.locator("#stop").click();
    await ready();
    contains(await note.innerText(), "starts afresh");
    await type("kept;;", "Unbound value kept");
    assert.equal(await repl.locator("#stop").isVisible(), false);
  });

  await check("page: an index that is not there gives a readable error", async () => {
    const lost = await context.newPage();
    await lost.goto(new URL("./?index=/no/such/findlib_index.json", site).href);
    await lost.waitForFunction(() => document.body.dataset.state === "failed", null, { timeout: 60000 });
    contains(await lost.locator(".problem").innerText(), "/no/such/findlib_index.json");
    await lost.close();
  });

  await check("page: without the mouse", async () => {
    await input.focus();
    await input.fill("abc");
    await input.press("Escape");
    await input.press("Tab");
    assert.notEqual(await repl.evaluate(() => document.activeElement.id), "input");
    await input.fill("");
  });

  await check("page: no errors in the console", async () => assert.deepEqual(consoleErrors, []));

  // A session worth looking at: the book's picture.
  if (screenshot) {
    await repl.goto(site.href);
    await ready();
    const session = [
      ["let primes = [2; 3; 5; 7; 11];;", "int list"],
      ["List.map (fun p -> p * p) primes |> List.fold_left (+) 0;;", "208"],
      ['1 + "two";;', "^^^"],
      ...(skip.has("fmt") ? [] : [['#require "fmt";;', ""], ['Fmt.str "%a" Fmt.(list ~sep:(any " · ") int) primes;;', "11"]]),
      ...(skip.has("zarith") ? [] : [['#require "zarith";;', ""], ["Z.(to_string (fac 30));;", "265252859812191058636308480000000"]]),
    ];
    for (const [code, expected] of session) await type(code, expected);
    await repl.screenshot({ path: screenshot });
  }
}
