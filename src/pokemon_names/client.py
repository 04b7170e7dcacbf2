"""The httpx clients, and what reads the bodies that they leave zipped."""

import zlib
from contextlib import suppress
from functools import cached_property, lru_cache
from typing import TypedDict

import httpx
from deflate import DeflateError, gzip_decompress

from pokemon_names import __version__
from pokemon_names.errors import BodyTooLargeError
from pokemon_names.server import TOTAL_TIMEOUT
from pokemon_names.transport import BlockingTransport, Transport

USER_AGENT = f"pokemon-names/{__version__}"

_GZIP_NAMES = {"gzip", "x-gzip"}  # in any case (RFC 9110, 8.4.1)
_MEMBER = b"\x1f\x8b\x08"  # how each member of a gzip stream begins
_GZIP = 31  # zlib's window bits for a gzip header and trailer


class _Options(TypedDict):
    headers: dict[str, str]
    timeout: None


class Clients:
    """The async client, and the blocking one for the strategy that wants it. Both can be kept for good.

    No more than a byte beyond `max_body_bytes` is read of a body, and such a one `unzipped` refuses.
    """

    def __init__(self, base_url: str, max_body_bytes: int = 4_000_000) -> None:
        self._base_url = base_url.rstrip("/")
        # Pyreqwest's builder has the timeouts: it cannot apply httpx's phase by phase.
        self._options = _Options(headers={"User-Agent": USER_AGENT, "Accept-Encoding": "gzip"}, timeout=None)
        self._https = httpx.URL(base_url).scheme == "https"
        self._max_body_bytes = max_body_bytes
        self._asynchronous = _AsyncClient(transport=Transport(max_body_bytes, https=self._https), **self._options)
        self._headers = self._asynchronous.build_request("GET", base_url).headers
        # With 2,048 requests kept, an invocation that asks for the same numbers as one before builds none.
        self._request = lru_cache(maxsize=2048)(self._built)

    async def get(self, path: str) -> httpx.Response:
        """Send one request; a cancelled one leaves the client as it was."""
        return await self._asynchronous.send(self._request(path))

    def get_blocking(self, path: str, seconds: float) -> httpx.Response:
        """Send one request and wait for it, no longer than so many seconds."""
        # httpx's timeout for a read is, for the transport, that of the whole request in place of the builder's.
        total = httpx.Timeout(None, read=min(seconds, TOTAL_TIMEOUT.total_seconds()))
        return self._blocking.get(f"{self._base_url}/{path}", timeout=total)

    def _built(self, path: str) -> httpx.Request:
        request = self._asynchronous.build_request("GET", f"{self._base_url}/{path}")
        request.headers = self._headers  # one object for all, or those kept would take a megabyte more
        return request

    @cached_property
    def _blocking(self) -> httpx.Client:
        """Made on first use: hardly an invocation wants it, and each client reads the trusted certificates anew."""
        return _Client(transport=BlockingTransport(self._max_body_bytes, https=self._https), **self._options)


class _NoCookies(httpx.Cookies):
    """Looks for none: PokeAPI sets none, and looking takes 0.1 ms a response."""

    def extract_cookies(self, response: httpx.Response) -> None:
        pass


class _AsyncClient(httpx.AsyncClient):
    cookies = _NoCookies()  # type: ignore[override]


class _Client(httpx.Client):
    cookies = _NoCookies()  # type: ignore[override]


def unzipped(response: httpx.Response) -> bytes | bytearray:
    """Return a response's body; raise BodyTooLargeError, or httpx.DecodingError where it is broken."""
    limit = response.extensions["max_body_bytes"]
    coding = response.extensions["content_encoding"].strip().lower()
    body: bytes | bytearray = response.content
    if coding in _GZIP_NAMES and len(body) <= limit:
        body = _unzip(response.content, limit)
    elif coding not in {*_GZIP_NAMES, "", "identity"}:
        raise httpx.DecodingError(f"the Content-Encoding is {coding}, and only gzip is accepted")
    if len(body) > limit:
        raise BodyTooLargeError(f"more than {limit} bytes")
    return body


def _unzip(body: bytes, limit: int) -> bytes | bytearray:
    """By libdeflate, in a fifth of zlib's time, where gzip's last bytes give the size of all, within the limit."""
    size = int.from_bytes(body[-4:], "little")
    if 0 < size <= limit and body.find(_MEMBER, 1) == -1:
        with suppress(DeflateError, ValueError):
            return gzip_decompress(body, size)
    return _unzip_members(body, limit)


def _unzip_members(body: bytes, limit: int) -> bytearray:
    """By zlib, which stops at the limit, and goes through the members that a gzip stream may have (RFC 1952, 2.2)."""
    content = bytearray()
    while len(content) <= limit:
        member = zlib.decompressobj(_GZIP)
        try:
            content += member.decompress(body, limit + 1 - len(content))
        except zlib.error as error:
            raise httpx.DecodingError(str(error)) from error
        if not member.eof and len(content) <= limit:
            raise httpx.DecodingError("the gzip stream breaks off")
        body = member.unused_data
        if not body.startswith(_MEMBER):
            break
    return content
