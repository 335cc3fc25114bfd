#!/bin/sh
# Answers what programs ask opam about the switch that they are in, where there is
# no opam: the prefix is the switch. Whatever changes a switch is refused.
set -u

prefix=$OPAM_SWITCH_PREFIX
switch=${OPAMSWITCH:-default}

fail() {
  echo "opam: $* (this is not opam, but jtwbuild's answers about its prefix)" >&2
  exit 2
}

variable() {
  case $1 in
    prefix) echo "$prefix" ;;
    lib | bin | sbin | share | doc | etc | man) echo "$prefix/$1" ;;
    stublibs | toplevel) echo "$prefix/lib/$1" ;;
    switch) echo "$switch" ;;
    root) echo "${OPAMROOT:-}" ;;
    jobs) echo "${JTW_JOBS:-1}" ;;
    make) echo make ;;
    *:lib | *:share | *:doc | *:etc) echo "$prefix/${1##*:}/${1%%:*}" ;;
    ocaml:version | ocaml-system:version | sys-ocaml-version) ocamlc -version ;;
    *) fail "the variable \`$1\` is not known here" ;;
  esac
}

# Options may stand before and behind the words; all but the switch's are for people.
words=
while [ $# -gt 0 ]; do
  case $1 in
    --) break ;;
    --switch | --root | --color | --cli) shift ;;
    --version) words="--version $words" ;;
    -*) ;;
    *)
      words="$words $1"
      # What is run has options of its own.
      case $words in *" exec "*) break ;; esac
      ;;
  esac
  [ $# -eq 0 ] || shift
done
if [ "${1:-}" = -- ]; then shift; fi

case $words in
  --version*) echo 2.5.2 ;;
  " switch show" | " switch") echo "$switch" ;;
  " switch list") echo "$switch" ;;
  " var "* | " config var "*) variable "${words##* }" ;;
  " exec"*)
    [ $# -gt 0 ] || fail "exec: what?"
    exec "$@"
    ;;
  " env" | " config env")
    for name in OPAM_SWITCH_PREFIX OPAMSWITCH OPAMROOT OCAMLPATH CAML_LD_LIBRARY_PATH PATH; do
      eval "value=\${$name:-}"
      printf "%s='%s'; export %s;\n" "$name" "$value" "$name"
    done
    ;;
  *) fail "\`opam$words\` is not answered" ;;
esac
