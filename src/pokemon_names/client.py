"""Builds the httpx clients: transport, timeouts, headers.

The transport is pyreqwest's, behind httpx's interface. Unlike httpx's own it lives on from one `asyncio.run` to the
next with its connections warm. It does not apply httpx's timeouts phase by phase, so they are set on its own builder
and httpx's are off. Over TLS it speaks HTTP/2: all requests share one connection and one handshake.
"""

import zlib
from contextlib import suppress
from datetime import timedelta
from functools import cached_property, lru_cache
from time import perf_counter
from typing import TypedDict, TypeVar

import httpx
from deflate import DeflateError, gzip_decompress
from pyreqwest.client import BaseClientBuilder, Client, ClientBuilder, SyncClient, SyncClientBuilder
from pyreqwest.exceptions import DetailedPyreqwestError, PyreqwestError, RequestTimeoutError
from pyreqwest.request import BaseRequestBuilder
from pyreqwest.response import BaseResponse

from pokemon_names import __version__

CONNECT_TIMEOUT = timedelta(seconds=5)
READ_TIMEOUT = timedelta(seconds=5)  # from one read to the next
TOTAL_TIMEOUT = timedelta(seconds=10)  # to the body's end, for one that drips
USER_AGENT = f"pokemon-names/{__version__}"

# HTTP/2's own 64 KB for all bodies in flight together would cost a round trip for every 64 KB.
_STREAM_WINDOW = 1024 * 1024
_CONNECTION_WINDOW = 16 * _STREAM_WINDOW
_READ_AHEAD = 0  # or a response would begin, for this program, only with its first 64 KB: most bodies have 7, zipped
_GZIP = 31  # zlib's window bits for a gzip header and trailer

_Builder = TypeVar("_Builder", bound=BaseClientBuilder)
_RequestBuilder = TypeVar("_RequestBuilder", bound=BaseRequestBuilder)


class _Options(TypedDict):
    headers: dict[str, str]
    timeout: None


class BodyTooLargeError(httpx.DecodingError):
    """A body is larger than the clients take, zipped or unzipped."""


class BrokenBodyError(httpx.DecodingError):
    """The connection failed after the response had begun."""


class Clients:
    """The async client, and the blocking one for the strategy that wants it. Both can be kept for good.

    No more than a byte beyond `max_body_bytes` is read of a body, and such a one `unzipped` refuses.
    """

    def __init__(self, base_url: str, max_body_bytes: int = 4_000_000) -> None:
        # Parsing a URL takes 0.1 ms; with 2,048 of them kept, an invocation that asks for the same numbers parses none.
        self._url = lru_cache(maxsize=2048)(lambda path: httpx.URL(f"{base_url.rstrip('/')}/{path}"))
        self._options = _Options(headers={"User-Agent": USER_AGENT, "Accept-Encoding": "gzip"}, timeout=None)
        self._max_body_bytes = max_body_bytes
        transport = _Transport(_configured(ClientBuilder()).build(), max_body_bytes)
        self._asynchronous = _AsyncClient(transport=transport, **self._options)

    async def get(self, path: str) -> httpx.Response:
        """Send one request; a cancelled one leaves the client as it was."""
        return await self._asynchronous.get(self._url(path))

    def get_blocking(self, path: str, seconds: float) -> httpx.Response:
        """Send one request and wait for it, no longer than so many seconds."""
        # httpx's timeout for a read is, for the transport, that of the whole request in place of the builder's.
        total = httpx.Timeout(None, read=min(seconds, TOTAL_TIMEOUT.total_seconds()))
        return self._blocking.get(self._url(path), timeout=total)

    @cached_property
    def _blocking(self) -> httpx.Client:
        """Made on first use: hardly an invocation wants it, and each client reads the trusted certificates anew."""
        transport = _SyncTransport(_configured(SyncClientBuilder()).build(), self._max_body_bytes)
        return _Client(transport=transport, **self._options)


def cause(fault: BaseException) -> str:
    """Say what went wrong at the bottom of the network stack, such as "Connection refused (os error 111)"."""
    origin = fault.__cause__
    causes = origin.details["causes"] if isinstance(origin, DetailedPyreqwestError) else None
    return causes[-1]["message"] if causes else str(fault)


def unzipped(response: httpx.Response) -> bytes | bytearray:
    """Give a response's body; raises BodyTooLargeError, or httpx.DecodingError where it is broken."""
    limit = response.extensions["max_body_bytes"]
    unzip = response.extensions["zipped"] and len(response.content) <= limit
    body = _unzip(response.content, limit, response.request) if unzip else response.content
    if len(body) > limit:
        raise BodyTooLargeError(f"more than {limit} bytes", request=response.request)
    return body


