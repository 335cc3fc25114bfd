#!/bin/sh
# Lets the program `jtw` make worker.js, and compiles the standard library beside
# it. Packages are installed at $OPAM_SWITCH_PREFIX; the current directory holds
# this script and opam.sh. What counts in the end: worker.js and stdlib.cma.js.
set -eu

prefix=$OPAM_SWITCH_PREFIX
stdlib=$(ocamlc -where)
effects=${JTW_EFFECTS:-disabled}

# The answers of an opam that is not here.
mkdir -p bin
cp opam.sh bin/opam
chmod 755 bin/opam
export PATH="$PWD/bin:$PATH"

# A program that knows switches looks for the compiler's library and for findlib's
# settings below the prefix; with the distribution's compiler they are elsewhere.
mkdir -p "$prefix/lib"
[ -e "$prefix/lib/ocaml" ] || ln -s "$stdlib" "$prefix/lib/ocaml"
[ -e "$prefix/lib/findlib.conf" ] || cat > "$prefix/lib/findlib.conf" <<END
destdir="$prefix/lib"
path="$prefix/lib:$stdlib"
END

# Libraries that moved into the standard library are still named by older ones.
mkdir -p meta/seq
echo 'version = "base"' > meta/seq/META
export OCAMLPATH="$OCAMLPATH:$PWD/meta"

if ! command -v jtw > /dev/null; then
  echo "no package of the worker's tree installs a program \`jtw\`" >&2
  exit 1
fi
jtw opam -o out stdlib

if [ -f out/worker.js ]; then
  mv out/worker.js worker.js
else
  echo "\`jtw opam -o out stdlib\` made no out/worker.js. There is:" >&2
  find out >&2 || true
fi
rm -rf out
js_of_ocaml compile --toplevel --include-runtime --effects="$effects" --no-cmis \
  "$stdlib/stdlib.cma" -o stdlib.cma.js
