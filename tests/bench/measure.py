#!/usr/bin/env python3
"""measure.py JTWBUILD SCRATCH [SIZE]... [OPTION]...: the scenarios, for each size, and their tables.

Called by `run` inside a root that has ninja, nix and valgrind; says on standard error how it goes and
prints Markdown at the end.
"""

import argparse
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import gen
from timer import Command, interleave, line, ratios

JOBS = "2"
# Real builds by nix take seconds a node on graphs much larger than this.
NIX_COLD = 200
COLD = 1000
PAYLOADS = 1000


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def quiet(*argv: str, cwd: Path | None = None) -> str:
    return subprocess.run(argv, cwd=cwd, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


class Engine:
    """A tool with its own copy of a graph."""

    def __init__(self, name: str, directory: Path, argv: list[str]):
        self.name, self.directory, self.argv = name, directory, argv

    def command(self, scenario: str, before=lambda _: None) -> Command:
        return Command(f"{self.name}: {scenario}", self.argv, self.directory, before)

    def write_source(self, node: int, text: str) -> None:
        path = self.directory / f"src/{node}.txt"
        before = path.stat().st_mtime_ns
        path.write_text(text)
        # File systems keep times in ticks of a few milliseconds, and ninja looks at nothing else.
        while path.stat().st_mtime_ns == before:
            time.sleep(0.005)
            path.write_text(text)
        # A run does not trust what changed just before it began to look the same next time.
        time.sleep(0.03)

    def changed(self, scenario: str, node: int, same_output: bool) -> Command:
        """A run after a change of the source of `node`, which reaches its output or does not."""

        def before(number: int) -> None:
            stamp = time.time_ns()
            if same_output:
                word = (self.directory / f"src/{node}.txt").read_text().split()[0]
                self.write_source(node, f"{word} comment {stamp}\n")
            else:
                self.write_source(node, f"w{stamp} source\n")

        return self.command(scenario, before)


class Bench:
    """One size of the graph, with every engine."""

    def __init__(self, options: argparse.Namespace, size: int):
        self.options, self.size = options, size
        self.directory = options.scratch / str(size)
        shutil.rmtree(self.directory, ignore_errors=True)
        self.facts = gen.write(size, self.directory, seed=42)
        self.store = self.directory / "store"
        self.jtwbuild = Engine(
            "jtwbuild", self.directory / "jtwbuild", [*self.on(self.store), "-q", "realise", "universe.toml", "-j", JOBS]
        )
        self.ninja = Engine("ninja", self.directory / "ninja", ["ninja", "-j", JOBS, "--quiet"])
        self.restat = Engine("ninja, restat", self.directory / "ninja-restat", self.ninja.argv)
        # It reads ninja's files; of them it has a copy of its own.
        n2 = Engine("n2", self.directory / "ninja-n2", ["n2", "-j", JOBS])
        self.others = [n2] if shutil.which("n2") else []
        for other in self.others:
            shutil.copytree(self.ninja.directory, other.directory)
        self.nix = Engine("nix", self.directory / "nix", ["nix-build", "--no-out-link", "raw.nix", "-A", "all"])
        shutil.copy(options.scratch / "base/universe.lock", self.jtwbuild.directory)

    def on(self, store: Path) -> list[str]:
        return [str(self.options.jtwbuild), "--store", str(store)]

    def time(self, commands: list[Command], rounds: int, warm: int = 1) -> list[Command]:
        interleave(commands, rounds, warm)
        for command in commands:
            say(line(command))
        return commands

    # ---- what is measured

    def build_all(self) -> None:
        """Everything built once, so that later runs have nothing to do."""
        fresh_store(self.options, self.store)
        commands = [engine.command("cold") for engine in (self.jtwbuild, self.ninja, self.restat, *self.others)]
        self.time(commands, 1, 0)
        if self.options.nix:
            register_outputs(self.nix)

    def outcomes(self, change) -> str:
        """What jtwbuild does after a change, counted."""
        change(0)
        told = quiet(*self.jtwbuild.argv, "--json", cwd=self.jtwbuild.directory)
        counts: dict[str, int] = {}
        for node in json.loads(told)["nodes"]:
            counts[node["outcome"]] = counts.get(node["outcome"], 0) + 1
        return ", ".join(f"{count} {word}" for word, count in sorted(counts.items()))

    def forget(self, _: int) -> None:
        """Removes what tells jtwbuild at once that nothing has changed."""
        for memo in (self.store / "plans").glob("memo-*"):
            memo.unlink()

    def no_op(self) -> list[Command]:
        engines = [self.jtwbuild, self.ninja, *self.others] + [self.nix] * self.options.nix
        commands = [engine.command("no-op") for engine in engines]
        return self.time([*commands, self.jtwbuild.command("no-op, no memo", self.forget)], self.options.rounds, 2)

    def change(self, scenario: str, node: int, same_output: bool) -> list[Command]:
        changed = self.jtwbuild.changed(scenario, node, same_output)
        say(f"jtwbuild: {scenario}: {self.outcomes(changed.before)}")
        commands = [
            changed,
            self.jtwbuild.command(f"no-op after {scenario}"),
            self.jtwbuild.command(f"no-op after {scenario}, no memo", self.forget),
        ]
        commands += [engine.changed(scenario, node, same_output) for engine in (self.ninja, self.restat, *self.others)]
        timed = self.time(commands, self.options.rounds, 1)
        # Minutes for nix where a change reaches hundreds of nodes, or many inputs of one.
        if self.options.nix and (scenario == "leaf" or self.size <= 1000):
            timed += self.time([self.nix.changed(scenario, node, same_output)], 1, 0)
        return timed

    def cold_plan(self) -> list[Command]:
        """A universe never seen before, and no cache: from files to the plan of every node."""
        directory, store = self.directory / "plan", self.directory / "plan-store"
        directory.mkdir()
        shutil.copytree(self.jtwbuild.directory / "src", directory / "src")
        shutil.copy(self.options.scratch / "base/universe.lock", directory)
        fresh_store(self.options, store)

        def before(number: int) -> None:
            (directory / "universe.toml").write_text(gen.jtwbuild(self.facts["deps"], salt=str(time.time_ns())))
            for cache in (store / "plans").iterdir():
                cache.unlink() if cache.is_file() else shutil.rmtree(cache)

        argv = [*self.on(store), "plan", "universe.toml", "--json"]
        commands = [Command("jtwbuild: cold plan", argv, directory, before)]
        if self.options.nix:
            argv = ["sh", "-c", f"exec nix-instantiate raw.nix -A all --argstr salt {time.time_ns()}-$0"]
            command = Command("nix: cold plan", argv, self.nix.directory)
            command.before = lambda number: command.argv.__setitem__(slice(3, None), [str(number)])
            commands.append(command)
        return self.time(commands, min(self.options.rounds, 5), 1)

    def instructions(self) -> dict[str, float]:
        """Millions of instructions in user space of a no-op: the same on a busy machine."""
        counted = {}
        for engine in (self.jtwbuild, self.ninja):
            argv = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *engine.argv]
            # Below valgrind jtwbuild is another program, and does not trust what it left otherwise.
            subprocess.run(argv, cwd=engine.directory, capture_output=True)
            ended = subprocess.run(argv, cwd=engine.directory, capture_output=True, text=True)
            found = re.search(r"Collected : (\d+)", ended.stderr)
            if ended.returncode == 0 and found:
                counted[engine.name] = int(found[1]) / 1e6
                say(f"{engine.name}: no-op: {counted[engine.name]:.1f} million instructions")
        return counted


