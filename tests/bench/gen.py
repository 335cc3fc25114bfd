#!/usr/bin/env python3
"""gen.py N DIR [--seed S]: one layered graph of N nodes, written for jtwbuild, ninja and nix.

Node i (1..N) needs min(i - 1, 3 to 8) earlier nodes: half of them from the sqrt(N) oldest ones, which
are popular, as in a universe of packages; the other half from the fifth of the graph just before it.
Every fifth node also has a source file of its own. A node writes one line: `node <i>`, followed by the
first word of its source if it has one. So a change behind that word leaves the output as it is, which
is what early cutoff is for.

Each engine gets a directory of its own, with its own copy of the sources, because some scenarios
change them:

    jtwbuild/universe.toml          ninja/build.ninja
    nix/raw.nix                     ninja-restat/build.ninja  (rules that compare and keep old outputs)

graph.json holds the graph, and which nodes the scenarios change: `leaf` (nobody needs it), `middle`
(the one with a source nearest to N/2), with the number of nodes that each can reach, itself included.
Equal arguments give equal bytes.
"""

import argparse
import json
import math
import random
from pathlib import Path


def graph(n: int, seed: int) -> list[list[int]]:
    """The dependencies of each node; position 0 is not used."""
    rnd = random.Random(seed * 1000003 + n)
    popular = max(8, math.isqrt(n))
    window = max(10, n // 5)
    deps: list[list[int]] = [[], []]
    for i in range(2, n + 1):
        wanted = min(i - 1, rnd.randint(3, 8))
        chosen: set[int] = set()
        while len(chosen) < wanted:
            if rnd.random() < 0.5:
                chosen.add(rnd.randint(1, min(popular, i - 1)))
            else:
                chosen.add(rnd.randint(max(1, i - window), i - 1))
        deps.append(sorted(chosen))
    return deps


def has_source(i: int) -> bool:
    return i % 5 == 1


def reach(deps: list[list[int]], start: int) -> int:
    """How many nodes a change of `start` can reach, itself included."""
    dirty = {start}
    for i in range(start + 1, len(deps)):
        if not dirty.isdisjoint(deps[i]):
            dirty.add(i)
    return len(dirty)


def jtwbuild(deps: list[list[int]], salt: str = "") -> str:
    """`salt` makes every node another one."""
    salt = salt and f": {salt}; "
    lines = ['name = "synthetic"', ""]
    for i in range(1, len(deps)):
        inputs = ", ".join(f'"n{j}"' for j in deps[i])
        lines += ["[[node]]", f'name = "n{i}"', f"inputs = [{inputs}]"]
        if has_source(i):
            lines.append(f'source = "src/{i}.txt"')
            lines.append(f"script = '{salt}read a b < /src/{i}.txt; echo \"node {i} $a\" > $out/value'")
        else:
            lines.append(f"script = '{salt}echo \"node {i}\" > $out/value'")
        lines.append("")
    return "\n".join(lines)


def ninja(deps: list[list[int]], restat: bool) -> str:
    if restat:
        keep = "cmp -s $out.t $out && rm $out.t || mv $out.t $out\n  restat = 1"
        source = f'read a b < $in1; echo "node $id $$a" > $out.t; {keep}'
        plain = f'echo "node $id" > $out.t; {keep}'
    else:
        source = 'read a b < $in1; echo "node $id $$a" > $out'
        plain = 'echo "node $id" > $out'
    lines = ["builddir = .", "rule s", f"  command = {source}", "rule n", f"  command = {plain}"]
    for i in range(1, len(deps)):
        needs = " ".join(f"o/{j}" for j in deps[i])
        if has_source(i):
            lines += [f"build o/{i}: s src/{i}.txt | {needs}", f"  in1 = src/{i}.txt", f"  id = {i}"]
        else:
            lines += [f"build o/{i}: n {needs}", f"  id = {i}"]
    every = " ".join(f"o/{i}" for i in range(1, len(deps)))
    return "\n".join([*lines, f"build all: phony {every}", "default all", ""])


def nix(deps: list[list[int]]) -> str:
    """Bare derivations, without nixpkgs; the builder is what nix calls /bin/sh in its sandbox. `all`
    needs every node, as an environment or a set of packages does."""
    lines = [
        '{ src ? ./src, salt ? "" }:',
        "let",
        "  mk = id: deps: source: derivation {",
        '    name = "n${id}"; system = builtins.currentSystem; builder = "/bin/sh";',
        '    args = [ "-c" (if source == null then "echo node ${id} > $out"',
        '                   else "read a b < $source; echo node ${id} $a > $out") ];',
        '    inherit deps salt; source = if source == null then "" else source;',
        "  };",
        "in rec {",
    ]
    for i in range(1, len(deps)):
        needs = " ".join(f"n{j}" for j in deps[i])
        source = f'(builtins.path {{ path = src + "/{i}.txt"; name = "s{i}"; }})' if has_source(i) else "null"
        lines.append(f'  n{i} = mk "{i}" [ {needs} ] {source};')
    every = " ".join(f"n{i}" for i in range(1, len(deps)))
    lines += [
        "  all = derivation {",
        '    name = "all"; system = builtins.currentSystem; builder = "/bin/sh";',
        '    args = [ "-c" "echo done > $out" ]; inherit salt; passAsFile = [ "deps" ];',
        f"    deps = [ {every} ];",
        "  };",
        "}",
        "",
    ]
    return "\n".join(lines)


def write(n: int, directory: Path, seed: int) -> dict:
    """Writes everything below `directory` and gives what graph.json says."""
    deps = graph(n, seed)
    sources = [i for i in range(1, n + 1) if has_source(i)]
    needed = {j for needs in deps for j in needs}
    leaf = max(i for i in sources if i not in needed)
    middle = min(sources, key=lambda i: abs(i - n // 2))
    files = {
        "jtwbuild/universe.toml": jtwbuild(deps),
        "ninja/build.ninja": ninja(deps, restat=False),
        "ninja-restat/build.ninja": ninja(deps, restat=True),
        "nix/raw.nix": nix(deps),
    }
    for name, text in files.items():
        path = directory / name
        (path.parent / "src").mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        for i in sources:
            (path.parent / f"src/{i}.txt").write_text(f"v1 source of node {i}\n")
    facts = {
        "n": n,
        "seed": seed,
        "edges": sum(map(len, deps)),
        "sources": len(sources),
        "leaf": leaf,
        "middle": middle,
        "reach": {str(i): reach(deps, i) for i in (leaf, middle)},
        "deps": deps,
    }
    (directory / "graph.json").write_text(json.dumps(facts))
    return facts


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("n", type=int)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--seed", type=int, default=42)
    arguments = parser.parse_args()
    told = write(arguments.n, arguments.directory, arguments.seed)
    del told["deps"]
    print(json.dumps(told))
