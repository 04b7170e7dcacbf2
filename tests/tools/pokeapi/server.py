"""The server: the live service's paths, headers and plain-text errors, over a real socket."""

import asyncio
import gzip
import re
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from ssl import SSLContext

from aiohttp import web
from anyio.from_thread import start_blocking_portal
from yarl import URL

from tests.tools.connections import abort_all, stop_accepting
from tests.tools.pokeapi import answers
from tests.tools.pokeapi.answers import Answer
from tests.tools.pokeapi.bodies import API, generated, list_entry, pokemon, recorded
from tests.tools.pokeapi.faults import Faults
from tests.tools.pokeapi.weather import Weather

HEADERS = {
    "Cache-Control": "public, max-age=86400, s-maxage=86400",
    "X-PokeAPI-Deploy-Date": "2026-08-08T00:00:00Z",
    "X-PokeAPI-Hash": "local",
}
ERROR_HEADERS = {"Cache-Control": "public, max-age=432000"}


class PokeAPI:
    """The service. A test may read and set its attributes while it runs.

    `answers` replace the service's own answers to some numbers, or to the LIST.
    `faults` hit some requests at random; the `weather` lasts.
    `delay` is the time before each answer, in seconds.
    `connections` are the open ones.
    `agents` are the User-Agents of all clients so far.
    """

    LIST = 0

    def __init__(
        self,
        bodies: Path | None = None,
        delay: float = 0.0,
        faults: Faults | None = None,
        weather: Weather | None = None,
    ) -> None:
        self.pokemon = pokemon()
        self.delay = delay
        self.faults = faults or Faults({})
        self.weather = weather or Weather()
        self.requests = 0
        self.in_flight = 0
        self.most_in_flight = 0
        self.agents: set[str] = set()
        self._refusal: asyncio.Task[None] | None = None
        self.answers: dict[int, Answer] = {}
        self.runner = web.AppRunner(
            self._application(), access_log=None, keepalive_timeout=600, shutdown_timeout=0.1
        )
        self._body = recorded(bodies) if bodies else generated
        self._numbers = {one.name: one.number for one in self.pokemon.values()}

    @property
    def connections(self) -> set[web.RequestHandler]:
        if not self.runner.server:
            return set()
        return set(self.runner.server.connections)

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[self._watch])
        application.router.add_get("/api/v2/meta{slash:/?}", self._meta)
        application.router.add_get("/api/v2/pokemon{slash:/?}", self._list)
        application.router.add_get("/api/v2/pokemon/{key}{slash:/?}", self._one)
        return application

    @web.middleware
    async def _watch(self, request: web.Request, handler: Answer) -> web.StreamResponse:
        self.requests += 1
        self.agents.add(request.headers.get("User-Agent", ""))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        seconds = self.weather.conditions.get("refuse")
        if seconds and self.requests == 1:
            self._refusal = asyncio.create_task(self._refuse(seconds))
        try:
            await asyncio.sleep(self.delay)
            if self._refusal and not self._refusal.done():
                return await answers.reset(request)
            path = request.path
            answer = self.weather.next(path) or self.faults.next(path) or handler
            return await answer(request)
        except web.HTTPNotFound:
            return _error(404)
        except ConnectionResetError:  # the client has gone
            return await answers.reset(request)
        finally:
            self.in_flight -= 1

    async def listen(self, listening: socket.socket, ssl_context: SSLContext | None = None) -> None:
        self._listening = listening
        self._ssl_context = ssl_context
        await web.SockSite(self.runner, listening, ssl_context=ssl_context).start()

    async def _refuse(self, seconds: float) -> None:
        """Close the port and all connections for a while."""
        await stop_accepting(self._listening)
        address = self._listening.getsockname()
        for site in self.runner.sites:
            await site.stop()
        listening = bound(*address[:2])
        for transport in _transports(self):
            transport.abort()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(seconds)
        await self.listen(listening, self._ssl_context)

    async def clear_up(self) -> None:
        """End any refusal of connections, and accept no more."""
        if self._refusal:
            self._refusal.cancel()
            await asyncio.wait([self._refusal])
        await stop_accepting(self._listening)

    async def _meta(self, _: web.Request) -> web.Response:
        about = {"deploy_date": HEADERS["X-PokeAPI-Deploy-Date"], "hash": HEADERS["X-PokeAPI-Hash"]}
        return web.json_response(about, headers=HEADERS)

    async def _list(self, request: web.Request) -> web.StreamResponse:
        if self.LIST in self.answers:
            return await self.answers[self.LIST](request)
        offset = int(request.query.get("offset", "0"))
        limit = int(request.query.get("limit", "20"))
        limit = min(limit, int(self.weather.conditions.get("cut", limit)))
        end = offset + limit
        page = list(self.pokemon.values())[offset:end]
        following = _page(end, limit) if end < len(self.pokemon) else None
        previous = _page(max(0, offset - limit), limit) if offset > 0 else None
        body = {
            "count": len(self.pokemon),
            "next": following,
            "previous": previous,
            "results": list(map(list_entry, page)),
        }
        response = web.json_response(body, headers=HEADERS)
        response.enable_compression()
        return response

    async def _one(self, request: web.Request) -> web.StreamResponse:
        key = request.match_info["key"]
        if not re.fullmatch(r"[a-z0-9-]+", key):
            return _error(400)
        number = int(key) if key.isdecimal() else self._numbers.get(key, -1)
        if number in self.answers:
            return await self.answers[number](request)
        if number not in self.pokemon:
            return _error(404)
        if self.weather.divides("swapped", number):
            number = self._after(number)
        body = self._body(self.pokemon[number])
        headers = {**HEADERS, "Vary": "Accept-Encoding"}
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            headers["Content-Encoding"] = "gzip"
        else:
            body = gzip.decompress(body)
        return web.Response(
            body=body, content_type="application/json", charset="utf-8", headers=headers
        )

    def _after(self, number: int) -> int:
        """Return the next number, or the first one after the last."""
        numbers = list(self.pokemon)
        return numbers[(numbers.index(number) + 1) % len(numbers)]


