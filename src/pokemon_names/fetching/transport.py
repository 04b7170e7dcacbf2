"""httpx's transports, async and blocking, over pyreqwest.

pyreqwest's connections outlive an event loop, which those of httpx's own transport do not. Over TLS
all requests share one HTTP/2 connection, made by one handshake. Without TLS, and where the server
does not speak HTTP/2, each request in flight has a connection of its own.
"""

from contextlib import suppress
from datetime import timedelta
from time import perf_counter
from typing import TypeVar

import httpx
from pyreqwest.client import ClientBuilder, SyncClientBuilder
from pyreqwest.request import BaseRequestBuilder
from pyreqwest.response import BaseResponse

from pokemon_names.fetching.connections import Connections, any_version, http2_only

# With more, a response would be seen to begin only after its first 64 KB: most bodies have 7.
_READ_AHEAD = 0

_Builder = TypeVar("_Builder", bound=BaseRequestBuilder)


class Transport(httpx.AsyncBaseTransport):
    """Sends a request and reads the body, at most a byte more than `max_body_bytes`.

    The body stays compressed: httpx's responses are cycles, so they hold their bodies until the
    garbage collector runs. 7 KB each in place of 270 take the peak memory from 93 to 55 MB.
    """

    def __init__(self, max_body_bytes: int, *, https: bool) -> None:
        self._max_body_bytes = max_body_bytes
        self._connections = Connections(
            lambda: http2_only(ClientBuilder()).build(),
            lambda: any_version(ClientBuilder()).build(),
            https=https,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the response with its body; raise httpx.RequestError."""
        pool = self._connections.pool
        begun = None
        try:
            builder = pool.client.request(request.method, str(request.url))
            async with _prepare(builder, request).build_streamed() as response:
                begun = perf_counter()
                self._connections.responded(response.version)
                body = await response.body_reader.read(self._max_body_bytes + 1)
                return _to_httpx(response, bytes(body or b""), begun, self._max_body_bytes)
        except Exception as error:
            has_begun = begun is not None
            raise self._connections.failed(pool, error, has_begun=has_begun) from error


class BlockingTransport(httpx.BaseTransport):
    """The same, blocking."""

    def __init__(self, max_body_bytes: int, *, https: bool) -> None:
        self._max_body_bytes = max_body_bytes
        self._connections = Connections(
            lambda: http2_only(SyncClientBuilder()).build(),
            lambda: any_version(SyncClientBuilder()).build(),
            https=https,
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the response with its body; raise httpx.RequestError."""
        pool = self._connections.pool
        begun = None
        try:
            builder = pool.client.request(request.method, str(request.url))
            with _prepare(builder, request).build_streamed() as response:
                begun = perf_counter()
                self._connections.responded(response.version)
                body = response.body_reader.read(self._max_body_bytes + 1)
                return _to_httpx(response, bytes(body or b""), begun, self._max_body_bytes)
        except Exception as error:
            has_begun = begun is not None
            raise self._connections.failed(pool, error, has_begun=has_begun) from error


def _prepare(builder: _Builder, request: httpx.Request) -> _Builder:
    # HTTP/2 has no Host header, and nginx refuses one with 400. For HTTP/1.1 pyreqwest adds it.
    headers = [(name, value) for name, value in request.headers.multi_items() if name != "host"]
    builder = builder.headers(headers).streamed_read_buffer_limit(_READ_AHEAD)
    seconds = request.extensions["timeout"]["read"]
    if seconds is None:
        return builder
    return builder.timeout(timedelta(seconds=seconds))


def _to_httpx(
    response: BaseResponse, body: bytes, begun: float, max_body_bytes: int
) -> httpx.Response:
    """Return the response with its body, and of its headers what is of use: always the same."""
    return httpx.Response(
        response.status,
        headers={"Retry-After": _header(response, "Retry-After")},
        content=body,
        extensions={
            "content_encoding": _header(response, "Content-Encoding"),
            "max_body_bytes": max_body_bytes,
            "begun": begun,
        },
    )


def _header(response: BaseResponse, name: str) -> str:
    # Any byte from 0x80 is allowed in a header, but pyreqwest decodes none.
    with suppress(ValueError):
        return response.get_header(name) or ""
    return ""
