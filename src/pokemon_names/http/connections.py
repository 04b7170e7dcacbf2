"""Which client sends the next request to an origin, and when a new client replaces it.

There are three kinds of clients, for different versions of HTTP:

    client     used over TLS                                                used without TLS
    HTTP/2     at first: all requests share one connection                  never
    any        once the server turns out not to speak HTTP/2                always
    HTTP/1.1   once the server says over HTTP/2 that it requires HTTP/1.1   never

Why not start with a client that speaks both versions? It does not know that requests can share a
connection until a handshake is over, so it opens 100 connections for the first 100 requests. A
client that speaks only HTTP/2 opens one. If the server does not speak HTTP/2, finding out costs one
connection, or three if the server just closes them. An HTTP/2 client is used again as soon as a
response arrives over HTTP/2, or the server refuses HTTP/1.1 as well.

A connection can also fall silent: it still answers pings, but nothing else. When a request on such
a connection times out or is cancelled, a new client of the same kind takes over.
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

MAX_ENDS = 3  # connections in a row that end without an explanation
# A server that has never responded may end every TLS handshake for this many seconds, because it
# may be starting up. After that, no connection is expected to work.
HANDSHAKE_SECONDS = 2.0
SILENCE = 0.5  # seconds without a response after which a connection counts as silent

# By default, all bodies in flight on an HTTP/2 connection share a window of 64 KB, so every 64 KB
# would cost a round trip.
_STREAM_WINDOW = 1024 * 1024
_CONNECTION_WINDOW = 16 * _STREAM_WINDOW
_HEADERS = 256 * 1024  # bytes per response; real servers send 20 KB, and hyper's default is 16 KB

# For each kind of client, the kind to try if the server does not speak its version of HTTP, and the
# messages that say so. They come from TLS, or from parsing a response in another version.
_NO_HTTP2 = ("NoApplicationProtocol", "frame with invalid size")
_OTHER_VERSIONS: dict[Version, tuple[Version, tuple[str, ...]]] = {
    "HTTP/2": ("any", _NO_HTTP2),
    "any": ("any", _NO_HTTP2),
    "HTTP/1.1": ("HTTP/2", ("NoApplicationProtocol", "invalid HTTP version parsed")),
}
_ONLY_HTTP1 = "requires HTTP/1.1"
_FRAME = "error received"  # in an HTTP/2 frame, so the server does speak HTTP/2

_Client = TypeVar("_Client")


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The timeouts of a client, in seconds.

    Only pings can distinguish a slow server from a connection that the network has forgotten. A
    ping is sent if requests are in flight and the server has sent nothing for `ping_interval`.
    """

    connect_timeout: float = 3.0  # all requests wait for the same connection
    read_timeout: float = 5.0  # between two reads
    total_timeout: float = 10.0  # until the end of the body, because a body can trickle in
    ping_interval: float = 1.0
    ping_timeout: float = 1.0


class Pool(msgspec.Struct, Generic[_Client]):
    """A client and its connections to one origin. Only Connections changes it.

    `heard_at` is when a response last began or ended, and `was_heard` whether the origin has ever
    responded. `ended_at` is when a connection last ended or could not be opened, `ends` how often
    that has happened since the last response, and `ending_since` when it first did. Times are in
    seconds of `time.monotonic`.
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
    """The pool that sends the next request, for each origin.

    It owns the pools. A replaced pool lives until its last request ends.
    """

    def __init__(self, make_builder: Callable[[], Any], limits: Limits) -> None:
        self._make_builder = make_builder
        self._limits = limits
        self._pools: dict[Origin, Pool[_Client]] = {}

    def exchange(self, url: httpx.URL) -> "Exchange[_Client]":
        """Return the exchange for a request that is about to be sent to a URL."""
        return Exchange(self, self.newest((url.scheme, url.raw_host, url.port)))

    def newest(self, origin: Origin) -> Pool[_Client]:
        """Return the pool that sends the next request to an origin. Make it if there is none."""
        pool = self._pools.get(origin)
        return pool or self._add(origin, "HTTP/2" if origin[0] == "https" else "any")

    def heard(self, pool: Pool[_Client], version: str | None = None) -> None:
        """Note that a response has begun, in the given version of HTTP, or has ended."""
        pool.heard_at = monotonic()
        pool.ends = 0
        pool.was_heard = True
        if version == "HTTP/2.0" and not pool.is_shared:
            self._replace(pool, "HTTP/2")

    def failed(
        self, pool: Pool[_Client], error: Exception, *, heard_at: float, has_begun: bool
    ) -> httpx.RequestError:
        """Return a request's error as an httpx exception, and replace its pool if necessary.

        Args:
            pool: The pool that sent the request.
            error: The exception that its client raised.
            heard_at: When the response began, or when the request was sent if there was none.
            has_begun: Whether the response had begun.
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
        """Note that a request got no response, and replace its pool if it has fallen silent."""
        if pool.is_shared and monotonic() - pool.heard_at >= SILENCE:
            self._replace(pool, pool.version)

    def _replace(self, pool: Pool[_Client], version: Version) -> None:
        """Replace this pool with a new one, unless that has already happened."""
        if self.newest(pool.origin) is pool:
            self._add(pool.origin, version).was_heard = pool.was_heard

    def _add(self, origin: Origin, version: Version) -> Pool[_Client]:
        client = _configured(self._make_builder(), version, self._limits).build()
        self._pools[origin] = Pool(origin, client, version)
        return self._pools[origin]


class Exchange(Generic[_Client]):
    """One request and the pool that sends it, even if the pool is replaced in the meantime."""

    def __init__(self, connections: Connections[_Client], pool: Pool[_Client]) -> None:
        self.client = pool.client
        self._connections = connections
        self._pool = pool
        self._heard_at = monotonic()
        self._has_begun = False

    def heard(self, version: str | None = None) -> None:
        """Note that the response has begun, in the given version of HTTP, or has ended."""
        self._has_begun = True
        self._connections.heard(self._pool, version)
        self._heard_at = self._pool.heard_at

    def cancelled(self) -> None:
        """Note that nobody is waiting for the response any more."""
        if monotonic() - self._heard_at >= SILENCE:
            self._connections.silent(self._pool)

    def may_be_repeated(self, failure: httpx.RequestError) -> bool:
        """Whether the server refused only this version of HTTP, and the next client has another."""
        version = self._pool.version
        is_refused = isinstance(failure, UnprocessedError) and version != "HTTP/1.1"
        return is_refused and self._connections.newest(self._pool.origin).version != version

    def failed(self, error: Exception) -> httpx.RequestError:
        """Return an error of the client as an httpx exception."""
        return self._connections.failed(
            self._pool, error, heard_at=self._heard_at, has_begun=self._has_begun
        )


def _configured(builder: Any, version: Version, limits: Limits) -> Any:
    """Return a builder, configured for a client that speaks this version of HTTP."""
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
