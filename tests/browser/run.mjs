// Checks a built universe in headless Chromium, from its address alone.
//
//   node run.mjs SITE_URL INDEX_PATH [SCREENSHOT.png]
//   SITE_URL=http://127.0.0.1:8080/ INDEX=u/<hash>/findlib_index.json node run.mjs
//
// The first part talks to the worker through a client written from the
// protocol description (client.mjs), not through the page's own; then comes the
// shipped client library (client-*.mjs), and the page (page.mjs). Settings: CHROMIUM
// (default /usr/bin/chromium), SKIP (a comma list of libraries that this universe
// does not hold).

import assert from "node:assert/strict";
import { contains as stop, launch, locate, openPage } from "./client.mjs";
import { checkGuide } from "./client-guide.mjs";
import { checkLibrary } from "./client-library.mjs";
import { checkNode } from "./client-node.mjs";
import { checkPage } from "./page.mjs";

const site = new URL(process.argv[2] ?? process.env.SITE_URL ?? "http://127.0.0.1:8080/");
const indexPath = process.argv[3] ?? process.env.INDEX;
const screenshot = process.argv[4] ?? process.env.SCREENSHOT;
const skip = new Set((process.env.SKIP ?? "").split(",").filter(Boolean));
if (!indexPath) {
  console.error("usage: node run.mjs SITE_URL INDEX_PATH [SCREENSHOT.png]");
  process.exit(2);
}

let passed = 0;
let failed = 0;
async function check(name, body, libraries = []) {
  const absent = libraries.find((l) => skip.has(l));
  if (absent) return console.log(`skip  ${name} (no ${absent})`);
  try {
    await body();
    passed++;
    console.log(`ok    ${name}`);
  } catch (error) {
    failed++;
    console.log(`FAIL  ${name}\n      ${String(error.message).replaceAll("\n", "\n      ")}`);
  }
}

const browser = await launch();

// ---- part one: the protocol ------------------------------------------------

const context = await browser.newContext();
const { page, errors: pageErrors } = await openPage(context, site);
const { indexUrl, workerUrl, plain } = await locate(site, indexPath);

const start = (name, fields = {}) =>
  page.evaluate(
    async ([name, workerUrl, fields]) => {
      window[name] = window.startClient(workerUrl);
      return window[name].init(fields);
    },
    [name, workerUrl, fields],
  );
const run = (code, env, client = "main") =>
  page.evaluate(([c, code, env]) => window[c].eval(code, env), [client, code, env ?? "default"]);
const ask = (type, fields, env) =>
  page.evaluate(([t, f, e]) => window.main.ask(t, f, e), [type, fields, env ?? "default"]);
const operate = (message, answers, client = "main") =>
  page.evaluate(
    ([c, m, answers]) => window[c].send(m, (a) => answers.includes(a.type)),
    [client, message, answers],
  );

await check("an eval before init is refused, not lost", async () => {
  const answer = await page.evaluate(async (url) => {
    const c = window.startClient(url);
    return c.eval("1;;");
  }, workerUrl);
  assert.equal(answer.type, "eval_error");
});

await check("init with the index's path answers ready", async () => {
  assert.deepEqual(await start("main", plain), { type: "ready" });
});

await check("1 + 2;;", async () => {
  const r = await run("1 + 2;;");
  assert.equal(r.type, "output");
  assert.equal(r.text, "- : int = 3");
  assert.deepEqual([r.stdout, r.stderr, r.caml_ppf, r.mime_vals], ["", "", "", []]);
});

await check("one output_at per phrase, with the end of each", async () => {
  const r = await run("let a = 5;; a + 1;;");
  assert.deepEqual(r.phrases.map((p) => [p.loc, p.caml_ppf]), [[9, "val a : int = 5"], [17, "- : int = 6"]]);
});

await check("locations count UTF-8 bytes", async () => {
  const r = await run('let s = "é€";; s;;');
  assert.deepEqual(r.phrases.map((p) => p.loc), [15, 19]);
  assert.equal(r.phrases[0].caml_ppf, 'val s : string = "é€"');
});

await check("a missing ;; is added; definitions last", async () => {
  assert.equal((await run("let double x = 2 * x")).text, "val double : int -> int = <fun>");
  assert.equal((await run("double 21;;")).text, "- : int = 42");
});

await check("stdout and stderr are captured", async () => {
  const r = await run('print_endline "out"; prerr_endline "err"; Printf.printf "%d" 7;;');
  assert.equal(r.stdout, "out\n7");
  assert.equal(r.stderr, "err");
  assert.equal(r.text, "- : unit = ()");
});

