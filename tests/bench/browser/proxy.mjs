// A proxy in front of a site's server: counts what browsers ask for, and can be as far away as a
// real server is.
//
// What the server does not compress is compressed here, once for each file, as hosts do. `latency`
// is added to every answer, and nothing else is slowed down.

import { createServer } from "node:http";
import { gzipSync } from "node:zlib";

// Answers that a compressing host would leave as they are.
const SMALL = 256;

async function ask(origin, path) {
  const response = await fetch(new URL(path, origin), { headers: { "accept-encoding": "identity" } });
  const plain = Buffer.from(await response.arrayBuffer());
  const headers = {};
  for (const name of ["content-type", "cache-control", "etag", "content-security-policy", "access-control-allow-origin"]) {
    const value = response.headers.get(name);
    if (value !== null) headers[name] = value;
  }
  const packed = response.ok && plain.length > SMALL ? gzipSync(plain, { level: 9 }) : plain;
  const isPacked = packed.length < plain.length;
  if (isPacked) Object.assign(headers, { "content-encoding": "gzip", vary: "accept-encoding" });
  return { status: response.status, headers, body: isPacked ? packed : plain, size: plain.length };
}

/**
 * Starts a proxy for `origin` on a free port. `requests` holds what was asked for so far; a bench
 * empties it. A browser that has no copy says so by asking without `If-None-Match`.
 */
export async function startProxy(origin, { latency = 0 } = {}) {
  const known = new Map();
  const proxy = { requests: [], latency, origin: "", close: () => server.close() };
  const server = createServer(async (request, response) => {
    const path = request.url;
    if (!known.has(path)) known.set(path, ask(origin, path));
    const { status, headers, body, size } = await known.get(path);
    if (proxy.latency > 0) await new Promise((done) => setTimeout(done, proxy.latency));
    const isSame = headers.etag !== undefined && request.headers["if-none-match"] === headers.etag;
    proxy.requests.push({ path, status: isSame ? 304 : status, bytes: isSame ? 0 : body.length, size });
    if (isSame) return response.writeHead(304, headers).end();
    response.writeHead(status, { ...headers, "content-length": body.length }).end(body);
  });
  server.keepAliveTimeout = 60000;
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  proxy.origin = `http://127.0.0.1:${server.address().port}/`;
  return proxy;
}
