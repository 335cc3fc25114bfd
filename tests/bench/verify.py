#!/usr/bin/env python3
"""How fast `jtwbuild verify` reads a store, beside `b3sum` reading the same files.

    tests/bench/verify.py [--program target/release/jtwbuild] [--b3sum b3sum] [--rounds 15] [--dir DIR]

Makes three stores byte by byte, as book/src/design/store.md describes them: one file of 1 GB, 20,000 files of
500 MB in all, and 100,000 files of 200 bytes. Everything is in the page cache. The two programs run
in turn; of each the best and the median of wall time and of processor time (of all threads) are told.
"""

import argparse
import os
import shutil
import statistics
import struct
import subprocess
import sys
import time
from pathlib import Path

CONTEXT = "jtwbuild 2026-11 tree directory v1"


def tree_hash(b3sum, entries):
    """The hash of a directory: entries are (kind, name, size, hash as bytes), as encoding.rs has it."""
    encoded = b"".join(
        kind + struct.pack("<H", len(name)) + name + (b"" if size is None else struct.pack("<Q", size)) + digest
        for kind, name, size, digest in sorted(entries, key=lambda entry: entry[1])
    )
    done = subprocess.run([b3sum, "--derive-key", CONTEXT], input=encoded, capture_output=True, check=True)
    return bytes.fromhex(done.stdout.split()[0].decode())


def make(store, b3sum, count, size):
    """A store with one tree of so many files in directories of 200."""
    for name in "trees manifests layers archives plans roots interrupted locks tmp".split():
        (store / name).mkdir(parents=True)
    (store / "format").write_text("jtwbuild store 1\n")
    (store / "draft").mkdir()
    paths = [store / "draft" / str(number) for number in range(count)]
    for path in paths:
        with path.open("wb") as file:
            left = size
            while left > 0:
                left -= file.write(os.urandom(min(left, 1 << 24)))
        path.chmod(0o644)
    hashes = []
    for at in range(0, count, 1000):
        done = subprocess.run([b3sum, "--no-names", *paths[at : at + 1000]], capture_output=True, check=True)
        hashes += done.stdout.decode().split()
    tree, directories = store / "tree", []
    for at in range(0, count, 200):
        name = f"d{at // 200}"
        (tree / name).mkdir(parents=True)
        entries = []
        for number in range(at, min(at + 200, count)):
            pooled = store / "files" / hashes[number][:2] / hashes[number][2:]
            pooled.parent.mkdir(parents=True, exist_ok=True)
            os.utime(paths[number], (1, 1))
            paths[number].rename(pooled)
            os.link(pooled, tree / name / f"f{number}")
            entries.append((b"f", b"f%d" % number, size, bytes.fromhex(hashes[number])))
        os.utime(tree / name, (1, 1))
        directories.append((b"d", name.encode(), None, tree_hash(b3sum, entries)))
    os.utime(tree, (1, 1))
    tree.rename(store / "trees" / tree_hash(b3sum, directories).hex())
    (store / "draft").rmdir()


def run(command, stdin=None):
    """Wall and processor time of one run, in seconds."""
    begun = time.perf_counter()
    child = subprocess.Popen(command, stdin=stdin, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - begun
    if status != 0:
        sys.exit(f"{command} failed: {errors.decode()}")
    return wall, usage.ru_utime + usage.ru_stime


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", default="target/release/jtwbuild")
    parser.add_argument("--b3sum", default="b3sum")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--dir", default="/tmp/jtwbuild-bench-verify")
    arguments = parser.parse_args()
    root = Path(arguments.dir)
    for name, count, size in [("1-GB", 1, 10**9), ("20k-files", 20_000, 25_000), ("100k-small", 100_000, 200)]:
        store = root / name
        shutil.rmtree(root, ignore_errors=True)
        make(store, arguments.b3sum, count, size)
        listed = root / "list"
        listed.write_bytes(b"\0".join(str(path).encode() for path in sorted(store.glob("files/*/*"))))
        ours = [arguments.program, "--store", str(store), "verify", "--quiet"]
        theirs = ["xargs", "-0", "-n", "20000", "-s", "2000000", arguments.b3sum, "--no-names"]
        times = {"jtwbuild verify": [], "b3sum": []}
        for number in range(arguments.rounds + 1):
            for what, command in (("jtwbuild verify", ours), ("b3sum", theirs)):
                with listed.open() as paths:
                    measured = run(command, paths)
                if number > 0:
                    times[what].append(measured)
        print(f"{name}: {count} files, {count * size / 1e6:.0f} MB, {arguments.rounds} rounds")
        for what, measured in times.items():
            (wall, cpu) = zip(*measured)
            print(
                f"  {what:16} wall best {min(wall) * 1e3:7.1f} ms, median {statistics.median(wall) * 1e3:7.1f} ms;"
                f" processor best {min(cpu) * 1e3:7.1f} ms, median {statistics.median(cpu) * 1e3:7.1f} ms;"
                f" {min(wall) * 1e6 / count:.2f} us a file"
            )
        best = [min(wall for wall, _ in measured) for measured in times.values()]
        work = [min(cpu for _, cpu in measured) for measured in times.values()]
        print(f"  verify / b3sum   wall {best[0] / best[1]:.2f}, processor {work[0] / work[1]:.2f}")
    shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