await check("a type error shows an excerpt with a caret in stderr", async () => {
  const r = await run('let x = 1 + "two";;');
  assert.equal(r.type, "output");
  stop(r.stderr, 'let x = 1 + "two"');
  stop(r.stderr, "^^^^^");
  stop(r.stderr, "string");
  assert.equal(r.phrases.length, 0);
});

await check("evaluation goes on after an error", async () => {
  const r = await run("undefined_name;; 3 * 3;;");
  stop(r.stderr, "Unbound value undefined_name");
  assert.equal(r.text, "- : int = 9");
});

await check("a syntax error is reported", async () => {
  stop((await run("let let = 3;;")).stderr, "Syntax error");
});

await check("an uncaught exception is in caml_ppf", async () => {
  stop((await run("List.find (fun x -> x > 3) [1];;")).text, "Exception: Not_found.");
});

await check("runaway recursion, exit and #quit are survived", async () => {
  stop((await run("let rec f x = 1 + f x in f 0;;")).text, "Stack overflow");
  await run("exit 3;;");
  await run("#quit;;");
  assert.equal((await run("1;;")).text, "- : int = 1");
});

await check("a unit that is not a visible name of the standard library loads lazily", async () => {
  assert.equal((await run('Scanf.sscanf "7 8" "%d %d" (+);;')).text, "- : int = 15");
});

await check('#require "str"', async () => {
  const r = await run('#require "str";; Str.split (Str.regexp ",") "a,b";;');
  assert.equal(r.stderr, "");
  stop(r.text, '["a"; "b"]');
}, ["str"]);

await check('#require "fmt"', async () => {
  const r = await run('#require "fmt";;\nFmt.str "%d" 42;;');
  assert.equal(r.stderr, "");
  stop(r.text, '- : string = "42"');
}, ["fmt"]);

await check('#require "base"', async () => {
  const r = await run('#require "base";; Base.String.hash "hello";;');
  assert.equal(r.stderr, "");
  stop(r.text, "- : int = 840920576");
}, ["base"]);

await check('#require "zarith": 30!', async () => {
  const r = await run(`#require "zarith";;
    let rec fact n = if n = 0 then Z.one else Z.mul (Z.of_int n) (fact (n - 1));;
    Z.to_string (fact 30);;`);
  assert.equal(r.stderr, "");
  stop(r.text, '"265252859812191058636308480000000"');
}, ["zarith"]);

await check("requiring twice is no error", async () => {
  assert.equal((await run('#require "fmt";; Fmt.str "%s" "again";;')).stderr, "");
}, ["fmt"]);

await check("an unknown library is an error the user sees", async () => {
  const r = await run('#require "no_such_library";;');
  assert.equal(r.type, "output");
  stop(r.stderr, "no_such_library");
  stop(r.stderr, "Error");
});

await check("a near miss is answered with a suggestion", async () => {
  stop((await run('#require "fmtt";;')).stderr, '"fmt"');
}, ["fmt"]);

await check("environments are isolated", async () => {
  for (const env_id of ["one", "two"]) {
    assert.deepEqual(await operate({ type: "create_env", env_id }, ["env_created", "init_error"]), {
      type: "env_created", env_id,
    });
  }
  await run('let secret = 1 let get () = secret;; module M = struct let v = "m1" end;; exception E of int;;', "one");
  stop((await run("secret;;", "two")).stderr, "Unbound value secret");
  await run('let secret = "text";; let a = 99;; module M = struct let v = 2.5 end;;', "two");
  assert.equal((await run("secret + get ();; M.v;; (try raise (E 4) with E n -> n);;", "one")).text,
    '- : int = 2\n- : string = "m1"\n- : int = 4');
  assert.equal((await run("secret;; M.v;;", "two")).text, '- : string = "text"\n- : float = 2.5');
  assert.equal((await run("a;;")).text, "- : int = 5");
  stop((await run("print_endline secret;;", "two")).stdout, "text");
});

await check("create_env empties, destroy_env forgets, list_envs lists", async () => {
  await operate({ type: "create_env", env_id: "one" }, ["env_created", "init_error"]);
  stop((await run("secret;;", "one")).stderr, "Unbound value secret");
  assert.deepEqual(await operate({ type: "destroy_env", env_id: "one" }, ["env_destroyed"]), {
    type: "env_destroyed", env_id: "one",
  });
  assert.equal((await operate({ type: "destroy_env", env_id: "never" }, ["env_destroyed"])).env_id, "never");
  const envs = await operate({ type: "list_envs" }, ["envs"]);
  assert.deepEqual(envs.env_ids, ["default", "two"]);
});

await check("completion of a module path", async () => {
  const source = "let l = List.ma";
  const { completions } = await ask("complete", { source, position: source.length });
  assert.deepEqual([completions.from, completions.to], [13, 15]);
  const map = completions.entries.find((e) => e.name === "map");
  assert.deepEqual(map, {
    name: "map", kind: "Value", desc: "('a -> 'b) -> 'a list -> 'b list", info: "", deprecated: false,
  });
  assert.ok(completions.entries.every((e) => e.name.startsWith("ma")));
});

