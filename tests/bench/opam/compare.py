"""Compares the versions that jtwbuild chooses with those of opam's 0install solver.

    python3 compare.py JTWBUILD STORE UNIVERSE ANSWERS

ANSWERS is what the node of universe.toml here made: for each name `== NAME EXIT MICROSECONDS` and the
lines of `opam install --dry-run` that install something. UNIVERSE names the same repository and
compiler.
"""

import re
import subprocess
import sys
import time


def opam_answers(path):
    answers = {}
    for line in open(path, encoding="utf-8"):
        head = re.match(r"== (\S+) (\d+) (\d+)", line)
        if head:
            current = answers.setdefault(head[1], {"exit": int(head[2]), "us": int(head[3]), "chosen": {}})
            continue
        install = re.match(r"\s*[-∗*]\s*install\s+(\S+)\s+(\S+)", line)
        if install:
            current["chosen"][install[1]] = install[2]
    return answers


def ours(jtwbuild, store, universe, name):
    began = time.time()
    told = subprocess.run(
        [jtwbuild, "--store", store, "why-not", universe, name], capture_output=True, text=True, check=False
    )
    found = re.search(r"can be had, with (.*)", told.stdout)
    chosen = dict(one.split(".", 1) for one in found[1].split(", ")) if found else {}
    return chosen, time.time() - began


def main(jtwbuild, store, universe, answers):
    counts = {"same": 0, "none": 0, "other": 0}
    seconds = {"opam": 0.0, "jtwbuild": 0.0}
    for name, opam in opam_answers(answers).items():
        chosen, took = ours(jtwbuild, store, universe, name)
        seconds["opam"] += opam["us"] / 1e6
        seconds["jtwbuild"] += took
        if chosen == opam["chosen"]:
            counts["same" if chosen else "none"] += 1
            continue
        counts["other"] += 1
        names = sorted(set(chosen) | set(opam["chosen"]))
        both = [(n, opam["chosen"].get(n), chosen.get(n)) for n in names]
        print(name, [one for one in both if one[1] != one[2]])
    print(counts, {who: round(took, 1) for who, took in seconds.items()})
    return 1 if counts["other"] else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:5]))
