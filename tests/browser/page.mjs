// The page and its element <jtw-repl> in Chromium, used as a visitor uses them; by topic in page/.

import { dirname } from "node:path";
import { pathToFileURL } from "node:url";
import { checkAccess } from "./page/access.mjs";
import { checkCells } from "./page/cells.mjs";
import { checkEditor } from "./page/editor.mjs";
import { checkElement } from "./page/element.mjs";
import { checkOutput } from "./page/output.mjs";
import { takePictures } from "./page/pictures.mjs";
import { checkShare } from "./page/share.mjs";

/**
 * A `screenshot` is the name of a file to write, beside which others are put; `skip` holds
 * libraries that are not there.
 */
export async function checkPage(shipped) {
  const { browser, screenshot } = shipped;
  for (const part of [checkEditor, checkCells, checkOutput, checkShare, checkElement, checkAccess]) {
    const context = await browser.newContext();
    await part({ ...shipped, context });
    await context.close();
  }
  if (!screenshot) return;
  await takePictures({ ...shipped, pictures: new URL("./", pathToFileURL(`${dirname(screenshot)}/x`)) });
}
