"""Builds the httpx clients: transport, timeouts, headers.

The transport is pyreqwest's, behind httpx's interface. Unlike httpx's own it lives on from one `asyncio.run` to the
next with its connections warm. It does not apply httpx's timeouts phase by phase, so they are set on its own builder
and httpx's are off. Over TLS it speaks HTTP/2: all requests share one connection and one handshake.
"""

from collections.abc import Iterator
from contextlib import aclosing, closing, contextmanager
from datetime import timedelta
from functools import cached_property, lru_cache
from typing import TypedDict, TypeVar

import httpx
from pyreqwest.client import BaseClientBuilder, ClientBuilder, SyncClientBuilder
from pyreqwest.compatibility.httpx import HttpxTransport, SyncHttpxTransport
from pyreqwest.exceptions import DetailedPyreqwestError, PyreqwestError, RequestTimeoutError
from zlib_ng import zlib_ng

from pokemon_names import __version__

CONNECT_TIMEOUT = timedelta(seconds=5)
READ_TIMEOUT = timedelta(seconds=10)  # from one read to the next: a large body may take longer while it keeps coming
USER_AGENT = f"pokemon-names/{__version__}"

# HTTP/2's own 64 KB for all bodies in flight together would cost a round trip for every 64 KB.
_STREAM_WINDOW = 1024 * 1024
_CONNECTION_WINDOW = 16 * _STREAM_WINDOW
_GZIP = 31  # zlib's window bits for a gzip header and trailer

_Builder = TypeVar("_Builder", bound=BaseClientBuilder)


class _Options(TypedDict):
    headers: dict[str, str]
    timeout: None


class Clients:
    """The async client, and the blocking one for the strategy that wants it. Both can be kept for good."""

    def __init__(self, base_url: str) -> None:
        # Parsing a URL takes 0.1 ms; with 2,048 of them kept, an invocation that asks for the same numbers parses none.
        self.url = lru_cache(maxsize=2048)(lambda path: httpx.URL(f"{base_url.rstrip('/')}/{path}"))
        self._options = _Options(headers={"User-Agent": USER_AGENT, "Accept-Encoding": "gzip"}, timeout=None)
        self.asynchronous = _AsyncClient(transport=_Transport(_configured(ClientBuilder()).build()), **self._options)

    @cached_property
    def blocking(self) -> httpx.Client:
        """Made on first use: hardly an invocation wants it, and each client reads the trusted certificates anew."""
        return _Client(transport=_SyncTransport(_configured(SyncClientBuilder()).build()), **self._options)


def cause(fault: BaseException) -> str:
    """Say what went wrong at the bottom of the network stack, such as "Connection refused (os error 111)"."""
    origin = fault.__cause__
    causes = origin.details["causes"] if isinstance(origin, DetailedPyreqwestError) else None
    return causes[-1]["message"] if causes else str(fault)


def unzipped(response: httpx.Response) -> bytes:
    """Give a response's body."""
    if not response.extensions["zipped"]:
        return response.content
    try:
        return zlib_ng.decompress(response.content, _GZIP)
    except zlib_ng.error as error:  # type: ignore[misc]  # typed as an instance
        raise httpx.DecodingError(str(error), request=response.request) from error


class _NoCookies(httpx.Cookies):
    """Looks for none: PokeAPI sets none, and looking takes 0.1 ms a response."""

    def extract_cookies(self, response: httpx.Response) -> None:
        pass


class _AsyncClient(httpx.AsyncClient):
    cookies = _NoCookies()  # type: ignore[override]


class _Client(httpx.Client):
    cookies = _NoCookies()  # type: ignore[override]


class _Transport(HttpxTransport):
    """Reads the body whole and leaves it zipped.

    httpx's responses are cycles, and keep their bodies until the garbage collector comes by: as much as 100 times
    270 KB unzipped, against 7 KB zipped. It takes peak memory from 93 to 55 MB.
    """

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        with _translated(request):
            async with aclosing(await super().handle_async_request(_prepared(request))) as response:
                return _whole(response, b"".join([part async for part in response.aiter_raw()]))


class _SyncTransport(SyncHttpxTransport):
    """The same, blocking."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        with _translated(request), closing(super().handle_request(_prepared(request))) as response:
            return _whole(response, b"".join(response.iter_raw()))


def _configured(builder: _Builder) -> _Builder:
    return (
        builder.connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .follow_redirects(enable=False)
        .gzip(enable=False)
        .http2(enable=True)
        .http2_initial_stream_window_size(_STREAM_WINDOW)
        .http2_initial_connection_window_size(_CONNECTION_WINDOW)
    )


def _prepared(request: httpx.Request) -> httpx.Request:
    """HTTP/2 has no Host header, and nginx refuses one with 400; where one is due, pyreqwest adds it."""
    del request.headers["Host"]
    return request


def _whole(response: httpx.Response, body: bytes) -> httpx.Response:
    zipped = response.headers.pop("Content-Encoding", None) == "gzip"
    return httpx.Response(response.status_code, headers=response.headers, content=body, extensions={"zipped": zipped})


@contextmanager
def _translated(request: httpx.Request) -> Iterator[None]:
    """Once a body has begun, pyreqwest's errors come as they are."""
    try:
        yield
    except RequestTimeoutError as error:
        raise httpx.ReadTimeout(error.message, request=request) from error
    except PyreqwestError as error:
        raise httpx.DecodingError(error.message, request=request) from error
