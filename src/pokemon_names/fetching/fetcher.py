"""The attempts for each number: send, retry, settle; and the account of every attempt."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic, perf_counter

import httpx
import msgspec

from pokemon_names.fetching import attempt_error
from pokemon_names.fetching.admission import Admission
from pokemon_names.fetching.attempt_error import AttemptError
from pokemon_names.fetching.client import Clients
from pokemon_names.fetching.compression import decompress
from pokemon_names.fetching.download import Download
from pokemon_names.fetching.patience import Patience
from pokemon_names.fetching.pokeapi import Body, decode
from pokemon_names.fetching.retry import Retries
from pokemon_names.model import Attempt, Failure

Get = Callable[[str], Awaitable[httpx.Response]]


class Fetcher:
    """Sends the requests of one fetch, which started then, in seconds of `time.perf_counter`."""

    def __init__(
        self,
        downloads: Sequence[Download],
        clients: Clients,
        admission: Admission,
        patience: Patience,
        started: float,
    ) -> None:
        self.attempts: list[Attempt] = []
        self._downloads = downloads
        self._clients = clients
        self._admission = admission
        self._patience = patience
        self._started = started
        self._retries = Retries(patience.deadline)

    async def download(self, download: Download) -> None:
        """Send requests for a download, one after another, until it is settled."""
        while not download.settled:
            await self.attempt(download)

    async def attempt(self, download: Download) -> None:
        """Send one request, when it is due and the window lets it in."""
        await self._attempt(download, self._clients.get)

    async def attempt_in_thread(self, download: Download) -> None:
        """Send one request by the blocking client, which a thread waits for."""
        await self._attempt(download, self._get_in_thread)

    def elapsed_ms(self, now: float | None = None) -> float:
        """Return the milliseconds since the fetch began, until `now` of `time.perf_counter`."""
        if now is None:
            now = perf_counter()
        return (now - self._started) * 1000

    def failure(self, download: Download, number: int) -> Failure:
        """Return why a download has not brought the name of a number."""
        error = download.error
        if error is None or not download.settled:
            error = self._given_up(download)
        return Failure(number, error.reason, error.status, download.attempts, error.detail)

    async def _attempt(self, download: Download, get: Get) -> None:
        if download.attempts == 0:
            download.ready_ms = self.elapsed_ms()
        seconds = download.retry_at - monotonic()
        if seconds > 0:
            await asyncio.sleep(seconds)
        await self._admission.acquire(download)
        try:
            if not download.settled:  # an error of another number can have settled it
                await self._send(download, get)
        finally:
            self._admission.release()

    async def _send(self, download: Download, get: Get) -> None:
        sent_at = monotonic()
        answer = await self._request(download, get)
        if isinstance(answer, AttemptError):
            self._failed(download, answer, sent_at)
        else:
            download.body = answer
            self._admission.answered()
            self._retries.earn()
            self._settle(download)

    async def _request(self, download: Download, get: Get) -> Body | AttemptError:
        """Send one request, and store the attempt, even where it is cancelled."""
        download.attempts += 1
        requests = 1
        attempt = Attempt(
            number=download.number,
            attempt=download.attempts,
            ok=False,
            ready_ms=download.ready_ms,
            start_ms=self.elapsed_ms(),
            first_byte_ms=None,
            end_ms=0.0,
            bytes=0,
        )
        try:
            response = await get(download.path)
            attempt.first_byte_ms = self.elapsed_ms(response.extensions["begun"])
            if not response.is_success:
                attempt.bytes = len(response.content)
                return attempt_error.from_response(response)
            content = decompress(response)
            attempt.bytes = len(content)
            body = decode(content, download.body_type)
            attempt.ok = True
        except httpx.RequestError as exception:
            error = attempt_error.from_exception(exception)
            requests = error.requests
            return error
        else:
            return body
        finally:
            attempt.end_ms = self.elapsed_ms()
            download.ready_ms = attempt.end_ms
            self._store(download, attempt, requests)

    def _store(self, download: Download, attempt: Attempt, requests: int) -> None:
        """Store an attempt as often as it was sent: see attempt_error.py."""
        if requests > 0:
            self.attempts.append(attempt)
        for extra in range(1, requests):
            number = attempt.attempt + extra
            self.attempts.append(msgspec.structs.replace(attempt, attempt=number))
        download.attempts += requests - 1

    async def _get_in_thread(self, path: str) -> httpx.Response:
        seconds = self._patience.seconds_left()
        try:
            return await asyncio.to_thread(self._clients.get_blocking, path, seconds)
        except httpx.TimeoutException:
            if self._patience.seconds_left() > 0:
                raise
            # The task is about to be cancelled, but a thread cannot be.
            raise asyncio.CancelledError from None

    def _failed(self, download: Download, error: AttemptError, sent_at: float) -> None:
        error = self._admission.failed(download, error, sent_at)
        download.failed_at = monotonic()
        if error.kind == "unreadable":
            download.unreadable += 1
        if error.kind != "unprocessed":
            download.error = error
        if error.kind == "fatal":
            for other in self._downloads:
                self._settle(other)
        delay = self._retries.delay(error, download.attempts, download.unreadable)
        if delay is None:
            self._settle(download)
            return
        download.retry_at = download.failed_at + delay
        if delay == error.retry_after:
            self._patience.promised(download.retry_at)

    def _settle(self, download: Download) -> None:
        download.settled = True
        self._patience.settled()

    def _given_up(self, download: Download) -> AttemptError:
        """Return why a download that is not settled is given up."""
        error = download.error
        if monotonic() >= self._patience.deadline:
            detail = "no time was left"
            if error:
                detail += f", after: {error}"
            return AttemptError("service", "deadline", detail)
        if error:
            return error
        service_error = self._admission.service_error
        if service_error and download.attempts == 0:
            detail = f"not sent, after: {service_error}"
            return msgspec.structs.replace(service_error, detail=detail)
        return AttemptError("service", "timeout", "no answer came while others did")
