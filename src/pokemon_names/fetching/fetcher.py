"""From a number to its result: one attempt after another, until the number is settled.

A successful attempt settles its number. After a failed one, the number is tried again (policy.py
says when, and how often), waits for the list of all Pokémon, or is settled as a failure. The list
is a download like any other, with its own attempts. Numbers that wait for it are not requested in
the meantime. Once it has arrived, it settles every number that has failed or fails later.

A fetch can end before all numbers are settled: when the others are no longer worth waiting for. See
`Fetcher.seconds_left`.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any

import msgspec

from pokemon_names.fetching.pokeapi import (
    LIST_NAME,
    LIST_PATHS,
    PATHS,
    decode_list,
    decode_name,
    is_missing,
)
from pokemon_names.fetching.policy import MEANINGS, Meaning, Policy, jittered
from pokemon_names.fetching.window import FIRST, RETRY, Window
from pokemon_names.http.client import Answer, Clients, Decode
from pokemon_names.http.errors import GetError
from pokemon_names.model import Attempt, Failure, Found, Reason, Result

CHECK_SECONDS = 0.1  # between checks of whether a fetch is still worth waiting for
FREEZE_SECONDS = 2.0  # a longer gap between checks means that the environment was frozen
MIN_TIMEOUT = 0.001  # seconds for a request
CANCEL_AGAIN = 0.05  # seconds; pyreqwest loses a cancellation that coincides with a response

NOT_LISTED = f"not in {LIST_NAME}"
_NO_LIST = GetError(kind="final", reason="bad_status", detail="this API has no list")
_MISSING = GetError(
    kind="final", reason="not_found", detail="the body says that the number does not exist"
)
_NO_RESPONSE = GetError(
    kind="service", reason="timeout", detail="no response, although others got one"
)

Get = Callable[[str, Decode[Any], float | None], Awaitable[Answer[Any]]]


class Download(msgspec.Struct, eq=False):
    """Something to fetch: a number's name, or the list of all Pokémon, which has no number.

    It is `settled` once it has a body or will not be attempted again, and it `waits` until the list
    decides about it. `position` is its place among the numbers. `paths` are the spellings of its
    path that are still worth trying, and `path` is the last one tried. `requests` counts its
    attempts, `unreadable` the unreadable bodies that are its own fault, and `disconnected` the
    attempts during which the connection ended. It `lags` if its attempt was cancelled because the
    list would be faster. `ready_ms` is that of its next Attempt; all other times are in seconds of
    the loop's clock. `task` is the task that can be cancelled to end its attempt, if it has one.
    Only its Fetcher changes it.
    """

    number: int | None
    paths: Sequence[str]
    decode: Decode[Any]
    position: int = 0
    requests: int = 0
    unreadable: int = 0
    disconnected: int = 0
    ready_ms: float = 0.0
    sent_at: float = 0.0
    failed_at: float = 0.0
    retry_at: float = 0.0
    path: str = ""
    error: GetError | None = None
    body: Any = None
    settled: bool = False
    waits: bool = False
    lags: bool = False
    task: asyncio.Task[Any] | None = None


class Fetcher:
    """The downloads of one fetch, and the record of every attempt.

    It owns its downloads and the retries that they share. `at_once` is how many downloads the
    strategy attempts at the same time, and `listed` counts the names taken from the list.
    `started` and `deadline` are in seconds of the loop's clock.
    """

    def __init__(  # noqa: PLR0913, PLR0917  what one fetch needs
        self,
        numbers: Sequence[int],
        clients: Clients,
        window: Window,
        policy: Policy,
        started: float,
        deadline: float,
    ) -> None:
        self.numbers = [_download(number, position) for position, number in enumerate(numbers)]
        self._numbers = numbers
        self.list = Download(None, LIST_PATHS, decode_list)
        if not LIST_PATHS:
            self.list.error = _NO_LIST
            self.list.settled = True
        self.policy = policy
        self.attempts: list[Attempt] = []
        self.at_once = 1
        self.listed = 0
        self._clients = clients
        self._window = window
        self._started = started
        self._deadline = deadline
        self._loop = asyncio.get_running_loop()
        self._left = len(numbers)
        self._in_flight: set[Download] = set()
        self._shared_retries = policy.shared_retries
        self._service_error: GetError | None = None
        self._read_at = started
        self._garbled: set[Download] = set()
        self._settled_at = started
        self._promised_until = started
        self._checked_at = started
        self._woke_at = started
        self._list_wanted = asyncio.Event()
        self._list_settled = asyncio.Event()

    async def run(self, running: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine until it ends or the fetch is no longer worth waiting for.

        Errors of the coroutine are raised. No task of the fetch is left running afterwards.
        """
        task = asyncio.create_task(running)
        while not task.done() and (seconds := self.seconds_left()) > 0:
            await asyncio.wait([task], timeout=min(seconds, CHECK_SECONDS))
            self._end_lagging_requests()
            if self._is_list_late():
                self._try_other_spellings()
        while not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=CANCEL_AGAIN)
        if self.list.body is not None:
            self._settle_by_list(self.numbers)
        if not task.cancelled():
            task.result()

    async def fetch(self, download: Download) -> None:
        """Send requests for a download, one after another, until it is settled."""
        download.task = asyncio.current_task()
        try:
            if download is self.list and not download.settled:
                await self._list_wanted.wait()
            while not download.settled:
                if download.waits:
                    await self._list_settled.wait()
                else:
                    await self.request(download)
        except Exception:
            self._settle(download)  # so that nothing goes on waiting for it
            raise

    async def request(self, download: Download, *, in_thread: bool = False) -> None:
        """Send one request as soon as it is due and the window admits it.

        Args:
            download: What to fetch.
            in_thread: Whether to use the blocking client, in a thread.
        """
        if download.requests == 0:
            download.ready_ms = self.elapsed_ms()
        seconds = download.retry_at - self._loop.time()
        if seconds > 0:
            await asyncio.sleep(seconds)
        rank = self._rank(download)
        await self._window.acquire(rank, download.position, self._company(download))
        try:
            await self._send(download, self._get_in_thread if in_thread else self._clients.get)
        finally:
            self._window.release()

    def look_up_all(self) -> None:
        """Let every number wait for the list of all Pokémon."""
        for download in self.numbers:
            download.waits = True
        self._list_wanted.set()
        if self.list.settled:
            self._go_on_without_list()

    def next_downloads(self) -> list[Download]:
        """Return what to attempt next: the numbers, slow ones last, then the list if wanted."""
        downloads = [
            download for download in self.numbers if not download.settled and not download.waits
        ]
        downloads.sort(key=self.is_slow)
        if self._list_wanted.is_set() and not self.list.settled:
            downloads.append(self.list)
        return downloads

    def wants_list(self) -> bool:
        """Whether to attempt the list now, before the next number."""
        is_wanted = self._list_wanted.is_set() and not self.list.settled
        is_due = self.list.retry_at <= self._loop.time() and not self.is_slow(self.list)
        return is_wanted and is_due

    def is_slow(self, download: Download) -> bool:
        """Whether attempting a download now could delay the others for a long time."""
        if download.error is None:
            return False
        is_far_off = download.retry_at > self._loop.time() + self.policy.max_delay
        return is_far_off or download.error.reason == "timeout"

    def elapsed_ms(self, at: float | None = None) -> float:
        """Return the milliseconds from the start of the fetch to a given time, by default now."""
        if at is None:
            at = self._loop.time()
        return (at - self._started) * 1000

    def seconds_left(self) -> float:
        """Return for how many seconds the fetch is still worth waiting for, as things stand.

        The deadline ends every fetch. What else ends it depends on what is left:

        - Only stragglers (few numbers, all of them sent): no result for `straggler_timeout`.
        - More, and bodies are unreadable: no readable body for `unreadable_timeout`.
        - More: nothing but silence and service errors for `silence_timeout`.

        If Retry-After has promised a time after that, the fetch waits for the promise.
        """
        policy = self.policy
        woke_at = self._note_freeze()
        if self._has_only_stragglers():
            ends_at = max(self._settled_at, woke_at) + policy.straggler_timeout
        elif self._service_error and self._service_error.kind == "unreadable":
            ends_at = max(self._read_at, woke_at) + policy.unreadable_timeout
        else:
            ends_at = max(self._window.answered_at, woke_at) + policy.silence_timeout
        ends_at = max(ends_at + 1 / policy.requests_per_second, self._promised_until)
        return min(self._deadline, ends_at) - self._loop.time()

    def results(self) -> list[Result]:
        """Return the result of each number: its name, or a failure that says why it has none."""
        return list(map(self._result, self._numbers, self.numbers))

    def _result(self, number: int, download: Download) -> Result:
        if download.body is not None:
            return Found(number, download.body)
        error = download.error
        attempts = download.requests
        is_over = error is not None and (download.settled or error.kind == "final")
        if download.waits and error is None:  # the strategy left it to the list
            error, attempts = self.list.error, self.list.requests
        reason: Reason
        if not is_over and self._loop.time() >= self._deadline:
            reason, status, detail = "deadline", None, "ran out of time"
            if error:
                detail += f"; last error: {error}"
        elif error is None and self._service_error and attempts == 0:
            reason, status = self._service_error.reason, self._service_error.status
            detail = f"not sent; last error: {self._service_error}"
        else:
            error = error or _NO_RESPONSE
            reason, status, detail = error.reason, error.status, error.detail
        if reason == "not_found" and self.list.body is None:
            list_error = self.list.error or _NO_RESPONSE
            detail += f"; {LIST_NAME} could not be fetched: {list_error}"
        return Failure(number, reason, status, attempts, detail)

    async def _get_in_thread(
        self, path: str, decode: Decode[Any], seconds: float | None
    ) -> Answer[Any]:
        return await asyncio.to_thread(self._clients.get_blocking, path, decode, seconds)

    async def _send(self, download: Download, get: Get) -> None:
        download.sent_at = self._loop.time()
        self._in_flight.add(download)
        try:
            answer = await self._send_recorded(download, get)
        finally:
            self._in_flight.remove(download)
        self._receive(download, answer)

    def _receive(self, download: Download, answer: Answer[Any]) -> None:
        if download.settled:  # the list settled it, but the cancellation of this request was lost
            return
        if answer.error is None:
            self._succeeded(download, answer.body)
        elif answer.error.reason == "timeout" and self.seconds_left() <= 0:
            raise asyncio.CancelledError  # the fetch is over, and a thread cannot be cancelled
        else:
            self._failed(download, answer.error)

    async def _send_recorded(self, download: Download, get: Get) -> Answer[Any]:
        """Send one request, and record the attempt even if it is cancelled."""
        download.path = download.paths[download.requests % len(download.paths)]
        download.requests += 1
        attempt = Attempt(
            number=download.number,
            ordinal=download.requests,
            ok=False,
            ready_ms=download.ready_ms,
            start_ms=self.elapsed_ms(),
            first_byte_ms=None,
            end_ms=0.0,
            bytes=0,
        )
        answer: Answer[Any] = Answer(error=_NO_RESPONSE)
        try:
            answer = await get(download.path, download.decode, self._request_timeout(download))
            if answer.body is None and answer.error is None:
                answer.error = _MISSING
        except asyncio.CancelledError:
            if not (download.lags and download.task):
                raise
            download.task.uncancel()
        finally:
            attempt.ok = answer.error is None
            attempt.bytes = answer.bytes
            if answer.begun_at is not None:
                attempt.first_byte_ms = self.elapsed_ms(answer.begun_at)
            attempt.end_ms = download.ready_ms = self.elapsed_ms()
            self._store(download, attempt, answer.error.requests if answer.error else 1)
        return answer

    def _store(self, download: Download, attempt: Attempt, requests: int) -> None:
        """Record an attempt as many times as GetError counts it."""
        if requests > 0:
            self.attempts.append(attempt)
        for extra in range(1, requests):
            ordinal = attempt.ordinal + extra
            self.attempts.append(msgspec.structs.replace(attempt, ordinal=ordinal))
        download.requests += requests - 1

    def _succeeded(self, download: Download, body: Any) -> None:
        self._read_at = self._loop.time()
        self._garbled.clear()
        self._window.answered(download.sent_at)
        if self._service_error and self._service_error.kind == "unreadable":
            self._service_error = None
        download.body = body
        download.task = None  # it ends by itself
        self._settle(download)
        if download is self.list:
            self._settle_by_list([other for other in self.numbers if other.waits or other.error])
        else:
            self._shared_retries += 1

    def _failed(self, download: Download, error: GetError) -> None:
        """Note what an error means for all numbers, and decide what its own download does next."""
        if download is self.list and error.reason == "not_found":
            error = msgspec.structs.replace(error, reason="bad_status")  # not a number's 404
        download.failed_at = self._loop.time()
        download.disconnected += error.kind == "disconnected"
        if error.kind == "unreadable":
            self._garbled |= {download} - {self.list}
            download.unreadable += not self._is_nothing_readable(download)
        meaning = self._meaning(download, error)
        if error.kind == "final" and download is not self.list:
            download.paths = [path for path in download.paths if path != download.path]
        if error.kind != "unprocessed":
            download.error = error
        self._tell_window(download, error, meaning)
        download.lags = False
        if meaning.ends_all:
            self._end_all(error)
            return
        if self._window.is_down:
            self._list_wanted.set()
            if self.list.body is not None:
                self._settle_by_list(self.numbers)
        if not download.settled:
            self._decide(download, error, meaning)
        if download is self.list and not download.settled:
            self._try_other_spellings()

    def _tell_window(self, download: Download, error: GetError, meaning: Meaning) -> None:
        if download is self.list and meaning.retry == "never":
            return  # it says nothing about the numbers
        if meaning.window == "widens":
            self._window.answered(download.sent_at)
            return
        self._service_error = error
        if meaning.window == "reconnects":
            self._window.disconnected(download.sent_at)
        elif not (error.reason == "timeout" and self._lags(download)):
            self._window.failed(download.sent_at)

    def _decide(self, download: Download, error: GetError, meaning: Meaning) -> None:
        """Settle a download, let it wait for the list, or set the time of its next attempt."""
        if meaning.retry == "in smaller company" and self._is_alone(download):
            meaning = MEANINGS["service"]
        is_over = meaning.retry == "never"
        if download is not self.list:
            if self.list.body is not None and download.error:
                self._settle_by_list([download])
                return
            max_attempts = (self.policy.own_retries + 1) * max(1, error.requests)
            is_hopeless = is_over or error.reason == "timeout" or download.requests >= max_attempts
            download.waits = is_hopeless and not self.list.settled
            if download.waits:
                self._list_wanted.set()
                return
        delay = self._delay(download, error, meaning, is_over=is_over)
        if delay is None:
            self._settle(download)
        else:
            download.retry_at = download.failed_at + delay

    def _delay(
        self, download: Download, error: GetError, meaning: Meaning, *, is_over: bool
    ) -> float | None:
        """Return the seconds until the next attempt, or None if there will be none."""
        policy = self.policy
        own_attempts = policy.own_retries + 1
        if download is self.list:
            own_attempts = policy.max_list_attempts
            is_nothing_read = self._read_at == self._started or self._window.is_down
            is_outage = is_nothing_read and not is_over
            if download.requests >= own_attempts and not is_outage:
                return None
        elif is_over:  # the list cannot help, but the other spelling of the path may
            has_another = error.kind == "final" and bool(download.paths)
            return 0.0 if has_another and self._spend() else None
        if meaning.retry in {"at once", "in smaller company"}:
            return 0.0
        is_free = meaning.is_free or download.requests < own_attempts
        if not (is_free or self._spend()):
            return None
        if error.retry_after is None or is_over:
            return policy.delay(download.requests)
        return self._promised(download, error.retry_after)

    def _promised(self, download: Download, retry_after: float) -> float:
        """Return the delay that Retry-After asks for, or a short one if it exceeds the deadline."""
        until = download.failed_at + retry_after
        if until > self._deadline:
            return jittered(self.policy.max_delay)  # it may be too long; a retry finds out
        silent_at = self._window.answered_at + self.policy.silence_timeout
        if download.failed_at <= silent_at:
            self._promised_until = max(self._promised_until, until + self.policy.promise_timeout)
        return retry_after

    def _spend(self) -> bool:
        """Take one of the shared retries, if any is left."""
        if self._shared_retries < 1:
            return False
        self._shared_retries -= 1
        return True

    def _settle(self, download: Download) -> None:
        """Mark a download as settled, wake up whatever is waiting for it, and end its task."""
        if download.settled:
            return
        download.settled = True
        self._settled_at = self._loop.time()
        if download is self.list:
            self._list_settled.set()
            if download.body is None:
                self._go_on_without_list()
        else:
            self._left -= 1
            if self._left == 0:
                self._settle(self.list)
        if download.task and download.task is not asyncio.current_task():
            download.task.cancel()

    def _settle_by_list(self, downloads: Sequence[Download]) -> None:
        for download in downloads:
            if download.settled:
                continue
            download.body = self.list.body.get(download.number)
            download.requests = download.requests or self.list.requests
            if download.body is not None:
                self.listed += 1
            else:
                status = download.error.status if download.error else None
                download.error = GetError(
                    kind="final", reason="not_found", detail=NOT_LISTED, status=status
                )
            self._settle(download)

    def _go_on_without_list(self) -> None:
        """Decide what the waiting numbers do, now that there will be no list."""
        for download in self.numbers:
            if download.waits and download.error is None:
                download.error = self.list.error
                download.requests = self.list.requests
                self._settle(download)
            elif download.waits and download.error:
                download.waits = False
                self._decide(download, download.error, self._meaning(download, download.error))

    def _is_list_late(self) -> bool:
        if self.list.settled or not self._list_wanted.is_set():
            return False
        if self.list in self._in_flight:
            return self._lags(self.list)
        return self.list.retry_at > self._loop.time() + self.policy.max_delay

    def _try_other_spellings(self) -> None:
        """While the list is late or fails, try the other path of numbers whose error is final."""
        for download in self.numbers:
            is_final = download.error is not None and download.error.kind == "final"
            if download.waits and is_final and download.paths and self._spend():
                download.waits = False
                download.retry_at = 0.0
        self._list_settled.set()  # wakes up their tasks
        self._list_settled.clear()

    def _end_all(self, error: GetError) -> None:
        """Settle everything that is left, because every later request would fail like this one."""
        for download in [self.list, *self.numbers]:
            if not download.settled:
                download.error = error if download.requests else None
                self._settle(download)

    def _end_lagging_requests(self) -> None:
        for download in list(self._in_flight):
            if download.task and download is not self.list and self._lags(download):
                download.lags = True
                download.task.cancel()

    def _lag_limit(self) -> float:
        """Return how long a request may take before the list is faster."""
        has_list = not self.list.settled or self.list.body is not None
        if not (has_list and self._window.slowest):
            return math.inf
        return max(self.policy.lag_timeout, self.policy.lag_factor * self._window.slowest)

    def _request_timeout(self, download: Download) -> float | None:
        """Return how long a request may take, or None if its task can be cancelled instead."""
        if download.task:
            return None
        seconds = min(self.seconds_left(), self._clients.limits.total_timeout)
        if download is not self.list:
            seconds = min(seconds, self._lag_limit())
        elif self._window.slowest:
            seconds = min(seconds, self.policy.straggler_timeout / 2)
        return max(seconds, MIN_TIMEOUT)

    def _meaning(self, download: Download, error: GetError) -> Meaning:
        """Return what an error means. An error that affects all numbers counts as the service's."""
        if error.kind == "unreadable":
            if self._is_nothing_readable(download):
                return MEANINGS["service"]
            is_final = download.unreadable >= self.policy.max_unreadable
            return MEANINGS["final" if is_final else "unreadable"]
        if error.reason == "timeout" and self._window.answered_at <= download.sent_at:
            return MEANINGS["silence"]
        return MEANINGS[error.kind]

    def _is_nothing_readable(self, download: Download) -> bool:
        """Whether no body can be read at the moment, neither this number's nor any other."""
        is_recent = self._loop.time() - self._read_at < self.policy.unreadable_timeout
        is_shared = len(self._garbled) > 1 or self._read_at == self._started
        return is_recent and is_shared and self._read_at <= download.sent_at

    def _lags(self, download: Download) -> bool:
        """Whether a request has taken so long that the list is faster."""
        return self._loop.time() - download.sent_at >= self._lag_limit()

    def _rank(self, download: Download) -> int:
        """Return the rank in the queue: first the list, then unsent numbers, retries and suspects.

        A number is a suspect if its connection ended during an attempt, because it may be the
        cause.
        """
        if download is self.list:
            return -1
        return (RETRY if download.requests else FIRST) + download.disconnected

    def _company(self, download: Download) -> int:
        """Return how many requests may be in flight together, including this one.

        Each attempt during which the connection ended halves the number.
        """
        if download.disconnected == 0:
            return self.policy.concurrency
        return max(1, self.at_once >> download.disconnected)

    def _is_alone(self, download: Download) -> bool:
        return self.at_once >> download.disconnected == 0

    def _has_only_stragglers(self) -> bool:
        max_stragglers = max(1, int(len(self.numbers) * self.policy.straggler_share))
        if self._left > max_stragglers or self._left == len(self.numbers):
            return False
        return all(download.requests for download in self.numbers if not download.settled)

    def _note_freeze(self) -> float:
        """Note when a freeze has ended. Return the end of the last one, or the fetch's start."""
        now = self._loop.time()
        if now - self._checked_at > FREEZE_SECONDS:
            self._woke_at = now
        self._checked_at = now
        return self._woke_at


def _download(number: int, position: int) -> Download:
    paths = [path.format(number) for path in PATHS]
    return Download(number, paths, partial(_decode, number=number), position)


def _decode(content: bytes | bytearray, number: int) -> str | None:
    """Return the name in a number's body, or None if the body says that there is no such number."""
    try:
        return decode_name(content, number)
    except Exception:
        if is_missing(content):
            return None
        raise
