// Work that is not lost with the page: cells and libraries, in this browser's storage. The page's
// own work and each link that was opened have a place of their own, so that a link never overwrites
// what somebody was at.

import { checked } from "./share.mjs";

const PREFIX = "jtw-work:";
const MOST = 20; // links that are remembered

// Storage may be forbidden, full, or written by somebody else: then there is nothing.
function attempt(act) {
  try {
    return act();
  } catch {
    return null;
  }
}

// Fragments are long: a 53-bit sum of one is enough to tell it from twenty others.
function sum(text) {
  let [a, b] = [0xdeadbeef, 0x41c6ce57];
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    a = Math.imul(a ^ code, 2654435761);
    b = Math.imul(b ^ code, 1597334677);
  }
  return ((b >>> 0) & 0x1fffff).toString(36) + (a >>> 0).toString(36);
}

const placeOf = ({ pathname, search, hash }) => `${PREFIX}${pathname}${search}${hash.startsWith("#jtw") ? `#${sum(hash)}` : ""}`;

/** What was saved at this address, or null. */
export function saved(address) {
  return attempt(() => checked(JSON.parse(localStorage.getItem(placeOf(address)))));
}

/** Saves; whether that was possible. */
export function save(address, document) {
  const place = placeOf(address);
  const text = JSON.stringify({ ...document, at: Date.now() });
  const isSaved = attempt(() => {
    localStorage.setItem(place, text);
    return true;
  });
  if (place.includes("#")) attempt(forgetOld);
  return isSaved === true;
}

/** There is nothing to save here any more. */
export function forget(address) {
  attempt(() => localStorage.removeItem(placeOf(address)));
}

function forgetOld() {
  const links = Object.keys(localStorage).filter((key) => key.startsWith(PREFIX) && key.includes("#"));
  if (links.length <= MOST) return;
  const age = (key) => attempt(() => JSON.parse(localStorage.getItem(key)).at) ?? 0;
  const old = links.sort((one, other) => age(one) - age(other)).slice(0, links.length - MOST);
  for (const key of old) localStorage.removeItem(key);
}
