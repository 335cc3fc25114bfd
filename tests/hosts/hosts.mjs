// Tries a site on several servers; see `run` beside this file.
//
//   node hosts.mjs DIRECTORY ROOT GUIDE.md
//
// DIRECTORY holds the site as `site`, and takes what servers write. Programs are looked for below
// ROOT, then on this machine. GUIDE.md has the configurations, as blocks called `nginx`,
// `caddyfile` and `apache`, for a site in `/srv/repl` and port 8080.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { createServer } from "node:net";
import { join } from "node:path";
import { contains, launch, locate, openPage } from "../browser/client.mjs";
import { openElsewhere, otherOrigin } from "../browser/client-origin.mjs";

const [directory, root, guide] = process.argv.slice(2);
const site = join(directory, "site");
const text = readFileSync(guide, "utf8");
const PORTS = /\b8080\b/g;
const FOR_EVER = "public, max-age=31536000, immutable";

let passed = 0;
let failed = 0;
async function check(name, body) {
  try {
    await body();
    passed++;
    console.log(`ok    ${name}`);
  } catch (error) {
    failed++;
    console.log(`FAIL  ${name}\n      ${String(error.message).replaceAll("\n", "\n      ")}`);
  }
}

/** The guide's block in this language, for the site and port of this test. */
function configuration(language, port) {
  const block = text.match(new RegExp("^```" + language + "\\n([^]*?)^```", "m"));
  assert.ok(block, `the guide has no block \`${language}\``);
  assert.ok(block[1].includes("/srv/repl") && block[1].includes("8080"), `\`${language}\` says where`);
  return block[1].replaceAll("/srv/repl", site).replace(PORTS, port);
}

function program(...paths) {
  return paths.flatMap((path) => [join(root, path), join("/", path)]).find(existsSync);
}

/** A directory of Debian's packages, which may be unpacked below ROOT. */
const below = (path) => program(path) ?? `/${path}`;

const freePort = () =>
  new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

const isRoot = process.getuid() === 0;
const unpacked = join(root, "usr/lib");
const isLibraries = (name) => name.includes("-linux-");
const libraries = existsSync(unpacked) ? readdirSync(unpacked).filter(isLibraries).map((name) => join(unpacked, name)) : [];

function write(host, name, content) {
  const at = join(directory, host);
  mkdirSync(at, { recursive: true });
  writeFileSync(join(at, name), content);
  return join(at, name);
}

// What the guide's block stands in, on a Debian machine.
const HOSTS = {
  nginx: {
    program: ["usr/sbin/nginx"],
    codings: ["br", "gzip"],
    arguments(port) {
      const modules = below("usr/lib/nginx/modules/ngx_http_brotli_static_module.so");
      const at = join(directory, "nginx");
      const places = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
      const main = `
        ${isRoot ? "user root;" : ""}
        load_module ${modules};
        daemon off; worker_processes 1; pid ${at}/pid; error_log stderr;
        events {}
        http {
          include ${below("etc/nginx/mime.types")};
          default_type application/octet-stream;
          access_log off;
          ${places.map((place) => `${place}_temp_path ${at}/${place};`).join(" ")}
          ${configuration("nginx", port)}
        }`;
      return ["-c", write("nginx", "nginx.conf", main), "-p", at, "-e", "stderr"];
    },
  },
  caddy: {
    program: ["usr/bin/caddy"],
    codings: ["br", "gzip"],
    arguments(port) {
      const quiet = "{\n\tadmin off\n\tauto_https off\n}\n";
      const file = write("caddy", "Caddyfile", quiet + configuration("caddyfile", port));
      return ["run", "--config", file, "--adapter", "caddyfile"];
    },
  },
  apache: {
    program: ["usr/sbin/apache2"],
    codings: ["br", "gzip"],
    arguments(port) {
      const at = join(directory, "apache");
      const modules = below("usr/lib/apache2/modules");
      const names = ["mpm_event", "authz_core", "dir", "mime", "alias", "rewrite", "headers"];
      const main = `
        ${names.map((name) => `LoadModule ${name}_module ${modules}/mod_${name}.so`).join("\n")}
        ServerName localhost
        ServerRoot ${at}
        PidFile ${at}/pid
        DefaultRuntimeDir ${at}
        ErrorLog ${at}/errors
        LogLevel warn
        ${isRoot ? "User nobody\nGroup nogroup" : ""}
        TypesConfig ${below("etc/mime.types")}
        # Debian's mods-enabled/mime.conf, as far as it is about these suffixes.
        AddType application/x-gzip .gz .tgz
        AddLanguage br .br
        DirectoryIndex index.html
        Listen 127.0.0.1:${port}
        ${configuration("apache", port)}`;
      return ["-f", write("apache", "apache2.conf", main), "-DFOREGROUND"];
    },
  },
  python3: {
    program: ["usr/bin/python3", "usr/local/bin/python3"],
    codings: [],
    isPlain: true,
    arguments: (port) => ["-m", "http.server", "--bind", "127.0.0.1", "--directory", site, port],
  },
};

