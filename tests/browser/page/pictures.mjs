// Pictures for a human to look at: what the page looks like in its states.

import { fileURLToPath } from "node:url";
import { otherOrigin } from "../client-origin.mjs";
import { Repl, open } from "./use.mjs";

const PLOT = `let svg =
  let bar i h =
    Printf.sprintf "<rect x='%d' y='%d' width='30' height='%d' rx='3' fill='hsl(%d 70%% 50%%)'/>"
      (10 + (40 * i)) (110 - h) h (25 * i) in
  "<svg xmlns='http://www.w3.org/2000/svg' width='340' height='120'>"
  ^ String.concat "" (List.mapi bar [20; 35; 58; 72; 95; 80; 44; 30]) ^ "</svg>";;
Mime_printer.push "image/svg+xml" svg;;`;
const PHONE = { width: 360, height: 740 };

/** Writes `page-*.png` into the directory `pictures` (an address). */
export async function takePictures({ check, browser, site, skip, pictures, screenshot }) {
  const shoot = (page, name) => page.screenshot({ path: fileURLToPath(new URL(`page-${name}.png`, pictures)) });
  const visit = async () => open(await browser.newContext(), site.href);
  const choosing = async (page, repl, number) => {
    await repl.write("", number);
    await repl.input(number).pressSequentially("List.fi", { delay: 20 });
    await page.locator(".cm-tooltip-autocomplete [role=option]").first().waitFor();
  };
  // The focus is nowhere, and no list is open.
  const calm = async (page) => {
    await page.keyboard.press("Escape");
    await page.evaluate(() => document.activeElement?.shadowRoot?.activeElement?.blur());
    await page.mouse.move(2, 2);
  };
  async function session(repl) {
    await repl.run("let primes = [2; 3; 5; 7; 11];;\nList.map (fun p -> p * p) primes;;");
    await repl.input().press("Shift+Enter");
    await repl.ended();
    await repl.run('let greet name = print_endline ("Hello, " ^ name);;\ngreet "world";;\n1 + "two";;', 1);
  }

  await check("pictures: first visit, completion, an error, a type, light and dark", async () => {
    const { page, repl } = await visit();
    await shoot(page, "first");
    await session(repl);
    await shoot(page, "error");
    await page.getByRole("button", { name: "New cell", exact: true }).click();
    await choosing(page, repl, 2);
    await shoot(page, "completion");
    await page.emulateMedia({ colorScheme: "dark" });
    await shoot(page, "dark");
    await page.keyboard.press("Escape");
    await repl.write("List.fold_left", 2);
    await page.keyboard.press("Escape");
    await repl.input(2).press("Control+i");
    await page.locator(".cm-type").waitFor();
    await shoot(page, "type-dark");
    await page.context().close();
  });

  await check("pictures: an SVG, an HTML document, a library", async () => {
    const { page, repl } = await visit();
    if (!skip.has("fmt")) await page.evaluate(() => document.querySelector("jtw-repl").require("fmt"));
    await repl.run(PLOT);
    await page.getByRole("button", { name: "New cell", exact: true }).click();
    await repl.run('Mime_printer.push "text/html" "<h2>A document</h2><p>with <b>bold</b> text and a <a href=x>link</a></p>";;', 1);
    await calm(page);
    await shoot(page, "svg");
    await page.emulateMedia({ colorScheme: "dark" });
    await page.waitForTimeout(200);
    await shoot(page, "svg-dark");
    await page.context().close();
  });

  // A session worth looking at: the picture of the book and of the README.
  await check("pictures: the book's", async () => {
    const { page, repl } = await visit();
    const add = () => page.getByRole("button", { name: "New cell", exact: true }).click();
    const libraries = ["fmt", "zarith"].filter((name) => !skip.has(name));
    await page.evaluate((libraries) => document.querySelector("jtw-repl").require(...libraries), libraries);
    await repl.run("let primes = [2; 3; 5; 7; 11];;\nList.map (fun p -> p * p) primes |> List.fold_left (+) 0;;");
    await add();
    await repl.run(skip.has("fmt") ? "primes;;" : 'Fmt.pr "%a@." Fmt.(list ~sep:(any " · ") int) primes;;\nZ.(to_string (fac 30));;', 1);
    await add();
    await choosing(page, repl, 2);
    await page.screenshot({ path: screenshot });
    await page.context().close();
  });

  await check("pictures: phone width", async () => {
    const { page, repl } = await visit();
    await page.setViewportSize(PHONE);
    await session(repl);
    await page.evaluate(() => scrollTo(0, 0));
    await shoot(page, "phone");
    await choosing(page, repl, 1);
    await shoot(page, "phone-completion");
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Packages" }).click();
    await shoot(page, "phone-packages");
    await page.context().close();
  });

  await check("pictures: it cannot start", async () => {
    const { page, repl } = await open(await browser.newContext(), new URL("./?index=/no/such/findlib_index.json", site).href, { isReady: false });
    await repl.until("failed");
    await shoot(page, "failed");
    await page.context().close();
  });

  await check("pictures: embedded", async () => {
    const article = `<!doctype html><html lang="en"><meta charset="utf-8"><title>A blog</title>
      <meta name="color-scheme" content="light dark"><meta name="viewport" content="width=device-width, initial-scale=1">
      <style>body { max-width: 40rem; margin: 2rem auto; padding: 0 1rem; font: 18px/1.6 Georgia, serif }</style>
      <script type="module" src="${site.href}jtw-repl.mjs"></script>
      <h1>Folding a list</h1><p>A fold goes through a list and keeps a value on its way. Here is the sum of some squares:</p>
      <jtw-repl>let squares = List.map (fun x -> x * x) [1; 2; 3];;
List.fold_left (+) 0 squares;;</jtw-repl>
      <p>And this is what happens when the types do not agree:</p>
      <jtw-repl>List.fold_left (+) "zero" squares;;</jtw-repl><p>Read the message from its end.</p>`;
    const origin = await otherOrigin({ "/blog": article });
    for (const colorScheme of ["light", "dark"]) {
      const context = await browser.newContext({ colorScheme, viewport: { width: 900, height: 900 } });
      const page = await context.newPage();
      await page.goto(`${origin.url}blog`);
      for (const at of [0, 1]) {
        const repl = new Repl(page, `jtw-repl >> nth=${at}`);
        await repl.input().press("Control+Enter");
        await repl.ended();
      }
      await shoot(page, `embedded-${colorScheme}`);
      await page.setViewportSize(PHONE);
      await shoot(page, `embedded-${colorScheme}-phone`);
      await context.close();
    }
    origin.close();
  });
}
