// The guide "Use it from your own page": its page works, under the policy that it names, and its
// programs print what their comments say.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { otherOrigin } from "./client-origin.mjs";
import { guide, promised } from "./guide.mjs";

export async function checkGuide({ check, context, site }) {
  const { blocks, policy } = guide("client", site);
  const program = blocks("js").join("\n");
  const restrict = `<meta http-equiv="Content-Security-Policy" content="${policy.replace("'self'", "'self' 'unsafe-inline'")}">`;
  const [example] = blocks("html");
  const origin = await otherOrigin({
    "/example": example,
    "/restricted": example.replace("<title>", `${restrict}<title>`),
    "/program": `<!doctype html><script type="module">${program}\nconsole.log("the end");</script>`,
  });

  const use = async (page) => {
    const answer = page.locator("#answer");
    const says = (text) => answer.filter({ hasText: text }).waitFor({ timeout: 60000 });
    await says("Ready");
    await page.locator("#run").click();
    await says("- : int list = [1; 4; 9]");
    await page.locator("#code").fill('print_endline "before";; let kept = 5;;');
    await page.locator("#run").click();
    await says("before");
    await page.locator("#code").fill("while true do () done;;");
    await page.locator("#run").click();
    await page.locator("#stop").click();
    await says("Stopped");
    await page.locator("#code").fill("kept + 1;;");
    await page.locator("#run").click();
    await says("- : int = 6");
  };

  for (const path of ["example", "restricted"]) {
    await check(`guide: the page evaluates and stops (${path})`, async () => {
      const page = await context.newPage();
      const errors = [];
      page.on("pageerror", (e) => errors.push(String(e)));
      await page.goto(origin.url + path);
      await use(page).catch((error) => assert.fail([error.message, ...errors].join("\n")));
      assert.deepEqual(errors, []);
      await page.close();
    });
  }

  await check("guide: its programs print what it says", async () => {
    const page = await context.newPage();
    const printed = [];
    const ended = new Promise((resolve, reject) => {
      page.on("console", async (message) => {
        if (message.text() === "the end") return resolve();
        const values = message.args().map((argument) => argument.evaluate((value) => String(value)));
        printed.push(Promise.all(values).then((texts) => texts.join(" ")));
      });
      page.on("pageerror", reject);
      setTimeout(() => reject(new Error("the programs do not end")), 60000);
    });
    await page.goto(`${origin.url}program`);
    await ended;
    const expected = promised(program);
    assert.ok(expected.length > 10);
    assert.deepEqual(await Promise.all(printed), expected);
    await page.close();
  }, ["str"]);

  await check("guide: its program for Node prints what it says", async () => {
    const [text] = blocks("js,node");
    const local = new URL("../../recipes/page/client/node.mjs", import.meta.url).href;
    const node = promisify(execFile)(process.execPath, ["--input-type=module", "-e", text.replace('"jtw-client"', JSON.stringify(local))]);
    assert.deepEqual((await node).stdout.trimEnd().split("\n"), promised(text));
  });

  origin.close();
}
