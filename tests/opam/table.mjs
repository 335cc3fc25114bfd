// Prints the packages of one run of `tests/opam/run` as a table in Markdown.
//
//   node table.mjs REALISE.json REQUIRE.json REPOSITORY JTWBUILD UNIVERSE
//
// Seconds are those of the run that built the layer. What built a package is read from the commands
// of its opam file, when the repository is a directory.

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";

const [realised, required, repository, jtwbuild, universe] = process.argv.slice(2);
const read = (file) => JSON.parse(readFileSync(file, "utf8"));
const nodes = new Map(read(realised).nodes.map((node) => [`${node.kind}/${node.name}`, node]));

// Tools in the order in which they give a build its name: topkg and dune run others.
const systems = [
  ["topkg", /pkg\/pkg\.ml/],
  ["dune", /\["dune"|\[\s*"dune"|dune\.exe/],
  ["ocamlbuild", /"ocamlbuild"/],
  ["make", /\[\s*make\b|"make"/],
  ["ocaml", /"ocaml"/],
];
const overlay = new URL("overlay", import.meta.url).pathname;
function system(name, version) {
  const files = [overlay, repository].map((root) => `${root}/packages/${name}/${name}.${version}/opam`);
  const file = files.find((path) => existsSync(path));
  if (!file) return "";
  const text = readFileSync(file, "utf8").replace(/^\s*#.*$/gm, "");
  const commands = [...text.matchAll(/^(?:build|install):\s*\[([\s\S]*?)\n?\]\s*$/gm)].map((found) => found[1]);
  return systems.find(([, sign]) => commands.some((one) => sign.test(`[${one}`)))?.[0] ?? "files only";
}

// How long a node took that was there already.
function earlier(node) {
  const shown = execFileSync(jtwbuild, ["show", universe, node], { encoding: "utf8" });
  return shown.match(/^ *status +success after (.*)$/m)?.[1] ?? "";
}

const packages = new Map();
for (const one of read(required).libraries) {
  const id = `${one.package}.${one.version}`;
  packages.set(id, [...(packages.get(id) ?? []), one]);
}
const short = { ok: "", partial: " (in part)", expected: " (cannot)", failed: " (FAILED)" };
console.log("| package | built by | time | libraries, ms to `#require` |\n|---|---|---:|---|");
for (const [id, libraries] of packages) {
  const node = nodes.get(`build/${id}`);
  if (!node) continue;
  const seconds = node.outcome === "built" ? `${node.seconds.toFixed(1)} s` : earlier(`build/${id}`);
  const list = libraries.map((l) => `\`${l.library}\` ${l.ms === undefined ? "" : Math.round(l.ms)}${short[l.outcome]}`);
  console.log(`| ${id} | ${system(libraries[0].package, libraries[0].version)} | ${seconds} | ${list.join(", ")} |`);
}
