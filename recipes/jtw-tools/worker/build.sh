#!/bin/sh
# Builds worker.js and stdlib.cma.js in the current directory from the sources
# beside this script. Needs the OCaml toolchain and js_of_ocaml; OCAMLPATH must
# name where menhirLib, sedlex, gen, yojson and ocaml-compiler-libs lie.
set -eu

sources="jtw_json.ml jtw_net.ml jtw_meta.ml jtw_cmis.ml jtw_libs.ml jtw_envs.ml
  jtw_eval.ml jtw_analyse.ml jtw_complete.ml jtw_protocol.ml worker.ml"
libraries=js_of_ocaml,js_of_ocaml-compiler.dynlink,compiler-libs.toplevel
stdlib=$(ocamlfind ocamlc -where)

# gen still requires seq, which has moved into the standard library.
mkdir -p meta/seq
echo 'version = "base"' > meta/seq/META
export OCAMLPATH="$PWD/meta:${OCAMLPATH:-}"

ocamlfind ocamlc -package "$libraries" -linkpkg -linkall -w +a-4-9-40-41-42-44-45-70 \
  $sources -o worker.bc

# What user code may name without a #require: the standard library's units.
for cmi in "$stdlib"/stdlib.cmi "$stdlib"/stdlib__*.cmi \
           "$stdlib"/camlinternal*.cmi "$stdlib"/std_exit.cmi; do
  basename "$cmi" .cmi
done | LC_ALL=C sed 's/^./\U&/' | LC_ALL=C sort > export.txt

js_of_ocaml --toplevel --no-cmis --effects="${JTW_EFFECTS:-disabled}" --export export.txt \
  +toplevel.js +dynlink.js worker.bc -o worker.js
js_of_ocaml compile --toplevel --include-runtime --effects="${JTW_EFFECTS:-disabled}" --no-cmis \
  "$stdlib/stdlib.cma" -o stdlib.cma.js
