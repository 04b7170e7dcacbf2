"""The DynamoDB table of names: one item per number, with `name`, `fresh_until` and `ttl`.

Importing boto3 and making a client takes a quarter of a second. This happens during init, so it
does not use up the second that a call of the table may take, and SnapStart's snapshot includes the
client.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from random import SystemRandom
from time import sleep
from typing import Any

from pokemon_names.model import CachedName

MAX_KEYS = 100  # in one BatchGetItem
MAX_ITEMS = 25  # in one BatchWriteItem
MAX_BATCHES = 8  # in flight at the same time
MAX_RETRIES = 4  # of the keys or items that DynamoDB leaves unprocessed
FIRST_DELAY = 0.05  # seconds before the first retry; it doubles
EXPIRED_SECONDS = 30 * 24 * 3600  # how long an expired name is kept, in case PokeAPI fails
CONNECT_TIMEOUT = 0.5
READ_TIMEOUT = 0.5

# Not `random.uniform`: environments restored from one snapshot share its state, so they would all
# wait equally long.
_uniform = SystemRandom().uniform

Names = dict[int, CachedName]
OnError = Callable[[Exception], None]
_Answer = Mapping[str, Any]
_Call = Callable[..., _Answer]


class TableError(Exception):
    """Some items could not be read or written. The others were."""


class Table:
    """The table with the given name, in the function's region. Its methods block."""

    def __init__(self, name: str) -> None:
        import boto3  # noqa: PLC0415  not needed without a table
        from botocore.config import Config  # noqa: PLC0415

        config = Config(
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=READ_TIMEOUT,
            retries={"mode": "standard", "total_max_attempts": 2},
        )
        self._name = name
        self._client = boto3.client("dynamodb", config=config)

    def load(self, numbers: Sequence[int], on_error: OnError) -> Names:
        """Return the names in the table. Report malformed items and unprocessed keys to `on_error`.

        Raises:
            botocore.exceptions.ClientError: DynamoDB refuses the request.
        """
        keys = list(map(_key, numbers))
        batches = [{self._name: {"Keys": batch}} for batch in _split(keys, MAX_KEYS)]
        answers = self._send(self._client.batch_get_item, batches, "UnprocessedKeys", on_error)
        names: Names = {}
        malformed = 0
        for answer in answers:
            for item in answer["Responses"][self._name]:
                try:
                    number, name = _parse(item)
                except (KeyError, ValueError):
                    malformed += 1
                else:
                    names[number] = name
        if malformed:
            on_error(TableError(f"{malformed} malformed items"))
        return names

    def save(self, names: Names, on_error: OnError) -> None:
        """Write names. Report items that DynamoDB leaves unprocessed to `on_error`.

        Raises:
            botocore.exceptions.ClientError: DynamoDB refuses the request.
        """
        puts = []
        for number, name in names.items():
            item = _item(number, name)
            puts.append({"PutRequest": {"Item": item}})
        batches = [{self._name: batch} for batch in _split(puts, MAX_ITEMS)]
        self._send(self._client.batch_write_item, batches, "UnprocessedItems", on_error)

    def _send(
        self,
        call: _Call,
        batches: Sequence[_Answer],
        unprocessed: str,
        on_error: OnError,
    ) -> list[_Answer]:
        """Send all batches, several at the same time, and return the answers."""
        send = partial(_send_batch, call, unprocessed)
        answers: list[_Answer] = []
        left = 0
        with ThreadPoolExecutor(MAX_BATCHES) as threads:
            for answers_of_batch in threads.map(send, batches):
                answers.extend(answers_of_batch)
                if answers_of_batch[-1][unprocessed]:
                    left += 1
        if left:
            on_error(
                TableError(f"{unprocessed} in {left} of {len(batches)} batches after all retries")
            )
        return answers


def _send_batch(call: _Call, unprocessed: str, batch: _Answer) -> list[_Answer]:
    """Send a batch with its retries, and return the answers. The last may still be incomplete."""
    answers = [call(RequestItems=batch)]
    for attempt in range(MAX_RETRIES):
        left = answers[-1][unprocessed]
        if not left:
            break
        sleep(_uniform(0.5, 1) * FIRST_DELAY * 2**attempt)
        answers.append(call(RequestItems=left))
    return answers


def _split(values: Sequence[_Answer], size: int) -> list[Sequence[_Answer]]:
    starts = range(0, len(values), size)
    return [values[start : start + size] for start in starts]


def _key(number: int) -> _Answer:
    return {"number": {"N": str(number)}}


def _parse(item: _Answer) -> tuple[int, CachedName]:
    number = int(item["number"]["N"])
    name = item["name"]["S"]
    fresh_until = float(item["fresh_until"]["N"])
    if not name:
        raise ValueError("a name has at least one character")
    return number, CachedName(name, fresh_until)


def _item(number: int, name: CachedName) -> _Answer:
    delete_at = int(name.fresh_until) + EXPIRED_SECONDS
    return {
        "number": {"N": str(number)},
        "name": {"S": name.name},
        "fresh_until": {"N": str(name.fresh_until)},
        "ttl": {"N": str(delete_at)},
    }