await check("completion of modules, keywords, and after multi-byte text", async () => {
  const names = async (source, position) =>
    (await ask("complete", { source, position })).completions;
  assert.ok((await names("Lis", 3)).entries.some((e) => e.name === "List" && e.kind === "Module"));
  assert.ok((await names("whi", 3)).entries.some((e) => e.kind === "Keyword"));
  const source = '"é" ^ String.conc';
  const bytes = Buffer.byteLength(source);
  const answer = await names(source, bytes);
  assert.equal(answer.to, bytes);
  assert.ok(answer.entries.some((e) => e.name === "concat"));
  assert.deepEqual((await names("1 + ", 4)), { from: 0, to: 0, entries: [] });
});

await check("completion at an impossible position is an eval_error", async () => {
  assert.equal((await ask("complete", { source: "abc", position: 0 })).type, "eval_error");
  assert.equal((await ask("complete", { source: "abc", position: 9 })).type, "eval_error");
});

await check("errors: a type error with its place", async () => {
  const { errors } = await ask("errors", { source: "let x : string = 42" });
  assert.equal(errors.length, 1);
  const [e] = errors;
  assert.equal(e.kind, "error");
  assert.equal(e.source, "typer");
  assert.deepEqual([e.loc.loc_start, e.loc.loc_end], [
    { pos_cnum: 17, pos_lnum: 1, pos_bol: 0 }, { pos_cnum: 19, pos_lnum: 1, pos_bol: 0 },
  ]);
  stop(e.main, "string");
});

await check("errors: syntax, warnings, none", async () => {
  assert.equal((await ask("errors", { source: "let x = (" })).errors[0].source, "parser");
  const { errors } = await ask("errors", { source: "let f = function Some x -> x" });
  assert.ok(errors[0].kind.startsWith("warning:"), errors[0].kind);
  assert.deepEqual((await ask("errors", { source: "let y = 1;;\nlet z = y + 1" })).errors, []);
});

await check("type_at: the innermost expression first", async () => {
  const { types } = await ask("type_at", { source: "let x = List.map", position: 10 });
  assert.equal(types[0].type_str, "('a -> 'b) -> 'a list -> 'b list");
  assert.deepEqual([types[0].loc.loc_start.pos_cnum, types[0].loc.loc_end.pos_cnum, types[0].tail], [8, 16, "no"]);
});

await check("an unknown message and a text that is not JSON are answered", async () => {
  const unknown = await operate({ type: "no_such_type" }, ["init_error"]);
  stop(unknown.message, "no_such_type");
  const answer = await page.evaluate(() => {
    const got = window.main.until((m) => m.type === "init_error");
    window.main.raw("{not json");
    return got;
  });
  stop(answer.message, "JSON");
});

await check("init requires libraries", async () => {
  assert.deepEqual(await start("second", { ...plain, findlib_requires: ["fmt"] }), { type: "ready" });
  assert.equal((await run('Fmt.str "%d" 1;;', "", "second")).text, '- : string = "1"');
}, ["fmt"]);

await check("init fails clearly: index, library, standard library", async () => {
  const index = await start("bad1", { ...plain, findlib_index: "/no/such/findlib_index.json" });
  assert.equal(index.type, "init_error");
  stop(index.message, "/no/such/findlib_index.json");
  const library = await start("bad2", { ...plain, findlib_requires: ["no_such_library"] });
  assert.equal(library.type, "init_error");
  stop(library.message, "no_such_library");
  const stdlib = await start("bad3", { ...plain, stdlib_dcs: "lib/none.json" });
  assert.equal(stdlib.type, "init_error");
  stop(stdlib.message, "standard library");
});

await check("the worker finds its place without being told, and takes an absolute index", async () => {
  const answer = await page.evaluate(
    ([workerUrl, index]) =>
      new Promise((resolve) => {
        const worker = new Worker(workerUrl);
        worker.onmessage = (e) => resolve(JSON.parse(e.data));
        worker.postMessage(JSON.stringify({ type: "init", findlib_index: index }));
      }),
    [workerUrl, indexUrl.href],
  );
  assert.deepEqual(answer, { type: "ready" });
});

await check("nothing failed behind the scenes", async () => assert.deepEqual(pageErrors, []));
await page.close();

// ---- the client library, and the page -----------------------------------------

const shipped = { check, context, site, indexUrl, workerUrl };
await checkLibrary(shipped);
await checkNode(shipped);
await checkGuide(shipped);
await checkPage({ ...shipped, skip, screenshot });
await browser.close();

console.log(`\n${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
