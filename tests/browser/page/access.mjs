// For everybody: axe-core in light, dark and at phone width, the keyboard alone, what screen
// readers are told, reduced motion, print, and the policies that a server may send.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { contains } from "../client.mjs";
import { otherOrigin } from "../client-origin.mjs";
import { Repl, load, open } from "./use.mjs";

const axe = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const PHONE = { width: 360, height: 740 };

// The strictest that the page needs: without 'unsafe-inline' anywhere.
const STRICT =
  "default-src 'none'; script-src 'self' blob: 'unsafe-eval'; worker-src blob:; connect-src 'self'; style-src 'self'; " +
  "img-src 'self' data:; base-uri 'none'; form-action 'none'";

/** Serious and critical findings, with where they are. */
async function findings(page) {
  await page.addScriptTag({ path: axe });
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  // A list of completions scrolls, but is gone through from within the editor, which keeps the focus.
  for (const violation of violations.filter(({ id }) => id === "scrollable-region-focusable")) {
    violation.nodes = violation.nodes.filter(({ target }) => !target.flat().join().includes("#cm-ac-"));
  }
  return violations
    .filter(({ nodes }) => nodes.length > 0)
    .filter(({ impact }) => ["serious", "critical"].includes(impact))
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ target, failureSummary }) => `${target} ${failureSummary}`).join("; ")}`);
}

const isWide = (page) => page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);

export async function checkAccess({ check, browser, site }) {
  // A visitor who has never been here. axe's script is not the site's: the site's policy is not for it.
  const visit = async () => open(await browser.newContext({ bypassCSP: true }), site.href);

  // A page in which there is something of everything.
  async function full(page, repl) {
    await repl.run('let f = function Some x -> x;;\nprint_endline "out";; prerr_endline "err";;\n1 + true;;\nfailwith "no";;');
    await page.getByRole("button", { name: "New cell", exact: true }).click();
    await repl.write('Mime_printer.push "image/svg+xml" "<svg xmlns=\'http://www.w3.org/2000/svg\' width=\'99\' height=\'9\'/>";;\nMime_printer.push "text/html" "<p>document";;', 1);
    await repl.input(1).press("Control+Enter");
    await repl.ended(1);
  }

  for (const [name, options] of Object.entries({
    light: { colorScheme: "light" }, dark: { colorScheme: "dark" }, phone: { colorScheme: "light", viewport: PHONE },
  })) {
    await check(`access: axe finds nothing serious in the page (${name})`, async () => {
      const { page, repl } = await visit();
      await page.emulateMedia({ colorScheme: options.colorScheme });
      if (options.viewport) await page.setViewportSize(options.viewport);
      await full(page, repl);
      assert.deepEqual(await findings(page), []);
      await repl.write("", 1);
      await repl.input(1).pressSequentially("List.ma", { delay: 15 });
      await page.locator(".cm-tooltip-autocomplete [role=option]").first().waitFor();
      assert.deepEqual(await findings(page), []);
      if (options.viewport) {
        await page.getByRole("button", { name: "Packages" }).click();
        await page.locator("#packages:popover-open").waitFor();
        assert.deepEqual(await findings(page), []);
      }
      await page.context().close();
    });
  }

  await check("access: axe finds nothing serious in a page with embedded elements", async () => {
    const body = `<h1>x</h1><jtw-repl>1 + true;;</jtw-repl><jtw-repl require="str">print_endline "a";;</jtw-repl>`;
    const head = `<meta name="color-scheme" content="light dark"><meta name="viewport" content="width=device-width, initial-scale=1"><script type="module" src="${site.href}jtw-repl.mjs"></script>`;
    const origin = await otherOrigin({ "/embed": `<!doctype html><html lang="en"><meta charset="utf-8"><title>x</title>${head}<main>${body}</main>` });
    for (const colorScheme of ["light", "dark"]) {
      for (const viewport of [{ width: 900, height: 700 }, PHONE]) {
        const page = await (await browser.newContext({ bypassCSP: true })).newPage();
        await page.emulateMedia({ colorScheme });
        await page.setViewportSize(viewport);
        await page.goto(`${origin.url}embed`);
        for (const at of [0, 1]) {
          const repl = new Repl(page, `jtw-repl >> nth=${at}`);
          await repl.cell().getByRole("button", { name: "Run" }).click();
          await repl.ended();
        }
        assert.deepEqual(await findings(page), []);
        assert.equal(await isWide(page), false);
        await page.context().close();
      }
    }
    origin.close();
  });

  await check("access: at 360 pixels nothing is wider than the page, and packages are a drawer", async () => {
    const { page, repl } = await visit();
    await page.setViewportSize(PHONE);
    await full(page, repl);
    await repl.write(`let s = "${"x".repeat(300)}";;`);
    await repl.input().press("Control+Enter");
    await repl.ended();
    assert.equal(await isWide(page), false);
    const drawer = page.locator("#packages");
    assert.equal(await drawer.isVisible(), false);
    await page.getByRole("button", { name: "Packages" }).click();
    assert.ok(await drawer.isVisible());
    await page.keyboard.press("Escape");
    assert.equal(await drawer.isVisible(), false);
    await page.getByRole("button", { name: "Packages" }).click();
    await load(page, "str");
    assert.equal(await drawer.isVisible(), false);
    await repl.element.locator(".libraries li:not(.absent)", { hasText: "str" }).waitFor();
    await page.context().close();
  }, ["str"]);

  await check("access: with the keyboard alone", async () => {
    const { page, repl } = await visit();
    const press = (...keys) => keys.reduce((before, key) => before.then(() => page.keyboard.press(key)), Promise.resolve());
    const focused = () => page.evaluate(() => {
      let element = document.activeElement;
      while (element.shadowRoot?.activeElement) element = element.shadowRoot.activeElement;
      return element.getAttribute("aria-label") ?? element.textContent.trim();
    });
    await page.locator("h1").click(); // the next Tab begins here
    const seen = [];
    for (let i = 0; i < 14 && seen.at(-1) !== "Cell 1"; i++) {
      await press("Tab");
      seen.push(await focused());
    }
    assert.ok(["Share", "Run all", "Restart OCaml", "Cell 1"].every((name) => seen.includes(name)), seen.join());
    await page.keyboard.type("6 * 7");
    await press("Escape", "Tab");
    assert.equal(await focused(), "Run");
    await press("Enter");
    await repl.ended();
    contains(await repl.output().innerText(), "- : int = 42");
    await page.context().close();
  });

  await check("access: screen readers are told what was answered, and are not flooded", async () => {
    const { page, repl } = await visit();
    await page.waitForTimeout(1200);
    await page.evaluate(() => {
      window.told = [];
      const said = document.querySelector("jtw-repl").shadowRoot.querySelector("[role=status]");
      new MutationObserver(() => window.told.push(said.textContent)).observe(said, { childList: true, characterData: true, subtree: true });
    });
    await repl.run("for i = 1 to 2000 do print_endline (string_of_int i) done;; let answer = 42;;");
    await page.waitForFunction(() => window.told.includes("val answer : int = 42"));
    await page.waitForTimeout(1200);
    assert.ok((await page.evaluate(() => window.told.length)) <= 3, JSON.stringify(await page.evaluate(() => window.told)));
    await repl.run("print_endline (String.make 5000 'x'); 1 + true;;");
    await page.waitForFunction(() => window.told.at(-1).includes("Error"));
    assert.ok((await page.evaluate(() => window.told.at(-1).length)) <= 301);
    await page.context().close();
  });

  await check("access: nothing moves for who wants no motion", async () => {
    const { page, repl } = await visit();
    await page.emulateMedia({ reducedMotion: "reduce" });
    await repl.write("while true do () done;;");
    await repl.input().press("Control+Enter");
    await repl.ended(0, "running");
    const moving = () => page.evaluate(() => document.querySelector("jtw-repl").shadowRoot.getAnimations().filter((one) => one instanceof CSSAnimation).map((one) => one.animationName));
    assert.deepEqual((await moving()).filter((name) => !name.startsWith("cm-blink")), []);
    await page.context().close();
  });

  await check("access: the theme can be chosen, and stays", async () => {
    const { page } = await visit();
    const colour = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const button = page.getByRole("button", { name: "Theme" });
    const system = await colour();
    await button.click();
    await button.click();
    contains(await button.innerText(), "dark");
    const dark = await colour();
    assert.notEqual(dark, system);
    await page.reload();
    assert.equal(await colour(), dark);
    await button.click();
    assert.equal(await colour(), system);
    await page.context().close();
  });

  await check("access: nothing jumps while the page loads", async () => {
    const page = await (await browser.newContext({ bypassCSP: true })).newPage();
    await page.addInitScript(() => {
      window.jumps = 0;
      new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) window.jumps += entry.value;
      }).observe({ type: "layout-shift", buffered: true });
    });
    await page.goto(site.href);
    await page.waitForFunction(() => document.body.dataset.state === "ready");
    await page.waitForTimeout(300);
    assert.ok((await page.evaluate(() => window.jumps)) < 0.02, `layout shift ${await page.evaluate(() => window.jumps)}`);
    await page.context().close();
  });

  await check("access: printed, there is code and output, and no buttons", async () => {
    const { page, repl } = await visit();
    await repl.gives("1;;", "- : int = 1");
    await page.emulateMedia({ media: "print" });
    assert.equal(await page.getByRole("button", { name: "Share" }).isVisible(), false);
    assert.equal(await repl.cell().getByRole("button", { name: "Run" }).isVisible(), false);
    assert.ok(await repl.output().isVisible());
    await page.context().close();
  });

  await check("access: the page works under a policy without unsafe-inline", async () => {
    const strict = await browser.newContext();
    await strict.route("**/*", async (route) => {
      if (route.request().resourceType() !== "document") return route.continue();
      const response = await route.fetch();
      await route.fulfill({ response, headers: { ...response.headers(), "content-security-policy": STRICT } });
    });
    const { page, repl, problems } = await open(strict, site.href);
    await repl.gives('Mime_printer.push "image/svg+xml" "<svg xmlns=\'http://www.w3.org/2000/svg\'/>"; 1;;', "- : int = 1");
    await repl.write("");
    await repl.input().pressSequentially("List.ma", { delay: 15 });
    await page.locator(".cm-tooltip-autocomplete [role=option]").first().waitFor();
    await page.keyboard.press("Escape");
    await repl.write("1 + true");
    await repl.cell().locator(".cm-lintRange-error").first().waitFor();
    // Where coloured text is replaced, Chromium itself tries to give the new text that colour, and
    // says that it may not. The editor gives it its own.
    assert.deepEqual(problems.filter((text) => !text.startsWith("Applying inline style")), []);
    await strict.close();
  });
}
