"""The strategies: four ways to fetch the same names, from one at a time to all at once.

gather      all requests at once, in roughly the time of the longest one
sequential  one request after another, each awaited
sync        the same, but with a blocking client in a thread
index       a single request, for the list of all Pokémon
"""

import asyncio
from collections.abc import Iterator

from pokemon_names.fetching.cache import Cache
from pokemon_names.fetching.fetcher import Download, Fetcher
from pokemon_names.fetching.policy import Policy
from pokemon_names.fetching.window import Window
from pokemon_names.http.client import Clients
from pokemon_names.model import Failure, Fetched, Request, Result

MAX_IN_A_ROW = 3  # attempts at one number, before it is the turn of the next

Results = dict[int, Result]


async def run(strategy: str, fetcher: Fetcher) -> None:
    """Fetch all numbers with a strategy. Unforeseen errors are raised once all are settled."""
    match strategy:
        case "gather":
            fetcher.at_once = min(fetcher.policy.concurrency, len(fetcher.numbers))
            downloads = [fetcher.list, *fetcher.numbers]
            ended = await asyncio.gather(*map(fetcher.fetch, downloads), return_exceptions=True)
            for error in filter(None, ended):
                if isinstance(error, Exception):
                    raise error
        case "sequential":
            for download in one_at_a_time(fetcher):
                await fetcher.request(download)
        case "sync":
            for download in one_at_a_time(fetcher):
                await fetcher.request(download, in_thread=True)
        case _:  # index
            fetcher.look_up_all()
            await fetcher.fetch(fetcher.list)


def one_at_a_time(fetcher: Fetcher) -> Iterator[Download]:
    """Yield the download to attempt next, slow ones last, until all are settled."""
    while downloads := fetcher.next_downloads():
        for download in downloads:
            for _ in range(MAX_IN_A_ROW):
                if download.settled or download.waits:
                    break
                yield download
                if fetcher.is_slow(download):
                    break
            if fetcher.wants_list():
                yield fetcher.list


async def fetch(  # noqa: PLR0913, PLR0917  the request, what outlives it, and its limits
    request: Request,
    clients: Clients,
    cache: Cache,
    window: Window,
    deadline: float,
    policy: Policy,
) -> Fetched:
    """Return a result for every number of the request.

    Args:
        request: The numbers, and the strategy to fetch them with.
        clients: The httpx clients.
        cache: The results that are known already.
        window: The limit on requests in flight, which several fetches may share.
        deadline: The latest time to return, in seconds of `time.monotonic`, which is also the
            clock of the event loop.
        policy: The limits and delays.
    """
    loop = asyncio.get_running_loop()
    started = loop.time()
    cached: Results = {}
    expired: Results = {}
    if not request.fresh:
        cached, expired = await cache.load(request.numbers, deadline)
    missing = [number for number in request.numbers if number not in cached]
    fetcher = Fetcher(missing, clients, window, policy, started, deadline)
    try:
        if missing:
            await fetcher.run(run(request.strategy, fetcher))
    finally:
        fetched = dict(zip(missing, fetcher.results(), strict=True))
        is_listed = fetcher.list.body is not None
        await cache.save(fetched.values(), is_listed=is_listed)
    stale: Results = {}
    for number, result in fetched.items():
        is_doubtful = isinstance(result, Failure) and (result.retryable or not is_listed)
        if is_doubtful and number in expired:
            stale[number] = expired[number]
    results = cached | fetched | stale
    return Fetched(
        [results[number] for number in request.numbers],
        fetcher.attempts,
        total_ms=(loop.time() - started) * 1000,
        cached=len(cached),
        stale=len(stale),
        listed=fetcher.listed,
    )
