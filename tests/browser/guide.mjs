// Reads the examples of a guide of the book, so that they can be run.

import { readFileSync } from "node:fs";

const PLACE = "https://repl.example.org/"; // where the guides' site is

/** What is in the guide `name`, with `site` in the place of the guides' own. */
export function guide(name, site) {
  const text = readFileSync(new URL(`../../book/src/guides/${name}.md`, import.meta.url), "utf8")
    .replaceAll(PLACE, site.href)
    .replaceAll(PLACE.slice(0, -1), site.origin);
  const blocks = (words) => [...text.matchAll(/^```(.*)\n([^]*?)^```$/gm)].filter((m) => m[1] === words).map((m) => m[2]);
  const [policy] = blocks("http").map((header) => header.trim().replace(/^[^:]*: /, ""));
  return { blocks, policy };
}

/** What the lines `console.log(…); // text` of a program should print. */
export const promised = (program) => [...program.matchAll(/console\.log\(.*\); \/\/ (.*)$/gm)].map((m) => m[1]);
