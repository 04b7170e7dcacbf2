"""Which download's request is next in the window, and what its errors mean to all others.

When a connection ends with many requests on it, any of them may be what ended it. Each of them goes
on with half as many others as before, so that such a request is soon alone, and then its error is
its own. window.py has how many requests are in flight, attempt_error.py which error is which.
"""

import msgspec

from pokemon_names.fetching.attempt_error import AttemptError
from pokemon_names.fetching.download import Download
from pokemon_names.fetching.retry import OWN_RETRIES
from pokemon_names.fetching.window import Window


class Admission:
    """The window, as the downloads of one fetch use it.

    `at_once` is how many of them the strategy sends together. `service_error` is the last one that
    was no number's own, None while there is none.
    """

    def __init__(self, window: Window, at_once: int) -> None:
        self.service_error: AttemptError | None = None
        self._window = window
        self._at_once = at_once

    async def acquire(self, download: Download) -> None:
        """Wait until the download's request may be sent."""
        await self._window.acquire(_rank(download), self._max_in_flight(download))

    def release(self) -> None:
        """Let the next request in."""
        self._window.release()

    def answered(self) -> None:
        """Note a response that brought a name."""
        self._window.answered()

    def failed(self, download: Download, error: AttemptError, sent_at: float) -> AttemptError:
        """Note the error of a request, and return what it means to its number.

        Args:
            download: What the request was for.
            error: What it brought.
            sent_at: When it was sent, in seconds of `time.monotonic`.
        """
        match error.kind:
            case "unreadable" | "permanent":
                self._window.answered()
            case "unprocessed":
                self.service_error = self.service_error or error
                self._window.disconnected(sent_at)
            case "disconnected":
                self.service_error = error
                self._window.disconnected(sent_at)
                download.disconnected += 1
                if self._company(download) > 0:
                    return error
                return msgspec.structs.replace(error, kind="service")
            case _:
                self.service_error = error
                if not self._is_its_own(download):
                    self._window.failed(sent_at)
        return error

    def _max_in_flight(self, download: Download) -> int:
        if download.disconnected == 0:
            return self._window.size
        return max(1, self._company(download))

    def _company(self, download: Download) -> int:
        """Return how many requests a download goes with: half for each connection that ended."""
        return self._at_once >> download.disconnected

    def _is_its_own(self, download: Download) -> bool:
        """Whether a number fails again and again while PokeAPI answers others."""
        has_failed_often = download.attempts > OWN_RETRIES
        return has_failed_often and download.failed_at < self._window.answered_at


def _rank(download: Download) -> int:
    """Return who goes first: retries, then what was not sent yet, then what may end connections."""
    if download.disconnected:
        return download.disconnected
    if 0 < download.attempts <= OWN_RETRIES:
        return -1
    return 0
