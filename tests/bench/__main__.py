"""Measure the function against its peers, and print a table: `make bench`.

A ratio is taken pair by pair, the two in turn, because a machine's speed drifts; function and server have a core each.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pokemon_names.request import Request
from tests.bench.server import ROUND_TRIP, nginx

CORE, SERVERS_CORE = "0", 1
CALLS = 4  # in one process; the first counts by itself
SIZES = ["1", "1-150", "1-1025", "1-1025,10001-10326"]


class Run(NamedTuple):
    """What one process took: seconds of its first call, the median of the later ones, its peak memory in MB."""

    first: float
    later: float
    cpu: float
    peak_mb: float


class Ratio(NamedTuple):
    """What the function is to be measured by: its share of a peer's time, and the most that it may be."""

    peer: str
    expression: str
    figure: str
    most: float | None = None


RATIOS = [
    Ratio("tutorial", "1-150", "first", 0.30),
    Ratio("tutorial", "1-150", "later", 0.14),
    Ratio("aiohttp", "1-150", "first", 1.3),
    Ratio("aiohttp", "1-150", "later", 1.2),
    Ratio("aiohttp", "1-1025", "first"),
    Ratio("aiohttp", "1-1025", "later", 1.2),
    Ratio("sequential", "1-150", "later"),
    Ratio("sync", "1-150", "later"),
    Ratio("index", "1-150", "later"),
]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--bodies", type=Path, help="a folder of recorded bodies, NUMBER.json.gz")
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    print(f"Python {sys.version.split()[0]}, TLS, {ROUND_TRIP * 1000:.0f} ms round trip, {options.pairs} pairs a row\n")
    print("| the function's share of | range | call | median | spread | at most | seconds |")
    print("|---|---|---|---|---|---|---|")
    with nginx(options.bodies, SERVERS_CORE) as environment:
        for line in _compared(environment, options.pairs):
            print(line, flush=True)
        print("\n| range | first call | later calls | CPU, later | ms a name, later | peak memory |")
        print("|---|---|---|---|---|---|")
        for expression in SIZES:
            print(_sized(environment, expression, options.pairs), flush=True)


def _compared(environment: Mapping[str, str], pairs: int) -> Iterator[str]:
    for peer, expression in dict.fromkeys((ratio.peer, ratio.expression) for ratio in RATIOS):
        runs = [(_run(environment, "gather", expression), _run(environment, peer, expression)) for _ in range(pairs)]
        for ratio in RATIOS:
            if (ratio.peer, ratio.expression) == (peer, expression):
                yield _row(ratio, runs)


def _row(ratio: Ratio, runs: Sequence[tuple[Run, Run]]) -> str:
    mine, theirs = ([getattr(run, ratio.figure) for run in side] for side in zip(*runs, strict=True))
    shares = [a / b for a, b in zip(mine, theirs, strict=True)]
    median = statistics.median(shares)
    most = "" if ratio.most is None else f"{ratio.most:.2f}{' EXCEEDED' if median > ratio.most else ''}"
    return (
        f"| {ratio.peer} | {ratio.expression} | {ratio.figure} | {median:.2f} | {min(shares):.2f}-{max(shares):.2f} "
        f"| {most} | {statistics.median(mine):.3f} / {statistics.median(theirs):.3f} |"
    )


def _sized(environment: Mapping[str, str], expression: str, times: int) -> str:
    runs = [_run(environment, "gather", expression) for _ in range(times)]
    first, later, cpu, peak = (statistics.median(values) for values in zip(*runs, strict=True))
    name = later / len(Request(range=expression).numbers)
    return f"| {expression} | {first:.3f} s | {later:.3f} s | {cpu:.3f} s | {name * 1000:.2f} | {peak:.0f} MB |"


def _run(environment: Mapping[str, str], program: str, expression: str) -> Run:
    command = ["taskset", "--cpu-list", CORE, sys.executable, "-m", "tests.bench.programs", program, expression]
    done = subprocess.run(
        [*command, str(CALLS)],
        env={**os.environ, "PYTHONPATH": "src", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    took = json.loads(done.stdout)
    first, *later = took["wall"]
    return Run(first, statistics.median(later), statistics.median(took["cpu"][1:]), took["peak_mb"])


if __name__ == "__main__":
    main()