/** Status, headers and body as they are: no client library that unpacks. */
const fetchRaw = (url, headers = {}) =>
  new Promise((resolve, reject) => {
    get(url, { headers, agent: false }, (response) => {
      const parts = [];
      response.on("data", (part) => parts.push(part));
      response.on("end", () =>
        resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(parts) }),
      );
    }).on("error", reject);
  });

async function started(child, url) {
  for (let tries = 0; tries < 100; tries++) {
    if (child.exitCode !== null) break;
    try {
      return await fetchRaw(url);
    } catch {
      await new Promise((later) => setTimeout(later, 100));
    }
  }
  throw new Error(`it does not answer:\n${child.said}`);
}

const sum = (bytes) => createHash("sha256").update(bytes).digest("hex");

async function tryHost(browser, name, host) {
  const path = program(...host.program);
  if (!path) return console.log(`SKIPPED: no ${name} on this machine`);
  const port = String(await freePort());
  const url = new URL(`http://127.0.0.1:${port}/`);
  const environment = { ...process.env, LD_LIBRARY_PATH: libraries.join(":"), HOME: directory, XDG_CONFIG_HOME: directory };
  const child = spawn(path, host.arguments(port), { env: environment, stdio: ["ignore", "pipe", "pipe"] });
  child.said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (part) => (child.said += part));
  const failures = failed;
  try {
    await check(`${name}: starts with the guide's configuration`, async () => {
      assert.equal((await started(child, url)).status, 200);
    });
    if (failed === failures) await checkHost(browser, name, host, url);
    if (failed !== failures) console.log(child.said);
  } finally {
    child.kill();
  }
}

