// Rich output: pictures are pictures, documents are shut in, and nothing of it is the page's markup.

import assert from "node:assert/strict";
import { contains } from "../client.mjs";
import { open } from "./use.mjs";

const SVG = "<svg xmlns='http://www.w3.org/2000/svg' width='40' height='20'><circle cx='9' cy='9' r='9'/><script>top.hacked=1</script></svg>";
const PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

const push = (type, data, encoding = "") => `Mime_printer.push ${encoding} "${type}" {x|${data}|x};;`;

export async function checkOutput({ check, context, site }) {
  const { page, repl, problems } = await open(context, site.href);
  const size = async (image) => {
    await image.evaluate((one) => one.decode());
    return image.evaluate((one) => [one.naturalWidth, one.naturalHeight]);
  };

  await check("output: SVG and PNG are pictures", async () => {
    await repl.run(push("image/svg+xml", SVG) + push("image/png", PNG, "~encoding:Mime_printer.Base64"));
    const images = repl.output().locator("img");
    assert.deepEqual(await size(images.nth(0)), [40, 20]);
    assert.deepEqual(await size(images.nth(1)), [1, 1]);
    assert.equal(await page.evaluate(() => window.hacked), undefined);
  });

  await check("output: HTML is in a frame as high as it is, in which nothing runs", async () => {
    const markup = `<h1 style="color: rgb(1, 2, 3)">Title</h1><script>parent.hacked = 1</script><img src=x onerror="parent.hacked = 1">
      <a href="javascript:parent.hacked=1">go</a><form action="/"><button>send</button></form><p style="height: 200px">end`;
    await repl.run(push("text/html", markup));
    const frame = repl.output().frameLocator("iframe");
    assert.equal(await frame.locator("h1").evaluate((title) => getComputedStyle(title).color), "rgb(1, 2, 3)");
    await frame.locator("a").click();
    await page.waitForTimeout(300);
    assert.equal(await page.evaluate(() => window.hacked), undefined);
    const element = repl.output().locator("iframe");
    assert.ok((await element.boundingBox()).height > 250);
    assert.equal(await element.getAttribute("sandbox"), "allow-same-origin");
    problems.length = 0; // the browser says what it did not run
  });

  await check("output: other text is text, other bytes are a download", async () => {
    const shown = await repl.run(push("text/markdown", "<b id='b'>bold</b>") + push("application/pdf", "AAAA", "~encoding:Mime_printer.Base64"));
    contains(shown, "<b id='b'>bold</b>");
    assert.equal(await repl.output().locator("#b").count(), 0);
    const [download] = await Promise.all([page.waitForEvent("download"), repl.output().getByText("Download (application/pdf)").click()]);
    assert.ok(download);
  });

  await check("output: answers that look like markup are text", async () => {
    const hostile = "</script><img src=x onerror=alert(1)>\u2028'\"&lt;";
    await repl.gives(`print_endline {x|${hostile}|x}; {x|${hostile}|x};;`, "</script><img src=x onerror=alert(1)>");
    assert.equal(await repl.output().locator("img").count(), 0);
  });

  await check("output: only so many pictures", async () => {
    const shown = await repl.run(`for _ = 1 to 60 do ${push("image/svg+xml", SVG).replace(";;", "")} done;;`);
    assert.equal(await repl.output().locator("img").count(), 50);
    contains(shown, "Only 50 pictures");
  });

  await check("output: nothing failed behind the scenes", async () => assert.deepEqual(problems, []));
  await page.close();
}
