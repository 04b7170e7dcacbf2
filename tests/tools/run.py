"""Invoke the handler with an event against the local PokeAPI, and print the reply: `make run`."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec

from pokemon_names.model import Attempt
from pokemon_names.sources.responses import race_line
from pokemon_names.views.waterfall import Lane
from tests.tools.options import Parser, event_file
from tests.tools.pokeapi import options as pokeapi
from tests.tools.pokeapi import serving
from tests.tools.waterfall import GLYPHS, text

MAX_FAILURES = 5
FAILED = 1
INVOKE = (sys.executable, "-m", "tests.tools.invoke")


def main() -> int:
    parser = Parser(prog="python -m tests.tools.run", description=__doc__)
    parser.add_argument("event", type=event_file, help="a sample event's file")
    parser.add_argument("--range", help="in place of the event's")
    parser.add_argument("--strategy", help="in place of the event's")
    add_options(parser)
    options = parser.parse_args()
    fields = {"range": options.range, "strategy": options.strategy, "trace": "true"}
    change(options.event, fields)
    reply = answer(options.event, options)
    print("\n".join(_lines(reply)))
    return FAILED if "errorType" in reply else 0


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--live", action="store_true", help="ask the live PokeAPI")
    pokeapi.add_options(parser)
    parser.add_argument(
        "--logs", action="store_true", help="show the function's log, metrics included, on stderr"
    )


def answer(
    event: Mapping[str, Any], options: argparse.Namespace, **environment: str
) -> dict[str, Any]:
    """Return the handler's reply to an event, with the PokeAPI that the options describe."""
    with environment_of(options) as variables:
        return _invoke(event, variables | environment, log_of(options))


@contextmanager
def environment_of(options: argparse.Namespace) -> Iterator[dict[str, str]]:
    """Yield the function's environment, with the PokeAPI that the options describe."""
    environment = {**os.environ, "PYTHONPATH": "src"}
    if options.live:
        yield environment
        return
    with serving(pokeapi.service(options)) as port:
        yield environment | {"POKEAPI_URL": f"http://127.0.0.1:{port}/api/v2"}


def log_of(options: argparse.Namespace) -> int:
    """Return where the function's log goes."""
    return sys.stderr.fileno() if options.logs else subprocess.DEVNULL


def change(event: dict[str, Any], fields: Mapping[str, str | None]) -> None:
    """Set those fields of an event that are not None, where its kind has them."""
    given = {name: value for name, value in fields.items() if value is not None}
    if "requestContext" not in event:
        event |= given
    elif event.get("multiValueQueryStringParameters"):
        lists = {name: [value] for name, value in given.items()}
        event["multiValueQueryStringParameters"] |= lists
    else:
        event["queryStringParameters"] = (event.get("queryStringParameters") or {}) | given


def _invoke(event: Mapping[str, Any], environment: Mapping[str, str], logs: int) -> dict[str, Any]:
    """Invoke in a process of its own, which reads the event and writes the reply."""
    done = subprocess.run(
        INVOKE,
        input=json.dumps(event),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=logs,
        text=True,
        check=True,
    )
    reply: dict[str, Any] = json.loads(done.stdout)
    return reply


def _lines(reply: Mapping[str, Any]) -> Iterator[str]:
    body = reply
    if "statusCode" in reply:
        content_type = _content_type(reply)
        yield f"HTTP {reply['statusCode']} {content_type}"
        if "json" not in content_type:
            yield reply["body"].rstrip()
            return
        body = json.loads(reply["body"])
    if "errorType" in body:
        yield f"{body['errorType']}: {body['errorMessage']}"
    elif "detail" in body:
        yield body["detail"]
    if "race" in body:
        yield from map(race_line, body["race"])
        yield from _waterfall(body["race"])
    elif "names" in body:
        yield from body["names"]
        yield from _summary(body)
        yield from _waterfall([body])
    elif not body.keys() & {"errorType", "detail"}:
        yield json.dumps(body)


def _content_type(reply: Mapping[str, Any]) -> str:
    if reply.get("headers"):
        content_type: str = reply["headers"]["Content-Type"]
    else:
        content_type = reply["multiValueHeaders"]["Content-Type"][0]
    return content_type


def _waterfall(reports: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    yield ""
    yield text([lane(report) for report in reports], plain=_is_plain())


def lane(report: Mapping[str, Any]) -> Lane:
    """Make a lane of the waterfall from a report with a trace."""
    attempts = msgspec.convert(report["trace"], list[Attempt])
    return Lane(report["strategy"], attempts, report["timing"]["total_ms"], report.get("speedup"))


def _is_plain() -> bool:
    """Return whether what is printed to, such as a terminal, can show ASCII alone."""
    try:
        "".join(GLYPHS.values()).encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        return True
    return os.environ.get("TERM") == "dumb"


def _summary(report: Mapping[str, Any]) -> Iterator[str]:
    timing = report["timing"]
    seconds = timing["total_ms"] / 1000
    yield ""
    yield (
        f"{report['count']} names of {report['range']} by {report['strategy']} in {seconds:.2f} s"
    )
    yield (
        f"{timing['requests']} requests (retries {timing['retries']}, cached {timing['cached']}): "
        f"p50 {timing['p50_ms']} ms, p95 {timing['p95_ms']} ms, max {timing['max_ms']} ms; "
        f"{timing['bytes'] / 1e6:.2f} MB of JSON"
    )
    for failure in report["failures"][:MAX_FAILURES]:
        yield f"failed: {failure['number']}, {failure['reason']} ({failure['detail']})"
    more = len(report["failures"]) - MAX_FAILURES
    if more > 0:
        yield f"failed: {more} more"


if __name__ == "__main__":
    sys.exit(main())
