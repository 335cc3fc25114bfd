#!/bin/sh
# Builds worker.js and stdlib.cma.js in the current directory from the sources
# beside this script. Needs the OCaml toolchain and js_of_ocaml; OCAMLPATH must
# name where menhirLib, sedlex, gen, yojson and ocaml-compiler-libs lie.
set -eu

sources="jtw_config.ml mime_printer.mli mime_printer.ml jtw_json.ml jtw_net.ml jtw_bundle.ml
  jtw_meta.ml jtw_cmis.ml jtw_index.ml jtw_libs.ml jtw_positions.ml jtw_output.ml jtw_report.ml
  jtw_envs.ml jtw_eval.ml jtw_directives.ml jtw_source.ml jtw_analyse.ml jtw_complete.ml jtw_protocol.ml
  jtw_ahead.ml worker.ml"
effects=${JTW_EFFECTS:-disabled}
libraries=js_of_ocaml,js_of_ocaml-compiler.dynlink,compiler-libs.toplevel
stdlib=$(ocamlfind ocamlc -where)

# gen still requires seq, which has moved into the standard library.
mkdir -p meta/seq
echo 'version = "base"' > meta/seq/META
export OCAMLPATH="$PWD/meta:${OCAMLPATH:-}"

# A universe says how its code does effects; the worker compares.
echo "let effects = \"$effects\"" > jtw_config.ml

# What user code may name without a #require is the whole standard library. It is linked because
# this names it; of the other libraries, what is used.
for cmi in "$stdlib"/stdlib__*.cmi "$stdlib"/camlinternal*.cmi; do
  echo "module $(basename "$cmi" .cmi | LC_ALL=C sed 's/^./\U&/;s/.*/& = &/')"
done > jtw_stdlib.ml

ocamlfind ocamlc -package "$libraries" -linkpkg -w +a-4-9-40-41-42-44-45-49-70 \
  jtw_stdlib.ml $sources -o worker.bc

echo mime_printer > built-in.txt

# The units that user code may name.
for cmi in "$stdlib"/stdlib.cmi "$stdlib"/stdlib__*.cmi \
           "$stdlib"/camlinternal*.cmi "$stdlib"/std_exit.cmi; do
  basename "$cmi" .cmi
done | cat - built-in.txt | LC_ALL=C sed 's/^./\U&/' | LC_ALL=C sort > export.txt

js_of_ocaml --toplevel --no-cmis --effects="$effects" --export export.txt \
  -I . --file=mime_printer.cmi:/static/mime_printer.cmi \
  +toplevel.js +dynlink.js worker.bc -o worker.js
js_of_ocaml compile --toplevel --include-runtime --effects="$effects" --no-cmis \
  "$stdlib/stdlib.cma" -o stdlib.cma.js
