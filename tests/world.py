"""The function in its own process, with a PokeAPI and a network that tests change at any time."""

import asyncio
import json
import math
import os
import re
import signal
import ssl
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from select import select
from subprocess import PIPE
from typing import Any

from aiohttp import web
from anyio.from_thread import start_blocking_portal
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError

from pokemon_names.model import STRATEGIES
from tests.conftest import ROOT, http_event, sample
from tests.tools.connections import close, settle
from tests.tools.http2 import Connection, Http2Server, serving_http2
from tests.tools.pokeapi import PokeAPI, answers, serving
from tests.tools.pokeapi.answers import Answer
from tests.tools.pokeapi.bodies import Pokemon, list_entry, pokemon
from tests.tools.pokeapi.faults import FAULTS
from tests.tools.pokeapi.server import bound
from tests.tools.pokeapi.weather import Weather
from tests.tools.relay import Relay

LIST = PokeAPI.LIST
NUMBERS = range(1, 7)
SLOW_SECONDS = 0.03
MAX_GROWTH = 60_000  # kilobytes by which peak memory may grow after the first invocations
NAMES = {number: pokemon()[number].name for number in range(1, 5)}

# The body of another number, and a first page with one entry instead of the whole list.
ANOTHER = json.dumps({"id": 999, "name": "missingno"})
PART = json.dumps({"count": 1350, "next": "/?offset=1", "results": [list_entry(pokemon()[1])]})

ANSWERS: dict[str, Answer] = {
    **FAULTS,
    "403": answers.status(403),
    "404": answers.status(404),
    "408": answers.status(408),
    "OK": answers.text(200, "OK"),
    "another": answers.json(ANOTHER),
    "busy": answers.status(429, retry_after=3600),
    "elsewhere": answers.elsewhere,
    "part": answers.json(PART),
    "short_gzip": answers.short_gzip,
    "stuck": answers.stuck,
}
# FINAL faults are not retried, and SILENT ones end only with a timeout. GOOD weather lets enough
# requests through, and DOWN weather none. POISON affects one spelling of a path.
FINAL = {"403", "bomb", "elsewhere"}
SILENT = {"silence", "drip", "stuck"}
GOOD = ["up", "limit", "rate"]
DOWN = ["404", "429", "OK", "busy", "503", "reset", "silence", "refuse"]
POISON = ["403", "404", "OK"]

HTTP2_ANSWERS: dict[str, tuple[int, str, dict[str, str]]] = {
    "403": (403, "Forbidden", {}),
    "404": (404, "Not Found", {}),
    "408": (408, "", {}),
    "429": (429, "", {"retry-after": "0"}),
    "500": (500, "", {}),
    "503": (503, "", {}),
    "OK": (200, "OK", {}),
    "another": (200, ANOTHER, {}),
    "busy": (429, "", {"retry-after": "3600"}),
    "elsewhere": (302, "", {"location": "https://example.org/"}),
    "not_json": (200, "<html>", {}),
    "part": (200, PART, {}),
}
# Over HTTP/2, "reset" ends the connection that all requests share; "truncated" resets one stream.
HTTP2_FAULTS = [*HTTP2_ANSWERS, "reset", "truncated", "silence", "stuck"]

# Lines that only a bug prints.
TROUBLE = re.compile(r"^.*(?:Traceback|Exception ignored|never retrieved|Warning).*$", re.MULTILINE)