async function checkHost(browser, name, host, url) {
  const indexPath = `u/${readdirSync(join(site, "u"))[0]}/findlib_index.json`;
  const { indexUrl, workerUrl, plain } = await locate(url, indexPath);
  const file = join(site, new URL(workerUrl).pathname);

  await check(`${name}: the worker as it is`, async () => {
    const { status, headers, body } = await fetchRaw(workerUrl);
    assert.deepEqual([status, headers["content-encoding"]], [200, undefined]);
    assert.equal(sum(body), sum(readFileSync(file)));
    assert.match(headers["content-type"], /javascript/);
  });
  for (const [coding, suffix] of [["br", ".br"], ["gzip", ".gz"]]) {
    const expected = host.codings.includes(coding) ? coding : undefined;
    await check(`${name}: the worker for those who take ${coding}: ${expected ?? "as it is"}`, async () => {
      const { headers, body } = await fetchRaw(workerUrl, { "accept-encoding": coding });
      assert.equal(headers["content-encoding"], expected);
      assert.equal(sum(body), sum(readFileSync(expected ? file + suffix : file)), "the very variant");
      assert.match(headers["content-type"], /javascript/);
      if (expected) assert.match(headers.vary ?? "", /accept-encoding/i);
    });
  }
  await check(`${name}: modules are scripts`, async () => {
    assert.match((await fetchRaw(new URL("jtw-client.mjs", url))).headers["content-type"], /javascript/);
  });
  if (!host.isPlain) {
    await check(`${name}: hashed paths are kept for ever, others are asked about`, async () => {
      for (const accepted of ["identity", "br, gzip"]) {
        const cached = async (at) => (await fetchRaw(at, { "accept-encoding": accepted })).headers["cache-control"];
        assert.equal(await cached(workerUrl), FOR_EVER);
        assert.equal(await cached(indexUrl), FOR_EVER);
        for (const at of ["", "index.html", "universe.json"]) assert.equal(await cached(new URL(at, url)), "no-cache", at);
      }
    });
    await check(`${name}: what begins with a dot is not there, and directories are not listed`, async () => {
      for (const at of [".jtwbuild-site", "p/", "compiler/"]) {
        const { status } = await fetchRaw(new URL(at, url));
        assert.ok([403, 404].includes(status), `${at}: ${status}`);
      }
    });
    await check(`${name}: asked again, nothing is sent`, async () => {
      const first = await fetchRaw(new URL("universe.json", url));
      const again = await fetchRaw(new URL("universe.json", url), { "if-none-match": first.headers.etag });
      assert.deepEqual([again.status, again.body.length], [304, 0]);
    });
  }

  const context = await browser.newContext();
  const answers = [];
  context.on("response", (response) => answers.push(response));
  await check(`${name}: a phrase and a library in Chromium`, async () => {
    const { page, errors } = await openPage(context, url);
    const ready = await page.evaluate(
      ([workerUrl, fields]) => {
        window.main = window.startClient(workerUrl);
        return window.main.init(fields);
      },
      [workerUrl, plain],
    );
    assert.equal(ready.type, "ready");
    const run = (code) => page.evaluate((code) => window.main.eval(code), code);
    contains((await run("List.map succ [1; 2];;")).text, "[2; 3]");
    contains((await run('#require "fmt";; Fmt.str "%d" 42;;')).text, '"42"');
    assert.deepEqual(errors, []);
    await page.close();
  });
  await check(`${name}: the page starts without a complaint`, async () => {
    const page = await context.newPage();
    const complaints = [];
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
    await page.goto(url.href, { waitUntil: "networkidle" });
    assert.deepEqual(complaints.filter((text) => !text.includes("favicon")), []);
    await page.close();
  });
  await check(`${name}: what came to Chromium was ${host.codings.length ? "compressed" : "not compressed"}`, async () => {
    const worker = answers.find((answer) => answer.url() === workerUrl);
    assert.ok(worker, "the worker was asked for");
    assert.equal(worker.headers()["content-encoding"], host.codings[0]);
  });
  if (!host.isPlain) {
    await check(`${name}: a page of another origin`, async () => {
      const origin = await otherOrigin();
      try {
        const { page, errors } = await openElsewhere(context, origin, url);
        const value = await page.evaluate(async (index) => {
          const ocaml = await lib.OcamlWorker.create(index);
          const result = await ocaml.eval("6 * 7;;");
          ocaml.terminate?.();
          return JSON.stringify(result);
        }, indexUrl.href);
        contains(value, "42");
        assert.deepEqual(errors, []);
      } finally {
        origin.close();
      }
    });
  }
  await context.close();
}

const variants = readdirSync(site, { recursive: true }).filter((path) => /worker\.js\.(br|gz)$/.test(path));
assert.equal(variants.length % 2, 0);
assert.ok(variants.length >= 2 && statSync(join(site, variants[0])).size > 100000, "the site has variants");
const browser = await launch();
for (const [name, host] of Object.entries(HOSTS)) await tryHost(browser, name, host);
await browser.close();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