def _unzip(body: bytes, limit: int, request: httpx.Request) -> bytes | bytearray:
    """By libdeflate, in a fifth of zlib's time; by zlib where gzip's last bytes, the size, are too large or wrong."""
    size = int.from_bytes(body[-4:], "little")
    if size <= limit:
        with suppress(DeflateError, ValueError):
            return gzip_decompress(body, size)
    unzip = zlib.decompressobj(_GZIP)
    try:
        content = unzip.decompress(body, limit + 1)
    except zlib.error as error:
        raise httpx.DecodingError(str(error), request=request) from error
    if not unzip.eof and len(content) <= limit:
        raise httpx.DecodingError("the gzip stream breaks off", request=request)
    return content


class _NoCookies(httpx.Cookies):
    """Looks for none: PokeAPI sets none, and looking takes 0.1 ms a response."""

    def extract_cookies(self, response: httpx.Response) -> None:
        pass


class _AsyncClient(httpx.AsyncClient):
    cookies = _NoCookies()  # type: ignore[override]


class _Client(httpx.Client):
    cookies = _NoCookies()  # type: ignore[override]


class _Transport(httpx.AsyncBaseTransport):
    """pyreqwest's client behind httpx's interface: raises httpx.RequestError, whatever fails.

    It reads the body in one call, and leaves it zipped: httpx's responses are cycles, and keep their bodies until the
    garbage collector comes by: as much as 100 times 270 KB unzipped, against 7 KB zipped. It takes peak memory from 93
    to 55 MB.
    """

    def __init__(self, client: Client, max_body_bytes: int) -> None:
        self._client = client
        self._max_body_bytes = max_body_bytes

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        begun = None
        try:
            builder = _prepared(self._client.request(request.method, str(request.url)), request)
            async with builder.build_streamed() as response:
                begun = perf_counter()
                body = await response.body_reader.read(self._max_body_bytes + 1)
                return _whole(response, bytes(body or b""), begun, self._max_body_bytes)
        except Exception as error:
            raise _translated(error, request, begun) from error


class _SyncTransport(httpx.BaseTransport):
    """The same, blocking."""

    def __init__(self, client: SyncClient, max_body_bytes: int) -> None:
        self._client = client
        self._max_body_bytes = max_body_bytes

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        begun = None
        try:
            builder = _prepared(self._client.request(request.method, str(request.url)), request)
            with builder.build_streamed() as response:
                begun = perf_counter()
                body = response.body_reader.read(self._max_body_bytes + 1)
                return _whole(response, bytes(body or b""), begun, self._max_body_bytes)
        except Exception as error:
            raise _translated(error, request, begun) from error


def _prepared(builder: _RequestBuilder, request: httpx.Request) -> _RequestBuilder:
    # HTTP/2 has no Host header, and nginx refuses one with 400; where one is due, pyreqwest adds it.
    headers = [(name, value) for name, value in request.headers.multi_items() if name != "host"]
    builder = builder.headers(headers).streamed_read_buffer_limit(_READ_AHEAD)
    seconds = request.extensions["timeout"]["read"]
    return builder if seconds is None else builder.timeout(timedelta(seconds=seconds))


def _whole(response: BaseResponse, body: bytes, begun: float, max_body_bytes: int) -> httpx.Response:
    """Return the response with its body, and of its headers what is of use here."""
    zipped = _header(response, "Content-Encoding") == "gzip"
    headers = {"Retry-After": _header(response, "Retry-After")}
    extensions = {"zipped": zipped, "max_body_bytes": max_body_bytes, "begun": begun}
    return httpx.Response(response.status, headers=headers, content=body, extensions=extensions)


def _header(response: BaseResponse, name: str) -> str:
    with suppress(ValueError):  # any byte from 0x80 is allowed in a header, but pyreqwest decodes none
        return response.get_header(name) or ""
    return ""


def _translated(error: Exception, request: httpx.Request, begun: float | None) -> httpx.RequestError:
    if isinstance(error, RequestTimeoutError):
        return httpx.ReadTimeout(error.message, request=request)
    if not isinstance(error, PyreqwestError):
        return httpx.DecodingError(str(error), request=request)
    return (BrokenBodyError if begun else httpx.NetworkError)(error.message, request=request)


def _configured(builder: _Builder) -> _Builder:
    return (
        builder.connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .timeout(TOTAL_TIMEOUT)
        .follow_redirects(enable=False)
        .gzip(enable=False)
        .http2(enable=True)
        .http2_initial_stream_window_size(_STREAM_WINDOW)
        .http2_initial_connection_window_size(_CONNECTION_WINDOW)
    )
