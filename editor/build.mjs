// Bundles src/ and CodeMirror into recipes/page/editor.mjs, with the licences of what is in it.
//
//   npm ci && node build.mjs            writes both files
//   npm ci && node build.mjs --check    exit code 1 when they are not what would be written
//
// Both are checked in, so that `realise` needs no npm: see book/src/design/page.md.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

const here = new URL("./", import.meta.url);
const page = new URL("../recipes/page/", here);

const { outputFiles, metafile } = await build({
  absWorkingDir: decodeURIComponent(here.pathname),
  entryPoints: ["src/editor.mjs"],
  bundle: true,
  format: "esm",
  minify: true,
  target: "es2022",
  legalComments: "none", // editor.licenses.txt has them
  metafile: true,
  write: false,
});

// The packages that something was taken from, by the paths of the bundled files.
const packages = new Set();
for (const [path, { bytesInOutput }] of Object.entries(Object.values(metafile.outputs)[0].inputs)) {
  const name = /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1];
  if (name && bytesInOutput > 0) packages.add(name);
}
const licences = [...packages].sort().map((name) => {
  const folder = new URL(`node_modules/${name}/`, here);
  const { version, license } = JSON.parse(readFileSync(new URL("package.json", folder), "utf8"));
  const text = readFileSync(new URL("LICENSE", folder), "utf8").trim();
  return `${name} ${version} (${license})\n\n${text}\n`;
});

const files = {
  "editor.mjs": Buffer.from(outputFiles[0].contents),
  "editor.licenses.txt": Buffer.from(
    `editor.mjs holds code of these packages, each under its own licence.\n\n${licences.join(`\n${"-".repeat(72)}\n\n`)}`,
  ),
};

let isSame = true;
for (const [name, bytes] of Object.entries(files)) {
  const file = new URL(name, page);
  if (!process.argv.includes("--check")) writeFileSync(file, bytes);
  else if (!existsSync(file) || !readFileSync(file).equals(bytes)) {
    isSame = false;
    console.error(`recipes/page/${name} is not what editor/ gives: run \`npm ci && node build.mjs\` in editor/`);
  }
  console.log(`${name}: ${bytes.length} bytes`);
}
process.exit(isSame ? 0 : 1);
