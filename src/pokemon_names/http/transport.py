"""Transports for httpx that send requests with pyreqwest, async and blocking.

They work with any `httpx.AsyncClient` or `httpx.Client`. A global client can serve one
`asyncio.run` after another, because pyreqwest's connections outlive the event loop. With httpx's
own transport, most later runs fail with `RuntimeError: Event loop is closed`.

Over TLS, all requests to an origin share one HTTP/2 connection, opened with a single handshake.
Without TLS, or if the server does not speak HTTP/2, each request in flight has its own connection.

There are two differences from httpx's own transports. First, pyreqwest has one timeout for a whole
request; it is the sum of httpx's four. Second, the client's arguments `verify`, `cert`, `http2`,
`limits` and `proxy` have no effect, because they configure only httpx's own transports. The
transports in this module trust the authorities in SSL_CERT_FILE and SSL_CERT_DIR or, if neither is
set, the system's.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar, cast

import httpx
from pyreqwest.client import Client, ClientBuilder, SyncClient, SyncClientBuilder
from pyreqwest.request import BaseRequestBuilder, StreamRequest, SyncStreamRequest
from pyreqwest.response import BaseResponse, Response, SyncResponse

from pokemon_names.http.connections import Connections, Exchange, Limits
from pokemon_names.http.errors import is_unannounced_end

# With more, a response would seem to begin only after its first 64 KB. Most bodies have 7 KB.
_READ_AHEAD = 0
_PART = 65_536  # bytes of a body to read at a time

_DEFAULT_LIMITS = Limits()

_Builder = TypeVar("_Builder", bound=BaseRequestBuilder)


class Transport(httpx.AsyncBaseTransport):
    """The transport of an `httpx.AsyncClient`: it sends requests with pyreqwest's async client."""

    def __init__(self, limits: Limits = _DEFAULT_LIMITS) -> None:
        self._connections: Connections[Client] = Connections(ClientBuilder, limits)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the response with its body unread, or raise httpx.RequestError."""
        exchange = self._connections.exchange(request.url)
        try:
            builder = exchange.client.request(request.method, str(request.url))
            builder = _prepare(builder, request)
            if not _is_in_memory(request):
                builder = builder.body_stream(cast("httpx.AsyncByteStream", request.stream))
            sending = builder.build_streamed()
            response = await sending.__aenter__()
        except asyncio.CancelledError:
            exchange.cancelled()
            raise
        except Exception as error:
            failure = exchange.failed(error)
            if exchange.may_be_repeated(failure) and _is_in_memory(request):
                return await self.handle_async_request(request)
            raise failure from error
        exchange.heard(response.version)
        return _to_httpx(response, _Body(response, sending, exchange))


class BlockingTransport(httpx.BaseTransport):
    """The transport of an `httpx.Client`: it sends requests with pyreqwest's blocking client."""

    def __init__(self, limits: Limits = _DEFAULT_LIMITS) -> None:
        self._connections: Connections[SyncClient] = Connections(SyncClientBuilder, limits)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the response with its body unread, or raise httpx.RequestError."""
        exchange = self._connections.exchange(request.url)
        try:
            builder = exchange.client.request(request.method, str(request.url))
            builder = _prepare(builder, request)
            if not _is_in_memory(request):
                builder = builder.body_stream(cast("httpx.SyncByteStream", request.stream))
            sending = builder.build_streamed()
            response = sending.__enter__()
        except Exception as error:
            failure = exchange.failed(error)
            if exchange.may_be_repeated(failure) and _is_in_memory(request):
                return self.handle_request(request)
            raise failure from error
        exchange.heard(response.version)
        return _to_httpx(response, _BlockingBody(response, sending, exchange))


class _Body(httpx.AsyncByteStream):
    """The body of a response, passed on in parts as they arrive."""

    def __init__(
        self, response: Response, sending: StreamRequest, exchange: Exchange[Client]
    ) -> None:
        self._read, self._full = _reading(response, response.body_reader)
        self._ends_with_connection = _ends_with_connection(response)
        self._sending = sending
        self._exchange = exchange

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            while part := await self._read():
                yield bytes(part)
                if len(part) < self._full:
                    break
        except Exception as error:
            if not (self._ends_with_connection and is_unannounced_end(error)):
                raise self._exchange.failed(error) from error
        self._exchange.heard()

    async def aclose(self) -> None:
        await self._sending.__aexit__(None, None, None)
        # httpx's response is in a reference cycle, so whatever this object refers to would stay in
        # memory until the garbage collector runs.
        del self._read, self._sending


class _BlockingBody(httpx.SyncByteStream):
    """The body of a blocking response."""

    def __init__(
        self, response: SyncResponse, sending: SyncStreamRequest, exchange: Exchange[SyncClient]
    ) -> None:
        self._read, self._full = _reading(response, response.body_reader)
        self._ends_with_connection = _ends_with_connection(response)
        self._sending = sending
        self._exchange = exchange

    def __iter__(self) -> Iterator[bytes]:
        try:
            while part := self._read():
                yield bytes(part)
                if len(part) < self._full:
                    break
        except Exception as error:
            if not (self._ends_with_connection and is_unannounced_end(error)):
                raise self._exchange.failed(error) from error
        self._exchange.heard()

    def close(self) -> None:
        self._sending.__exit__(None, None, None)
        del self._read, self._sending


def _prepare(builder: _Builder, request: httpx.Request) -> _Builder:
    # HTTP/2 has no Host header, and nginx rejects one with 400. For HTTP/1.1, pyreqwest adds it.
    headers = [
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in request.headers.raw
        if name.lower() != b"host"
    ]
    builder = builder.headers(headers).streamed_read_buffer_limit(_READ_AHEAD)
    # Not `request.content`, which httpx does not set when it follows a redirect.
    if isinstance(request.stream, httpx.ByteStream) and (content := b"".join(request.stream)):
        builder = builder.body_bytes(content)
    timeouts = request.extensions.get("timeout", {}).values()
    seconds = sum(filter(None, timeouts))
    if seconds:
        builder = builder.timeout(timedelta(seconds=seconds))
    return builder


def _is_in_memory(request: httpx.Request) -> bool:
    """Whether the body of a request is in memory. Otherwise it can be sent only once."""
    return isinstance(request.stream, httpx.ByteStream)


def _reading(response: BaseResponse, reader: Any) -> tuple[Callable[[], Any], int]:
    """Return a function that reads the next part of a body, and the size of a full part.

    A part that is not full is the last one. A body of unknown length may be a stream of events, so
    each part is passed on as soon as it arrives, and every part counts as full.
    """
    if "Content-Length" in response.headers:
        return partial(reader.read, _PART), _PART
    return reader.read_chunk, 0


def _ends_with_connection(response: BaseResponse) -> bool:
    """Whether a body ends only when its connection does (RFC 9112, 6.3).

    Many servers then omit TLS's close_notify, and clients that use OpenSSL accept that.
    """
    has_length = "Content-Length" in response.headers or "Transfer-Encoding" in response.headers
    return not has_length and response.version.startswith("HTTP/1")


def _to_httpx(
    response: BaseResponse, stream: httpx.AsyncByteStream | httpx.SyncByteStream
) -> httpx.Response:
    extensions = {"http_version": response.version.replace("HTTP/2.0", "HTTP/2").encode()}
    return httpx.Response(
        response.status, headers=_headers(response), stream=stream, extensions=extensions
    )


def _headers(response: BaseResponse) -> list[tuple[str, str]]:
    try:
        return list(response.headers.items())
    except ValueError:  # pyreqwest cannot decode header values with bytes above 0x7F
        headers = []
        for name in set(response.headers):
            with suppress(ValueError):
                headers += [(name, value) for value in response.headers.getall(name)]
        return headers
