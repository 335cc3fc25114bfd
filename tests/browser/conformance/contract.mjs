// What any worker has to do: the contract's sections 1 to 7 and 9, in their order.

import assert from "node:assert/strict";
import { Session } from "./client.mjs";
import { contractTypes } from "./shapes.mjs";

const holds = (text, part) => assert.ok(text.includes(part), `${JSON.stringify(part)} is not in ${JSON.stringify(text)}`);
const place = (l) => [l.loc_start.pos_cnum, l.loc_end.pos_cnum];

export async function contract({ page, workerUrl, plain, library, problems, check }) {
  const open = () => Session.open(page, workerUrl, problems);
  const w = await open();

  await check("§3 the answer to init is the first message, and is ready", async () => {
    const all = await w.exchange([JSON.stringify({ type: "init", ...plain, unknown_field: [1] })], [{ type: ["ready", "init_error"] }]);
    assert.deepEqual(all.filter((m) => contractTypes.includes(m.type)), [{ type: "ready" }]);
  });

  await check("§1.1 null and absent fields of init have defaults", async () => {
    const other = await open();
    await other.ready({ findlib_requires: null, stdlib_dcs: null, findlib_index: plain.findlib_index });
    assert.equal((await other.eval("1")).text, "- : int = 1");
    await other.close();
  });

  await check("§3 a second init answers ready and keeps what was defined", async () => {
    await w.eval("let kept = 7;;");
    await w.ready(plain);
    assert.equal((await w.eval("kept;;")).text, "- : int = 7");
  });

  await check("§3 a stdlib_dcs that is missing is an init_error", async () => {
    const other = await open();
    assert.equal((await other.init({ ...plain, stdlib_dcs: "lib/ocaml/no_such.json" })).type, "init_error");
    await other.close();
  });

  await check("§3 requests are answered one after the other, in their order", async () => {
    const all = await w.exchange(
      [
        { type: "eval", cell_id: 9001, env_id: "default", code: "let a = 1;; let b = 2;;" },
        { type: "complete", cell_id: 9002, env_id: "default", source: "List.ma", position: 7 },
        { type: "type_at", cell_id: 9003, env_id: "default", source: "1 + 1", position: 1 },
        { type: "errors", cell_id: 9004, env_id: "default", source: "1" },
        { type: "eval", cell_id: 9005, env_id: "default", code: "3" },
      ].map((m) => JSON.stringify(m)),
      [{ type: "output", cell_id: 9005 }],
    );
    assert.deepEqual(all.filter((m) => contractTypes.includes(m.type)).map((m) => [m.type, m.cell_id]), [
      ["output_at", 9001], ["output_at", 9001], ["output", 9001], ["completions", 9002], ["types", 9003],
      ["errors", 9004], ["output_at", 9005], ["output", 9005],
    ]);
  });

  await check("§2 an unknown message, no type, and no JSON are an init_error each", async () => {
    for (const text of ['{"type":"no_such_type"}', "{}", "{not json", "[1]"]) {
      await w.exchange([text], [{ type: "init_error" }]);
    }
    assert.equal((await w.eval("1")).text, "- : int = 1");
  });

  await check("§4.1 ;; is added, and a code that ends in ;; and a newline has an empty phrase more", async () => {
    assert.equal((await w.eval("1 + 2")).text, "- : int = 3");
    assert.deepEqual((await w.eval("1 + 2;;")).phrases.length, 1);
    const { phrases } = await w.eval("1 + 2;;\n");
    assert.deepEqual(phrases.map((p) => p.caml_ppf), ["- : int = 3", ""]);
  });

  await check("§4.3 output_at for each phrase, with the end of its first item", async () => {
    const { phrases, output } = await w.eval("let a = 5;; a + 1;;");
    assert.deepEqual(phrases.map((p) => [p.loc, p.caml_ppf]), [[9, "val a : int = 5"], [17, "- : int = 6"]]);
    assert.deepEqual([output.stdout, output.stderr, output.caml_ppf, output.mime_vals], ["", "", "", []]);
    assert.deepEqual((await w.eval("let b = 1 let c = 2;;")).phrases.map((p) => p.loc), [9]);
    assert.deepEqual((await w.eval("#show List.hd;; 1;;")).phrases.map((p) => p.loc), [13, 17]);
  });

  await check("§4.3 an exception of the program is in caml_ppf, and the next phrase runs", async () => {
    const { phrases } = await w.eval("raise Not_found;; 2;;");
    assert.deepEqual(phrases.map((p) => p.caml_ppf), ["Exception: Not_found.", "- : int = 2"]);
  });

  await check("§4.4 a type error is on stderr, has no output_at, and the next phrase runs", async () => {
    const { phrases, output } = await w.eval('1 + "two";; 3;;');
    assert.equal(output.type, "output");
    holds(output.stderr, "Error");
    holds(output.stderr, "string");
    assert.deepEqual(phrases.map((p) => p.caml_ppf), ["- : int = 3"]);
  });

  await check("§4.4 a syntax error is on stderr of an output", async () => {
    const { output } = await w.eval("let let = 3;;");
    assert.equal(output.type, "output");
    holds(output.stderr, "Syntax error");
  });

  await check("§4.5 stdout and stderr of the whole cell, trimmed", async () => {
    const { output, phrases } = await w.eval('print_string "\\n  a ";; prerr_string " b\\n"; print_endline " c  ";;');
    assert.deepEqual([output.stdout, output.stderr], ["a  c", "b"]);
    assert.deepEqual(phrases.map((p) => p.caml_ppf), ["- : unit = ()", "- : unit = ()"]);
    assert.deepEqual((await w.eval("1")).output.stdout, "", "a cell's output does not come again");
  });

  await check("§4 warnings are on stderr", async () => {
    holds((await w.eval("let f = function Some x -> x;;")).output.stderr, "Warning 8");
  });

  await check("§4 #show prints to caml_ppf", async () => {
    holds((await w.eval("#show_val List.map;;")).text, "('a -> 'b) -> 'a list -> 'b list");
  });

  await check("§5 complete: the last component, from and to around it", async () => {
    const list = await w.complete("let l = List.ma│");
    assert.deepEqual([list.from, list.to], [13, 15]);
    assert.ok(list.names.includes("map") && list.names.every((n) => n.startsWith("ma")), String(list.names));
    const map = list.entries.find((e) => e.name === "map");
    assert.deepEqual([map.kind, map.desc, map.deprecated], ["Value", "('a -> 'b) -> 'a list -> 'b list", false]);
    const modules = await w.complete("Lis│");
    assert.deepEqual([modules.from, modules.to], [0, 3]);
    assert.equal(modules.entries.find((e) => e.name === "List").kind, "Module");
  });

  await check("§5 complete: nothing typed, a label's value, the middle of a source", async () => {
    const { from, to, entries } = await w.complete("1 + │");
    assert.deepEqual({ from, to, entries }, { from: 0, to: 0, entries: [] });
    const labelled = await w.complete("ListLabels.map ~f:List.le│");
    assert.ok(labelled.names.includes("length"), String(labelled.names));
    assert.deepEqual([labelled.from, labelled.to], [23, 25]);
    const middle = await w.complete("let x = String.conc│ in x");
    assert.deepEqual([middle.from, middle.to], [15, 19]);
    assert.ok(middle.names.includes("concat"));
  });

  await check("§5 complete: position 0 and one beyond the end are an eval_error", async () => {
    assert.equal((await w.ask("complete", "abc", 0)).type, "eval_error");
    assert.equal((await w.ask("complete", "abc", 4)).type, "eval_error");
  });

  await check("§5 type_at: the expressions around, innermost first", async () => {
    const { types } = await w.ask("type_at", "let x = List.map", 10);
    assert.deepEqual([place(types[0].loc), types[0].type_str], [[8, 16], "('a -> 'b) -> 'a list -> 'b list"]);
    const nested = (await w.ask("type_at", "let y = string_of_int (1 + 2)", 23)).types;
    const sizes = nested.map((t) => place(t.loc)[1] - place(t.loc)[0]);
    assert.deepEqual([...sizes].sort((a, b) => a - b), sizes);
    assert.equal(nested[0].type_str, "int");
    assert.ok(nested.some((t) => t.type_str === "string"));
  });

  await check("§5 errors: of types, of syntax, warnings, and none", async () => {
    const [e, ...none] = (await w.ask("errors", "let x : string = 42")).errors;
    assert.deepEqual(none, []);
    assert.deepEqual([e.kind, e.source, e.loc], ["error", "typer", {
      loc_start: { pos_cnum: 17, pos_lnum: 1, pos_bol: 0 }, loc_end: { pos_cnum: 19, pos_lnum: 1, pos_bol: 0 },
    }]);
    assert.equal((await w.ask("errors", "let x = (")).errors[0].source, "parser");
    assert.match((await w.ask("errors", "let f = function Some x -> x")).errors[0].kind, /^warning:/);
    assert.deepEqual((await w.ask("errors", "let y = 1;;\nlet z = y + 1")).errors, []);
  });

  await check("§5 errors: lines from 1, and where they begin", async () => {
    const [e] = (await w.ask("errors", "let a = 1\nlet b = 2\nlet c : string = a")).errors;
    assert.deepEqual(e.loc.loc_start, { pos_cnum: 37, pos_lnum: 3, pos_bol: 20 });
  });

  await check("§5 errors, complete and type_at run nothing", async () => {
    await w.ask("errors", "let never = print_endline \"ran\"");
    await w.ask("type_at", "let never = 1", 5);
    const { output } = await w.eval("never;;");
    holds(output.stderr, "Unbound value never");
    assert.equal(output.stdout, "");
  });

  await check("§6 positions are bytes of UTF-8, in both directions", async () => {
    assert.deepEqual((await w.eval('let s = "é€😀";; s;;')).phrases.map((p) => p.loc), [19, 23]);
    const { to, from, names } = await w.complete('"é€😀" ^ String.conc│');
    assert.deepEqual([from, to], [21, 25]);
    assert.ok(names.includes("concat"));
    const [e] = (await w.ask("errors", 'let s = "é😀" in s + 1')).errors;
    assert.deepEqual(place(e.loc), [20, 21]);
    const { types } = await w.ask("type_at", 'let s = "é😀" in s', 20);
    assert.deepEqual([place(types[0].loc), types[0].type_str], [[20, 21], "string"]);
  });

  await check("§6 text survives: quotes, control characters, four-byte characters", async () => {
    const { output } = await w.eval('print_string "\\"\\\\ \\001 é😀";;');
    assert.equal(output.stdout, '"\\ \u0001 é😀');
  });

  await check("§7 \"\" and \"default\" are one environment", async () => {
    await w.eval("let shared = 1;;", "");
    assert.equal((await w.eval("shared;;", "default")).text, "- : int = 1");
  });

  await check("§7 create_env, destroy_env: answers, isolation, replacement", async () => {
    const create = (env_id) => w.send({ type: "create_env", env_id }, "env_created", "init_error");
    const destroy = (env_id) => w.send({ type: "destroy_env", env_id }, "env_destroyed", "init_error");
    assert.deepEqual(await create("nb1"), { type: "env_created", env_id: "nb1" });
    assert.deepEqual(await create("nb2"), { type: "env_created", env_id: "nb2" });
    await w.eval("let secret = 1;; type t = A;; exception E of int;;", "nb1");
    await w.eval('let secret = "two";;', "nb2");
    assert.equal((await w.eval("secret;; A;;", "nb1")).text, "- : int = 1\n- : t = A");
    assert.equal((await w.eval("secret;;", "nb2")).text, '- : string = "two"');
    holds((await w.eval("secret;;")).output.stderr, "Unbound value");
    await create("nb1");
    holds((await w.eval("secret;;", "nb1")).output.stderr, "Unbound value");
    assert.deepEqual(await destroy("nb1"), { type: "env_destroyed", env_id: "nb1" });
    assert.deepEqual(await destroy("never"), { type: "env_destroyed", env_id: "never" });
  });

  await check("§7 an eval in an environment that nobody made is answered", async () => {
    assert.equal((await w.eval("1;;", "unheard-of")).output.type, "output");
  });

  await check(`§9 #require loads, prints nothing, and may come again (${library})`, async () => {
    const { output, text } = await w.eval(`#require "${library}";; #require "${library}";;`);
    assert.deepEqual([output.type, output.stdout, output.stderr, text.trim()], ["output", "", "", ""]);
  });

  await check("§9 an unknown library is no eval_error", async () => {
    assert.equal((await w.eval('#require "no_such_library_at_all";;')).output.type, "output");
  });

  await check(`§1.1 init with findlib_requires (${library})`, async () => {
    const other = await open();
    await other.ready({ ...plain, findlib_requires: [library] });
    assert.deepEqual((await other.eval(`#require "${library}";;`)).output.stderr, "");
    await other.close();
  });

  await check("§9 standard directives are there, and an unknown one says so in caml_ppf", async () => {
    holds((await w.eval("#no_such_directive;;")).text, "Unknown directive no_such_directive.");
    holds((await w.eval("#help;;")).text, "#require");
    const printed = await w.eval(`type p = P of int;; let pp f (P n) = Format.fprintf f "<p %d>" n;;
      #install_printer pp;; P 3;; #remove_printer pp;; P 3;;
      #print_length 2;; [1; 2; 3; 4];; #print_length 300;;
      #warnings "-8";; function Some x -> x;; #warnings "+8";;`);
    assert.equal(printed.output.stderr, "");
    holds(printed.text, "- : p = <p 3>");
    holds(printed.text, "- : p = P 3");
    holds(printed.text, "[1; ...]");
  });
  await w.close();
}