class Sky(Weather):
    """The weather: `kind` is one of GOOD, or the fault that all requests meet.

    `hostile` gives single numbers a fault, and how many of their requests meet it. `poison` gives
    single numbers a fault that one spelling of their path always meets, and whether that is the one
    with a final slash. The number `slow` is answered after the others.

    `change_after` counts down the requests that arrive while `is_watched` is true; the one that
    brings it to zero calls `change`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.rate = Weather({"limit": 300})
        self.requests = 0
        self.is_watched = False
        self.loop: asyncio.AbstractEventLoop | None = None
        self.pokemon: dict[int, Pokemon] = {}
        self.clear()

    def clear(self) -> None:
        self.kind = "up"
        self.delay = 0.0
        self.hostile: dict[int, tuple[str, float]] = {}
        self.poison: dict[int, tuple[str, bool]] = {}
        self.slow: int | None = None
        self.change_after = math.inf
        self.change: Callable[[], None] = lambda: None
        self.changed_kind: str | None = None

    def meet(self, number: int, *, has_slash: bool) -> str | None:
        """Return the fault that a request meets, or None."""
        self.loop = asyncio.get_running_loop()
        self.requests += 1
        if self.is_watched:
            self.change_after -= 1
            if self.change_after == 0:
                self.change()
        if self.kind == "limit" and self.requests % 2:
            return "429"
        if self.kind == "rate" and self.rate.next(""):
            return "503"
        if self.kind not in GOOD:
            return "503" if self.kind == "refuse" else self.kind
        fault, is_with_slash = self.poison.get(number, ("", None))
        if is_with_slash is has_slash:
            return fault
        fault, times = self.hostile.get(number, ("", 0))
        if not times:
            return None
        self.hostile[number] = (fault, times - 1)
        return fault

    def next(self, path: str) -> Answer | None:
        key = path.rstrip("/").rpartition("/")[2]
        number = int(key) if key.isdecimal() else LIST
        fault = self.meet(number, has_slash=path.endswith("/"))
        if number == self.slow and not fault:
            return self.answer_slowly
        return ANSWERS.get(fault or "")

    async def answer_slowly(self, _: web.Request) -> web.Response:
        await asyncio.sleep(SLOW_SECONDS)
        body = self.body(self.slow or LIST)
        return web.Response(status=200 if body else 404, body=body)

    def behave(self, connection: Connection, stream: int, noted: int) -> None:
        """Answer over HTTP/2."""
        number, has_slash = divmod(noted, 2)
        fault = self.meet(number, has_slash=bool(has_slash))
        loop = asyncio.get_running_loop()
        delay = self.delay + SLOW_SECONDS * (number == self.slow)
        loop.call_later(delay, self._answer, connection, stream, number, fault)

    def _answer(self, connection: Connection, stream: int, number: int, fault: str | None) -> None:
        if connection.transport.is_closing():
            return
        with suppress(ProtocolError):  # the client has reset the stream
            self._respond(connection, stream, number, fault)
        connection.flush()

    def _respond(self, connection: Connection, stream: int, number: int, fault: str | None) -> None:
        match fault:
            case "reset":
                connection.transport.abort()
            case "stuck" | "truncated":
                connection.begin(stream)
                if fault == "truncated":
                    connection.reset(stream, ErrorCodes.INTERNAL_ERROR)
            case None:
                body = self.body(number)
                connection.respond(stream, 200 if body else 404, body)
            case "silence":
                pass
            case _:
                status, text, headers = HTTP2_ANSWERS[fault]
                connection.respond(stream, status, text.encode(), **headers)

    def body(self, number: int) -> bytes:
        """Return the body for a number or the list of all; empty if the number does not exist."""
        if number == LIST:
            entries = list(map(list_entry, self.pokemon.values()))
            return json.dumps({"count": len(entries), "next": None, "results": entries}).encode()
        if number in self.pokemon:
            return json.dumps({"id": number, "name": self.pokemon[number].name}).encode()
        return b""


class Server(Http2Server):
    """A server that notes twice the number of a request, plus one if its path ends with a slash."""

    def note(self, path: str) -> int:
        return 2 * super().note(path) + path.partition("?")[0].endswith("/")


class World:
    """The process, its PokeAPI and the relay between them.

    Unless `has_timeouts` is true, requests practically never time out.
    """

    def __init__(
        self, stack: ExitStack, log: Path, tls: ssl.SSLContext | None, *, has_timeouts: bool
    ) -> None:
        self.sky = Sky()
        self.is_http2 = tls is not None
        self.faults = sorted(ANSWERS.keys() - {"404"})  # the right answer for some numbers
        self.service = PokeAPI(weather=self.sky)
        if tls:
            self.faults = sorted({*HTTP2_FAULTS} - {"404"})
            server = Server()
            server.behave = self.sky.behave
            port = stack.enter_context(serving_http2(server, tls))
        else:
            port = stack.enter_context(serving(self.service))
        if not has_timeouts:
            self.faults = [fault for fault in self.faults if fault not in SILENT]
        self.relay = Relay(port)
        self._thread = stack.enter_context(start_blocking_portal())
        # This socket never listens: it keeps the port while connections are refused.
        self._port = stack.enter_context(bound("127.0.0.1", 0)).getsockname()[1]
        self._listening: asyncio.Server | None = None
        self.accept()
        stack.callback(self._stop)
        self._log = log
        host = "https://localhost" if tls else "http://127.0.0.1"
        self._process = stack.enter_context(
            subprocess.Popen(
                [
                    *(sys.executable, "-W", "error", "-m", "tests.tools.environment"),
                    *(["timeouts"] if has_timeouts else []),
                ],
                cwd=ROOT,
                env={
                    **os.environ,
                    "PYTHONPATH": "src",
                    "POKEAPI_URL": f"{host}:{self._port}/api/v2",
                },
                stdin=PIPE,
                stdout=PIPE,
                stderr=stack.enter_context(log.open("a")),
                text=True,
                bufsize=1,
            )
        )
        self.is_frozen = False
        self._pid = self.ask("begin")
        stack.callback(os.kill, self._pid, signal.SIGKILL)
        self._left_at_first = self._warm_up()
        self.reset_and_check()

    def ask(self, function: str, **arguments: Any) -> Any:
        """Call a function in the process and return its result."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([function, arguments]) + "\n")
        self.thaw()
        assert select([self._process.stdout], [], [], 60)[0], "no reply"
        return json.loads(self._process.stdout.readline())

    def freeze(self) -> None:
        self.is_frozen = True
        os.kill(self._pid, signal.SIGSTOP)

    def thaw(self) -> None:
        if self.is_frozen:
            self.is_frozen = False
            os.kill(self._pid, signal.SIGCONT)

    def count(self) -> int:
        """Return how many requests have arrived, including those that were still on their way."""
        for _ in range(2):
            self._thread.call(settle)
            if self.sky.loop:
                asyncio.run_coroutine_threadsafe(settle(), self.sky.loop).result()
        return self.sky.requests if self.is_http2 else self.service.requests

    def end_connections(self, how: str) -> None:
        getattr(self.relay, how)()
        self._thread.call(settle)

    def change_weather(self, kind: str) -> None:
        """Change the weather to this kind. For "refuse", close the port as well."""
        self.sky.kind = kind
        if kind != "refuse":
            self.accept()
        elif self._listening:
            self._thread.call(close, self._listening)
            self._listening = None
            self.end_connections("reset")

    def accept(self) -> None:
        if not self._listening:
            self._listening = self._thread.call(self.relay.listen, self._port)

    def reset_and_check(self) -> None:
        """End all connections, and check that the example has left nothing in the process."""
        self.sky.clear()
        self.change_weather("up")
        self.set_names(NAMES)
        self.ask("begin")
        left = self._left()
        assert left["sockets"] == left["tasks"] == left["threads"] == 0
        assert left["files"] <= self._left_at_first["files"]
        assert left["objects"] <= self._left_at_first["objects"] + 1000
        assert left["kilobytes"] <= self._left_at_first["kilobytes"] + MAX_GROWTH
        assert not TROUBLE.findall(self._log.read_text(encoding="utf-8"))
        os.truncate(self._log, 0)
        self.relay.connections.clear()

    def set_names(self, names: Mapping[int, str]) -> None:
        """Let only these Pokémon exist, and 151, so that the list is never empty."""
        self.sky.pokemon = {
            number: pokemon()[number]._replace(name=name) for number, name in names.items()
        }
        self.sky.pokemon[151] = pokemon()[151]
        self.service.pokemon = self.sky.pokemon

    def _left(self) -> dict[str, int]:
        """Return what is left in the process once it has noticed that its connections ended."""
        for _ in range(1000):
            self.end_connections("reset")
            left: dict[str, int] = self.ask("left")
            if left["sockets"] == 0:
                break
        return left

    def _warm_up(self) -> dict[str, int]:
        self.sky.kind = "not_json" if self.is_http2 else "bomb"
        for strategy in STRATEGIES:
            request = {"range": "1-6", "strategy": strategy}
            for event in request, http_event("/pokemon", **request), sqs_event([request]):
                waits = {"silence": 11, "straggler": 5, "lag": 60}
                self.ask("invoke", event=event, seconds=30, now=0, **waits)
        return self._left()

    def _stop(self) -> None:
        self.accept()
        assert self._listening
        self._thread.call(close, self._listening)
        self._thread.call(self.relay.stop)


def sqs_event(requests: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the event for a batch of messages whose ids are their indexes."""
    message = sample("sqs")["Records"][0]
    records = [
        message | {"messageId": str(index), "body": json.dumps(request)}
        for index, request in enumerate(requests)
    ]
    return {"Records": records}
