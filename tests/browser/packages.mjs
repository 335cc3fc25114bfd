// <jtw-packages> in Chromium: first with the site's own packages, then with what a site could hold.

import assert from "node:assert/strict";
import { contains } from "./client.mjs";

const hostile = `</script><img src=x onerror="document.title='ran'"><svg onload=document.title='ran'>\u2028\u202e'"&amp;`;

/** A universe of `many` packages, each with two libraries and some modules. */
function generated(many) {
  const packages = Array.from({ length: many }, (_, i) => {
    const name = `made-${String(i).padStart(4, "0")}`;
    const library = (name, requires) => ({
      name,
      description: `Library ${name}`,
      directory: name,
      requires,
      archives: [{ path: `${name}/${name}.cma.js`, bytes: 1000 + ((i * 7919) % 100000) }],
    });
    const needed = i > 0 ? [`made-${String(Math.floor(i / 2)).padStart(4, "0")}`] : [];
    return {
      name,
      version: "1.0",
      description: `Package number ${i}, made to see how a long list fares`,
      asked_for: i % 10 === 0,
      content_hash: "0",
      lib: `../../p/${name}/1.0/0/lib`,
      depends: needed,
      libraries: [library(name, needed), library(`${name}.more`, [name])],
      directories: [{ path: name, interfaces: 20, bytes: 50000, modules: Array.from({ length: 20 }, (_, m) => `Made_${i}_${m}`) }],
    };
  });
  return { format: 1, packages };
}

