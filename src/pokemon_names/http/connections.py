"""Which client the next request of an origin goes to, and when another client replaces it.

    client     over TLS                                          without TLS
    HTTP/2     the first one: one connection for all requests
    any        if the server does not speak HTTP/2               the first one
    HTTP/1.1   if the server speaks HTTP/2 only to refuse it

A client that speaks both learns only in a handshake that requests can share the connection, so it
opens 100 connections for the first 100 requests. One that speaks only HTTP/2 opens one. If the
server does not speak HTTP/2, one connection is lost until that is known, or three if it just ends
them. An answer in HTTP/2 leads back to the first client, and so does a server that refuses
HTTP/1.1, too.

A new client of the same kind replaces one whose connection was silent until a request timed out, or
was cancelled: such a connection may answer pings for good, and nothing else.
"""

from collections.abc import Callable
from datetime import timedelta
from time import monotonic
from typing import Any, Generic, Literal, TypeVar

import httpx
import msgspec

from pokemon_names.http.errors import (
    HANDSHAKE_ENDED,
    EndedError,
    UnprocessedError,
    from_pyreqwest,
    unusable,
)

Version = Literal["HTTP/2", "any", "HTTP/1.1"]
Origin = tuple[str, bytes, int | None]

MAX_ENDS = 3  # connections in a row that end without a word
# Seconds in which the server ends every TLS handshake, before it has ever responded: a server that
# starts does so, too.
HANDSHAKE_SECONDS = 2.0
SILENCE = 0.5  # seconds without a response on a connection, when a request ends in vain

# HTTP/2's own 64 KB for all bodies in flight together would cost a round trip for every 64 KB.
_STREAM_WINDOW = 1024 * 1024
_CONNECTION_WINDOW = 16 * _STREAM_WINDOW
_HEADERS = 256 * 1024  # bytes of a response's headers; servers send 20 KB, and hyper takes 16

# What TLS says if the server does not speak a client's version, or the client of a response in
# another one; and which version is next.
_NO_HTTP2 = ("NoApplicationProtocol", "frame with invalid size")
_OTHER_VERSIONS: dict[Version, tuple[Version, tuple[str, ...]]] = {
    "HTTP/2": ("any", _NO_HTTP2),
    "any": ("any", _NO_HTTP2),
    "HTTP/1.1": ("HTTP/2", ("NoApplicationProtocol", "invalid HTTP version parsed")),
}
_ONLY_HTTP1 = "requires HTTP/1.1"
_FRAME = "error received"  # the server says it in a frame, which only HTTP/2 has

