"""Measure the function against its peers, and print tables: `make bench`.

A ratio is taken pair by pair, the two in turn, because a machine's speed drifts; function and server have a core each.
"""

import argparse
import math
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from tests.tools.bench import coldstart
from tests.tools.bench.measure import SERVERS_CORE, Run, Side, run
from tests.tools.bench.server import ROUND_TRIP, nginx

LARGE, ALL = "1-1025", "1-1025,10001-10326"
SLOW = Side("tutorial", LARGE, calls=1)  # half a minute a call
FIGURES = {"first": "first", "later": "later", "cpu": "later, CPU", "per_name": "later, a name"}

# With the most that the function's share of a peer's figure may be.
PEERS: Mapping[Side, Mapping[str, float]] = {
    Side("tutorial"): {"first": 0.30, "later": 0.14, "cpu": math.inf},
    SLOW: {"later": 1 / 30},
    Side("aiohttp"): {"first": 0.75, "later": 0.80, "cpu": math.inf},
    Side("aiohttp", LARGE): {"first": math.inf, "later": 0.90, "cpu": math.inf},
    Side("aiohttp", share=0.5): {"first": math.inf, "later": math.inf},
    Side("limit"): {"first": 1.15, "later": 1.10, "cpu": math.inf},
    Side("limit", LARGE): {"first": math.inf, "later": 1.12, "cpu": math.inf},
    Side("curl"): {"first": math.inf},
    Side("h2load"): {"first": math.inf},
    Side("h2load", LARGE): {"first": math.inf},
    Side("sequential"): {"later": math.inf},
    Side("sync"): {"later": math.inf},
    Side("index"): {"later": math.inf},
}
MOST_GROWTH = 1.0
MEMORY_LIMITS = {"1": math.inf, "1-150": 100, LARGE: math.inf, ALL: 128}  # MB
MOST_CACHED_MS = 2
IMPORTS = {
    "httpx, Logger and Metrics": (coldstart.LIBRARIES, 1.3),
    "these and asyncio": (f"{coldstart.LIBRARIES}; import asyncio", math.inf),
}
IMPORT_PAIRS = 20  # an import takes little
MOST_UNPACKED_MB, MOST_ZIPPED_MB = 30, 10

# Lambda gives a core for 1,769 MB and bills, on x86_64, by the GB-second and the request; arm64 is a fifth cheaper.
MEMORIES, MEMORY_OF_A_CORE = (512, 885, 1769, 3008), 1769
GB_SECOND, MILLION_REQUESTS = 0.0000166667, 0.20

Cells = Sequence[str]
Measure = Callable[[Side], Run]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.tools.bench", description=__doc__)
    parser.add_argument("--bodies", type=Path, help="a folder of recorded bodies, NUMBER.json.gz")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--small", action="store_true", help="every row, but of ten names: does it work at all?")
    options = parser.parse_args()
    print(f"Python {sys.version.split()[0]}, TLS, {ROUND_TRIP * 1000:.0f} ms round trip, {options.pairs} pairs a row")
    if options.small:
        print("Every range is cut to 1-10 to see that the bench works: the figures mean nothing")
    with nginx(options.bodies, SERVERS_CORE) as environment:
        measure = partial(_measured, environment, "1-10" if options.small else None)
        for table in (
            _peers(measure, options.pairs),
            _sizes(measure, options.pairs),
            _cold_start(options.pairs if options.small else max(options.pairs, IMPORT_PAIRS)),
            _cost(measure, options.pairs),
        ):
            print()
            for cells in table:
                print("|", " | ".join(cells), "|", flush=True)


def _measured(environment: Mapping[str, str], instead: str | None, side: Side) -> Run:
    return run(environment, side._replace(range=instead) if instead else side)


def _peers(measure: Measure, pairs: int) -> Iterator[Cells]:
    yield from _head("the function's share of", "range", "call", "median", "spread", "at most", "measured")
    for peer, figures in PEERS.items():
        mine = Side("gather", peer.range, peer.share)
        yield from _compared(measure, mine, peer, figures, 1 if peer is SLOW else pairs)
    yield from _compared(measure, Side("gather", ALL), Side("gather"), {"per_name": MOST_GROWTH}, pairs)


