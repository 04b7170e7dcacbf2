"""The function in its own process or in this one, with the PokeAPI that the options describe."""

import argparse
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from functools import partial
from pathlib import Path
from subprocess import PIPE
from typing import Any, TextIO

from tests.tools import invoke
from tests.tools.pokeapi import options as pokeapi
from tests.tools.pokeapi import serving

DEBUG_SECONDS = 3600  # the timeout in a debugger
INVOKE = (sys.executable, "-m", "tests.tools.invoke")

Invoke = Callable[[Mapping[str, Any]], dict[str, Any]]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--live", action="store_true", help="use the live PokeAPI")
    pokeapi.add_options(parser)
    parser.add_argument(
        "--logs", action="store_true", help="print the function's log, including metrics, to stderr"
    )


@contextmanager
def running(options: argparse.Namespace, **environment: str) -> Iterator[Invoke]:
    """Yield a function that invokes the handler. It stays warm until the block ends."""
    with (
        environment_of(options) as variables,
        started(variables | environment, log_of(options)) as invoke,
    ):
        yield invoke


@contextmanager
def in_this_process(options: argparse.Namespace) -> Iterator[Invoke]:
    """Yield a function that invokes the handler in this process, where a debugger can stop it.

    The debugger has this terminal. Unless the log is wanted, it goes nowhere, and there are no
    metrics, which Powertools always prints to stdout.
    """
    with (
        environment_of(options) as variables,
        Path(os.devnull).open("w", encoding="utf-8") as nowhere,
    ):
        os.environ.update(variables, AWS_LAMBDA_FUNCTION_TIMEOUT=str(DEBUG_SECONDS))
        log: TextIO = sys.stderr
        if not options.logs:
            log = nowhere
            os.environ["POWERTOOLS_METRICS_DISABLED"] = "true"
        with redirect_stdout(log), suppress(Exception):  # which the first invocation returns
            importlib.import_module("pokemon_names.app")  # its logger keeps this stdout
        yield invoke.invoke


@contextmanager
def started(variables: Mapping[str, str], log: int) -> Iterator[Invoke]:
    """Start a process with these environment variables, and yield what invokes its handler."""
    with subprocess.Popen(
        INVOKE, env=variables, stdin=PIPE, stdout=PIPE, stderr=log, text=True
    ) as process:
        yield partial(_exchange, process)


def _exchange(process: subprocess.Popen[str], event: Mapping[str, Any]) -> dict[str, Any]:
    assert process.stdin
    assert process.stdout
    with suppress(BrokenPipeError):  # it has ended
        os.write(process.stdin.fileno(), f"{json.dumps(event)}\n".encode())
    line = process.stdout.readline()
    return json.loads(line) if line else exit_error(process.wait())


def exit_error(status: int) -> dict[str, Any]:
    """Return Lambda's error if the process ended with this status instead of replying."""
    message = f"Runtime exited with exit status {status}"
    return {"errorType": "Runtime.ExitError", "errorMessage": message}


@contextmanager
def environment_of(options: argparse.Namespace) -> Iterator[dict[str, str]]:
    """Yield the function's environment variables while its PokeAPI is running."""
    environment = dict(os.environ)
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
