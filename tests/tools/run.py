"""Invoke the handler with an event against the local PokeAPI, and print the reply: `make run`."""

import io
import json
import math
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence

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
from tests.tools.function import add_options, answer, change
from tests.tools.options import Parser, event_file
from tests.tools.reply import Reply
from tests.tools.waterfall import is_plain, text

MAX_FAILURES = 5
FAILED = 1


def main() -> int:
    parser = Parser(prog="python -m tests.tools.run", description=__doc__)
    parser.add_argument("event", type=event_file, help="file with an event")
    parser.add_argument("--range", help="range to use instead of the event's")
    parser.add_argument("--strategy", help="strategy to use instead of the event's")
    add_options(parser)
    options = parser.parse_args()
    fields = {"range": options.range, "strategy": options.strategy, "trace": "true"}
    change(options.event, fields)
    reply = Reply(answer(options.event, options))
    prepare_output()
    print("\n".join(_lines(reply)))
    if options.live:
        print("\n".join(reply.hints()))
    return FAILED if reply.is_failure else 0


def prepare_output() -> None:
    """Print characters that a terminal lacks as question marks, and end when the reader does."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)


def race_text(reports: Sequence[Report]) -> Iterator[str]:
    """Yield the result of a race, a line for each strategy, and the picture."""
    yield one_line(*headline(reports))
    yield ""
    yield from race_lines(reports)
    yield ""
    yield _picture(reports)


def _lines(reply: Reply) -> Iterator[str]:
    if reply.content_type:
        yield f"HTTP {reply.status} {reply.content_type}"
    if reply.error:
        yield reply.error
    reports = reply.reports()
    if "race" in reply.body:
        yield from race_text(reports)
    elif reports:
        yield from _report(reports[0])
    elif reply.text and not reply.body:
        yield reply.text.rstrip()
    elif reply.body and not reply.error:
        yield json.dumps(reply.body)


def _report(report: Report) -> Iterator[str]:
    yield from _columns(report.names)
    yield ""
    yield _picture([report])
    yield ""
    yield _requests(report)
    for failure in report.failures[:MAX_FAILURES]:
        yield f"failed: {failure.number}, {failure.reason} ({failure.detail})"
    more = len(report.failures) - MAX_FAILURES
    if more > 0:
        yield f"failed: {more:,} more"
    yield _conclusion(report)


def _columns(names: Sequence[str]) -> Iterator[str]:
    """Yield the names in columns for a terminal, and one per line for another program."""
    if not names or not sys.stdout.isatty():
        yield from names
        return
    cell = max(map(len, names)) + 2
    columns = max(1, shutil.get_terminal_size().columns // cell)
    lines = math.ceil(len(names) / columns)
    for line in range(lines):
        yield "".join(f"{name:<{cell}}" for name in names[line::lines]).rstrip()


def _picture(reports: Sequence[Report]) -> str:
    return text(lanes_of(standings(reports)), plain=is_plain())


def _requests(report: Report) -> str:
    timing = report.timing
    requests = plural(timing["requests"], "request")
    counts = f"{timing['retries']:,} retried, {timing['cached']:,} cached"
    if timing["listed"]:
        counts += f", {timing['listed']:,} from the list of all Pokémon"
    line = f"{requests} ({counts})"
    if not timing["requests"]:
        return line
    return (
        f"{line}: p50 {timing['p50_ms']} ms, p95 {timing['p95_ms']} ms, "
        f"max {timing['max_ms']} ms; {timing['bytes'] / 1e6:.2f} MB of JSON"
    )


def _conclusion(report: Report) -> str:
    """Return how long it took, and how long it would have taken one request after another."""
    strategy = report.request.strategy
    total_ms = report.fetched.total_ms
    names = format_names(report)
    if strategy in {"sequential", "sync"}:
        return f"{names} in {format_duration(total_ms, total_ms)}, one after another"
    attempts = report.fetched.attempts
    request_ms = [
        one.end_ms - one.start_ms for one in attempts if one.ok and one.number is not None
    ]
    if strategy == "index" or len(request_ms) < 2:
        return f"{names} in {format_duration(total_ms, total_ms)}"
    in_turn_ms = (len(request_ms) + report.fetched.listed) * min(request_ms)
    span_ms = max(total_ms, in_turn_ms)
    at_once = format_duration(total_ms, span_ms)
    in_turn = format_duration(in_turn_ms, span_ms)
    factor = two_digits(in_turn_ms / total_ms)
    return (
        f"{names} in {at_once}; one by one an estimated {in_turn} ({factor}x), "
        "by the fastest request"
    )


if __name__ == "__main__":
    sys.exit(main())
