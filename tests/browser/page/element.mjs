// <jtw-repl> in pages of another origin; the first is the one of the guide.

import assert from "node:assert/strict";
import { contains } from "../client.mjs";
import { otherOrigin } from "../client-origin.mjs";
import { guide, promised } from "../guide.mjs";
import { Repl } from "./use.mjs";

export async function checkElement({ check, context, site, indexUrl, skip }) {
  const { blocks, policy } = guide("embed", site);
  const [example] = blocks("html");
  const [fragment] = blocks("html,fragment");
  const [program] = blocks("js");
  const styles = blocks("css").join("\n");
  const script = `<script type="module" src="${site.href}jtw-repl.mjs"></script>`;
  const html = (body, head = "") => `<!doctype html><html lang="en"><meta charset="utf-8"><title>x</title>${head}${script}${body}`;
  const origin = await otherOrigin({
    "/example": example,
    "/policy": example.replace("<title>", `<meta http-equiv="Content-Security-Policy" content="${policy}"><title>`),
    "/fragment": html(fragment),
    "/program": html("<jtw-repl></jtw-repl>"),
    "/styled": html(`<jtw-repl>1;;</jtw-repl><jtw-repl theme="dark">2;;</jtw-repl>`,
      `<style>${styles} button { display: none } pre { font-size: 99px !important }</style>`),
    "/several": html(`<jtw-repl id="one">let x = 1;;</jtw-repl><jtw-repl id="two" env="apart">x;;</jtw-repl>
      <jtw-repl id="three" own src="${indexUrl}">x;;</jtw-repl><jtw-repl id="four">x + 1;;</jtw-repl>`),
    "/wrong": html(`<jtw-repl src="/not-json">1;;</jtw-repl><jtw-repl id="two" universe="none">1;;</jtw-repl>`),
  });
  const visit = async (path, isWatched = true) => {
    const page = await context.newPage();
    const problems = [];
    const requests = [];
    page.on("pageerror", (error) => problems.push(String(error)));
    page.on("console", (message) => isWatched && message.type() === "error" && !message.location().url.endsWith("/favicon.ico") && problems.push(message.text()));
    page.on("request", (request) => requests.push(request.url()));
    await page.goto(origin.url + path);
    await page.waitForFunction(() => document.querySelector("jtw-repl").shadowRoot?.querySelector(".cm-content"));
    return { page, problems, requests, end: () => page.close() };
  };
  const nth = (page, at) => new Repl(page, `jtw-repl >> nth=${at}`);

  for (const path of ["example", "policy"]) {
    await check(`element: the guide's page runs, and loads OCaml only when it is used (${path})`, async () => {
      const { page, problems, requests, end } = await visit(path);
      await page.waitForTimeout(300);
      assert.ok(!requests.some((url) => /worker\.js|universe\.json/.test(url)), requests.join());
      await nth(page, 0).cell().getByRole("button", { name: "Run" }).click();
      await nth(page, 0).ended();
      contains(await nth(page, 0).output().innerText(), "val squares : int list = [1; 4; 9]");
      await nth(page, 1).input().press("Shift+Enter");
      await nth(page, 1).ended();
      contains(await nth(page, 1).output().innerText(), "- : int = 14");
      assert.equal(page.workers().length, 1);
      const svg = `Mime_printer.push "image/svg+xml" "<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>";;`;
      await nth(page, 1).run(`${svg} Mime_printer.push "text/html" "<p style='color:red' id=in>shut in</p>";;`, 1 - 1);
      assert.equal(await nth(page, 1).output().locator("img").evaluate((image) => image.decode().then(() => image.naturalWidth)), 9);
      await nth(page, 1).output().frameLocator("iframe").locator("#in").waitFor();
      // The frame has a policy, too, which the one of the page makes narrower: it says so.
      assert.deepEqual(problems.filter((text) => !/inline style/.test(text)), []);
      await end();
    });
  }

  await check("element: focus loads OCaml; then completion and errors work as in the page", async () => {
    const { page, problems, end } = await visit("example");
    const repl = nth(page, 0);
    await repl.input().click();
    await repl.ready();
    await repl.write("");
    await repl.input().pressSequentially("List.conc", { delay: 15 });
    await page.locator(".cm-tooltip-autocomplete [role=option]").first().waitFor();
    await page.keyboard.press("Escape");
    await repl.write("1 + true");
    await repl.cell().locator(".cm-lintRange-error").first().waitFor();
    assert.deepEqual(problems, []);
    await end();
  });

  await check("element: code that is indented as a whole, and libraries", async () => {
    const { page, problems, end } = await visit("fragment");
    const repl = nth(page, 0);
    assert.equal(await repl.text(), fragment.split("\n").slice(1, 3).map((line) => line.trim()).join("\n"));
    await repl.input().press("Control+Enter");
    await repl.ended();
    contains(await repl.output().innerText(), "1 and 2 and 3");
    assert.deepEqual(problems, []);
    await end();
  }, ["fmt"]);

  await check("element: one toplevel for all, environments, and one of its own", async () => {
    const { page, problems, end } = await visit("several");
    const answers = [];
    for (const at of [0, 1, 2, 3]) {
      await nth(page, at).cell().getByRole("button", { name: "Run" }).click();
      await nth(page, at).ended();
      answers.push(await nth(page, at).output().innerText());
    }
    contains(answers[0], "val x : int = 1");
    contains(answers[1], "Unbound value x");
    contains(answers[2], "Unbound value x");
    contains(answers[3], "- : int = 2");
    assert.equal(page.workers().length, 2);
    await page.evaluate(() => {
      const one = document.getElementById("one");
      document.body.append(one); // elsewhere
      document.getElementById("three").remove();
    });
    await page.waitForFunction(() => document.querySelectorAll("jtw-repl").length === 3);
    await page.waitForTimeout(200);
    assert.equal(page.workers().length, 1, "the toplevel that nobody else uses has ended");
    const moved = new Repl(page, "#one");
    await moved.gives("x + 41;;", "- : int = 42");
    assert.deepEqual(problems, []);
    await end();
  });

  await check("element: what the guide's program prints", async () => {
    const { page, end } = await visit("program");
    const printed = [];
    page.on("console", (message) => printed.push(message.text()));
    await page.evaluate(`(async () => { ${program} })()`);
    assert.deepEqual(printed, promised(program));
    await end();
  });

  await check("element: its look is its own, follows the page's colour scheme, and has properties", async () => {
    const { page, end } = await visit("styled");
    const look = (at) => page.locator("jtw-repl").nth(at).evaluate((element) => {
      const run = element.shadowRoot.querySelector(".run");
      const style = getComputedStyle(run);
      return { display: style.display, accent: style.color, panel: getComputedStyle(element.shadowRoot.querySelector(".cell")).backgroundColor };
    });
    const [light, dark] = [await look(0), await look(1)];
    assert.equal(light.display, "flex");
    assert.equal(light.accent, "rgb(36, 86, 168)");
    assert.equal(light.panel, "rgb(255, 255, 255)");
    assert.equal(dark.panel, "rgb(33, 31, 30)");
    await page.evaluate(() => (document.documentElement.style.colorScheme = "dark"));
    assert.equal((await look(0)).panel, "rgb(33, 31, 30)");
    await end();
  });

  await check("element: a universe that cannot be had is a problem that is told", async () => {
    const { page, end } = await visit("wrong", false);
    for (const [at, words] of [[0, "is not JSON"], [1, "names no universe none"]]) {
      const repl = nth(page, at);
      await repl.cell().getByRole("button", { name: "Run" }).click();
      await repl.ended();
      contains(await repl.element.locator(".problem").innerText(), words);
    }
    await end();
  });

  origin.close();
}
