#!/usr/bin/env python3
"""measure.py ROUNDS: what `run` beside it measures, inside the root.

The old order of work, as the description of `jtw` has it: for each library, in order, every archive of
it and of all libraries of its package is compiled, one at a time, and each interface is copied by a
process of its own. It is measured with its own flags and with those of jtwbuild. All scenarios take
turns; times are of whole processes with their children.
"""

import os
import resource
import shutil
import statistics
import subprocess
import sys
import time

JTWBUILD = "/bench/jtwbuild"
OLD = ["--toplevel", "--include-runtime", "--effects=disabled"]
NEW = [*OLD, "--no-cmis"]
HERE = "/tmp/out"


def answer(*arguments):
    done = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return done.stdout.strip()


class Library:
    def __init__(self, name):
        self.name = name
        self.package = name.split(".")[0]
        self.directory = answer("ocamlfind", "query", "-format", "%d", name)
        runtime = answer("ocamlfind", "query", "-format", "%(jsoo_runtime)", name)
        self.runtime = [f"{self.directory}/{file}" for file in runtime.replace(",", " ").split()]
        archives = {"stdlib.cma"} if name == "stdlib" else set()
        for predicates in ["byte", "byte,ppx_driver"]:
            archives.update(answer("ocamlfind", "query", "-predicates", predicates, "-format", "%a", name).split())
        self.archives = sorted(a for a in archives if a.endswith(".cma") and os.path.isfile(f"{self.directory}/{a}"))


def clean():
    shutil.rmtree(HERE, ignore_errors=True)
    os.makedirs(HERE)


def compile_archive(library, archive, flags):
    place = f"{HERE}/{library.name}"
    os.makedirs(place, exist_ok=True)
    subprocess.run(
        ["js_of_ocaml", "compile", *flags, *library.runtime, f"{library.directory}/{archive}", "-o", f"{place}/{archive}.js"],
        check=True, stderr=subprocess.DEVNULL,
    )


def old_order(libraries, flags):
    """One after the other; a library is compiled under its own name and under its package's."""
    count = 0
    for one in libraries:
        for other in libraries:
            if other is one or other.package == one.name:
                for archive in other.archives:
                    compile_archive(other, archive, flags)
                    count += 1
    for directory in sorted({library.directory for library in libraries}):
        for name in os.listdir(directory):
            if name.endswith(".cmi"):
                subprocess.run(["cp", f"{directory}/{name}", f"{HERE}/{name}"], check=True)
    return count


def jtwbuild(*more):
    subprocess.run([JTWBUILD, "-q", "opam-all", "--all", "--no-worker", "-o", f"{HERE}/html", *more], check=True)


def measured(action):
    clean()
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    action()
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main():
    rounds = int(sys.argv[1])
    names = [line.split()[0] for line in answer("ocamlfind", "list").splitlines()]
    libraries = [Library(name) for name in sorted(set(names))]
    distinct = {(one.directory, archive) for one in libraries for archive in one.archives}
    cores = len(os.sched_getaffinity(0))
    compiles = []
    scenarios = {
        "order of `jtw`, its flags": lambda: compiles.append(old_order(libraries, OLD)),
        "order of `jtw`, our flags": lambda: old_order(libraries, NEW),
        f"`opam-all --all`, cold, {cores} at a time": lambda: jtwbuild("--no-cache"),
        "`opam-all --all`, cold, one at a time": lambda: jtwbuild("--no-cache", "-j", "1"),
    }
    taken = {name: [] for name in scenarios}
    for number in range(rounds):
        for name, action in scenarios.items():
            taken[name].append(measured(action))
            print(f"round {number + 1}: {name}: {taken[name][-1][0]:.1f} s", file=sys.stderr)
    print(f"{len(libraries)} libraries, {len(distinct)} archives; the order of `jtw` compiles {compiles[0]} times;")
    print(f"{rounds} rounds in turns, {cores} processors, load {os.getloadavg()[0]:.1f}\n")
    print("| | wall, median (best) | CPU, median (best) | times faster, wall | less CPU |")
    print("|---|---|---|---|---|")
    base = list(taken.values())[0]
    for name, all_taken in taken.items():
        walls, cpus = zip(*all_taken)
        # Of each round, because the machine's load changes between rounds.
        ratio = statistics.median(b[0] / t[0] for b, t in zip(base, all_taken))
        cpu = statistics.median(b[1] / t[1] for b, t in zip(base, all_taken))
        print(
            f"| {name} | {statistics.median(walls):.1f} ({min(walls):.1f}) s "
            f"| {statistics.median(cpus):.1f} ({min(cpus):.1f}) s | {ratio:.2f} | {cpu:.2f} |"
        )
    clean()
    shutil.rmtree("/tmp/cache", ignore_errors=True)
    jtwbuild("--cache", "/tmp/cache")
    # A file that has only just been written is looked at again.
    time.sleep(0.1)
    jtwbuild("--cache", "/tmp/cache")
    times = []
    for _ in range(40):
        began = time.perf_counter()
        jtwbuild("--cache", "/tmp/cache")
        times.append((time.perf_counter() - began) * 1000)
    print(f"\nnothing changed: median of 40 whole processes {statistics.median(times):.1f} ms, best {min(times):.1f} ms")
    shutil.rmtree(f"{HERE}/html")
    wall, cpu = measured(lambda: jtwbuild("--cache", "/tmp/cache"))
    print(f"output deleted, everything in the cache: {wall:.2f} s wall, {cpu:.2f} s CPU")


main()
