// The client library in Node: what needs no worker, and a worker in a thread.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

const library = new URL("../../recipes/page/client/node.mjs", import.meta.url);

export async function checkNode({ check, indexUrl, workerUrl }) {
  const lib = await import(library);
  const named = (name, body, libraries) => check(`node: ${name}`, body, libraries);

  await named("offsets agree with Node's own encoder at every character, in both directions", () => {
    const texts = ["", "plain", "é€😀", "a\u0300e\u0301", "日本語 text", "\ufeffx", "\u007f\u0080\u07ff\u0800\uffff\u{10000}"];
    for (const text of texts) {
      let index = 0;
      for (const character of [...text, ""]) {
        const offset = Buffer.byteLength(text.slice(0, index));
        assert.equal(lib.toByteOffset(text, index), offset, `${text} at ${index}`);
        assert.equal(lib.fromByteOffset(text, offset), index, `${text} at byte ${offset}`);
        index += character.length;
      }
    }
  });

  await named("offsets inside a character and outside the text go to the next place before", () => {
    assert.equal(lib.toByteOffset("a😀b", 2), 1);
    assert.deepEqual([2, 3, 4].map((offset) => lib.fromByteOffset("a😀b", offset)), [1, 1, 1]);
    for (const text of ["ab", "é"]) {
      assert.equal(lib.toByteOffset(text, -1), 0);
      assert.equal(lib.fromByteOffset(text, -1), 0);
      assert.equal(lib.toByteOffset(text, 99), 2);
      assert.equal(lib.fromByteOffset(text, 99), text.length);
    }
  });

  await named("half a surrogate pair has the three bytes that it is sent as", () => {
    assert.equal(lib.toByteOffset("\ud83dx", 1), 3);
    assert.equal(lib.fromByteOffset("\ud83dx", 3), 1);
  });

  await named("rich output becomes an address, by its encoding or its type", () => {
    const url = (mime_type, data, encoding) => lib.mimeUrl({ mime_type, data, encoding });
    assert.equal(url("image/svg+xml", "<svg>é</svg>"), "data:image/svg+xml;charset=utf-8,%3Csvg%3E%C3%A9%3C%2Fsvg%3E");
    assert.equal(url("image/png", "aGk=\n"), "data:image/png;base64,aGk=");
    assert.equal(url("image/svg+xml", "PHN2Zz4=", "base64"), "data:image/svg+xml;base64,PHN2Zz4=");
    assert.equal(url("Text/HTML; charset=utf-8", "a b"), "data:text/html;charset=utf-8,a%20b");
  });

  await named("errors are of one family, and have names", () => {
    for (const name of Object.keys(lib).filter((name) => name.endsWith("Error") && name !== "OcamlWorkerError")) {
      const error = new lib[name]("why");
      assert.ok(error instanceof lib.OcamlWorkerError && error instanceof Error);
      assert.deepEqual([error.name, error.message], [name, "why"]);
    }
  });

  await named("the types name all that the library has, and nothing else", () => {
    const types = readFileSync(new URL("jtw-client.d.mts", library), "utf8");
    const declared = [...types.matchAll(/^export (?:class|function) (\w+)/gm)].map((m) => m[1]);
    assert.deepEqual(declared.sort(), Object.keys(lib).sort());
    const [, body] = types.match(/^export class OcamlWorker \{\n([^]*?)^\}/m);
    const methods = [...body.matchAll(/^ {2}(static )?(\w+)[<(]/gm)].map((m) => `${m[1] ?? ""}${m[2]}`);
    const own = Object.getPrototypeOf(lib.OcamlWorker);
    const statics = Object.getOwnPropertyNames(own).filter((name) => typeof own[name] === "function" && name !== "prototype");
    const expected = [...Object.getOwnPropertyNames(own.prototype), ...statics.map((name) => `static ${name}`)];
    assert.deepEqual(methods.sort(), expected.sort());
  });

  await named("a worker that dies fails what is asked of it, until an interrupt starts another", async () => {
    let started = 0;
    class Mortal extends lib.OcamlWorker {
      static startWorker() {
        const isFirst = started++ === 0;
        const worker = {
          postMessage(text) {
            const { type, cell_id } = JSON.parse(text);
            if (type === "init") worker.onmessage({ data: { type: "ready" } });
            else if (isFirst) worker.onerror({ message: "no memory", isFatal: true });
            else worker.onmessage({ data: { type: "output", cell_id, caml_ppf: "here" } });
          },
          terminate() {},
        };
        return worker;
      }
    }
    const mortal = new Mortal("http://example.org/worker.js");
    await mortal.init({});
    for (const _ of [1, 2]) await assert.rejects(mortal.eval("x"), { name: "CrashError", message: "no memory" });
    await mortal.interrupt();
    assert.equal((await mortal.eval("x")).caml_ppf, "here");
  });

  await named("a worker in a thread evaluates, requires and completes", async () => {
    const ocaml = await lib.OcamlWorker.create(indexUrl.href, { timeout: 60000 });
    assert.equal((await ocaml.eval("List.map succ [1; 2];;")).caml_ppf, "- : int list = [2; 3]");
    assert.equal((await ocaml.eval('#require "fmt";; Fmt.str "%d" 7;;')).phrases.at(-1).caml_ppf, '- : string = "7"');
    assert.ok((await ocaml.complete("Fmt.st", 6)).completions.entries.some((e) => e.name === "str"));
    assert.equal((await ocaml.typeAt('"é" ^ "b"', 6)).types[0].type_str, "string");
    ocaml.terminate();
  }, ["fmt"]);

  await named("a worker in a thread sees no file of the machine", async () => {
    const ocaml = await lib.OcamlWorker.create(indexUrl.href, { timeout: 60000 });
    const { phrases } = await ocaml.eval('Sys.file_exists "/etc/passwd";; Sys.getenv_opt "PATH";;');
    assert.deepEqual(phrases.map((p) => p.caml_ppf), ["- : bool = false", "- : string option = None"]);
    ocaml.terminate();
  });

  await named("a thread that runs for ever is stopped, and what was defined is there again", async () => {
    const ocaml = await lib.OcamlWorker.create(indexUrl.href, { timeout: 60000 });
    await ocaml.eval("let kept = 1;;");
    await assert.rejects(ocaml.eval("while true do () done;;", { timeout: 200 }), lib.TimeoutError);
    assert.deepEqual(await ocaml.interrupt(), { replayed: 1 });
    assert.equal((await ocaml.eval("kept;;")).caml_ppf, "- : int = 1");
    ocaml.terminate();
    await assert.rejects(ocaml.eval("kept;;"), lib.TerminatedError);
  });

  await named("what cannot be loaded is named", async () => {
    await assert.rejects(lib.OcamlWorker.create(new URL("none.json", indexUrl).href), { name: "LoadError", status: 404 });
    await assert.rejects(lib.OcamlWorker.create("file:///no/such/index.json"), { name: "LoadError", url: "file:///no/such/index.json" });
    await assert.rejects(lib.OcamlWorker.create("relative.json"), { name: "LoadError" });
    const lost = new lib.OcamlWorker(new URL("none.js", workerUrl).href);
    await assert.rejects(lost.init({}), { name: "LoadError", message: /none\.js/ });
    lost.terminate();
  });
}