/** A `screenshot` is the name of a file to write beside; `skip` holds libraries that are not there. */
export async function checkPackages({ check, context, site, indexUrl, skip, screenshot }) {
  const policy = (await fetch(new URL("index.html", site))).headers.get("content-security-policy");
  const told = await (await fetch(indexUrl)).json();
  const listUrl = new URL(told.packages, indexUrl);
  const list = await (await fetch(listUrl)).json();
  const errors = [];

  // A page of the site's origin, under the site's policy, that holds nothing but the list.
  async function open({ index = indexUrl.pathname, packages, width = 420, height = 760, ...settings } = {}) {
    const page = await context.newPage();
    page.on("pageerror", (e) => errors.push(String(e)));
    page.on("console", (m) => m.type() === "error" && errors.push(m.text()));
    const body = `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="color-scheme" content="light dark">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Packages</title>
<link rel="stylesheet" href="style.css"><script type="module" src="packages.mjs"></script>
<main><jtw-packages src="${index}"></jtw-packages></main>`;
    const headers = { "content-type": "text/html", ...(policy ? { "content-security-policy": policy } : {}) };
    await page.route(new URL("only-packages.html", site).href, (route) => route.fulfill({ body, headers }));
    if (packages) await page.route(listUrl.href, (route) => route.fulfill(packages));
    await page.setViewportSize({ width, height });
    await page.emulateMedia({ colorScheme: "light", ...settings });
    await page.goto(new URL("only-packages.html", site).href);
    await page.locator("jtw-packages:not([data-state=loading])[data-state]").waitFor();
    return page;
  }
  const names = (page) => page.locator(".row .name").allTextContents();
  const row = (page, name) => page.locator(`.row[data-package="${name}"]`);
  const json = (value) => ({ contentType: "application/json", body: JSON.stringify(value) });

  await check("packages: what the list says of files is what the site holds", async () => {
    assert.equal(list.format, 1);
    assert.ok(list.packages.length > 0);
    for (const one of list.packages) {
      const lib = new URL(`${one.lib}/`, listUrl);
      for (const { path, bytes } of one.libraries.flatMap((library) => library.archives)) {
        const archive = await fetch(new URL(path, lib));
        assert.equal((await archive.arrayBuffer()).byteLength, bytes, path);
      }
      for (const { path, modules } of one.directories) {
        const described = await (await fetch(new URL(`${path}/dynamic_cmis.json`, lib))).json();
        assert.deepEqual(modules, described.dcs_toplevel_modules, path);
      }
    }
  });

  const page = await open();
  const filter = page.getByRole("searchbox", { name: "Filter packages" });

  await check("packages: the list is that of the universe, and is counted", async () => {
    assert.deepEqual(await names(page), list.packages.map((one) => one.name));
    contains(await page.getByRole("status").innerText(), `${list.packages.length} package`);
    const asked = list.packages.filter((one) => one.asked_for).length;
    assert.equal(await page.locator(".mark.asked").count(), asked);
  });

  await check("packages: found by module, by library and by description", async () => {
    await filter.fill("Fmt_tty");
    assert.equal((await names(page))[0], "fmt");
    contains(await row(page, "fmt").textContent(), "module Fmt_tty");
    await filter.fill("fmt.cli");
    contains(await row(page, "fmt").textContent(), "library fmt.cli");
    await filter.fill("PRETTY-printer combinators");
    assert.deepEqual(await names(page), ["fmt"]);
    await filter.fill("no such package");
    assert.deepEqual(await names(page), []);
    contains(await page.getByRole("status").innerText(), "None of");
    await filter.press("Escape");
    assert.equal((await names(page)).length, list.packages.length);
  }, ["fmt"]);

  await check("packages: by size, the largest download comes first", async () => {
    await page.getByRole("combobox", { name: "Order" }).selectOption("size");
    // What is outside the window has no rendered text.
    const shown = await page.locator(".row .size").allTextContents();
    const bytes = shown.map((size) => parseFloat(size) * { B: 1, kB: 1e3, MB: 1e6 }[size.split(/\s/).at(-1)]);
    assert.deepEqual(bytes, bytes.toSorted((a, b) => b - a));
    assert.ok(bytes[0] > 0);
    const lengths = await page.locator(".row .bar").evaluateAll((bars) =>
      bars.map((bar) => [...bar.children].reduce((sum, part) => sum + parseFloat(part.style.width), 0)));
    assert.ok(Math.abs(lengths[0] - 100) < 0.1 && lengths.at(-1) < 100, String(lengths));
    await page.getByRole("combobox", { name: "Order" }).selectOption("name");
  });

  await check("packages: by the keyboard, from the filter to what a package needs", async () => {
    await filter.fill("fmt");
    await filter.press("ArrowDown");
    const toggle = row(page, "fmt").getByRole("button", { name: /^fmt/ });
    assert.ok(await toggle.evaluate((node) => node.getRootNode().activeElement === node));
    assert.equal(await toggle.getAttribute("aria-expanded"), "false");
    await page.keyboard.press("Enter");
    assert.equal(await toggle.getAttribute("aria-expanded"), "true");
    const detail = row(page, "fmt").locator(".detail");
    for (const part of ["Libraries", "fmt.tty", "Fmt_tty", "Needs", "cmdliner", "erratique.ch/software/fmt"]) {
      contains(await detail.textContent(), part);
    }
    const link = detail.getByRole("link");
    assert.equal(await link.getAttribute("rel"), "noopener noreferrer");
    await detail.getByRole("button", { name: "cmdliner" }).focus();
    await page.keyboard.press("Enter");
    assert.equal(await filter.inputValue(), "");
    const other = row(page, "cmdliner").getByRole("button", { name: /^cmdliner/ });
    assert.ok(await other.evaluate((node) => node.getRootNode().activeElement === node));
    contains(await row(page, "cmdliner").locator(".detail").textContent(), "Needed by");
    await page.keyboard.press("Home");
    await page.keyboard.press("ArrowUp");
    assert.ok(await filter.evaluate((node) => node.getRootNode().activeElement === node));
  }, ["fmt"]);

  await check("packages: a button asks for a library, and what is loaded costs nothing more", async () => {
    await page.evaluate(() => {
      window.asked = [];
      document.addEventListener("jtw-require", (event) => window.asked.push(event.detail.library));
    });
    const load = row(page, "fmt").getByRole("button", { name: "Load fmt.tty" });
    await load.click();
    assert.deepEqual(await page.evaluate(() => window.asked), ["fmt.tty"]);
    const sizes = () => row(page, "fmt").locator(".measure").textContent();
    const before = await sizes();
    await page.evaluate(() => (document.querySelector("jtw-packages").loaded = ["fmt", "fmt.tty", "stdlib"]));
    assert.notEqual(await sizes(), before);
    assert.equal(await row(page, "fmt").locator(".mark.loaded").count(), 1);
    await row(page, "fmt").getByRole("button", { name: "fmt.tty is loaded" }).click({ force: true });
    assert.deepEqual(await page.evaluate(() => window.asked), ["fmt.tty"]);
    await page.evaluate(() => (document.querySelector("jtw-packages").loaded = []));
    assert.equal(await sizes(), before);
  }, ["fmt"]);
  await page.close();

  await check("packages: hostile texts are text, and nothing of them runs", async () => {
    const one = {
      name: hostile, version: hostile, description: hostile.repeat(50), license: hostile, homepage: "javascript:document.title='ran'",
      asked_for: true, lib: hostile, depends: [hostile, 7, "x"],
      libraries: [{ name: hostile, description: hostile, directory: hostile, requires: [hostile, null], missing_primitives: [hostile],
        archives: [{ path: hostile, bytes: "many" }, null] }],
      directories: [{ path: hostile, interfaces: 1, bytes: -1, modules: [hostile, {}] }],
    };
    const others = [null, 5, [], { name: ["x"] }, { name: "g".repeat(100000) }, { name: "__proto__", libraries: [{ name: "constructor" }] },
      { ...one, name: "linked", homepage: "HTTPS://example.org/\u202e\"onclick=alert(1)" }];
    const page = await open({ packages: json({ format: 1, packages: [one, ...others] }) });
    for (const toggle of await page.locator(".toggle").all()) await toggle.click();
    assert.equal(await page.locator(".row").count(), 4);
    assert.equal(await page.locator("jtw-packages img, jtw-packages svg, jtw-packages script").count(), 0);
    const first = page.locator(".row", { hasText: "document.title" }).first();
    contains(await first.locator(".name").evaluate((node) => node.textContent), hostile);
    const links = await page.locator("jtw-packages a").evaluateAll((all) => all.map((link) => link.href));
    assert.equal(links.length, 1);
    assert.ok(links[0].startsWith("https://example.org/"), links[0]);
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
    await page.waitForTimeout(100);
    assert.equal(await page.title(), "Packages");
    if (screenshot) await page.screenshot({ path: screenshot.replace(/(\.\w+)?$/, "-packages-hostile$1") });
    await page.close();
  });

  await check("packages: two thousand stay quick", async () => {
    const page = await open({ packages: json(generated(2000)) });
    assert.equal(await page.locator(".row").count(), 80);
    contains(await page.getByRole("status").innerText(), "2000 packages");
    // Until the next frame is drawn, in milliseconds.
    const timed = (value) =>
      page.locator("jtw-packages").evaluate(async (node, value) => {
        const filter = node.shadowRoot.querySelector(".filter");
        const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
        await frame();
        const began = performance.now();
        filter.value = value;
        filter.dispatchEvent(new Event("input"));
        const own = performance.now() - began;
        await frame();
        return [own, performance.now() - began];
      }, value);
    const figures = {};
    for (const query of ["m", "made-19", "Made_1999_7", ""]) {
      figures[query] = (await timed(query)).map(Math.round);
      // That it is quick follows: no more is made at once.
      assert.ok((await page.locator(".row").count()) <= 80, query);
    }
    console.log(`      of 2000, ms until the list is changed and drawn: ${JSON.stringify(figures)}`);
    const filter = page.getByRole("searchbox", { name: "Filter packages" });
    await filter.fill("Made_1999_7");
    assert.equal((await names(page))[0], "made-1999");
    await filter.fill("");
    // More come as one scrolls, and a link leads to what has no row yet.
    await page.locator(".row").last().scrollIntoViewIfNeeded();
    await page.locator(".end").scrollIntoViewIfNeeded();
    await page.waitForFunction(() => document.querySelector("jtw-packages").shadowRoot.querySelectorAll(".row").length > 80);
    await page.evaluate(() => document.querySelector("jtw-packages").reveal("made-1500"));
    const place = await row(page, "made-1500").boundingBox();
    assert.ok(place.y >= 0 && place.y < 760, JSON.stringify(place));
    assert.equal(await row(page, "made-1500").getAttribute("aria-posinset"), "1501");
    if (screenshot) await page.screenshot({ path: screenshot.replace(/(\.\w+)?$/, "-packages-many$1") });
    await page.close();
  });

  await check("packages: an index without a list, as older sites have it, gives names", async () => {
    const { packages: _, ...older } = told;
    const page = await context.newPage();
    await page.close();
    const at = new URL("older_index.json", indexUrl);
    await context.route(at.href, (route) => route.fulfill(json(older)));
    const shown = await open({ index: at.pathname });
    assert.deepEqual(await names(shown), list.packages.map((one) => one.name));
    assert.equal(await shown.locator(".bar:visible").count(), 0);
    await shown.close();
    await context.unroute(at.href);
  });

  await check("packages: a list that is not there is told", async () => {
    const before = errors.length;
    const page = await open({ packages: { status: 404, body: "" } });
    contains(await page.getByRole("status").innerText(), "HTTP status 404");
    await page.close();
    errors.splice(before); // Chromium reports the status
  });

  for (const [name, settings] of [
    ["light", { width: 760, height: 900 }],
    ["dark", { width: 420, height: 900, colorScheme: "dark" }],
    ["phone", { width: 360, height: 740 }],
  ]) {
    await check(`packages: fits, ${name}`, async () => {
      const page = await open(settings);
      const first = page.locator(".toggle", { hasText: skip.has("fmt") ? "" : /^fmt/ }).first();
      await first.click();
      await first.scrollIntoViewIfNeeded();
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
      const wide = await page.locator("jtw-packages").evaluate((node) =>
        [...node.shadowRoot.querySelectorAll("*")].filter((one) => one.getBoundingClientRect().right > innerWidth).map((one) => one.className));
      assert.deepEqual(wide, []);
      if (screenshot) await page.screenshot({ path: screenshot.replace(/(\.\w+)?$/, `-packages-${name}$1`) });
      await page.close();
    });
  }

  await check("packages: no errors in the console", async () => assert.deepEqual(errors, []));
}
