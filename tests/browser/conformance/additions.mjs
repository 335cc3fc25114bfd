// What jtwbuild's worker adds to the contract; another worker may do without.

import assert from "node:assert/strict";
import { Session } from "./client.mjs";

const holds = (text, part) => assert.ok(text.includes(part), `${JSON.stringify(part)} is not in ${JSON.stringify(text)}`);
const place = (l) => [l.loc_start.pos_cnum, l.loc_end.pos_cnum];
const dataUrl = (text) => `data:application/json,${encodeURIComponent(text)}`;

export async function additions({ page, workerUrl, indexUrl, index, plain, library, problems, check }) {
  const open = () => Session.open(page, workerUrl, problems);
  const w = await (await open()).ready(plain);

  // ---- init ----
  const refused = async (fields, ...parts) => {
    const other = await open();
    const answer = await other.init({ ...plain, ...fields });
    await other.close();
    assert.equal(answer.type, "init_error");
    for (const part of parts) holds(answer.message, part);
  };
  const compiler = index.compiler;
  await check("init: an index that cannot be reached, is no JSON, or no index", async () => {
    await refused({ findlib_index: "/no/such/findlib_index.json" }, "/no/such/findlib_index.json", "404");
    await refused({ findlib_index: dataUrl("{oops") }, "invalid JSON");
    await refused({ findlib_index: dataUrl('{"packages":[]}') }, "meta_files");
  });
  await check("init: another compiler's universe, and another effects mode", async () => {
    const made = (change) => dataUrl(JSON.stringify({ ...index, meta_files: [], ...change }));
    await refused({ findlib_index: made({ compiler: { ...compiler, version: "4.02.3" } }) }, "4.02.3", compiler.version);
    const mode = index.effects === "cps" ? "disabled" : "cps";
    await refused({ findlib_index: made({ effects: mode }) }, mode, index.effects ?? "disabled");
    await (await open()).ready({ ...plain, findlib_index: made({}) });
  });
  await check("init: a META that cannot be reached, and an unknown library", async () => {
    const gone = new URL("/no/such/gone/META", indexUrl).href;
    await refused({ findlib_index: dataUrl(JSON.stringify({ meta_files: [gone] })), findlib_requires: ["gone"] }, gone);
    await refused({ findlib_requires: ["no_such_library"] }, "no_such_library");
  });
  await check("init: absolute addresses", async () => {
    const dcs = new URL("lib/ocaml/dynamic_cmis.json", workerUrl).href;
    await (await open()).ready({ stdlib_dcs: dcs, findlib_index: indexUrl.href });
  });
  await check("init: what the server sends is damaged, or of another compiler", async () => {
    // Answers of the server are replaced until the check is over. There are no bundles, which hold
    // copies of what is replaced.
    const instead = async (pattern, answer, ...expected) => {
      const bundles = "**/*.bundle";
      await page.context().route(bundles, (route) => route.fulfill({ status: 404 }));
      await page.context().route(pattern, (route) => route.fulfill(answer));
      try {
        await refused({ findlib_requires: [library] }, ...expected);
      } finally {
        await page.context().unroute(pattern);
        await page.context().unroute(bundles);
      }
    };
    const broken = "the standard library is not available: ";
    await instead("**/stdlib.cmi", { body: "Caml1999I001" + "x".repeat(50) }, broken, "/stdlib.cmi", "version of OCaml");
    await instead("**/stdlib.cmi", { body: "no interface" }, broken, "/stdlib.cmi", "interface");
    await instead("**/stdlib.cmi", { status: 500 }, broken, "/stdlib.cmi: HTTP status 500");
    await instead("**/stdlib.cmi", { status: 404 }, broken, "/stdlib.cmi: HTTP status 404");
    await instead("**/lib/ocaml/dynamic_cmis.json", { body: "[]" }, "standard library", "dynamic_cmis.json");
    await instead(`**/${library}/META`, { body: "package (" }, "META is not usable");
    await instead(`**/${library}/META`, { status: 503 }, "META", "503");
    await instead(`**/${library}.cma.js`, { status: 404 }, `"${library}"`, `${library}.cma.js`);
    await instead(`**/${library}/dynamic_cmis.json`, { body: "{" }, `"${library}"`, "invalid JSON");
  });
  await check("an interface that the server does not give is asked for twice, and told", async () => {
    const pattern = "**/stdlib__Queue.cmi";
    for (const [failures, expected] of [[1, ""], [2, "stdlib__Queue.cmi: the server could not be reached"]]) {
      const other = await (await open()).ready(plain);
      let asked = 0;
      await page.context().route(pattern, (route) => (++asked <= failures ? route.abort() : route.continue()));
      const { output } = await other.eval("Queue.create;;");
      await page.context().unroute(pattern);
      if (expected === "") assert.equal(output.stderr, "");
      else holds(output.stderr, expected);
      await other.close();
    }
  });
  await check("before init, requests are answered with errors that say whose they are", async () => {
    const other = await open();
    assert.equal((await other.eval("1")).output.type, "eval_error");
    const answer = await other.send({ type: "create_env", env_id: "early" }, "env_created", "init_error");
    assert.deepEqual([answer.type, answer.env_id], ["init_error", "early"]);
    await other.close();
  });
  await check("a message that is no string is an init_error", async () => {
    const [answer] = await w.exchange([{ type: "eval" }], [{ type: "init_error" }]);
    holds(answer.message, "JSON texts");
  });

  // ---- eval ----
  await check("stream: what is printed, while it is printed, in its order", async () => {
    const { all, output } = await w.eval('print_endline " é1"; prerr_endline "2"; print_string "3";; print_endline "4";;');
    const parts = all.filter((m) => m.type === "stream").map((m) => m.stdout ?? `!${m.stderr}`);
    assert.equal(parts.join(""), " é1\n!2\n34\n");
    assert.deepEqual(all.map((m) => m.type).filter((t) => t !== "stream"), ["output_at", "output_at", "output"]);
    assert.ok(all.findLastIndex((m) => m.type === "stream") < all.findLastIndex((m) => m.type === "output_at"));
    assert.equal(output.stdout, "é1\n34");
  });
  await check("stream: a program that flushes at each letter is sent in larger pieces, of whole characters", async () => {
    const { all, output } = await w.eval('for i = 1 to 3000 do output_string stdout "\\xc3"; flush stdout; output_string stdout "\\xa9"; flush stdout done;;');
    const parts = all.filter((m) => m.type === "stream").map((m) => m.stdout);
    assert.equal(parts.join(""), "é".repeat(3000));
    assert.equal(output.stdout, "é".repeat(3000));
    assert.ok(parts.length < 1000, `${parts.length} messages`);
  });
  await check("output: errors and warnings with their places", async () => {
    const { output } = await w.eval('let f = function Some x -> x;;\n"é" + 1;;\nlet = ;;');
    assert.deepEqual(output.errors.map((e) => [e.kind.slice(0, 9), e.loc.loc_start.pos_lnum, ...place(e.loc)]), [
      ["warning:8", 1, 8, 28], ["error", 2, 31, 35], ["error", 3, 46, 47],
    ]);
    assert.equal((await w.eval("1")).output.errors, undefined);
  });
  await check("endless output, endless recursion, exit and #quit are survived and told", async () => {
    const endless = await w.eval("while true do print_endline (String.make 5000 'x') done;;");
    holds(endless.text, "Exception");
    holds(endless.output.stderr, "cut");
    assert.ok(endless.output.stdout.length <= 4 * 1024 * 1024);
    holds((await w.eval("let rec f x = 1 + f x in f 0;;")).text, "Stack overflow");
    holds((await w.eval("exit 3;;")).text, "exit 3");
    holds((await w.eval("#quit;;")).output.stderr, "not available");
    assert.equal((await w.eval("1;;")).text, "- : int = 1");
  });
  await check("sources too deep to be compiled, and reading from stdin, are survived", async () => {
    const deep = `let deep = ${"(1 + ".repeat(30000)}1${")".repeat(30000)};;`;
    holds((await w.eval(deep)).output.stderr, "Stack overflow");
    const answer = await w.ask("errors", deep);
    assert.equal(answer.type, "eval_error");
    holds(answer.message, "nested too deeply");
    assert.equal((await w.eval("let id x = x in (id 1, id true);;")).text, "- : int * bool = (1, true)");
    holds((await w.eval("read_line ();;")).text, "End_of_file");
  });
  await check("an error of JavaScript shows where it was", async () => {
    const { text, output } = await w.eval("let wrong () = 1 + (Obj.magic 0 : unit -> int) ();; wrong ();;");
    holds(text, "Exception");
    holds(output.stderr, "Called in JavaScript:\n  at ");
  });

  // ---- rich output ----
  await check("Mime_printer: html, svg and base64, with the phrase that pushed them", async () => {
    const { phrases, output } = await w.eval(`Mime_printer.push "text/html" "<b>é</b>";;
      Mime_printer.push "image/svg+xml" "<svg/>"; Mime_printer.(push ~encoding:Base64 "image/png" "iVBORw0K");; 1;;
      Mime_printer.push "text/plain" "before"; failwith "after";;`);
    assert.deepEqual(phrases.map((p) => p.mime_vals), [
      [{ mime_type: "text/html", data: "<b>é</b>" }],
      [{ mime_type: "image/svg+xml", data: "<svg/>" }, { mime_type: "image/png", data: "iVBORw0K", encoding: "base64" }],
      [],
      [{ mime_type: "text/plain", data: "before" }],
    ]);
    assert.deepEqual(output.mime_vals, []);
  });
  await check("Mime_printer: too much is refused, and requiring upstream's library does no harm", async () => {
    const { text } = await w.eval('while true do Mime_printer.push "text/plain" (String.make 3000000 \'x\') done;;');
    holds(text, "16 MiB");
    const { phrases, output } = await w.eval('#require "mime_printer";; Mime_printer.push "a/b" "c";;');
    assert.equal(output.stderr, "");
    assert.deepEqual(phrases[1].mime_vals, [{ mime_type: "a/b", data: "c" }]);
  });

  // ---- libraries ----
  await check("#require: several names, progress, errors that help", async () => {
    const fresh = await (await open()).ready(plain);
    const { all, output } = await fresh.eval(`#require "${library} , ${library}";;`);
    assert.equal(output.stderr, "");
    const progress = all.filter((m) => m.type === "progress");
    assert.ok(progress.length > 0);
    assert.deepEqual(progress.map((p) => [p.done, p.total]), progress.map((_, i) => [i, progress.length]));
    assert.equal(progress.at(-1).library, library);
    const wrong = await fresh.eval(`#require "${library}x";;`);
    holds(wrong.output.stderr, `Did you mean "${library}"`);
    assert.deepEqual(wrong.output.errors.map((e) => place(e.loc)), [[9, 12 + library.length]]);
    await fresh.close();
  });
  await check("progress of what init requires has no cell", async () => {
    const other = await open();
    const all = await other.exchange([JSON.stringify({ type: "init", ...plain, findlib_requires: [library] })], [{ type: "ready" }]);
    const progress = all.filter((m) => m.type === "progress");
    assert.ok(progress.length > 0 && progress.every((p) => !("cell_id" in p)));
    await other.close();
  });
  await check("#list lists the packages of the universe", async () => {
    await w.eval(`#require "${library}";;`);
    const { text } = await w.eval("#list;;");
    holds(text, `${library} (loaded)`);
    assert.ok(text.split("\n").length >= index.meta_files.length - 1, text);
  });

  // ---- environments ----
  await check("a new environment has the standard library; list_envs; a new one of the same name is empty", async () => {
    for (const env_id of ["b", "a"]) await w.send({ type: "create_env", env_id }, "env_created");
    const { output } = await w.eval('let x = List.length [1];; print_endline "here";;', "a");
    assert.deepEqual([output.stdout, output.stderr], ["here", ""]);
    assert.deepEqual(await w.send({ type: "list_envs" }, "envs"), { type: "envs", env_ids: ["a", "b", "default"] });
    await w.send({ type: "create_env", env_id: "a" }, "env_created");
    holds((await w.eval("x;;", "a")).output.stderr, "Unbound value x");
    assert.ok((await w.complete("List.le│", { env_id: "a" })).names.includes("length"));
  });
  await check("functions keep the values of their own environment", async () => {
    await w.eval("let v = 1 let get () = v;;", "a");
    await w.eval("let v = 2 let get () = v;;", "b");
    assert.deepEqual([(await w.eval("get ();;", "a")).text, (await w.eval("get ();;", "b")).text], ["- : int = 1", "- : int = 2"]);
  });

  // ---- code intelligence ----
  await check("errors, type_at and complete know what was evaluated", async () => {
    await w.eval("type animal = { legs : int; name : string } let spider = { legs = 8; name = \"s\" } module Zoo = struct let keeper = 1 end;;");
    assert.deepEqual((await w.ask("errors", "spider.legs + Zoo.keeper")).errors, []);
    assert.equal((await w.ask("type_at", "spider", 3)).types[0].type_str, "animal");
    const names = async (marked) => (await w.complete(marked)).entries.map((e) => `${e.kind} ${e.name}: ${e.desc}`);
    assert.deepEqual(await names("spid│"), ["Value spider: animal"]);
    assert.deepEqual(await names("spider.│"), ["Label legs: animal -> int", "Label name: animal -> string"]);
    assert.deepEqual(await names("Zoo.│"), ["Value keeper: int"]);
    assert.deepEqual(await names("Zo│"), ["Module Zoo: sig val keeper : int end"]);
  });
  await check("complete knows the source: parameters, patterns, local modules, fields, methods, labels", async () => {
    const names = async (marked) => (await w.complete(marked)).entries.map((e) => `${e.kind} ${e.name}`);
    assert.deepEqual(await names("let f number other = num│"), ["Value number"]);
    assert.deepEqual(await names("let f l = match l with (first, second) :: _ when sec│"), ["Value second"]);
    assert.deepEqual(await names("let f x = let total = x + 1 in if x > 0 then tot│"), ["Value total"]);
    assert.deepEqual(await names("module Mine = struct let my_value = 1 let more = my_│"), ["Value my_value"]);
    assert.deepEqual(await names("type r = { alpha : int; beta : s } and s = { gamma : int };; fun (v : r) -> v.beta.│"), ["Label gamma"]);
    assert.deepEqual(await names("let o = object method hello = 1 end;;\no#│"), ["MethodCall hello"]);
    assert.deepEqual(await names("ListLabels.fold_left ~in│"), ["Label ~init"]);
    assert.deepEqual(await names("type t = Apple | Avocado;; App│"), ["Constructor Apple"]);
    assert.deepEqual(await names("module type Shape = sig end;; module X : Sha│"), ["Modtype Shape"]);
    assert.deepEqual(await names("1 |>│"), ["Value |>"]);
  });
  await check("complete offers nothing within strings and comments", async () => {
    assert.deepEqual((await w.complete('"List.ma│')).names, []);
    assert.deepEqual((await w.complete("(* List.ma│")).names, []);
    assert.deepEqual((await w.complete("let tag = `So│")).names, []);
  });
  await check("errors goes on behind a syntax error; type_at answers in an unfinished source", async () => {
    const { errors } = await w.ask("errors", "let a = (;; let b : string = 2;;");
    assert.deepEqual(errors.map((e) => e.source), ["parser", "typer"]);
    const { types } = await w.ask("type_at", "let f x = x + 1;; let y = (f 2", 27);
    assert.equal(types[0].type_str, "int -> int");
  });
  await check("position_encoding utf-16 counts as JavaScript does, both ways", async () => {
    const utf16 = { position_encoding: "utf-16" };
    const source = 'let s = "é€😀" in s + Strin';
    const [e] = (await w.ask("errors", 'let s = "é€😀" in s + 1', undefined, utf16)).errors;
    assert.deepEqual(place(e.loc), [18, 19]);
    const { completions } = await w.ask("complete", source, source.length, utf16);
    assert.deepEqual([completions.from, completions.to], [source.length - 5, source.length]);
    const { types } = await w.ask("type_at", 'let s = "é€😀" in s', 18, utf16);
    assert.deepEqual([place(types[0].loc), types[0].type_str], [[18, 19], "string"]);
    const { phrases } = await w.eval('let s = "é€😀";; s;;', "default", utf16);
    assert.deepEqual(phrases.map((p) => p.loc), [14, 18]);
    assert.equal((await w.ask("complete", "é", 2, utf16)).type, "eval_error");
  });
  await w.close();
}
