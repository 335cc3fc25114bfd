// The shipped client library in Chromium, from a page of another origin than the site's.

import assert from "node:assert/strict";
import { contains } from "./client.mjs";
import { otherOrigin, openElsewhere } from "./client-origin.mjs";

const ENDLESS = "while true do () done;;";

export async function checkLibrary({ check, context, site, indexUrl, workerUrl }) {
  const origin = await otherOrigin();
  const { page, errors } = await openElsewhere(context, origin, site);
  const index = indexUrl.href;
  const stub = (behaviour) => `${origin.url}stub/worker.js?${behaviour}`;
  const named = (name, body, libraries) => check(`library: ${name}`, body, libraries);

  await named("create makes a client that answers, from an index of another origin", async () => {
    const r = await page.evaluate(async (index) => {
      window.ocaml = await lib.OcamlWorker.create(index, { initTimeout: 60000 });
      return { ...(await ocaml.eval("let a = 5;; a + 1")), version: ocaml.index.compiler.version };
    }, index);
    assert.match(r.version, /^\d+\.\d+\.\d+/);
    assert.equal(r.type, "output");
    assert.equal(r.caml_ppf, "val a : int = 5- : int = 6");
    assert.deepEqual(r.phrases.map((p) => [p.loc, p.caml_ppf]), [[9, "val a : int = 5"], [17, "- : int = 6"]]);
  });

  await named("create takes a site's universe.json, and the name of a universe", async () => {
    const r = await page.evaluate(async (list) => {
      const { name } = await (await fetch(list)).json();
      const one = await lib.OcamlWorker.create(list, { universe: name });
      const { caml_ppf } = await one.eval("1;;");
      one.terminate();
      return { caml_ppf, unknown: await failure(lib.OcamlWorker.create(list, { universe: "no such" })) };
    }, new URL("universe.json", site).href);
    assert.equal(r.caml_ppf, "- : int = 1");
    assert.equal(r.unknown.name, "LoadError");
    contains(r.unknown.message, "no such");
  });

  await named("create requires libraries", async () => {
    const r = await page.evaluate(async (index) => {
      const one = await lib.OcamlWorker.create(index, { requires: ["fmt"] });
      const { caml_ppf } = await one.eval('Fmt.str "%d" 1;;');
      one.terminate();
      return caml_ppf;
    }, index);
    assert.equal(r, '- : string = "1"');
  }, ["fmt"]);

  await named("upstream's names: fromIndex, init, waitReady, and all requests", async () => {
    const r = await page.evaluate(async ([index, site]) => {
      const seen = [];
      const { worker, findlib_index, stdlib_dcs } = await lib.OcamlWorker.fromIndex(index, site, {
        timeout: 60000, onOutputAt: (m) => seen.push(m.caml_ppf),
      });
      await worker.waitReady(); // before init: at once
      worker.init({ findlib_requires: [], stdlib_dcs, findlib_index });
      await worker.waitReady();
      const made = await worker.createEnv("nb");
      const answers = [
        await worker.eval("let x = 1 + 2;;", "nb"), await worker.complete("List.ma", 7),
        await worker.typeAt("let x = List.map", 10), await worker.errors("let x : string = 42"),
      ];
      const gone = await worker.destroyEnv("nb");
      worker.terminate();
      return { findlib_index, stdlib_dcs, seen, made, gone, types: answers.map((a) => a.type) };
    }, [index, site.href]);
    assert.equal(r.findlib_index, index);
    assert.equal(r.stdlib_dcs, "lib/ocaml/dynamic_cmis.json");
    assert.deepEqual(r.seen, ["val x : int = 3"]);
    assert.deepEqual([r.made, r.gone], [
      { type: "env_created", env_id: "nb" }, { type: "env_destroyed", env_id: "nb" },
    ]);
    assert.deepEqual(r.types, ["output", "completions", "types", "errors"]);
  });

  await named("the old address has the same library", async () => {
    assert.ok(await page.evaluate(async (old) => (await import(old)).OcamlWorker === lib.OcamlWorker,
      new URL("jtw-client.mjs", site).href));
  });

  await named("each evaluation has its own callback, called phrase by phrase before the end", async () => {
    const r = await page.evaluate(async () => {
      const log = [];
      const evaluate = (code, name) =>
        ocaml.eval(code, { onOutputAt: (m) => log.push([name, m.caml_ppf]) }).then(() => log.push([name, "end"]));
      await Promise.all([evaluate("1;; 2;;", "one"), evaluate("3;;", "two")]);
      return log;
    });
    assert.deepEqual(r, [
      ["one", "- : int = 1"], ["one", "- : int = 2"], ["one", "end"], ["two", "- : int = 3"], ["two", "end"],
    ]);
  });

  await named("errors in the code are an answer, and what was printed comes with it", async () => {
    const r = await page.evaluate(() => ocaml.eval('print_string "out";; 1 + "two";;'));
    assert.equal(r.stdout, "out");
    contains(r.stderr, "^^^");
  });

  await named("what is streamed is what was printed", async () => {
    const r = await page.evaluate(async () => {
      const texts = { stdout: "", stderr: "" };
      const onStream = ({ stdout = "", stderr = "" }) => ((texts.stdout += stdout), (texts.stderr += stderr));
      const print = 'for i = 1 to 3 do Printf.printf "é%d\\n%!" i; prerr_endline "e" done;;';
      const { stdout, stderr } = await ocaml.eval(print, { onStream });
      return { texts, answer: { stdout, stderr } };
    });
    assert.deepEqual(r.answer, { stdout: "é1\né2\né3", stderr: "e\ne\ne" });
    assert.deepEqual({ stdout: r.texts.stdout.trim(), stderr: r.texts.stderr.trim() }, r.answer);
  });

  await named("positions are indices into strings, in and out", async () => {
    const r = await page.evaluate(async () => {
      const text = '"😀é" ^ String.conc';
      const typed = 'let s = "😀é"\nlet n = 1 + String.length s';
      const wrong = 'let s = "😀é" in\ns + 1';
      return {
        loc: (await ocaml.eval('let s = "😀é";; s')).phrases.map((p) => p.loc),
        completions: (await ocaml.complete(text, text.length)).completions,
        middle: (await ocaml.complete(`${text} "é"`, text.length)).completions,
        type: (await ocaml.typeAt(typed, typed.length - 1)).types[0],
        error: (await ocaml.errors(wrong)).errors[0],
      };
    });
    assert.deepEqual(r.loc, [13, 17]);
    assert.deepEqual([r.completions.from, r.completions.to], [15, 19]);
    assert.deepEqual([r.middle.from, r.middle.to], [15, 19]);
    assert.ok(r.completions.entries.some((e) => e.name === "concat"));
    assert.equal(r.type.type_str, "string");
    assert.deepEqual([r.type.loc.loc_start.pos_cnum, r.type.loc.loc_end.pos_cnum], [40, 41]);
    assert.deepEqual(r.error.loc.loc_start, { pos_cnum: 17, pos_lnum: 2, pos_bol: 17 });
  });

  await named("environments are made, listed, emptied and removed", async () => {
    const r = await page.evaluate(async () => {
      await Promise.all([ocaml.createEnv("one"), ocaml.createEnv("two"), ocaml.createEnv("two")]);
      await ocaml.eval("let here = 1;;", { env: "one" });
      const other = await ocaml.eval("here;;", "two");
      const listed = await ocaml.listEnvs();
      await ocaml.createEnv("one");
      const emptied = await ocaml.eval("here;;", "one");
      await ocaml.destroyEnv("one");
      return { other, emptied, listed, left: await ocaml.listEnvs() };
    });
    contains(r.other.stderr, "Unbound value here");
    contains(r.emptied.stderr, "Unbound value here");
    assert.deepEqual(r.listed.sort(), ["default", "one", "two"]);
    assert.deepEqual(r.left.sort(), ["default", "two"]);
  });

  await named("requests made before the toplevel is ready wait for it", async () => {
    const r = await page.evaluate(async (index) => {
      const { worker, ...found } = await lib.OcamlWorker.fromIndex(index);
      worker.init(found);
      const answers = await Promise.all([worker.eval("let x = 1;;"), worker.createEnv("e"), worker.eval("x;;")]);
      worker.terminate();
      return answers.map((a) => a.caml_ppf ?? a.env_id);
    }, index);
    assert.deepEqual(r, ["val x : int = 1", "e", "- : int = 1"]);
  });

  await named("a timeout settles, and interrupt brings everything back but what was stopped", async () => {
    const r = await page.evaluate(async ([index, endless]) => {
      const told = [];
      const one = await lib.OcamlWorker.create(index, { onOutputAt: (m) => told.push(m.caml_ppf) });
      await one.createEnv("nb");
      await one.eval("let kept = 42;;");
      await one.eval('let kept = "nb";;', "nb");
      const late = await failure(one.eval(endless, { timeout: 200 }));
      const queued = failure(one.eval("let queued = 1;;"));
      told.length = 0;
      const replayed = [(await one.interrupt()).replayed, (await one.interrupt()).replayed];
      const quiet = told.length;
      const answers = [await one.eval("kept;;"), await one.eval("kept;;", "nb"), await one.eval("queued;;")];
      const forgotten = await one.interrupt({ replay: false });
      answers.push(await one.eval("kept;;"));
      one.terminate();
      return { late, queued: await queued, replayed, quiet, forgotten, answers };
    }, [index, ENDLESS]);
    assert.deepEqual(
      [r.late.name, r.late.message, r.late.timeout, r.late.isOurs], ["TimeoutError", "Request timeout", 200, true]);
    assert.equal(r.queued.name, "InterruptedError");
    assert.deepEqual([r.replayed, r.quiet, r.forgotten.replayed], [[3, 3], 0, 0]);
    assert.deepEqual(r.answers.slice(0, 2).map((a) => a.caml_ppf), ["- : int = 42", '- : string = "nb"']);
    contains(r.answers[2].stderr, "Unbound value queued");
    contains(r.answers[3].stderr, "Unbound value kept");
  });

  await named("an answer that comes after its timeout is replayed, too", async () => {
    const r = await page.evaluate(async (index) => {
      const one = await lib.OcamlWorker.create(index);
      const slow = "let late = 7;; let t = Sys.time () in while Sys.time () -. t < 0.5 do () done;;";
      const late = await failure(one.eval(slow, { timeout: 50 }));
      const after = await one.eval("late;;");
      await one.interrupt();
      const again = await one.eval("late;;");
      one.terminate();
      return [late.name, after.caml_ppf, again.caml_ppf];
    }, index);
    assert.deepEqual(r, ["TimeoutError", "- : int = 7", "- : int = 7"]);
  });

  await named("an interrupt can be interrupted; requests in between end with it", async () => {
    const r = await page.evaluate(async (index) => {
      const one = await lib.OcamlWorker.create(index);
      await one.eval("let kept = 1;; let t = Sys.time () in while Sys.time () -. t < 2. do () done;;");
      const first = failure(one.interrupt());
      const held = failure(one.eval("kept;;"));
      await new Promise((later) => setTimeout(later, 100));
      await one.interrupt();
      const { caml_ppf } = await one.eval("kept;;");
      one.terminate();
      return { first: await first, held: await held, caml_ppf };
    }, index);
    assert.deepEqual([r.first.name, r.held.name, r.caml_ppf], ["InterruptedError", "InterruptedError", "- : int = 1"]);
  });

  await named("several clients at once are independent", async () => {
    const r = await page.evaluate(async ([index, endless]) => {
      const [one, two, three] = await Promise.all([1, 2, 3].map(() => lib.OcamlWorker.create(index)));
      await Promise.all([one.eval("let me = 1;;"), two.eval("let me = 2;;")]);
      const stuck = failure(three.eval(endless));
      const answers = await Promise.all([one.eval("me;;"), two.eval("me;;")]);
      for (const client of [one, two, three]) client.terminate();
      return { answers: answers.map((a) => a.caml_ppf), stuck: await stuck };
    }, [index, ENDLESS]);
    assert.deepEqual(r.answers, ["- : int = 1", "- : int = 2"]);
    assert.equal(r.stuck.message, "Worker terminated");
  });

  await named("terminate rejects what is pending and what comes later", async () => {
    const r = await page.evaluate(async () => {
      const pending = failure(ocaml.eval("1;;"));
      ocaml.terminate();
      ocaml.terminate();
      return [await pending, await failure(ocaml.eval("1;;")), await failure(ocaml.createEnv("x")), await failure(ocaml.interrupt())];
    });
    for (const one of r) assert.deepEqual([one.name, one.message], ["TerminatedError", "Worker terminated"]);
  });

  await named("what cannot be loaded is named", async () => {
    const r = await page.evaluate(async ([index, worker, here]) => {
      const create = (url, options) => failure(lib.OcamlWorker.create(url, options));
      const lost = new lib.OcamlWorker(new URL("no/worker.js", worker).href);
      return {
        missing: await create(new URL("none.json", index).href),
        text: await create(`${here}not-json`),
        empty: await create(`${here}no-compiler`),
        away: await create("http://127.0.0.1:1/findlib_index.json"),
        hanging: await create(`${here}hanging`, { timeout: 300 }),
        nowhere: await create("http://["),
        script: await failure(lost.init({})),
        later: await failure(lost.eval("1;;")),
      };
    }, [index, workerUrl, origin.url]);
    for (const [what, one] of Object.entries(r)) assert.equal(one.name, "LoadError", `${what}: ${one.message}`);
    assert.equal(r.missing.status, 404);
    contains(r.missing.message, "none.json");
    contains(r.empty.message, "names no compiler");
    contains(r.hanging.message, "in time");
    contains(r.script.message, "no/worker.js");
  });

  await named("what the worker refuses has a class of its own", async () => {
    const r = await page.evaluate(async (index) => {
      const library = await failure(lib.OcamlWorker.create(index, { requires: ["no_such_library"] }));
      const { worker, ...found } = await lib.OcamlWorker.fromIndex(index);
      const early = await failure(worker.eval("1;;"));
      const refused = failure(worker.init({ ...found, findlib_requires: ["no_such_library"] }));
      const held = await failure(worker.eval("1;;"));
      await worker.init(found);
      const position = await failure(worker.complete("abc", 0));
      const { caml_ppf } = await worker.eval("1;;");
      worker.terminate();
      return { library, early, refused: await refused, held, position, caml_ppf };
    }, index);
    assert.deepEqual([r.library.name, r.refused.name, r.held.name], Array(3).fill("InitError"));
    contains(r.library.message, "no_such_library");
    assert.deepEqual([r.early.name, r.position.name], ["RequestError", "RequestError"]);
    assert.equal(r.caml_ppf, "- : int = 1");
  });

  await named("init that is never answered is rejected", async () => {
    const r = await page.evaluate(async (mute) => {
      const one = new lib.OcamlWorker(mute, { initTimeout: 200 });
      const init = failure(one.init({}));
      const result = [await init, await failure(one.waitReady()), await failure(one.eval("1;;"))];
      one.terminate();
      return result;
    }, stub("mute"));
    for (const one of r) assert.deepEqual([one.name, one.message, one.timeout], ["TimeoutError", "Initialisation timeout", 200]);
  });

  await named("answers without a name, and late ones, reach whom they are for", async () => {
    const r = await page.evaluate(async (address) => {
      const one = new lib.OcamlWorker(address, { timeout: 5000 });
      await one.init({});
      const [bad, list, good] = await Promise.all([
        failure(one.createEnv("bad")), failure(one.listEnvs()), failure(one.createEnv("good"))]);
      one.terminate();
      const hasty = new lib.OcamlWorker(address, { timeout: 200, initTimeout: 5000 });
      await hasty.init({});
      const late = failure(hasty.createEnv("slow"));
      await new Promise((later) => setTimeout(later, 150));
      const next = failure(hasty.createEnv("slow"));
      const result = { bad, list, good, late: await late, next: await next };
      hasty.terminate();
      return result;
    }, stub("upstream"));
    assert.deepEqual([r.bad.name, r.bad.message, r.bad.env_id], ["EnvironmentError", "no", "bad"]);
    assert.equal(r.list.name, "EnvironmentError");
    contains(r.list.message, "list_envs");
    assert.deepEqual(r.good.value, { type: "env_created", env_id: "good" });
    // The first answer comes after 300 ms and is the first request's; the second one's is late as well.
    assert.deepEqual([r.late.name, r.next.name], ["TimeoutError", "TimeoutError"]);
  });

  await named("each kind of message has its callback, and what is no JSON harms nothing", async () => {
    const r = await page.evaluate(async (address) => {
      const [mine, all, news] = [[], [], []];
      const listen = (list) => ({ onStream: (m) => list.push(m), onProgress: (m) => list.push(m) });
      const one = new lib.OcamlWorker(address, { ...listen(all), onMessage: (m) => news.push(m) });
      await one.init({});
      const answer = await one.eval("é + x", listen(mine));
      one.terminate();
      return { mine, all, news, answer };
    }, stub("stream"));
    assert.deepEqual(r.mine, [
      { type: "stream", cell_id: 1, stdout: "a\n" }, { type: "stream", cell_id: 1, stderr: "b" },
      { type: "progress", cell_id: 1, library: "l", done: 1, total: 2 },
    ]);
    assert.deepEqual(r.all, r.mine);
    assert.deepEqual(r.news, [{ type: "news", about: 1 }, "{not json"]);
    const { loc_start, loc_end } = r.answer.errors[0].loc;
    assert.deepEqual([r.answer.caml_ppf, loc_start.pos_cnum, loc_end.pos_cnum], ["whole", 1, 4]);
  });

  await named("an error outside the toplevel rejects what is pending and ends nothing", async () => {
    const r = await page.evaluate(async (address) => {
      const one = new lib.OcamlWorker(address);
      await one.init({});
      const result = [await failure(one.eval("x")), await failure(one.eval("y"))];
      one.terminate();
      return result;
    }, stub("crash"));
    assert.equal(r[0].name, "CrashError");
    contains(r[0].message, "out of control");
    assert.equal(r[1].value.caml_ppf, "whole");
  });

  await named("nothing failed behind the scenes", async () => assert.deepEqual(errors, []));
  await page.close();
  origin.close();
}
