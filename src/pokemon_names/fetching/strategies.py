"""The strategies: four programs that fetch the same names, from one request to all at once.

gather      all requests at once: the total time is roughly that of the longest
sequential  one request after another, each awaited
sync        the same with a blocking client, in a thread
index       one request for the list of all Pokémon
"""

import asyncio
import math
from collections.abc import Iterator, Sequence
from time import monotonic, perf_counter

from pokemon_names.fetching.admission import Admission
from pokemon_names.fetching.cache import Cache
from pokemon_names.fetching.client import Clients
from pokemon_names.fetching.download import Download
from pokemon_names.fetching.fetcher import Fetcher
from pokemon_names.fetching.patience import Patience
from pokemon_names.fetching.pokeapi import INDEX_PATH, Index, Pokemon, pokemon_path
from pokemon_names.fetching.retry import MAX_DELAY
from pokemon_names.fetching.window import Window
from pokemon_names.model import Failure, Fetched, Found, Request, Result

MAX_IN_A_ROW = 3  # attempts for a number, one at a time, before it is the others' turn


Results = dict[int, Result]


async def run(strategy: str, fetcher: Fetcher, downloads: Sequence[Download]) -> None:
    """Fetch all downloads by a strategy."""
    match strategy:
        case "gather":
            await asyncio.gather(*map(fetcher.download, downloads))
        case "sequential":
            for download in one_at_a_time(downloads):
                await fetcher.attempt(download)
        case "sync":
            for download in one_at_a_time(downloads):
                await fetcher.attempt_in_thread(download)
        case _:  # index
            await fetcher.download(downloads[0])


def one_at_a_time(downloads: Sequence[Download]) -> Iterator[Download]:
    """Yield the download that is attempted next, until all are settled; slow ones come last."""
    left = downloads
    while left:
        for download in left:
            for _ in range(MAX_IN_A_ROW):
                yield download
                if download.settled or _is_slow(download):
                    break
        left = [download for download in left if not download.settled]
        left.sort(key=_is_slow)


async def fetch(  # noqa: PLR0913, PLR0917  what lives longer than a request, and its time
    request: Request,
    clients: Clients,
    cache: Cache,
    window: Window,
    deadline: float,
    straggler_timeout: float = math.inf,
) -> Fetched:
    """Return a result for every number of the request.

    Args:
        request: What is asked for.
        clients: The httpx clients.
        cache: The names that are known.
        window: How many requests may be in flight.
        deadline: When it returns at the latest, in seconds of `time.monotonic`.
        straggler_timeout: Seconds for the last tenth of the numbers; see Patience.
    """
    started = perf_counter()
    fresh: Results = {}
    expired: dict[int, Found] = {}
    if not request.fresh:
        fresh, expired = await cache.load(request.numbers, deadline)
    uncached = [number for number in request.numbers if number not in fresh]
    downloads = _downloads(request.strategy, uncached)
    at_once = 1
    if request.strategy == "gather":
        at_once = min(window.size, len(downloads))
    admission = Admission(window, at_once)
    patience = Patience(downloads, window, deadline, straggler_timeout)
    fetcher = Fetcher(downloads, clients, admission, patience, started)
    if downloads:
        await patience.wait(run(request.strategy, fetcher, downloads))
    fetched = _results(fetcher, downloads, uncached)
    await cache.save(fetched.values())
    stale = _stale(fetched, expired)
    results = fresh | fetched | stale
    return Fetched(
        [results[number] for number in request.numbers],
        fetcher.attempts,
        total_ms=fetcher.elapsed_ms(),
        cached=len(fresh),
        stale=len(stale),
    )


def _downloads(strategy: str, numbers: Sequence[int]) -> list[Download]:
    if not numbers:
        return []
    if strategy == "index":
        return [Download(None, INDEX_PATH, Index)]
    return [Download(number, pokemon_path(number), Pokemon) for number in numbers]


def _results(fetcher: Fetcher, downloads: Sequence[Download], numbers: Sequence[int]) -> Results:
    results: Results = {}
    for download in downloads:
        if download.number is None:
            return _index_results(fetcher, download, numbers)
        if isinstance(download.body, Pokemon):
            results[download.number] = Found(download.number, download.body.name)
        else:
            results[download.number] = fetcher.failure(download, download.number)
    return results


def _stale(fetched: Results, expired: dict[int, Found]) -> Results:
    """Return the expired names of the numbers that PokeAPI fails to bring."""
    stale: Results = {}
    for number, result in fetched.items():
        if isinstance(result, Failure) and result.retryable and number in expired:
            stale[number] = expired[number]
    return stale


def _index_results(fetcher: Fetcher, download: Download, numbers: Sequence[int]) -> Results:
    if not isinstance(download.body, Index):
        return {number: fetcher.failure(download, number) for number in numbers}
    names = {entry.number: entry.name for entry in download.body.results}
    results: Results = {}
    for number in numbers:
        if number in names:
            results[number] = Found(number, names[number])
        else:
            detail = "not in the list of all Pokémon"
            results[number] = Failure(number, "not_found", None, attempts=1, detail=detail)
    return results


def _is_slow(download: Download) -> bool:
    """Whether a download would delay the others for long."""
    if download.error is None:
        return False
    return download.error.reason == "timeout" or download.retry_at > monotonic() + MAX_DELAY
