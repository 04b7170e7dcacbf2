"""Serve the function over HTTP, as a Function URL does, until a signal stops it: `make serve`.

It is one Lambda environment, which handles one request at a time. AWS would start one environment
for each concurrent request.
"""

import asyncio
import base64
import json
import logging
import signal
import socket
import string
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote
from uuid import uuid4

from aiohttp import web
from yarl import URL

from tests.tools import output
from tests.tools.function import INVOKE, add_options, environment_of, exit_error, log_of
from tests.tools.options import Parser, add_address, bind

MAX_URL_BYTES = 65_536  # the longest range, with all its commas escaped
SOURCE = Path("src")
SUFFIXES = {".py", ".css", ".html", ".yaml"}  # of its files, but not of bytecode
LINKS = ("/", "/race", "/pokemon?range=1-150", "/openapi.yaml")
MAX_REPLY_BYTES = 50_000_000  # Lambda's 6 MB, plus JSON's escapes


class Environment:
    """A Lambda environment: a process that stays warm and handles one event at a time.

    It starts again when a file in the folder `source` has changed.
    """

    def __init__(self, variables: Mapping[str, str], log: int, source: Path | None = None) -> None:
        self._variables = variables
        self._log = log
        self._source = source
        self._files: dict[Path, int] = {}  # as they were when the process started
        self.process: Process | None = None

    async def invoke(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Return the reply to an event, or an error as Lambda words it."""
        if self.process is None or self._files != files_of(self._source):
            await self.close()
            self.process = await self._start()
        line = await _exchange(self.process, json.dumps(event))
        if line:
            reply: dict[str, Any] = json.loads(line)
            return reply
        status = await self.process.wait()
        self.process = None
        return exit_error(status)

    async def close(self) -> None:
        if self.process:
            with suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()

    async def _start(self) -> Process:
        """Start the process in its own session, because Ctrl-C is meant for this one."""
        self._files = files_of(self._source)
        return await asyncio.create_subprocess_exec(
            *INVOKE,
            env=self._variables,
            stdin=PIPE,
            stdout=PIPE,
            stderr=self._log,
            limit=MAX_REPLY_BYTES,
            start_new_session=True,
        )


def files_of(folder: Path | None) -> dict[Path, int]:
    """Return when each file in a folder last changed, except bytecode."""
    if not folder:
        return {}
    files = [path for path in folder.rglob("*.*") if path.suffix in SUFFIXES]
    return {path: path.stat().st_mtime_ns for path in files}


async def _exchange(process: Process, line: str) -> bytes:
    """Send a line, and return the answer, or nothing if the process has ended."""
    assert process.stdin
    assert process.stdout
    with suppress(ConnectionError):
        process.stdin.write(f"{line}\n".encode())
        await process.stdin.drain()
    return await process.stdout.readline()


async def event_of(request: web.BaseRequest) -> dict[str, Any]:
    """Return the event that a Function URL turns a request into.

    https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
    """
    url = quote(request.raw_path, safe=string.punctuation, errors="surrogateescape")
    path, _, query = url.partition("?")
    headers = [(name.lower(), value) for name, value in request.headers.items()]
    now = datetime.now(UTC)
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": _joined(headers),
        "requestContext": {
            "accountId": "anonymous",
            "apiId": "local",
            "domainName": request.url.host,
            "domainPrefix": "local",
            "http": {
                "method": request.method,
                "path": path,
                "protocol": f"HTTP/{request.version.major}.{request.version.minor}",
                "sourceIp": request.remote,
                "userAgent": request.headers.get("User-Agent"),
            },
            "requestId": str(uuid4()),
            "routeKey": "$default",
            "stage": "$default",
            "time": now.strftime("%d/%b/%Y:%H:%M:%S %z"),
            "timeEpoch": int(now.timestamp() * 1000),
        },
        "isBase64Encoded": False,
    }
    parameters = _joined(parse_qsl(query, keep_blank_values=True))
    if parameters:
        event["queryStringParameters"] = parameters
    body = await request.read()
    if body:
        event |= _body_of(body)
    return event


def _body_of(body: bytes) -> dict[str, Any]:
    try:
        return {"body": body.decode(), "isBase64Encoded": False}
    except UnicodeDecodeError:
        return {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}


def response_of(reply: Mapping[str, Any]) -> web.Response:
    """Return the response that a Function URL turns a reply into."""
    if "errorType" in reply:
        message = {"message": HTTPStatus.INTERNAL_SERVER_ERROR.phrase}
        return web.json_response(message, status=HTTPStatus.BAD_GATEWAY)
    body = reply["body"].encode()
    if reply["isBase64Encoded"]:
        body = base64.b64decode(body)
    return web.Response(status=reply["statusCode"], headers=reply["headers"], body=body)


async def serve(listening: socket.socket, host: str, environment: Environment) -> None:
    """Serve until a signal arrives."""
    stopped = asyncio.Event()
    turn = asyncio.Lock()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)

    async def respond(request: web.BaseRequest) -> web.Response:
        began = time.monotonic()
        event = await event_of(request)
        async with turn:
            if not is_connected(request):
                _print_request(event, "dropped: its caller is gone")
                return web.Response()
            reply = await environment.invoke(event)
        if "errorType" in reply:
            print(f"{reply['errorType']}: {reply['errorMessage']}", file=sys.stderr)
        response = response_of(reply)
        seconds = time.monotonic() - began
        _print_request(event, f"{response.status} {seconds:.2f} s")
        return response

    # Otherwise, a request that is not HTTP would print a traceback.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    server = web.Server(respond, access_log=None, max_line_size=MAX_URL_BYTES)
    runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    await web.SockSite(runner, listening).start()
    port = listening.getsockname()[1]
    site = URL.build(scheme="http", host=host, port=port)
    with suppress(BrokenPipeError):
        print("\n".join(f"{site}{link}" for link in LINKS))
        print("One environment handles one request at a time. It restarts when src/ changes.")
        print("Ctrl-C stops it.", flush=True)
    await stopped.wait()
    await runner.cleanup()
    await environment.close()


def is_connected(request: web.BaseRequest) -> bool:
    """Return whether the caller still waits for the response."""
    return request.transport is not None and not request.transport.is_closing()


def _print_request(event: Mapping[str, Any], outcome: str) -> None:
    url = event["rawPath"]
    if event["rawQueryString"]:
        url += f"?{event['rawQueryString']}"
    with suppress(BrokenPipeError):
        print(f"{event['requestContext']['http']['method']} {url} {outcome}", flush=True)


def _joined(items: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return each name's values, joined by commas."""
    joined: dict[str, str] = {}
    for name, value in items:
        if name in joined:
            joined[name] += f",{value}"
        else:
            joined[name] = value
    return joined


def main() -> None:
    parser = Parser(prog="python -m tests.tools.serve", description=__doc__)
    add_address(parser, port=3000)
    add_options(parser)
    options = parser.parse_args()
    listening = bind(parser, options.host, options.port)
    with environment_of(options) as variables:
        environment = Environment(variables, log_of(options), SOURCE)
        asyncio.run(serve(listening, options.host, environment))


if __name__ == "__main__":
    output.run(main)
