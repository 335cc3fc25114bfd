// The editor: colours, completion, types, errors, keys.

import assert from "node:assert/strict";
import { contains } from "../client.mjs";
import { open } from "./use.mjs";

export async function checkEditor({ check, context, site }) {
  const { page, repl, problems } = await open(context, site.href);
  const input = repl.input();
  const options = page.locator(".cm-tooltip-autocomplete [role=option]");
  const type = (text) => input.pressSequentially(text, { delay: 15 });
  const offered = async () => {
    await options.first().waitFor();
    await page.waitForTimeout(150); // a key that comes sooner is not taken for a choice
  };
  const empty = async () => {
    await page.keyboard.press("Escape");
    await repl.write("");
  };

  await check("editor: OCaml is highlighted", async () => {
    await repl.write('let rec f = function (* "*)" (* nested *) *) | 0 -> "a" | n -> {q|"|q} ^ \'"\' :: Some_module.g');
    const colours = await input.evaluate((content) =>
      Object.fromEntries([...content.querySelectorAll("span")].map((span) => [span.textContent, getComputedStyle(span).color])),
    );
    const colour = (part) => colours[part] ?? assert.fail(`${part} is not one token of ${JSON.stringify(colours)}`);
    assert.equal(colour("let"), colour("function"));
    assert.equal(colour('"a"'), colour('{q|"|q}'));
    assert.equal(colour('"a"'), colour(`'"'`));
    const kinds = ["let", '"a"', "0", "Some_module", '(* "*)" (* nested *) *)'].map(colour);
    assert.equal(new Set(kinds).size, kinds.length);
    await empty();
  });

  await check("editor: what is typed is what is evaluated, spaces included", async () => {
    await empty();
    await type("let a1 = 1 -> 2");
    assert.equal(await repl.text(), "let a1 = 1 -> 2");
    await empty();
  });

  await check("editor: completions come as one types, with kinds and types", async () => {
    await type("List.conc");
    await offered();
    const first = options.first();
    assert.equal(await first.locator(".cm-completionLabel").innerText(), "concat");
    assert.equal(await first.locator(".cm-completionDetail").innerText(), "'a list list -> 'a list");
    assert.equal(await first.locator(".cm-completionIcon-function").count(), 1);
    await page.keyboard.press("Enter");
    assert.equal(await repl.text(), "List.concat");
    await empty();
  });

  await check("editor: Tab takes a completion, and a value of one's own is among them", async () => {
    await repl.gives("let my_own_value = 5;;", "my_own_value");
    await empty();
    await type("my_own");
    await offered();
    await page.keyboard.press("Tab");
    assert.equal(await repl.text(), "my_own_value");
    await empty();
  });

  await check("editor: completion replaces the right part behind letters that are not ASCII", async () => {
    await type('"😀é" ^ String.escap');
    await offered();
    await page.keyboard.press("Enter");
    assert.equal(await repl.text(), '"😀é" ^ String.escaped');
    await empty();
  });

  await check("editor: Enter behind a word that stands there already is a line's end", async () => {
    await type("let t = true");
    await offered();
    await page.keyboard.press("Enter");
    await type("2");
    assert.equal(await repl.text(), "let t = true\n2");
    await empty();
  });

  await check("editor: nothing is offered within strings and comments; asked for, everything is", async () => {
    await type("(* List.ma");
    await page.waitForTimeout(600);
    assert.equal(await options.count(), 0);
    await empty();
    await type("List.");
    await page.keyboard.press("Escape");
    await page.keyboard.press("Control+Space");
    await options.first().waitFor();
    assert.ok((await options.count()) > 20);
    await empty();
  });

  await check("editor: what a cell before defines is known before it is run", async () => {
    await repl.write("let early_bird = 1");
    await input.press("Shift+Enter");
    await repl.ended();
    await repl.write("let early_bird_two = 2"); // changed, and not run
    await repl.input(1).pressSequentially("early_bi", { delay: 15 });
    await options.nth(1).waitFor();
    contains((await options.allInnerTexts()).join(), "early_bird_two");
    await page.keyboard.press("Escape");
    await page.locator("[aria-label='Delete: cell 2']").click();
    await empty();
  });

  await check("editor: the type of what the mouse is over", async () => {
    await repl.write("let shout = String.uppercase_ascii");
    await page.mouse.move(5, 700);
    await input.locator("span, .cm-line", { hasText: "uppercase_ascii" }).last().hover({ position: { x: 230, y: 10 } });
    const type = page.locator(".cm-type");
    await type.waitFor();
    assert.equal(await type.innerText(), "string -> string");
    await page.mouse.move(5, 700);
    await type.waitFor({ state: "detached" });
  });

  await check("editor: the type at the cursor, by a key", async () => {
    await repl.write("List.length");
    await input.press("Control+i");
    const type = page.locator(".cm-type");
    assert.equal(await type.innerText(), "'a list -> int");
    await page.waitForFunction(() => document.querySelector("jtw-repl").shadowRoot.querySelector("[role=status]").textContent === "'a list -> int");
    await page.keyboard.press("Escape");
    await type.waitFor({ state: "detached" });
    await empty();
  });

  await check("editor: errors are underlined as one types, with their text", async () => {
    await repl.write('let n : int = true;;\nlet s = "é" in 1 + s');
    const errors = repl.cell().locator(".cm-lintRange-error");
    await errors.first().waitFor();
    assert.equal(await errors.first().innerText(), "true");
    assert.ok((await repl.cell().locator(".cm-lint-marker-error").count()) >= 1);
    await errors.first().hover();
    contains(await page.locator(".cm-tooltip .cm-diagnostic").first().innerText(), "expected of type");
    await page.mouse.move(5, 700);
    await repl.write("let n : int = 1");
    await errors.first().waitFor({ state: "detached" });
  });

  await check("editor: warnings are underlined, and are not errors", async () => {
    await repl.write("let f = function Some x -> x;;");
    const warning = repl.cell().locator(".cm-lintRange-warning");
    await warning.first().waitFor();
    await page.keyboard.press("F8");
    contains(await page.locator(".cm-tooltip .cm-diagnostic-warning").first().innerText(), "not exhaustive");
    assert.equal(await repl.cell().locator(".cm-lintRange-error").count(), 0);
    await empty();
  });

  await check("editor: brackets match and close, comments toggle, search finds", async () => {
    await empty();
    await type("(1 + [2");
    assert.equal(await repl.text(), "(1 + [2])");
    await page.keyboard.press("ArrowRight");
    assert.ok((await repl.cell().locator(".cm-matchingBracket").count()) === 2);
    await page.keyboard.press("Control+/");
    assert.equal(await repl.text(), "(* (1 + [2]) *)");
    await page.keyboard.press("Control+/");
    await page.keyboard.press("Control+f");
    await page.keyboard.type("2");
    assert.equal(await repl.cell().locator(".cm-searchMatch").count(), 1);
    await page.keyboard.press("Escape");
    await empty();
  });

  await check("editor: Alt and arrows go through what was run", async () => {
    await repl.gives("let first = 1;;", "first");
    await repl.gives("let second = 2;;", "second");
    await repl.write("draft");
    await input.press("Alt+ArrowUp");
    assert.equal(await repl.text(), "let second = 2;;");
    await input.press("Alt+ArrowUp");
    assert.equal(await repl.text(), "let first = 1;;");
    await input.press("Alt+ArrowDown");
    await input.press("Alt+ArrowDown");
    assert.equal(await repl.text(), "draft");
    await empty();
  });

  await check("editor: Enter starts a line; Escape and then Tab leave, Tab alone does too", async () => {
    await type("let x =");
    await page.keyboard.press("Enter");
    await type("  1");
    await page.keyboard.press("Enter");
    await type("+ 1");
    assert.equal(await repl.text(), "let x =\n  1\n  + 1"); // the indentation is kept
    const isInside = () => input.evaluate((content) => content.getRootNode().activeElement === content);
    assert.ok(await isInside());
    await page.keyboard.press("Escape");
    await page.keyboard.press("Tab");
    assert.ok(!(await isInside()));
    await empty();
  });

  await check("editor: nothing failed behind the scenes", async () => assert.deepEqual(problems, []));
  await page.close();
}
