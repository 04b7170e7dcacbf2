"""Invoke the handler with an event against the local PokeAPI, and print the reply: `make run`."""

import json
import math
import shutil
import sys
from collections.abc import Iterator, Sequence
from statistics import median

from pokemon_names.ranges import format_range
from pokemon_names.report import Report, standings
from pokemon_names.views.waterfall import lanes_of
from pokemon_names.views.words import (
    format_duration,
    format_names,
    headline,
    one_line,
    plural,
    race_lines,
    two_digits,
)
from tests.tools import output
from tests.tools.function import Invoke, add_options, change, in_this_process, running
from tests.tools.invoke import leave
from tests.tools.options import Parser, event_file
from tests.tools.output import columns, show, shown_on, wrap
from tests.tools.reply import Reply
from tests.tools.waterfall import is_plain, text

MAX_FAILURES = 5
REQUESTS_ALONE = 3
FAILED = 1


def main() -> int:
    parser = Parser(prog="python -m tests.tools.run", description=__doc__)
    parser.add_argument("event", type=event_file, help="file with an event")
    parser.add_argument("--range", help="range to use instead of the event's")
    parser.add_argument("--strategy", help="strategy to use instead of the event's")
    parser.add_argument(
        "--debug", action="store_true", help="run the handler in this process, for a debugger"
    )
    add_options(parser)
    options = parser.parse_args()
    fields = {"range": options.range, "strategy": options.strategy, "trace": "true"}
    change(options.event, fields)
    with (in_this_process if options.debug else running)(options) as invoke:
        reply = Reply(invoke(options.event))
        alone_ms = None if options.debug else _alone_ms(reply, invoke)
    print_reply(reply, alone_ms)
    if options.live:
        show(reply.hints())
    status = FAILED if reply.is_failure else 0
    if options.debug:
        leave(status)
    return status


def print_reply(reply: Reply, alone_ms: float | None) -> None:
    """Print the names, or the lines of a race, or why there are none; show everything else."""
    if reply.content_type:
        show([f"HTTP {reply.status} {reply.content_type}"])
    if reply.error:
        show([reply.error])
    reports = reply.reports()
    if "race" in reply.body:
        print_race(reports)
    elif reports:
        for line in _in_columns(reports[0].names):
            print(line)
        show(_summary(reports[0], alone_ms))
    elif reply.text and not reply.body:
        print(reply.text.rstrip())
    elif reply.body and not reply.error:
        print(json.dumps(reply.body))


def print_race(reports: Sequence[Report]) -> None:
    """Print a line for each strategy; show the result before them, and the picture after them."""
    show([*wrap(one_line(*headline(reports)), columns()), ""])
    for line in race_lines(reports):
        print("\n".join(wrap(line, columns())) if sys.stdout.isatty() else line)
    show(["", _picture(reports)])


def _alone_ms(reply: Reply, invoke: Invoke) -> float | None:
    """Return how long a request takes while no other is in flight: the median of a few.

    None if one request after another cannot be compared with this reply, because it is no report of
    concurrent requests, or not each of them returned a name.
    """
    reports = [report for report in reply.reports() if report.request.strategy == "gather"]
    if "race" in reply.body or not reports or not _is_one_request_each(reports[0]):
        return None
    numbers = reports[0].request.numbers[:REQUESTS_ALONE]
    event = {"range": format_range(numbers), "strategy": "sequential", "fresh": True, "trace": True}
    (alone,) = Reply(invoke(event)).reports()
    return median(alone.request_ms) if _is_one_request_each(alone) else None


def _is_one_request_each(report: Report) -> bool:
    return 1 < len(report.names) == len(report.fetched.attempts)


def _summary(report: Report, alone_ms: float | None) -> Iterator[str]:
    yield ""
    yield _picture([report])
    yield ""
    for line in (*_requests(report), *_failures(report), _conclusion(report, alone_ms)):
        yield from wrap(line, columns())


def _failures(report: Report) -> Iterator[str]:
    for failure in report.failures[:MAX_FAILURES]:
        yield f"failed: {failure.number}, {failure.reason} ({failure.detail})"
    more = len(report.failures) - MAX_FAILURES
    if more > 0:
        yield f"failed: {more:,} more"


def _in_columns(names: Sequence[str]) -> Iterator[str]:
    """Yield the names in columns for a terminal, and one per line for another program."""
    if not names or not sys.stdout.isatty():
        yield from names
        return
    cell = max(map(len, names)) + 2
    count = max(1, shutil.get_terminal_size().columns // cell)
    lines = math.ceil(len(names) / count)
    for line in range(lines):
        yield "".join(f"{name:<{cell}}" for name in names[line::lines]).rstrip()


def _picture(reports: Sequence[Report]) -> str:
    lanes = lanes_of(standings(reports))
    return text(lanes, plain=is_plain(shown_on()), width=columns())


def _requests(report: Report) -> Iterator[str]:
    """Yield how many requests there were, and how long they took."""
    timing = report.timing
    counts = f"{timing['retries']:,} retried, {timing['cached']:,} cached"
    if timing["listed"]:
        counts += f", {timing['listed']:,} from the list of all Pokémon"
    yield f"{plural(timing['requests'], 'request')} ({counts})"
    if timing["requests"]:
        yield (
            f"p50 {timing['p50_ms']} ms, p95 {timing['p95_ms']} ms, "
            f"max {timing['max_ms']} ms; {timing['bytes'] / 1e6:.2f} MB of JSON"
        )


def _conclusion(report: Report, alone_ms: float | None) -> str:
    """Return how long it took, and how long it would have taken one request after another."""
    strategy = report.request.strategy
    total_ms = report.fetched.total_ms
    names = format_names(report)
    if strategy in {"sequential", "sync"}:
        return f"{names} in {format_duration(total_ms, total_ms)}, one after another"
    if alone_ms is None:
        return f"{names} in {format_duration(total_ms, total_ms)}"
    in_turn_ms = len(report.names) * alone_ms
    span_ms = max(total_ms, in_turn_ms)
    at_once = format_duration(total_ms, span_ms)
    in_turn = format_duration(in_turn_ms, span_ms)
    factor = two_digits(in_turn_ms / total_ms)
    alone = format_duration(alone_ms, alone_ms)
    return f"{names} in {at_once}; one by one about {in_turn} ({factor}x), at {alone} a request"


if __name__ == "__main__":
    output.run(main)
