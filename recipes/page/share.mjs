// A document in the fragment of an address: `#jtw1.` and then JSON, deflated, in base64url. The
// fragment is never sent to a server.

const PREFIX = "#jtw1.";
const ANY = /^#jtw\d+\./;
const LONGEST = 1 << 20; // characters of JSON: a link may come from anybody
const INDEX = /^u\/[0-9a-z]+\/findlib_index\.json$/;

async function through(bytes, transform) {
  const reader = new Blob([bytes]).stream().pipeThrough(transform).getReader();
  const parts = [];
  let length = 0;
  for (let part; !(part = await reader.read()).done; parts.push(part.value)) {
    length += part.value.length;
    if (length > 4 * LONGEST) throw new Error("it is too long");
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

function toBase64(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 0x8000) text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

const fromBase64 = (text) =>
  Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (char) => char.charCodeAt(0));

const areTexts = (value) => Array.isArray(value) && value.every((one) => typeof one === "string");

/** A document of what may be one: `cells`, `requires` and the `index` of a universe, below the site's root. */
export function checked(value) {
  if (!areTexts(value?.cells) || value.cells.length > 1000) return null;
  const { cells, requires, index } = value;
  return {
    cells,
    requires: areTexts(requires) ? requires.slice(0, 200) : [],
    index: typeof index === "string" && INDEX.test(index) ? index : null,
  };
}

/** The fragment that holds the document. */
export async function toFragment({ cells, requires, index }) {
  const json = JSON.stringify({ c: cells, r: requires, ...(index && { u: index }) });
  const bytes = await through(new TextEncoder().encode(json), new CompressionStream("deflate-raw"));
  return PREFIX + toBase64(bytes);
}

/** The document in a fragment; null if it is a fragment of another kind. Rejects what is broken. */
export async function fromFragment(fragment) {
  if (!ANY.test(fragment)) return null;
  if (!fragment.startsWith(PREFIX)) throw new Error("This link was made by a newer version of this page.");
  const found = await (async () => {
    const bytes = await through(fromBase64(fragment.slice(PREFIX.length)), new DecompressionStream("deflate-raw"));
    const { c, r, u } = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    return checked({ cells: c, requires: r, index: u });
  })().catch(() => null);
  if (!found) throw new Error("This link is damaged: the code in it cannot be read.");
  return found;
}
