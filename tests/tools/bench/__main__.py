"""Measure the function and its peers, and print tables: `make bench`.

Each row shows the median ratio of several pairs of runs. The two runs of a pair follow each other
directly, because a machine's speed changes. The function and the server have one core each.
"""

import math
import signal
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from tests.tools import output
from tests.tools.bench import coldstart
from tests.tools.bench.measure import SERVERS_CORE, Run, Side, run
from tests.tools.bench.server import ROUND_TRIP, nginx
from tests.tools.options import Parser, number
from tests.tools.pokeapi.options import bodies

LARGE = "1-1025"
ALL = "1-1025,10001-10326"
SLOW = Side("tutorial", LARGE, calls=1)  # one call takes more than 20 s
FIGURES = {"first": "first", "later": "later", "cpu": "later, CPU", "per_name": "later, per name"}

# For each figure of a peer, the largest share of it that the function may take. Infinity means no
# limit.
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
MAX_GROWTH = 1.0
MEMORY_LIMITS = {"1": math.inf, "1-150": 100, LARGE: math.inf, ALL: 128}  # MB
MAX_CACHED_MS = 2
MAX_IMPORT = 1.25
IMPORT_PAIRS = 20  # an import is quick
MAX_UNPACKED_MB = 30
MAX_COMPRESSED_MB = 10

# With 1,769 MB, Lambda provides one core.
MEMORIES = (512, 885, 1769, 3008)
MEMORY_OF_A_CORE = 1769

# Lambda bills GB-seconds and requests. In USD on x86_64; on arm64, GB-seconds cost a fifth less.
GB_SECOND = 0.0000166667
MILLION_REQUESTS = 0.20

Cells = Sequence[str]
Measure = Callable[[Side], Run]


def main() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # so that Ctrl-C also ends nginx
    parser = Parser(prog="python -m tests.tools.bench", description=__doc__)
    count = number(int, "a whole number of at least 1, such as 5", minimum=1)
    parser.add_argument("--bodies", type=bodies, help="folder of recorded bodies, NUMBER.json.gz")
    parser.add_argument("--pairs", type=count, default=5)
    parser.add_argument(
        "--small",
        action="store_true",
        help="fetch only ten names in each row, to see whether the benchmark works",
    )
    options = parser.parse_args()
    pairs = options.pairs
    python = sys.version.split()[0]
    round_trip = ROUND_TRIP * 1000
    print(f"Python {python}, TLS, {round_trip:.0f} ms round trip, {pairs} pairs per row")
    small_range = None
    import_pairs = max(pairs, IMPORT_PAIRS)
    if options.small:
        print(
            "Every range is cut to 1-10, to see whether the benchmark works; the figures mean "
            "nothing"
        )
        small_range = "1-10"
        import_pairs = pairs
    with nginx(options.bodies, SERVERS_CORE) as environment:
        measure = partial(_measured, environment, small_range)
        _print_table(_peers(measure, pairs))
        _print_table(_sizes(measure, pairs))
        _print_table(_cold_start(import_pairs))
        _print_table(_cost(measure, pairs))


def _print_table(rows: Iterator[Cells]) -> None:
    print()
    for cells in rows:
        print("|", " | ".join(cells), "|", flush=True)


def _measured(environment: Mapping[str, str], small_range: str | None, side: Side) -> Run:
    if small_range:
        side = side._replace(range=small_range)
    return run(environment, side)


def _peers(measure: Measure, pairs: int) -> Iterator[Cells]:
    yield from _head(
        "the function's time, divided by that of",
        "range",
        "call",
        "median",
        "spread",
        "at most",
        "measured",
    )
    for peer, figures in PEERS.items():
        mine = Side("gather", peer.range, peer.share)
        times = 1 if peer is SLOW else pairs
        yield from _compared(measure, mine, peer, figures, times)
    growth = {"per_name": MAX_GROWTH}
    yield from _compared(measure, Side("gather", ALL), Side("gather"), growth, pairs)