def prepare_base(options: argparse.Namespace) -> None:
    """A store that holds the base and nothing else, and the lock that pins it."""
    directory = options.scratch / "base"
    lock = directory / "universe.lock"
    if lock.exists() and lock.stat().st_mtime > options.jtwbuild.stat().st_mtime:
        return
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    (directory / "universe.toml").write_text(
        "name = \"base\"\n[[node]]\nname = \"only\"\nscript = 'echo base > $out/value'\n"
    )
    say("fetching and unpacking the base")
    quiet(str(options.jtwbuild), "--store", str(directory / "store"), "realise", "universe.toml", cwd=directory)


def fresh_store(options: argparse.Namespace, store: Path) -> None:
    """A copy of the store that holds only the base."""
    shutil.rmtree(store, ignore_errors=True)
    subprocess.run(["cp", "-a", options.scratch / "base/store", store], check=True)


def register_outputs(nix: Engine) -> None:
    """Writes the outputs of nix's derivations and registers them as built: building thousands of nodes
    would take it an hour, and a run that finds them cannot tell the difference."""
    top = quiet("nix-instantiate", "raw.nix", "-A", "all", cwd=nix.directory).split("!")[0]
    todo, seen, lines = [top], set(), []
    while todo:
        derivation = todo.pop()
        if derivation in seen:
            continue
        seen.add(derivation)
        text = Path(derivation).read_text()
        out = re.match(r'Derive\(\[\("out","([^"]+)"', text)[1]
        Path(out).write_text("node\n")
        lines.append(f"{out}\n{derivation}\n0\n")
        todo += re.findall(r'\("(/nix/store/[^"]+\.drv)",\[', text)
    argv = ["nix-store", "--register-validity", "--reregister"]
    subprocess.run(argv, input="".join(lines), text=True, check=True, stderr=subprocess.DEVNULL)


