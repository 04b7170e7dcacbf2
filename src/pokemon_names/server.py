"""Which HTTP the server speaks, and all that the connections to it have in common: timeouts, pings, windows."""

from collections.abc import Callable
from datetime import timedelta
from functools import cached_property
from typing import Generic, NamedTuple, TypeVar

import httpx
from pyreqwest.client import BaseClientBuilder

from pokemon_names.errors import NotProcessedError, SharedConnectionError, translated

CONNECT_TIMEOUT = timedelta(seconds=3)  # all requests wait for one connection
READ_TIMEOUT = timedelta(seconds=5)  # from one read to the next
TOTAL_TIMEOUT = timedelta(seconds=10)  # to the body's end, for one that drips

# Only a ping tells a connection that the network has forgotten from a slow server.
PING_INTERVAL = timedelta(seconds=1)  # without a byte from the server, while a request is in flight
PING_TIMEOUT = timedelta(seconds=1)

# HTTP/2's own 64 KB for all bodies in flight together would cost a round trip for every 64 KB.
_STREAM_WINDOW = 1024 * 1024
_CONNECTION_WINDOW = 16 * _STREAM_WINDOW

# What TLS says where HTTP/2 alone is asked for in vain, and HTTP/2 of an answer in HTTP/1.1, read as a frame.
_NO_HTTP2 = ("NoApplicationProtocol", "frame with invalid size")
_FRAME = "error received"  # what the server says in a frame, which only HTTP/2 has

_Client = TypeVar("_Client")
_Builder = TypeVar("_Builder", bound=BaseClientBuilder)


class Link(NamedTuple, Generic[_Client]):
    """A client, whether all of its requests share one connection, and whether one ended before without an answer."""

    client: _Client
    is_shared: bool
    is_retry: bool = False


class Server(Generic[_Client]):
    """Which `link` to send requests by: over TLS that of HTTP/2 alone, unless the server does not speak it.

    A client that also speaks HTTP/1.1 knows only after a handshake that requests can share the connection: it makes 100
    for the first 100 requests. The one of HTTP/2 alone makes one, which is lost where the server does not speak it, or
    two where it does not say so.
    """

    def __init__(self, http2_alone: Callable[[], _Client], either: Callable[[], _Client], *, https: bool) -> None:
        self._build_http2_alone = http2_alone
        self._build_either = either
        self._is_known = not https
        self.link = self._http2_alone if https else self._either

    @cached_property
    def _http2_alone(self) -> Link[_Client]:
        return Link(self._build_http2_alone(), is_shared=True)

    @cached_property
    def _either(self) -> Link[_Client]:
        return Link(self._build_either(), is_shared=False)

    def speaks(self, version: str) -> None:
        """Note the HTTP version of a response."""
        self._is_known = True
        is_http2 = version == "HTTP/2.0"
        if is_http2 != self.link.is_shared:
            self.link = self._http2_alone if is_http2 else self._either

    def failed(self, link: Link[_Client], error: Exception, *, begun: bool) -> httpx.RequestError:
        """Return a link's error as httpx's, after noting what it says of the HTTP version."""
        failure = translated(error, begun=begun, shared=link.is_shared)
        message = str(failure)
        if _FRAME in message:
            self.speaks("HTTP/2.0")
        elif link.is_shared and not self._is_known:
            is_no_http2 = any(sign in message for sign in _NO_HTTP2)
            if link is self.link and (is_no_http2 or isinstance(failure, SharedConnectionError)):
                self.link = self._either if is_no_http2 or link.is_retry else link._replace(is_retry=True)
            if is_no_http2:
                return NotProcessedError(message)
        return failure


def http2_alone(builder: _Builder) -> _Builder:
    """Return the builder of a client that speaks HTTP/2 alone."""
    return _configured(builder).http2_prior_knowledge()


def either(builder: _Builder) -> _Builder:
    """Return the builder of a client that speaks HTTP/2, or HTTP/1.1 where the server does not."""
    return _configured(builder).http2(enable=True)


def _configured(builder: _Builder) -> _Builder:
    return (
        builder.connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .timeout(TOTAL_TIMEOUT)
        .follow_redirects(enable=False)
        .gzip(enable=False)
        .brotli(enable=False)
        .zstd(enable=False)
        .deflate(enable=False)
        .http2_initial_stream_window_size(_STREAM_WINDOW)
        .http2_initial_connection_window_size(_CONNECTION_WINDOW)
        .http2_keep_alive_interval(PING_INTERVAL)
        .http2_keep_alive_timeout(PING_TIMEOUT)
    )
