# Runs in a system that has Debian's OCaml: what `jtwbuild opam` and `opam-all` make of it is compared
# with what ocamlfind and js_of_ocaml say themselves. `$out` gets what a browser is to try, and the log.
# One line `ok` or `FAIL` for each thing that was looked at.
jtw() { /src/jtwbuild "$@"; }
failed=0
exec 3>"$out/log"
say() { printf '%s\n' "$*" >&3; printf '%s\n' "$*"; }
# check WHAT COMMAND...
check() {
  what=$1
  shift
  if "$@"; then say "ok    $what"; else say "FAIL  $what"; failed=1; fi
}
# exits CODE COMMAND...: and leaves what it said in `said`.
exits() {
  code=$1 status=0
  shift
  "$@" >said 2>&1 || status=$?
  [ $status = "$code" ] || { cat said; return 1; }
}
export XDG_CACHE_HOME=/tmp/cache
cd /tmp

# ---- everything that is installed ------------------------------------------

check "opam-all --all" jtw opam-all --all --no-worker -o all
# Files of the store have new times when somebody links them elsewhere, as other tests do.
nothing() {
  for _ in 1 2 3; do
    jtw opam-all --all --no-worker -o all 2>all.log
    if grep -q '; nothing has changed$' all.log; then return; fi
    grep -q '; 0 steps ran' all.log || break
  done
  cat all.log
  return 1
}
check "a second run has nothing to do" nothing

# Names that findlib lists, those left out that it lists for Makefiles only.
ocamlfind list 2>/dev/null | awk '{ print $1 }' | sort >listed
(cd all && ls -d -- */) | tr -d / | grep -vx lib | sort >made
check "the same libraries as \`ocamlfind list\`" diff listed made

# Every archive, as js_of_ocaml compiles it with the same flags.
different=0 compared=0
while read -r library; do
  directory=$(ocamlfind query -format '%d' "$library")
  head=${library%%.*}
  if [ "$library" = stdlib ]; then
    archives=stdlib.cma
  else
    archives=$( (ocamlfind query -predicates byte -format '%a' "$library"
      ocamlfind query -predicates byte,ppx_driver -format '%a' "$library") | tr ' ' '\n' | grep '\.cma$' | sort -u || true)
  fi
  runtime=
  if [ "$library" = zarith ]; then runtime=" $(ocamlfind query zarith_stubs_js)/runtime.js"; fi
  for file in $(ocamlfind query -format '%(jsoo_runtime)' "$library" | tr ',' ' '); do
    runtime="$runtime $directory/$file"
  done
  for archive in $archives; do
    [ -f "$directory/$archive" ] || continue
    # shellcheck disable=SC2086
    js_of_ocaml compile --toplevel --include-runtime --effects=disabled --no-cmis $runtime \
      "$directory/$archive" -o plain.js
    compared=$((compared + 1))
    ours=all/$head/lib/ocaml/${directory#"$(ocamlc -where)"}/$archive.js
    cmp plain.js "$ours" || different=$((different + 1))
  done
done <listed
say "      $compared archives"
check "every archive has the bytes that js_of_ocaml gives" [ "$different" = 0 ] && [ "$compared" -gt 60 ]

# Every interface of every library, and what it is in the output.
while read -r library; do
  directory=$(ocamlfind query -format '%d' "$library")
  for file in "$directory"/*.cmi; do
    [ -f "$file" ] || continue
    name=$(basename "$file")
    small=$(printf '%s' "$name" | cut -c 1 | tr A-Z a-z)$(printf '%s' "$name" | cut -c 2-)
    cmp "$file" "all/${library%%.*}/lib/ocaml/${directory#"$(ocamlc -where)"}/$small" >/dev/null ||
      echo "$library: $name"
  done
done <listed >missing
check "every interface is there" [ ! -s missing ]

# ---- some libraries in one directory ---------------------------------------

libraries="fmt str base lwt ppxlib re yojson zarith"
# shellcheck disable=SC2086
check "opam with a worker" jtw opam -o flat $libraries
# What findlib says is needed.
# shellcheck disable=SC2086
for library in $(ocamlfind query -r -predicates byte -format '%p' $libraries); do
  grep -q "/${library%%.*}/META\"" flat/findlib_index || echo "$library"
done >missing
check "the index has everything that findlib says is required" [ ! -s missing ]
# shellcheck disable=SC2086
jtw opam -o other $libraries --no-cache --no-worker -j 1
same() { diff -r -x .jtwbuild-opam -x worker.js -x 'findlib_index*' flat other; }
check "another run, one at a time, gives the same" same
rm flat/worker.js
# shellcheck disable=SC2086
jtw opam -o flat $libraries 2>flat.log
check "a deleted file comes again, and nothing else is made" grep -q ' 0 steps ran.* 1 files written' flat.log
check "no drafts are left" [ -z "$(find . -name '*jtwbuild-new*')" ]

# With the worker that was built just now.
check "opam-all with a worker" jtw opam-all --all -o all
check "  the index says where it is" grep -q '"worker_url":"../worker.js"' all/fmt/findlib_index

# ---- parts that refer to each other ----------------------------------------

check "opam" jtw opam -o parts stdlib
check "opam --path" jtw opam -o parts --path p/base --no-worker base
check "opam --path, two libraries" jtw opam -o parts --path p/needed --no-worker sexplib0 ocaml_intrinsics_kernel
check "opam --path fmt" jtw opam -o parts --path p/fmt --no-worker fmt
printf './p/base/\n\np/needed\np/fmt\n' >deps
check "opam --path --deps-file" jtw opam -o parts --path p/all --no-worker --deps-file deps re
check "the index refers to them" grep -q '"universes":\["../../p/base","../../p/needed","../../p/fmt"\]' parts/p/all/findlib_index

# ---- what cannot be done ----------------------------------------------------

check "an unknown library" exits 3 jtw opam -o no ftm
check "  and what may be meant" grep -q 'did you mean `fmt`?' said
check "a directory of somebody else" exits 4 jtw opam -o /usr fmt
check "no js_of_ocaml" exits 4 env PATH=/tmp/bin /src/jtwbuild opam -o no fmt
check "an unknown switch" exits 4 jtw opam -o no --switch 5.0.0 fmt
check "a wrong path" exits 3 jtw opam -o no --path ../up fmt
check "  nothing was written" [ ! -e no ]

cp -r flat all parts "$out/"
rm -f "$out"/*/.jtwbuild-opam "$out"/parts/p/*/.jtwbuild-opam
[ $failed = 0 ]
