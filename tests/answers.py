"""Answers that the local PokeAPI can be told to give for a number."""

import asyncio
import threading

from aiohttp import web

from tests.pokeapi.server import Answer


def text(status: int, body: str, content_type: str = "text/plain") -> Answer:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, text=body, content_type=content_type)

    return answer


def json(body: str) -> Answer:
    return text(200, body, "application/json")


def after(event: threading.Event, answer: Answer) -> Answer:
    async def wait(request: web.Request) -> web.StreamResponse:
        await asyncio.to_thread(event.wait)
        return await answer(request)

    return wait


async def broken_gzip(_: web.Request) -> web.Response:
    return web.Response(body=b"not gzip", headers={"Content-Encoding": "gzip"})


async def hang(_: web.Request) -> web.Response:
    await asyncio.Event().wait()
    raise AssertionError


async def reset(request: web.Request) -> web.Response:
    _abort(request)
    return web.Response()


async def truncated(request: web.Request) -> web.StreamResponse:
    """Break off after a first part large enough for the transport to have handed some of it out."""
    response = await _begin(request)
    _abort(request)
    return response


async def stuck(request: web.Request) -> web.StreamResponse:
    """Begin a body and never go on."""
    await _begin(request)
    return await hang(request)


async def elsewhere(_: web.Request) -> web.Response:
    return web.Response(status=302, headers={"Location": "https://example.org/"})


async def _begin(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000000"})
    await response.prepare(request)
    await response.write(b" " * 300_000)
    return response


def _abort(request: web.Request) -> None:
    assert request.transport is not None
    request.transport.abort()
