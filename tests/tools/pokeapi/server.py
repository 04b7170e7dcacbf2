"""The server: the live service's paths, headers and plain-text errors over a real socket."""

import asyncio
import gzip
import re
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from ssl import SSLContext

from aiohttp import web
from anyio.from_thread import start_blocking_portal
from yarl import URL

from tests.tools.pokeapi import answers
from tests.tools.pokeapi.answers import Answer
from tests.tools.pokeapi.bodies import API, made, pokemon, recorded
from tests.tools.pokeapi.faults import Faults
from tests.tools.pokeapi.weather import Weather

HEADERS = {
    "Cache-Control": "public, max-age=86400, s-maxage=86400",
    "X-PokeAPI-Deploy-Date": "2026-08-08T00:00:00Z",
    "X-PokeAPI-Hash": "local",
}
ERROR_HEADERS = {"Cache-Control": "public, max-age=432000"}


class PokeAPI:
    """The service, and what a test may look at and set while it runs.

    `answers` replaces the answer for some numbers, or for the LIST; `faults` befall any request, and the `weather` all
    of them; `delay` is in seconds; `connections` are those now open, `agents` the User-Agents of all clients so far.
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
        self.runner = web.AppRunner(self._application(), access_log=None, keepalive_timeout=600, shutdown_timeout=0.1)
        self._body = recorded(bodies) if bodies else made
        self._numbers = {one.name: one.number for one in self.pokemon.values()}

    @property
    def connections(self) -> set[web.RequestHandler]:
        return set(self.runner.server.connections) if self.runner.server else set()

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
        if self.requests == 1 and (seconds := self.weather.conditions.get("refuse")):
            self._refusal = asyncio.create_task(self._refuse(seconds))
        try:
            await asyncio.sleep(self.delay)
            if self._refusal and not self._refusal.done():
                return await answers.reset(request)
            return await (self.weather.next(request.path) or self.faults.next(request.path) or handler)(request)
        except web.HTTPNotFound:
            return _error(404)
        finally:
            self.in_flight -= 1

    async def listen(self, listening: socket.socket, ssl_context: SSLContext | None = None) -> None:
        self._listening, self._ssl_context = listening, ssl_context
        await web.SockSite(self.runner, listening, ssl_context=ssl_context).start()

    async def _refuse(self, seconds: float) -> None:
        """Close the port and all connections for a while."""
        asyncio.get_running_loop().remove_reader(self._listening)
        for _ in range(10):
            await asyncio.sleep(0)  # until whoever was accepted has arrived
        address = self._listening.getsockname()
        for site in self.runner.sites:
            await site.stop()
        kept = _bound(*address[:2])
        for transport in _transports(self):
            transport.abort()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(seconds)
        await self.listen(kept, self._ssl_context)

    async def clear_up(self) -> None:
        """End the refusal of connections, if there is one."""
        if self._refusal:
            self._refusal.cancel()
            await asyncio.wait([self._refusal])

    async def _meta(self, _: web.Request) -> web.Response:
        about = {"deploy_date": HEADERS["X-PokeAPI-Deploy-Date"], "hash": HEADERS["X-PokeAPI-Hash"]}
        return web.json_response(about, headers=HEADERS)

    async def _list(self, request: web.Request) -> web.StreamResponse:
        if self.LIST in self.answers:
            return await self.answers[self.LIST](request)
        limit, offset = int(request.query.get("limit", "20")), int(request.query.get("offset", "0"))
        limit = min(limit, int(self.weather.conditions.get("cut", limit)))
        page = list(self.pokemon.values())[offset : offset + limit]
        results = [{"name": one.name, "url": f"{API}/pokemon/{one.number}/"} for one in page]
        more, less = offset + limit < len(self.pokemon), offset > 0
        body = {
            "count": len(self.pokemon),
            "next": _page(offset + limit, limit) if more else None,
            "previous": _page(max(0, offset - limit), limit) if less else None,
            "results": results,
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
        body, headers = self._body(self.pokemon[number]), {**HEADERS, "Vary": "Accept-Encoding"}
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            headers["Content-Encoding"] = "gzip"
        else:
            body = gzip.decompress(body)
        return web.Response(body=body, content_type="application/json", charset="utf-8", headers=headers)


def _bound(host: str, port: int) -> socket.socket:
    """Bind without listening yet: connections are refused, and the system gives the port to nobody else."""
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((host, port))
    return bound


def _error(status: int) -> web.Response:
    return web.Response(status=status, text={400: "Bad Request", 404: "Not Found"}[status], headers=ERROR_HEADERS)


def _page(offset: int, limit: int) -> str:
    return str(URL(API) / "pokemon" % {"offset": offset, "limit": limit})


@contextmanager
def serving(
    service: PokeAPI, host: str = "127.0.0.1", port: int = 0, ssl_context: SSLContext | None = None
) -> Iterator[int]:
    """Serve from a thread of its own for as long as the block lasts; gives the port."""
    running = _run(service, host, port, ssl_context)
    with start_blocking_portal() as thread, thread.wrap_async_context_manager(running) as bound:
        yield bound


@asynccontextmanager
async def _run(service: PokeAPI, host: str, port: int, ssl_context: SSLContext | None) -> AsyncIterator[int]:
    await service.runner.setup()
    listening = _bound(host, port)
    await service.listen(listening, ssl_context)
    yield listening.getsockname()[1]
    await service.clear_up()
    left = _transports(service)  # which a handler that closes forgets
    await service.runner.cleanup()
    await asyncio.sleep(0)  # one may have been accepted meanwhile
    for transport in left | _transports(service):
        transport.abort()  # a TLS client's farewell may never come
    await asyncio.sleep(0)


def _transports(service: PokeAPI) -> set[asyncio.WriteTransport]:
    return {connection.transport for connection in service.connections if connection.transport}
