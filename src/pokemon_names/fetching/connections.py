"""Which HTTP the server speaks, and what all connections have in common: timeouts, pings, windows.

A client that speaks HTTP/2 and HTTP/1.1 knows only after a handshake that requests can share the
connection, so it opens 100 connections for the first 100 requests. A client that speaks HTTP/2
alone opens one. Over TLS that one comes first. Where the server does not speak HTTP/2, one
connection is lost until it is known, or two where the server does not say so.
"""

from collections.abc import Callable
from datetime import timedelta
from functools import cached_property
from typing import Generic, NamedTuple, TypeVar

import httpx
from pyreqwest.client import BaseClientBuilder

from pokemon_names.fetching.errors import NotProcessedError, SharedConnectionError, translate

CONNECT_TIMEOUT = timedelta(seconds=3)  # all requests wait for one connection
READ_TIMEOUT = timedelta(seconds=5)  # from one read to the next
TOTAL_TIMEOUT = timedelta(seconds=10)  # to the end of the body, for one that drips

# Only a ping tells a connection that the network has forgotten from a slow server.
PING_INTERVAL = timedelta(seconds=1)  # without a byte from the server, while requests are in flight
PING_TIMEOUT = timedelta(seconds=1)

# HTTP/2's own 64 KB for all bodies in flight together would cost a round trip for every 64 KB.
_STREAM_WINDOW = 1024 * 1024
_CONNECTION_WINDOW = 16 * _STREAM_WINDOW

# What TLS says where the server does not speak HTTP/2, and HTTP/2 of a response in HTTP/1.1.
_NO_HTTP2 = ("NoApplicationProtocol", "frame with invalid size")
_FRAME = "error received"  # the server says it in a frame, which only HTTP/2 has

_Client = TypeVar("_Client")
_Builder = TypeVar("_Builder", bound=BaseClientBuilder)


class Pool(NamedTuple, Generic[_Client]):
    """A client with its connections.

    `is_shared` says that all requests share one connection, `is_retry` that one connection has
    ended before without a response.
    """

    client: _Client
    is_shared: bool
    is_retry: bool = False


class Connections(Generic[_Client]):
    """The pool that requests go to, changed by what responses and errors say of the server."""

    def __init__(
        self,
        make_http2_client: Callable[[], _Client],
        make_any_client: Callable[[], _Client],
        *,
        https: bool,
    ) -> None:
        self._make_http2_client = make_http2_client
        self._make_any_client = make_any_client
        self._is_version_known = not https
        self.pool = self._http2_pool if https else self._any_pool

    @cached_property
    def _http2_pool(self) -> Pool[_Client]:
        return Pool(self._make_http2_client(), is_shared=True)

    @cached_property
    def _any_pool(self) -> Pool[_Client]:
        return Pool(self._make_any_client(), is_shared=False)

    def responded(self, version: str) -> None:
        """Note the HTTP version of a response."""
        self._is_version_known = True
        is_http2 = version == "HTTP/2.0"
        if is_http2 != self.pool.is_shared:
            self.pool = self._http2_pool if is_http2 else self._any_pool

    def failed(
        self, pool: Pool[_Client], error: Exception, *, has_begun: bool
    ) -> httpx.RequestError:
        """Return a pool's error as httpx's, and note what it says of the HTTP version."""
        failure = translate(error, has_begun=has_begun, is_shared=pool.is_shared)
        message = str(failure)
        if _FRAME in message:
            self.responded("HTTP/2.0")
            return failure
        if self._is_version_known or not pool.is_shared:
            return failure
        speaks_no_http2 = any(sign in message for sign in _NO_HTTP2)
        if pool is self.pool:
            self._leave_http2(failure, speaks_no_http2=speaks_no_http2)
        if speaks_no_http2:
            return NotProcessedError(message)
        return failure

    def _leave_http2(self, failure: httpx.RequestError, *, speaks_no_http2: bool) -> None:
        if speaks_no_http2:
            self.pool = self._any_pool
        elif isinstance(failure, SharedConnectionError):
            if self.pool.is_retry:
                self.pool = self._any_pool
            else:
                self.pool = self.pool._replace(is_retry=True)


def http2_only(builder: _Builder) -> _Builder:
    """Return the builder of a client that speaks HTTP/2 alone."""
    return _configured(builder).http2_prior_knowledge()


def any_version(builder: _Builder) -> _Builder:
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