def _compared(
    measure: Measure, mine: Side, theirs: Side, figures: Mapping[str, float], pairs: int
) -> Iterator[Cells]:
    try:
        runs = [(measure(mine), measure(theirs)) for _ in range(pairs)]
    except OSError as error:
        yield [str(theirs), theirs.range, f"CPU cannot be limited: {error}", "", "", "", ""]
        return
    ranges = theirs.range
    if mine.range != theirs.range:
        ranges = f"{mine.range} / {theirs.range}"
    for figure, most in figures.items():
        values = [(getattr(a, figure), getattr(b, figure)) for a, b in runs]
        yield [str(theirs), ranges, FIGURES[figure], *_ratio(values, most)]


def _sizes(measure: Measure, times: int) -> Iterator[Cells]:
    yield from _head(
        "range", "first call", "later calls", "later, CPU", "ms per name", "peak memory"
    )
    for expression, most in MEMORY_LIMITS.items():
        took = _median(measure, Side("gather", expression), times)
        seconds = [f"{value:.3f} s" for value in (took.first, took.later, took.cpu)]
        ms_per_name = f"{took.per_name * 1000:.2f}"
        peak = _limited(took.peak_mb, most, ".0f", " MB")
        yield [expression, *seconds, ms_per_name, peak]
    cached = _median(measure, Side("cached", calls=100), times)
    later = _limited(cached.later * 1000, MAX_CACHED_MS, ".2f", " ms")
    yield ["1-150, cached", "", later, "", "", ""]


def _cold_start(pairs: int) -> Iterator[Cells]:
    yield from _head("cold start", "median", "spread", "at most", "measured")
    coldstart.import_seconds(coldstart.HANDLER)  # so that the bytecode exists
    seconds = []
    for _ in range(pairs):
        mine = coldstart.import_seconds(coldstart.HANDLER)
        theirs = coldstart.import_seconds(coldstart.LIBRARIES)
        seconds.append((mine, theirs))
    name = "importing the handler / asyncio, httpx, Logger and Metrics"
    yield [name, *_ratio(seconds, MAX_IMPORT)]
    builder, unpacked, compressed = coldstart.package()
    size = _limited(unpacked, MAX_UNPACKED_MB, ".1f", " MB")
    yield [f"package unpacked, built by {builder}", size, "", "", ""]
    size = _limited(compressed, MAX_COMPRESSED_MB, ".1f", " MB")
    yield [f"package zipped, built by {builder}", size, "", "", ""]


def _cost(measure: Measure, times: int) -> Iterator[Cells]:
    yield from _head(
        "memory",
        "share of a core",
        "billed: first call",
        "later calls",
        "USD per million later calls",
    )
    for memory in MEMORIES:
        share = min(1.0, memory / MEMORY_OF_A_CORE)  # Python cannot use a second core
        try:
            took = _median(measure, Side(share=share), times)
        except OSError as error:
            yield [f"{memory} MB", f"{share:.2f}", f"CPU cannot be limited: {error}", "", ""]
            continue
        first = math.ceil(1000 * (took.init + took.first))
        later = math.ceil(1000 * took.later)
        gb_seconds = later / 1000 * memory / 1024
        dollars = MILLION_REQUESTS + 1e6 * gb_seconds * GB_SECOND
        yield [f"{memory} MB", f"{share:.2f}", f"{first} ms", f"{later} ms", f"{dollars:.2f}"]


def _head(*titles: str) -> Iterator[Cells]:
    yield titles
    yield ["---"] * len(titles)


def _median(measure: Measure, side: Side, times: int) -> Run:
    runs = [measure(side) for _ in range(times)]
    figures = zip(*runs, strict=True)
    return Run(*map(statistics.median, figures))


def _ratio(pairs: Sequence[tuple[float, float]], most: float) -> Cells:
    ratios = [mine / theirs for mine, theirs in pairs]
    median = statistics.median(ratios)
    limit = "" if most == math.inf else f"{most:.3g}"
    if median > most:
        limit += " EXCEEDED"
    my_ms = 1000 * statistics.median(mine for mine, _ in pairs)
    their_ms = 1000 * statistics.median(theirs for _, theirs in pairs)
    return [
        f"{median:.3f}",
        f"{min(ratios):.3f}-{max(ratios):.3f}",
        limit,
        f"{my_ms:.4g} / {their_ms:.4g} ms",
    ]


def _limited(value: float, most: float, form: str, unit: str) -> str:
    text = f"{value:{form}}{unit}"
    if most != math.inf:
        text += f" of {most}"
    if value > most:
        text += " EXCEEDED"
    return text


if __name__ == "__main__":
    output.run(main)
