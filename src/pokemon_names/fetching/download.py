"""A number on the way to its name."""

import msgspec

from pokemon_names.fetching.attempt_error import AttemptError
from pokemon_names.fetching.pokeapi import Body


class Download(msgspec.Struct):
    """What a strategy fetches: a number's name, or the list of all, whose number is None.

    It is settled when its body has come, or when there are no more attempts. `unreadable` counts
    attempts, `disconnected` connections that ended under it. Times are in seconds of
    `time.monotonic`, but for `ready_ms`, which is Attempt's.
    """

    number: int | None
    path: str
    body_type: type[Body]
    attempts: int = 0
    unreadable: int = 0
    disconnected: int = 0
    ready_ms: float = 0.0
    retry_at: float = 0.0
    failed_at: float = 0.0
    error: AttemptError | None = None
    body: Body | None = None
    settled: bool = False
