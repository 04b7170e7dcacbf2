"""The function in its own process, with the PokeAPI that the options describe."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tests.tools.pokeapi import options as pokeapi
from tests.tools.pokeapi import serving

INVOKE = (sys.executable, "-m", "tests.tools.invoke")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--live", action="store_true", help="use the live PokeAPI")
    pokeapi.add_options(parser)
    parser.add_argument(
        "--logs", action="store_true", help="print the function's log, including metrics, to stderr"
    )


def answer(
    event: Mapping[str, Any], options: argparse.Namespace, **environment: str
) -> dict[str, Any]:
    """Return the handler's reply to an event."""
    with environment_of(options) as variables:
        return invoke(event, variables | environment, log_of(options))


def invoke(event: Mapping[str, Any], variables: Mapping[str, str], log: int) -> dict[str, Any]:
    """Return the handler's reply, from a process with these environment variables."""
    done = subprocess.run(
        INVOKE,
        input=json.dumps(event),
        env=variables,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        check=True,
    )
    reply: dict[str, Any] = json.loads(done.stdout)
    return reply


@contextmanager
def environment_of(options: argparse.Namespace) -> Iterator[dict[str, str]]:
    """Yield the function's environment variables while its PokeAPI is running."""
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
    """Set the fields that are not None, in the place where this kind of event has them."""
    given = {name: value for name, value in fields.items() if value is not None}
    if "requestContext" not in event:
        event |= given
    elif event.get("multiValueQueryStringParameters"):
        lists = {name: [value] for name, value in given.items()}
        event["multiValueQueryStringParameters"] |= lists
    else:
        event["queryStringParameters"] = (event.get("queryStringParameters") or {}) | given
