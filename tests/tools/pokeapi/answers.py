"""Answers that the real service does not send on a good day."""

import asyncio
import gzip
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import cache
from http import HTTPStatus

from aiohttp import web

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def text(status: int, body: str, content_type: str = "text/plain", **headers: str) -> Answer:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, text=body, content_type=content_type, headers=headers)

    return answer


def status(code: int, retry_after: object = None) -> Answer:
    """Make an answer like those of PokeAPI's proxy: the status in plain text."""
    headers = {}
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    return text(code, HTTPStatus(code).phrase, **headers)


def json(body: str) -> Answer:
    return text(200, body, "application/json")


page = text(200, "<!DOCTYPE html><title>Just a moment...</title>", "text/html")


def raw(body: bytes, code: int = 200) -> Answer:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=code, body=body, content_type="application/json")

    return answer


def encoded(coding: str, body: bytes) -> Answer:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, headers={"Content-Encoding": coding})

    return answer


def after(event: threading.Event, answer: Answer) -> Answer:
    async def wait(request: web.Request) -> web.StreamResponse:
        await asyncio.to_thread(event.wait)
        return await answer(request)

    return wait


def first(*answers: Answer, then: Answer) -> Answer:
    """Use the answers one after another, each for one request, and `then` for all later ones."""
    waiting = list(answers)

    async def answer_next(request: web.Request) -> web.StreamResponse:
        answer = waiting.pop(0) if waiting else then
        return await answer(request)

    return answer_next


async def broken_gzip(_: web.Request) -> web.Response:
    return web.Response(body=b"not gzip", headers={"Content-Encoding": "gzip"})


async def short_gzip(_: web.Request) -> web.Response:
    """Send a complete response whose gzip stream breaks off."""
    body = gzip.compress(b'{"name": "missingno"}')[:-9]
    return web.Response(body=body, headers={"Content-Encoding": "gzip"})


def large(size: int, claimed_size: int | None = None) -> Answer:
    """Make an answer with a body that is small only while it is compressed.

    The last four bytes of a gzip stream are its decompressed size. `claimed_size` replaces them.
    """

    @cache
    def compressed() -> bytes:
        body = gzip.compress(b" " * size, compresslevel=1)
        if claimed_size is None:
            return body
        return body[:-4] + claimed_size.to_bytes(4, "little")

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=compressed(), headers={"Content-Encoding": "gzip"})

    return answer


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    with suppress(ConnectionResetError):
        while True:
            await response.write(b" " * 100_000)
    return response


async def hang(_: web.Request) -> web.Response:
    await asyncio.Event().wait()
    raise AssertionError


async def reset(request: web.Request) -> web.Response:
    _abort(request)
    return web.Response()


async def truncated(request: web.Request) -> web.StreamResponse:
    """Break off after a first part, which is so large that some of it has been sent by then."""
    response = await _begin(request)
    _abort(request)
    return response


async def stuck(request: web.Request) -> web.StreamResponse:
    """Send the first part of a body, but never the rest."""
    await _begin(request)
    return await hang(request)


def in_two(one: bytes, event: threading.Event, other: bytes) -> Answer:
    """Make an answer that sends the second part of its body only after the event."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = await _begin(request, one, len(one + other))
        await asyncio.to_thread(event.wait)
        await response.write(other)
        return response

    return answer


async def drip(request: web.Request) -> web.StreamResponse:
    """Send one byte per second."""
    response = await _begin(request, b"{")
    with suppress(ConnectionResetError):
        while True:
            await asyncio.sleep(1)
            await response.write(b" ")
    return response


async def elsewhere(_: web.Request) -> web.Response:
    return web.Response(status=302, headers={"Location": "https://example.org/"})


async def with_slash(request: web.Request) -> web.Response:
    """Redirect to the path with a final slash, as Django does in PokeAPI's own program."""
    path, question_mark, query = request.raw_path.partition("?")
    return web.Response(
        status=301, content_type="text/html", headers={"Location": f"{path}/{question_mark}{query}"}
    )


async def _begin(
    request: web.Request, part: bytes = b" " * 300_000, size: int = 1_000_000
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": str(size)})
    await response.prepare(request)
    await response.write(part)
    return response


def _abort(request: web.Request) -> None:
    if request.transport:  # the weather may have closed it
        request.transport.abort()