def bound(host: str, port: int) -> socket.socket:
    """Return a bound socket that does not listen yet.

    Until it does, connections are refused, but no other program can get its port.

    Raises:
        OSError, UnicodeError: The address is not one of this machine, or the port is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except (OSError, UnicodeError):
        bound.close()
        raise
    return bound


def _error(status: int) -> web.Response:
    return web.Response(status=status, text=HTTPStatus(status).phrase, headers=ERROR_HEADERS)


def _page(offset: int, limit: int) -> str:
    return str(URL(API) / "pokemon" % {"offset": offset, "limit": limit})


@contextmanager
def serving(
    service: PokeAPI,
    listening: socket.socket | None = None,
    ssl_context: SSLContext | None = None,
) -> Iterator[int]:
    """Serve from a separate thread until the block ends, and yield the port.

    Without a socket, serve on a free port of the loopback interface.
    """
    running = _run(service, listening or bound("127.0.0.1", 0), ssl_context)
    with start_blocking_portal() as thread, thread.wrap_async_context_manager(running) as port:
        yield port


@asynccontextmanager
async def _run(
    service: PokeAPI, listening: socket.socket, ssl_context: SSLContext | None
) -> AsyncIterator[int]:
    sys.settrace(None)  # coverage would trace this thread as well
    await service.runner.setup()
    await service.listen(listening, ssl_context)
    yield listening.getsockname()[1]
    await service.clear_up()
    await service.runner.cleanup()
    await abort_all()  # without waiting for TLS clients to close, which they may never do


def _transports(service: PokeAPI) -> set[asyncio.WriteTransport]:
    return {connection.transport for connection in service.connections if connection.transport}