def payload(options: argparse.Namespace) -> float:
    """CPU seconds of one node's command by itself: the base's shell, started from a small process."""
    busybox = next((options.scratch / "base/store/trees").glob("*/**/bin/busybox"))
    script = options.scratch / "payload.py"
    script.write_text(
        "import os, resource, sys\n"
        f"for i in range({PAYLOADS}):\n"
        "    argv = ['sh', '-euc', 'echo \"node %d\" > $out/value' % i]\n"
        "    os.waitpid(os.posix_spawn(sys.argv[1], argv, {'out': sys.argv[2]}), 0)\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(used.ru_utime + used.ru_stime)\n"
    )
    told = [float(quiet(sys.executable, str(script), str(busybox), str(options.scratch))) for _ in range(3)]
    return sorted(told)[1] / PAYLOADS


def cold_nodes(options: argparse.Namespace) -> dict[str, list[Command]]:
    """The price of a node that has to be built."""
    bench = Bench(options, COLD)

    ours = bench.jtwbuild.command("cold")

    # Nothing is removed between rounds: ext4 is slow to make files for seconds after many were removed.
    def new_store(number: int) -> None:
        store = bench.directory / f"store-{number}"
        fresh_store(options, store)
        ours.argv = [*bench.on(store), *bench.jtwbuild.argv[3:]]
        time.sleep(6)

    def move_outputs(number: int) -> None:
        for name in ("o", ".ninja_log", ".ninja_deps"):
            if (bench.ninja.directory / name).exists():
                (bench.ninja.directory / name).rename(bench.directory / f"{name}-{number}")

    ours.before = new_store
    timed = {"cold": bench.time([ours, bench.ninja.command("cold", move_outputs)], options.cold_rounds, 0)}
    if options.nix:
        small = Bench(options, NIX_COLD)
        commands = []
        for sandbox in ("true", "false"):
            argv = ["nix-instantiate", "raw.nix", "-A", f"n{NIX_COLD}", "--argstr", "salt", f"{sandbox}{time.time_ns()}"]
            top = quiet(*argv, cwd=small.nix.directory).split("!")[0]
            count = len(re.findall(r"-n\d+\.drv$", quiet("nix-store", "-qR", top), re.M))
            argv = ["nix-store", "-r", top, "--option", "sandbox", sandbox]
            commands.append(Command(f"nix, sandbox = {sandbox}, {count} nodes", argv))
        timed["nix"] = bench.time(commands, 1, 0)
    return timed


# ---- tables


def milli(seconds: float) -> str:
    return f"{seconds * 1000:.1f}" if seconds < 0.1 else f"{seconds * 1000:.0f}"


def cells(command: Command) -> str:
    name, scenario = command.label.split(": ", 1)
    cpu, wall = milli(command.median("cpu")), f"{milli(command.least('wall'))} / {milli(command.median('wall'))}"
    memory = f"{max(sample.memory for sample in command.samples) / 2**20:.0f}"
    return f"| {scenario} | {name} | {cpu} | {wall} | {memory} | {len(command.samples)} |"


