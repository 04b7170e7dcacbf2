"""The DynamoDB table of names that all environments share: an item a number, with its `name`, `fresh_until` and `ttl`.

Blocking. boto3 takes 0.3 s to import and to make a client, so that happens when the table is first used.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from random import uniform
from time import sleep
from typing import Any

from pokemon_names.cache import Known, TableError

MOST_KEYS, MOST_ITEMS = 100, 25  # of one BatchGetItem, and of one BatchWriteItem
BATCHES_AT_ONCE = 8
ROUNDS, FIRST_WAIT = 4, 0.05  # for what DynamoDB leaves unprocessed; the wait, in seconds, doubles
KEPT_SECONDS = 30 * 24 * 3600  # once expired, for when PokeAPI fails; then DynamoDB deletes it
CONNECT_SECONDS = READ_SECONDS = 0.5

_Answer = Mapping[str, Any]


class Table:
    """The table of that name, in this function's region and with its permissions; `thread` is for calling it in."""

    def __init__(self, name: str) -> None:
        self._name = name
        # Of its own: asyncio.run waits for its default threads, and a table that hangs would hold up the reply.
        self.thread = ThreadPoolExecutor(1)

    def load(self, numbers: Sequence[int]) -> Iterator[tuple[int, Known]]:
        """Give each number that the table knows; raises TableError at the end."""
        keys = [{"number": {"N": str(number)}} for number in numbers]
        requests = [{self._name: {"Keys": batch}} for batch in _batches(keys, MOST_KEYS)]
        bad = 0
        for answer in self._send(self._client.batch_get_item, requests, "UnprocessedKeys"):
            for item in answer["Responses"][self._name]:
                try:
                    yield _known(item)
                except (KeyError, ValueError):
                    bad += 1
        if bad:
            raise TableError(f"{bad} malformed items")

    def save(self, known: Mapping[int, Known]) -> None:
        """Write names; raises TableError for those that DynamoDB would not take."""
        puts = [{"PutRequest": {"Item": _item(number, entry)}} for number, entry in known.items()]
        requests = [{self._name: batch} for batch in _batches(puts, MOST_ITEMS)]
        for _ in self._send(self._client.batch_write_item, requests, "UnprocessedItems"):
            pass

    @cached_property
    def _client(self) -> Any:
        import boto3  # noqa: PLC0415
        from botocore.config import Config  # noqa: PLC0415

        retries = {"mode": "standard", "total_max_attempts": 2}
        config = Config(connect_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS, retries=retries)
        return boto3.client("dynamodb", config=config)

    def _send(self, call: Callable[..., _Answer], requests: Iterable[_Answer], unprocessed: str) -> Iterator[_Answer]:
        """Send several at once; gives the answers in turn, and raises TableError at the end for what is left over."""
        left = 0
        with ThreadPoolExecutor(BATCHES_AT_ONCE) as threads:
            for answers in threads.map(lambda request: _insist(call, request, unprocessed), requests):
                yield from answers
                left += bool(answers[-1][unprocessed])
        if left:
            raise TableError(f"{left} batches with {unprocessed} to the end")


def _insist(call: Callable[..., _Answer], request: _Answer, unprocessed: str) -> Sequence[_Answer]:
    answers = [call(RequestItems=request)]
    for attempt in range(ROUNDS):
        if not answers[-1][unprocessed]:
            break
        sleep(uniform(0.5, 1) * FIRST_WAIT * 2**attempt)  # noqa: S311
        answers.append(call(RequestItems=answers[-1][unprocessed]))
    return answers


def _batches(values: Sequence[_Answer], size: int) -> Iterator[Sequence[_Answer]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]


def _known(item: _Answer) -> tuple[int, Known]:
    name = item["name"]["S"]
    if not name:
        raise ValueError("a name has a character at least")
    return int(item["number"]["N"]), Known(name, float(item["fresh_until"]["N"]))


def _item(number: int, known: Known) -> _Answer:
    return {
        "number": {"N": str(number)},
        "name": {"S": known.name},
        "fresh_until": {"N": str(known.fresh_until)},
        "ttl": {"N": str(int(known.fresh_until) + KEPT_SECONDS)},
    }
