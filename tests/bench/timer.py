#!/usr/bin/env python3
"""timer.py [-n ROUNDS] [-w WARM] LABEL -- COMMAND... [--vs LABEL -- COMMAND...]...

Times whole processes in turns (A B C, A B C, ...), so that a busy machine is as busy for each of them.
CPU is user and system time from wait4, children that were waited for included. What the kernel does
later on its own account (writing dirty pages, taking network namespaces apart) is in nobody's figure.
"""

import dataclasses
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Sample:
    """One run: seconds and bytes."""

    wall: float
    cpu: float
    memory: int


@dataclasses.dataclass
class Command:
    """What is timed. `before` is called, untimed, with the number of the round."""

    label: str
    argv: list[str]
    cwd: Path = Path(".")
    before: Callable[[int], None] = lambda _: None
    env: dict[str, str] = dataclasses.field(default_factory=dict)
    keep_output: bool = False
    samples: list[Sample] = dataclasses.field(default_factory=list)
    output: str = ""

    def run(self) -> Sample:
        """Runs it once; any end but success is an error that shows what it said."""
        kind = subprocess.PIPE if self.keep_output else subprocess.DEVNULL
        environment = {**os.environ, **self.env}
        began = time.perf_counter()
        process = subprocess.Popen(
            self.argv, cwd=self.cwd, env=environment, stdin=subprocess.DEVNULL, stdout=kind, stderr=ERRORS
        )
        if process.stdout:
            self.output = process.stdout.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            ERRORS.seek(max(0, ERRORS.tell() - 4000))
            sys.exit(f"{self.label} ended with {process.returncode}:\n{ERRORS.read().decode()}")
        return Sample(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)

    def median(self, field: str) -> float:
        return statistics.median(getattr(sample, field) for sample in self.samples)

    def least(self, field: str) -> float:
        return min(getattr(sample, field) for sample in self.samples)


# What commands say on standard error, for the message of a failure.
ERRORS = open(f"/tmp/timer-{os.getpid()}", "w+b", buffering=0)
os.unlink(ERRORS.name)


def interleave(commands: list[Command], rounds: int, warm: int = 1) -> None:
    """Runs all commands in turns; the first `warm` rounds are not counted."""
    for number in range(warm + rounds):
        for command in commands:
            command.before(number)
            sample = command.run()
            if number >= warm:
                command.samples.append(sample)


def ratios(one: Command, other: Command, field: str = "cpu") -> tuple[float, float, float]:
    """Least, median and greatest ratio of the runs of the same round."""
    pairs = zip(one.samples, other.samples)
    each = sorted(getattr(a, field) / max(getattr(b, field), 1e-6) for a, b in pairs)
    return each[0], statistics.median(each), each[-1]


def line(command: Command) -> str:
    return (
        f"{command.label:32} n {len(command.samples):2}"
        f"  cpu {command.median('cpu'):8.4f} s (min {command.least('cpu'):.4f})"
        f"  wall {command.median('wall'):8.4f} s (min {command.least('wall'):.4f})"
        f"  memory {max(s.memory for s in command.samples) / 2**20:5.0f} MiB"
    )


def main() -> None:
    arguments = sys.argv[1:]
    numbers = {"-n": 5, "-w": 1}
    while arguments and arguments[0] in numbers:
        name = arguments.pop(0)
        numbers[name] = int(arguments.pop(0))
    commands = []
    while len(arguments) >= 3 and arguments[1] == "--":
        end = arguments.index("--vs") if "--vs" in arguments else len(arguments)
        commands.append(Command(arguments[0], arguments[2:end]))
        arguments = arguments[end + 1 :]
    if arguments or not commands:
        sys.exit(__doc__)
    interleave(commands, numbers["-n"], numbers["-w"])
    for command in commands:
        print(line(command))
    for other in commands[1:]:
        least, middle, greatest = ratios(commands[0], other)
        print(f"{commands[0].label} / {other.label}, cpu: {least:.3f} - {middle:.3f} - {greatest:.3f}")


if __name__ == "__main__":
    main()