def _compared(measure: Measure, mine: Side, theirs: Side, figures: Mapping[str, float], pairs: int) -> Iterator[Cells]:
    try:
        runs = [(measure(mine), measure(theirs)) for _ in range(pairs)]
    except OSError as error:
        yield [str(theirs), theirs.range, f"cannot be held: {error}", "", "", "", ""]
        return
    for figure, most in figures.items():
        values = [(getattr(a, figure), getattr(b, figure)) for a, b in runs]
        range_ = theirs.range if theirs.range == mine.range else f"{mine.range} by {theirs.range}"
        yield [str(theirs), range_, FIGURES[figure], *_ratio(values, most)]


def _sizes(measure: Measure, times: int) -> Iterator[Cells]:
    yield from _head("range", "first call", "later calls", "later, CPU", "ms a name", "peak memory")
    for expression, most in MEMORY_LIMITS.items():
        took = _median(measure, Side("gather", expression), times)
        seconds = [f"{value:.3f} s" for value in (took.first, took.later, took.cpu)]
        yield [expression, *seconds, f"{took.per_name * 1000:.2f}", _limited(took.peak_mb, most, ".0f", " MB")]
    cached = _median(measure, Side("cached", calls=100), times)
    yield ["1-150, cached", "", _limited(cached.later * 1000, MOST_CACHED_MS, ".2f", " ms"), "", "", ""]


def _cold_start(pairs: int) -> Iterator[Cells]:
    yield from _head("cold start", "median", "spread", "at most", "measured")
    for peer, (statements, most) in IMPORTS.items():
        coldstart.import_seconds(coldstart.HANDLER)  # so that the bytecode is there
        both = [tuple(map(coldstart.import_seconds, (coldstart.HANDLER, statements))) for _ in range(pairs)]
        yield [f"importing the handler, by {peer}", *_ratio(both, most)]
    builder, unpacked, zipped = coldstart.package()
    for name, size, most in (("unpacked", unpacked, MOST_UNPACKED_MB), ("zipped", zipped, MOST_ZIPPED_MB)):
        yield [f"package {name}, built by {builder}", _limited(size, most, ".1f", " MB"), "", "", ""]


def _cost(measure: Measure, times: int) -> Iterator[Cells]:
    yield from _head("memory", "of a core", "billed: first call", "later calls", "USD a million later calls")
    for memory in MEMORIES:
        share = min(1.0, memory / MEMORY_OF_A_CORE)  # Python cannot use a second one
        try:
            took = _median(measure, Side(share=share), times)
        except OSError as error:
            yield [f"{memory} MB", f"{share:.2f}", f"cannot be held: {error}", "", ""]
            continue
        first, later = math.ceil(1000 * (took.init + took.first)), math.ceil(1000 * took.later)
        dollars = MILLION_REQUESTS + 1e6 * later / 1000 * memory / 1024 * GB_SECOND
        yield [f"{memory} MB", f"{share:.2f}", f"{first} ms", f"{later} ms", f"{dollars:.2f}"]


def _head(*titles: str) -> Iterator[Cells]:
    yield titles
    yield ["---"] * len(titles)


def _median(measure: Measure, side: Side, times: int) -> Run:
    return Run(*map(statistics.median, zip(*(measure(side) for _ in range(times)), strict=True)))


def _ratio(values: Sequence[tuple[float, ...]], most: float) -> Cells:
    ratios = [mine / theirs for mine, theirs in values]
    mine, theirs = map(statistics.median, zip(*values, strict=True))
    limit = "" if most == math.inf else f"{most:.3g}"
    if statistics.median(ratios) > most:
        limit += " EXCEEDED"
    return [
        f"{statistics.median(ratios):.3f}",
        f"{min(ratios):.3f}-{max(ratios):.3f}",
        limit,
        f"{mine * 1000:.4g} / {theirs * 1000:.4g} ms",
    ]


def _limited(value: float, most: float, form: str, unit: str) -> str:
    limit = "" if most == math.inf else f" of {most}{' EXCEEDED' if value > most else ''}"
    return f"{value:{form}}{unit}{limit}"


if __name__ == "__main__":
    main()
