"""What `make run` does: invoke the handler with an event, against the local PokeAPI, and print what came of it."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from pokemon_names.web import race_line
from tests.pokeapi import PokeAPI, serving

MOST_FAILURES = 5
FAILED = 1


def main() -> int:
    options = _options()
    event = json.loads(options.event.read_text(encoding="utf-8"))
    _change(event, {"range": options.range, "strategy": options.strategy})
    local = nullcontext(None) if options.live else serving(PokeAPI(delay=options.delay))
    with local as port:
        environment = {} if port is None else {"POKEAPI_URL": f"http://127.0.0.1:{port}/api/v2"}
        reply = _invoke(event, environment, logs=sys.stderr.fileno() if options.logs else subprocess.DEVNULL)
    print("\n".join(_lines(reply)))
    return FAILED if "errorType" in reply else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.run", description=__doc__)
    parser.add_argument("event", type=Path, help="a sample event's file")
    parser.add_argument("--range", help="in place of the event's")
    parser.add_argument("--strategy", help="in place of the event's")
    parser.add_argument("--live", action="store_true", help="ask the live PokeAPI")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer of the local PokeAPI")
    parser.add_argument("--logs", action="store_true", help="show the function's log, metrics included, on stderr")
    return parser.parse_args()


def _change(event: dict[str, Any], fields: Mapping[str, str | None]) -> None:
    given = {name: value for name, value in fields.items() if value is not None}
    if "requestContext" not in event:
        event |= given
    elif "multiValueQueryStringParameters" in event:
        event["multiValueQueryStringParameters"] |= {name: [value] for name, value in given.items()}
    else:
        event["queryStringParameters"] = event.get("queryStringParameters", {}) | given


def _invoke(event: Mapping[str, Any], environment: Mapping[str, str], logs: int) -> dict[str, Any]:
    """Invoke in a process of its own: only the environment and the event get in, only the reply comes out."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.invoke"],
        input=json.dumps(event),
        env={**os.environ, "PYTHONPATH": "src", **environment},
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
        headers = reply.get("headers") or {name: values[0] for name, values in reply["multiValueHeaders"].items()}
        yield f"HTTP {reply['statusCode']} {headers['Content-Type']}"
        if "json" not in headers["Content-Type"]:
            yield reply["body"].rstrip()
            return
        body = json.loads(reply["body"])
    if "errorType" in body:
        yield f"{body['errorType']}: {body['errorMessage']}"
    elif "detail" in body:
        yield body["detail"]
    if "race" in body:
        yield from map(race_line, body["race"])
    elif "names" in body:
        yield from body["names"]
        yield from _summary(body)


def _summary(report: Mapping[str, Any]) -> Iterator[str]:
    timing = report["timing"]
    yield ""
    yield f"{report['count']} names of {report['range']} by {report['strategy']} in {timing['total_ms'] / 1000:.2f} s"
    yield (
        f"{timing['requests']} requests (retries {timing['retries']}, cached {timing['cached']}): "
        f"p50 {timing['p50_ms']} ms, p95 {timing['p95_ms']} ms, max {timing['max_ms']} ms; "
        f"{timing['bytes'] / 1e6:.2f} MB of JSON"
    )
    for failure in report["failures"][:MOST_FAILURES]:
        yield f"failed: {failure['number']}, {failure['reason']} ({failure['detail']})"
    if (more := len(report["failures"]) - MOST_FAILURES) > 0:
        yield f"failed: {more} more"


if __name__ == "__main__":
    sys.exit(main())