_Client = TypeVar("_Client")


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a client waits for, in seconds.

    Only a ping tells a connection that the network has forgotten from a slow server. It is sent
    after `ping_interval` without a byte from the server while requests are in flight.
    """

    connect_timeout: float = 3.0  # all requests wait for one connection
    read_timeout: float = 5.0  # from one read to the next
    total_timeout: float = 10.0  # to the end of the body, for one that drips
    ping_interval: float = 1.0
    ping_timeout: float = 1.0


class Pool(msgspec.Struct, Generic[_Client]):
    """A client with its connections to one origin; Connections alone changes it.

    Times are in seconds of `time.monotonic`: when a response last began or ended, and when a
    connection last ended. `ends` counts the ends of connections since a response, from
    `ending_since` on, and `was_heard` says whether the origin ever responded.
    """

    origin: Origin
    client: _Client
    version: Version
    was_heard: bool = False
    heard_at: float = 0.0
    ended_at: float = 0.0
    ending_since: float = 0.0
    ends: int = 0

    @property
    def is_shared(self) -> bool:
        """Whether all requests share one connection."""
        return self.version == "HTTP/2"


class Connections(Generic[_Client]):
    """The pool that the next request goes to, for each origin.

    It owns the pools. One that was replaced lives until its last request has ended.
    """

    def __init__(self, make_builder: Callable[[], Any], limits: Limits) -> None:
        self._make_builder = make_builder
        self._limits = limits
        self._pools: dict[Origin, Pool[_Client]] = {}

    def exchange(self, url: httpx.URL) -> "Exchange[_Client]":
        """Return a request that is about to be sent to a URL."""
        return Exchange(self, self.newest((url.scheme, url.raw_host, url.port)))

    def newest(self, origin: Origin) -> Pool[_Client]:
        """Return the pool that the next request to an origin goes to."""
        pool = self._pools.get(origin)
        return pool or self._add(origin, "HTTP/2" if origin[0] == "https" else "any")

    def heard(self, pool: Pool[_Client], version: str | None = None) -> None:
        """Note that a response on a pool has begun, in this HTTP version, or ended."""
        pool.heard_at = monotonic()
        pool.ends = 0
        pool.was_heard = True
        if version == "HTTP/2.0" and not pool.is_shared:
            self._replace(pool, "HTTP/2")

    def failed(
        self, pool: Pool[_Client], error: Exception, *, heard_at: float, has_begun: bool
    ) -> httpx.RequestError:
        """Return the error of a request as one of httpx, and replace its pool if need be.

        Args:
            pool: Where the request was sent.
            error: What its client raised.
            heard_at: When the request was sent, or its response began.
            has_begun: Whether its response had begun.
        """
        failure = from_pyreqwest(
            error,
            has_begun=has_begun,
            is_shared=pool.is_shared,
            is_new=pool.heard_at <= pool.ended_at,
        )
        message = str(failure)
        if _FRAME in message:
            self.heard(pool)
        elif heard_at >= pool.ended_at and isinstance(failure, EndedError | httpx.ConnectError):
            now = monotonic()
            if pool.ends == 0 or now - pool.ended_at > HANDSHAKE_SECONDS:
                pool.ending_since = now
            pool.ended_at = now
            pool.ends += 1
        version, signs = _OTHER_VERSIONS[pool.version]
        if _FRAME not in message and any(sign in message for sign in signs):
            self._replace(pool, version)
            return UnprocessedError(message)
        if _ONLY_HTTP1 in message:
            self._replace(pool, "HTTP/1.1")
        elif isinstance(failure, httpx.ReadTimeout):
            self.silent(pool)
        elif isinstance(failure, EndedError) and pool.ends >= MAX_ENDS:
            self._replace(pool, "any")
        elif message == HANDSHAKE_ENDED and pool.ended_at - pool.ending_since >= HANDSHAKE_SECONDS:
            return failure if pool.was_heard else unusable(message) or failure
        return failure

    def silent(self, pool: Pool[_Client]) -> None:
        """Note that a request waited in vain, and replace its pool if all others did, too."""
        if pool.is_shared and monotonic() - pool.heard_at >= SILENCE:
            self._replace(pool, pool.version)

    def _replace(self, pool: Pool[_Client], version: Version) -> None:
        """Let a new pool take the place of this one, unless another one has."""
        if self.newest(pool.origin) is pool:
            self._add(pool.origin, version).was_heard = pool.was_heard

    def _add(self, origin: Origin, version: Version) -> Pool[_Client]:
        client = _configured(self._make_builder(), version, self._limits).build()
        self._pools[origin] = Pool(origin, client, version)
        return self._pools[origin]


class Exchange(Generic[_Client]):
    """One request, on the pool that was its origin's when it was sent."""

    def __init__(self, connections: Connections[_Client], pool: Pool[_Client]) -> None:
        self.client = pool.client
        self._connections = connections
        self._pool = pool
        self._heard_at = monotonic()
        self._has_begun = False

    def heard(self, version: str | None = None) -> None:
        """Note that the response has begun, or ended."""
        self._has_begun = True
        self._connections.heard(self._pool, version)
        self._heard_at = self._pool.heard_at

    def cancelled(self) -> None:
        """Note that nobody waits for the response any more."""
        if monotonic() - self._heard_at >= SILENCE:
            self._connections.silent(self._pool)

    def may_be_repeated(self, failure: httpx.RequestError) -> bool:
        """Whether the server refused only the version of HTTP, and another one is next."""
        version = self._pool.version
        is_refused = isinstance(failure, UnprocessedError) and version != "HTTP/1.1"
        return is_refused and self._connections.newest(self._pool.origin).version != version

    def failed(self, error: Exception) -> httpx.RequestError:
        """Return an error of the client as one of httpx."""
        return self._connections.failed(
            self._pool, error, heard_at=self._heard_at, has_begun=self._has_begun
        )


def _configured(builder: Any, version: Version, limits: Limits) -> Any:
    """Return the builder of a client that speaks this version of HTTP."""
    builder = (
        builder.connect_timeout(timedelta(seconds=limits.connect_timeout))
        .read_timeout(timedelta(seconds=limits.read_timeout))
        .timeout(timedelta(seconds=limits.total_timeout))
        .follow_redirects(enable=False)
        .gzip(enable=False)
        .brotli(enable=False)
        .zstd(enable=False)
        .deflate(enable=False)
        .http1_allow_obsolete_multiline_headers_in_responses(value=True)
        .http1_allow_spaces_after_header_name_in_responses(value=True)
        .http2_initial_stream_window_size(_STREAM_WINDOW)
        .http2_initial_connection_window_size(_CONNECTION_WINDOW)
        .http2_max_header_list_size(_HEADERS)
        .http2_keep_alive_interval(timedelta(seconds=limits.ping_interval))
        .http2_keep_alive_timeout(timedelta(seconds=limits.ping_timeout))
    )
    match version:
        case "HTTP/2":
            return builder.http2_prior_knowledge()
        case "HTTP/1.1":
            return builder.http1_only()
        case _:
            return builder.http2(enable=True)