def table(size: int, facts: dict, timed: list[Command], counted: dict[str, float]) -> str:
    lines = [
        f"#### {size} nodes, {facts['edges']} edges, {facts['sources']} sources",
        "",
        "| scenario | engine | CPU, ms (median) | wall, ms (min / median) | memory, MiB | runs |",
        "| --- | --- | --- | --- | --- | --- |",
        *map(cells, timed),
        "",
    ]
    by_scenario: dict[str, list[Command]] = {}
    for command in timed:
        by_scenario.setdefault(command.label.split(": ", 1)[1], []).append(command)
    for scenario, commands in by_scenario.items():
        for other in commands[1:]:
            if len(other.samples) == len(commands[0].samples):
                told = " – ".join(f"{ratio:.3f}" for ratio in ratios(commands[0], other))
                lines.append(f"- {scenario}, CPU, {commands[0].label.split(':')[0]} / {other.label.split(':')[0]}: {told}")
        for no_op in by_scenario.get(f"no-op after {scenario}", []):
            above = sorted(a.cpu - b.cpu for a, b in zip(commands[0].samples, no_op.samples))
            lines.append(f"- {scenario}, jtwbuild, CPU above the no-op beside it: {milli(statistics.median(above))} ms")
    for name, millions in counted.items():
        lines.append(f"- no-op, instructions in user space, {name}: {millions:.0f} million")
    return "\n".join([*lines, ""])


def cold_table(timed: dict[str, list[Command]], command: float) -> str:
    ours, ninja = timed["cold"]
    price, least = ours.median("cpu") / COLD * 1000, ours.least("cpu") / COLD * 1000
    lines = [
        f"#### a node that has to be built ({COLD} nodes in one run; nix: {NIX_COLD})",
        "",
        "| engine | CPU per node, ms (min / median) | wall per node, ms | memory, MiB | runs |",
        "| --- | --- | --- | --- | --- |",
    ]
    for each in (ours, ninja, *timed.get("nix", [])):
        found = re.search(r"(\d+) nodes", each.label)
        count = int(found[1]) if found else COLD
        cpu = f"{each.least('cpu') / count * 1000:.2f} / {each.median('cpu') / count * 1000:.2f}"
        wall = each.median("wall") / count * 1000
        memory = max(sample.memory for sample in each.samples) / 2**20
        lines.append(f"| {each.label} | {cpu} | {wall:.2f} | {memory:.0f} | {len(each.samples)} |")
    lines += [
        f"| the command by itself | {command * 1000:.2f} | | | {PAYLOADS} |",
        f"| jtwbuild's own share | {least - command * 1000:.2f} / {price - command * 1000:.2f} | | | |",
    ]
    return "\n".join([*lines, ""])


def machine() -> str:
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = int(re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())[1]) / 2**20
    load = Path("/proc/loadavg").read_text().split()[0]
    versions = [quiet("ninja", "--version"), quiet("nix", "--version").split()[-1]]
    return (
        f"{time.strftime('%Y-%m-%d %H:%M')} UTC; {os.cpu_count()} × {cpu[1] if cpu else platform.machine()}, "
        f"{memory:.0f} GiB, Linux {platform.release()}, load {load}; ninja {versions[0]}, nix {versions[1]}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("jtwbuild", type=Path)
    parser.add_argument("scratch", type=Path)
    parser.add_argument("size", type=int, nargs="*")
    parser.add_argument("--rounds", type=int, default=7, help="runs of each command")
    parser.add_argument("--cold-rounds", type=int, default=3, help="runs that build everything")
    parser.add_argument("--no-nix", dest="nix", action="store_false")
    parser.add_argument("--no-cold", dest="cold", action="store_false")
    parser.add_argument("--instructions", action="store_true", help="count them, with valgrind")
    options = parser.parse_args()
    if os.environ.get("PATH") is None or not shutil.which("ninja"):
        sys.exit("measure.py: there is no ninja: call it through tests/bench/run")
    prepare_base(options)
    tables = [machine(), ""]
    for size in options.size:
        bench = Bench(options, size)
        say(f"---- {size} nodes")
        bench.build_all()
        timed = bench.no_op()
        timed += bench.change("leaf", bench.facts["leaf"], False)
        timed += bench.change("middle", bench.facts["middle"], False)
        timed += bench.change("same output", bench.facts["middle"], True)
        timed += bench.cold_plan()
        counted = bench.instructions() if options.instructions else {}
        tables.append(table(size, bench.facts, timed, counted))
    if options.cold:
        say("---- cold")
        tables.append(cold_table(cold_nodes(options), payload(options)))
    tables.append(f"At the end: {machine()}")
    print("\n".join(tables))


if __name__ == "__main__":
    main()
