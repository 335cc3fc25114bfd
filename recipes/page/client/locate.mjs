// From the address of a universe to that of its worker.

import { LoadError } from "./errors.mjs";

/** In milliseconds. What is longer would be taken for 1 ms. */
export const LONGEST_TIMER = 2 ** 31 - 1;

/** What `url` is, seen from `base`: this page unless given. */
export function absolute(url, base = globalThis.location?.href) {
  try {
    return new URL(url, base);
  } catch (cause) {
    throw new LoadError(`${url} is not an address`, String(url), { cause });
  }
}

/** Where a site's list of universes, universe.json at `url`, says that an index is. */
export function indexIn(list, url, name) {
  const universes = Array.isArray(list.universes) ? list.universes : [list];
  const chosen = name === undefined ? universes[0] : universes.find((one) => one.name === name);
  if (typeof chosen?.index === "string") return absolute(chosen.index, url);
  throw new LoadError(name === undefined ? `${url} names no universe` : `${url} names no universe ${name}`, url.href);
}

/** Where the worker of an index is. */
export function workerAddress(index, indexUrl, baseOutputUrl) {
  const compiler = index?.compiler;
  if (!compiler) throw new LoadError(`The index ${indexUrl} names no compiler`, indexUrl.href);
  if (baseOutputUrl === undefined && typeof compiler.worker_url === "string") {
    return absolute(compiler.worker_url, indexUrl).href;
  }
  const root = absolute(baseOutputUrl ?? new URL("../../", indexUrl)).href.replace(/\/$/, "");
  return `${root}/compiler/${compiler.version}/${compiler.content_hash}/worker.js`;
}

/** The JSON value at `url`, within `timeout` milliseconds. */
export async function fetchIndex(url, timeout) {
  const failure = (problem, more) => new LoadError(`The index ${url} ${problem}`, url.href, more);
  const isLate = (cause) => cause.name === "TimeoutError";
  let response;
  try {
    response = await fetch(url, timeout > LONGEST_TIMER ? {} : { signal: AbortSignal.timeout(timeout) });
  } catch (cause) {
    throw failure(isLate(cause) ? "did not come in time" : "could not be reached", { cause });
  }
  const { ok, status } = response;
  if (!ok) throw failure(`could not be loaded: HTTP status ${status}`, { status });
  try {
    return await response.json();
  } catch (cause) {
    throw failure(isLate(cause) ? "did not come in time" : "is not JSON", { status, cause });
  }
}
