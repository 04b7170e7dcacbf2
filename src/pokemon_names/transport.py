"""httpx's transports, async and blocking, over pyreqwest: its connections outlive an event loop, which httpx's do not.

Over TLS all requests share one HTTP/2 connection, made by one handshake; without TLS, and where the server does not
speak HTTP/2, requests in flight have a connection each. Whatever fails is an httpx.RequestError: see errors.py.
"""

from contextlib import suppress
from datetime import timedelta
from time import perf_counter
from typing import TypeVar

import httpx
from pyreqwest.client import ClientBuilder, SyncClientBuilder
from pyreqwest.request import BaseRequestBuilder
from pyreqwest.response import BaseResponse

from pokemon_names.server import Server, either, http2_alone

_READ_AHEAD = 0  # or a response would begin, for this program, only with its first 64 KB: most bodies have 7, zipped

_Builder = TypeVar("_Builder", bound=BaseRequestBuilder)


class Transport(httpx.AsyncBaseTransport):
    """Sends a request, and reads its body in one call, no more than a byte beyond `max_body_bytes`.

    The body stays zipped: httpx's responses are cycles, and keep their bodies until the garbage collector comes by, at
    7 KB each in place of 270. That takes peak memory from 93 to 55 MB.
    """

    def __init__(self, max_body_bytes: int, *, https: bool) -> None:
        self._max_body_bytes = max_body_bytes
        self._server = Server(
            lambda: http2_alone(ClientBuilder()).build(), lambda: either(ClientBuilder()).build(), https=https
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the response with its body; raise httpx.RequestError."""
        link = self._server.link
        begun = None
        try:
            builder = _prepared(link.client.request(request.method, str(request.url)), request)
            async with builder.build_streamed() as response:
                begun = perf_counter()
                self._server.speaks(response.version)
                body = await response.body_reader.read(self._max_body_bytes + 1)
                return _whole(response, bytes(body or b""), begun, self._max_body_bytes)
        except Exception as error:
            raise self._server.failed(link, error, begun=begun is not None) from error


class BlockingTransport(httpx.BaseTransport):
    """The same, blocking."""

    def __init__(self, max_body_bytes: int, *, https: bool) -> None:
        self._max_body_bytes = max_body_bytes
        self._server = Server(
            lambda: http2_alone(SyncClientBuilder()).build(), lambda: either(SyncClientBuilder()).build(), https=https
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the response with its body; raise httpx.RequestError."""
        link = self._server.link
        begun = None
        try:
            builder = _prepared(link.client.request(request.method, str(request.url)), request)
            with builder.build_streamed() as response:
                begun = perf_counter()
                self._server.speaks(response.version)
                body = response.body_reader.read(self._max_body_bytes + 1)
                return _whole(response, bytes(body or b""), begun, self._max_body_bytes)
        except Exception as error:
            raise self._server.failed(link, error, begun=begun is not None) from error


def _prepared(builder: _Builder, request: httpx.Request) -> _Builder:
    # HTTP/2 has no Host header, and nginx refuses one with 400; where one is due, pyreqwest adds it.
    headers = [(name, value) for name, value in request.headers.multi_items() if name != "host"]
    builder = builder.headers(headers).streamed_read_buffer_limit(_READ_AHEAD)
    seconds = request.extensions["timeout"]["read"]
    return builder if seconds is None else builder.timeout(timedelta(seconds=seconds))


def _whole(response: BaseResponse, body: bytes, begun: float, max_body_bytes: int) -> httpx.Response:
    """Return the response with its body, and of its headers what is of use here."""
    headers = {"Retry-After": _header(response, "Retry-After")}
    coding = _header(response, "Content-Encoding")
    extensions = {"content_encoding": coding, "max_body_bytes": max_body_bytes, "begun": begun}
    return httpx.Response(response.status, headers=headers, content=body, extensions=extensions)


def _header(response: BaseResponse, name: str) -> str:
    with suppress(ValueError):  # any byte from 0x80 is allowed in a header, but pyreqwest decodes none
        return response.get_header(name) or ""
    return ""
