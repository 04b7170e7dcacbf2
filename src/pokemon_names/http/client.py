"""The httpx clients. They turn each GET into an `Answer`: a body, or an error as a value."""

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property, lru_cache
from time import monotonic
from typing import Generic, TypeVar, cast

import httpx
import msgspec

from pokemon_names import __version__
from pokemon_names.http.body import decompress
from pokemon_names.http.connections import Limits
from pokemon_names.http.errors import GetError, from_exception, from_status
from pokemon_names.http.transport import BlockingTransport, Transport

USER_AGENT = f"pokemon-names/{__version__}"

_MAX_REQUESTS = 4096  # kept, so that later calls for the same paths need not build them again
_DEFAULT_LIMITS = Limits()

_Body = TypeVar("_Body")
Decode = Callable[[bytes | bytearray], _Body]


class Answer(msgspec.Struct, Generic[_Body]):
    """The result of one GET: a body or an error.

    `begun_at` is when the response began, in seconds of `time.monotonic`, or None if there was no
    response. `bytes` is the size of the body: decompressed, but as received for an error.
    """

    body: _Body | None = None
    error: GetError | None = None
    begun_at: float | None = None
    bytes: int = 0


class Clients:
    """An async client, and a blocking one for the strategy `sync`.

    Each is made only once, and serves every invocation for as long as the process lives. `headers`
    are sent with each request. They take precedence over the clients' own.
    """

    def __init__(
        self,
        base_url: str,
        max_body_bytes: int = 4_000_000,
        limits: Limits = _DEFAULT_LIMITS,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.limits = limits
        self._base_url = base_url.rstrip("/")
        self._max_body_bytes = max_body_bytes
        own_headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "gzip"}
        self._async = _AsyncClient(transport=Transport(limits), headers=own_headers)
        self._headers = self._async.build_request("GET", base_url, headers=headers).headers
        _check(self._headers)
        self._stored_request = lru_cache(maxsize=_MAX_REQUESTS)(self._build_request)

    async def get(
        self, path: str, decode: Decode[_Body], seconds: float | None = None
    ) -> Answer[_Body]:
        """Send one GET request and return its result.

        Args:
            path: The path, relative to the base URL.
            decode: Turns the bytes of a JSON body into the answer's body, or raises an exception.
            seconds: How long the request may take. If it is None, the limits decide.
        """
        answer: Answer[_Body] = Answer()
        parts: list[bytes] = []  # a hundred growing buffers would fragment memory
        size = 0
        try:
            response = await self._async.send(self._request(path, seconds), stream=True)
            answer.begun_at = monotonic()
            try:
                # `aiter_raw` would do the same for about 5 % more processor time.
                async for part in cast("httpx.AsyncByteStream", response.stream):
                    parts.append(part)
                    size += len(part)
                    if size > self._max_body_bytes:
                        break
            finally:
                await response.aclose()
            self._read(answer, response, b"".join(parts), decode)
        except httpx.RequestError as error:
            answer.error = from_exception(error)
        return answer

    def get_blocking(
        self, path: str, decode: Decode[_Body], seconds: float | None = None
    ) -> Answer[_Body]:
        """Do the same as `get` with the blocking client."""
        answer: Answer[_Body] = Answer()
        parts: list[bytes] = []
        size = 0
        try:
            response = self._blocking.send(self._request(path, seconds), stream=True)
            answer.begun_at = monotonic()
            try:
                for part in response.iter_raw():
                    parts.append(part)
                    size += len(part)
                    if size > self._max_body_bytes:
                        break
            finally:
                response.close()
            self._read(answer, response, b"".join(parts), decode)
        except httpx.RequestError as error:
            answer.error = from_exception(error)
        return answer

    async def warm_up(self, path: str, seconds: float, *, blocking: bool) -> None:
        """Open a connection by sending a request with one of the clients, for at most `seconds`.

        Errors are ignored, because later requests run into them as well.
        """
        if blocking:
            await asyncio.to_thread(self.get_blocking, path, bytes, seconds)
        else:
            await self.get(path, bytes, seconds)

    def _read(
        self, answer: Answer[_Body], response: httpx.Response, raw: bytes, decode: Decode[_Body]
    ) -> None:
        """Set the body or the error of an answer, or raise httpx.DecodingError."""
        coding = response.headers.get("Content-Encoding", "")
        if not response.is_success:
            answer.bytes = len(raw)
            text = ""
            with suppress(httpx.DecodingError):
                text = decompress(raw, coding, self._max_body_bytes).decode(errors="replace")
            answer.error = from_status(response, text.strip())
            return
        content = decompress(raw, coding, self._max_body_bytes)
        answer.bytes = len(content)
        try:
            encoding = json.detect_encoding(content)
            if encoding != "utf-8":
                content = content.decode(encoding).encode()
            answer.body = decode(content)
        except Exception as error:  # whatever `decode` raises, the body is unreadable
            raise httpx.DecodingError(str(error)) from error

    def _request(self, path: str, seconds: float | None) -> httpx.Request:
        if seconds is None:
            return self._stored_request(path)
        return self._build_request(path, seconds)

    def _build_request(self, path: str, seconds: float | None = None) -> httpx.Request:
        # pyreqwest has one timeout for a whole request. The transport adds up httpx's four, so
        # setting one of them is enough. If none is set, the transport's limits apply.
        timeout = httpx.Timeout(None, read=seconds)
        request = self._async.build_request("GET", f"{self._base_url}/{path}", timeout=timeout)
        request.headers = self._headers  # shared, which saves a megabyte in the stored requests
        return request

    @cached_property
    def _blocking(self) -> httpx.Client:
        """The blocking client.

        It is made when it is first used, because every client reads the trusted certificates again.
        """
        return httpx.Client(transport=BlockingTransport(self.limits))


def _check(headers: Mapping[str, str]) -> None:
    """Raise ValueError if a header's value cannot be sent.

    Otherwise each request would fail, with an error that quotes the value, which may be a secret.
    """
    for name, value in headers.items():
        if not value.isprintable():
            raise ValueError(f"the value of the header {name} has control characters")


class _NoCookies(httpx.Cookies):
    """A cookie jar that stays empty: PokeAPI sets none, and looking takes 0.1 ms per response."""

    def extract_cookies(self, response: httpx.Response) -> None:
        pass


class _AsyncClient(httpx.AsyncClient):
    cookies = _NoCookies()  # type: ignore[override]
