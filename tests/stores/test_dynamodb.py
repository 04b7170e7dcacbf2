"""The shared table, in moto's DynamoDB."""

import asyncio
import json
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from pokemon_names.fetching import cache as cache_module
from pokemon_names.fetching.cache import Cache
from pokemon_names.model import Failure, Found
from pokemon_names.stores import dynamodb
from pokemon_names.stores.dynamodb import Table
from tests.conftest import NO_RETRIES, Capture, LoadApp, account, fetch_range
from tests.test_telemetry import Output
from tests.tools.invoke import Context
from tests.tools.pokeapi import PokeAPI, answers

NAME = "names"
WEEK = 604_800.0

# Returns the cache of a new Lambda environment, with an empty memory and the same table.
NewCache = Callable[[], Cache]


@pytest.fixture(scope="module")
def shared_table() -> Iterator[Any]:
    with account():
        yield boto3.resource("dynamodb").create_table(
            TableName=NAME,
            KeySchema=[{"AttributeName": "number", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "number", "AttributeType": "N"}],
            BillingMode="PAY_PER_REQUEST",
        )


@pytest.fixture
def table(shared_table: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Empty the table that all tests share, and return it as a boto3 resource."""
    # Other tests that run at the same time may slow this one down.
    monkeypatch.setattr(cache_module, "TABLE_TIMEOUT", 10.0)
    monkeypatch.setattr(dynamodb, "FIRST_DELAY", 0.001)
    with shared_table.batch_writer() as writer:
        for item in shared_table.scan()["Items"]:
            writer.delete_item(Key={"number": item["number"]})
    return shared_table


@pytest.fixture
def errors() -> list[Exception]:
    """Return the errors that caches report during the test."""
    return []


@pytest.fixture
def new_cache(table: Any, errors: list[Exception]) -> NewCache:  # noqa: ARG001  so that it exists
    return lambda: Cache(WEEK, Table(NAME), errors.append)


async def test_a_name_fetched_in_one_environment_is_known_in_all_others(
    pokeapi: PokeAPI, url: str, new_cache: NewCache, table: Any, errors: list[Exception]
) -> None:
    more_than_a_batch: Any = {"range": "1-101", "strategy": "index"}
    first = await fetch_range(url, cache=new_cache(), **more_than_a_batch)
    second = await fetch_range(url, cache=new_cache(), **more_than_a_batch)
    assert second.results == first.results
    assert second.cached == 101
    assert pokeapi.requests == 1
    assert errors == []
    item = table.get_item(Key={"number": 1})["Item"]
    assert item["name"] == "bulbasaur"
    assert item["ttl"] == int(item["fresh_until"]) + 30 * 24 * 3600


class ReplacedCall:
    """A replaced method of a table's boto3 client.

    It calls `answer` with this object, which has the real method, and with the request.
    """

    def __init__(self, table: Table, call: str, answer: Callable[..., Any]) -> None:
        client = table._client  # noqa: SLF001  boto3's own
        self.real = getattr(client, call)
        self.calls = 0
        self._answer = answer
        setattr(client, call, self)

    def __call__(self, **request: Any) -> Any:
        self.calls += 1
        return self._answer(self, **request)


@pytest.mark.usefixtures("table")
async def test_fresh_names_in_memory_are_not_read_from_the_table(url: str) -> None:
    table = Table(NAME)
    cache = Cache(WEEK, table)
    await fetch_range(url, cache=cache, range="1-3")
    read = ReplacedCall(table, "batch_get_item", lambda call, **request: call.real(**request))
    assert (await fetch_range(url, cache=cache, range="1-3")).cached == 3
    assert read.calls == 0
    await fetch_range(url, cache=cache, range="1-4")
    assert read.calls == 1


async def test_numbers_that_do_not_exist_are_not_stored_in_the_table(
    url: str, new_cache: NewCache, table: Any
) -> None:
    await fetch_range(url, cache=new_cache(), range="1026-1030")
    assert table.scan()["Items"] == []


async def test_an_expired_item_is_served_while_pokeapi_fails(
    pokeapi: PokeAPI, url: str, new_cache: NewCache, table: Any
) -> None:
    table.put_item(Item={"number": 1, "name": "bulbasaur", "fresh_until": 1, "ttl": 2})
    pokeapi.answers = {1: answers.status(500), PokeAPI.LIST: answers.status(403)}
    fetched = await fetch_range(url, cache=new_cache(), policy=NO_RETRIES, range="1")
    assert fetched.results == [Found(1, "bulbasaur")]
    assert fetched.cached == 0
    assert fetched.stale == 1


async def test_malformed_items_are_skipped_and_replaced(
    pokeapi: PokeAPI, url: str, new_cache: NewCache, table: Any, errors: list[Exception]
) -> None:
    good = {"number": 1, "name": "bulbasaur", "fresh_until": 9_999_999_999, "ttl": 9_999_999_999}
    items = [
        good,
        {**good, "number": 2, "name": 7},
        {**good, "number": 3, "fresh_until": "soon"},
        {"number": 4},
        {**good, "number": 5, "name": ""},
    ]
    for item in items:
        table.put_item(Item=item)
    fetched = await fetch_range(url, cache=new_cache(), range="1-5")
    assert [type(result) for result in fetched.results] == [Found] * 5
    assert [result.number for result in fetched.results] == [1, 2, 3, 4, 5]
    assert fetched.cached == 1
    assert pokeapi.requests == 4
    assert [str(error) for error in errors] == ["4 malformed items"]
    assert (await fetch_range(url, cache=new_cache(), range="1-5")).cached == 5


def put_three(call: ReplacedCall, **request: Any) -> Any:
    items = request["RequestItems"][NAME]
    answer = call.real(RequestItems={NAME: items[:3]})
    if items[3:]:
        answer["UnprocessedItems"] = {NAME: items[3:]}
    return answer


def get_three(call: ReplacedCall, **request: Any) -> Any:
    keys = request["RequestItems"][NAME]["Keys"]
    answer = call.real(RequestItems={NAME: {"Keys": keys[:3]}})
    if keys[3:]:
        answer["UnprocessedKeys"] = {NAME: {"Keys": keys[3:]}}
    return answer


async def test_unprocessed_keys_and_items_are_retried(
    url: str, table: Any, pokeapi: PokeAPI, errors: list[Exception]
) -> None:
    """DynamoDB may process any part of a batch."""
    writer = Table(NAME)
    write = ReplacedCall(writer, "batch_write_item", put_three)
    await fetch_range(url, cache=Cache(WEEK, writer, errors.append), range="1-10")
    assert table.scan()["Count"] == 10
    assert write.calls == 4
    reader = Table(NAME)
    read = ReplacedCall(reader, "batch_get_item", get_three)
    fetched = await fetch_range(url, cache=Cache(WEEK, reader, errors.append), range="1-10")
    assert fetched.cached == 10
    assert read.calls == 4
    assert pokeapi.requests == 10
    assert errors == []


def get_none(_: ReplacedCall, **request: Any) -> Any:
    return {"Responses": {NAME: []}, "UnprocessedKeys": request["RequestItems"]}


async def test_keys_that_stay_unprocessed_are_fetched(
    url: str, new_cache: NewCache, errors: list[Exception]
) -> None:
    await fetch_range(url, cache=new_cache(), range="1-3")
    table = Table(NAME)
    read = ReplacedCall(table, "batch_get_item", get_none)
    fetched = await fetch_range(url, cache=Cache(WEEK, table, errors.append), range="1-3")
    assert len(fetched.results) == 3
    assert fetched.cached == 0
    assert read.calls == 5
    assert [str(error) for error in errors] == [
        "UnprocessedKeys in 1 of 1 batches after all retries"
    ]


def put_none(_: ReplacedCall, **request: Any) -> Any:
    return {"UnprocessedItems": request["RequestItems"]}


async def test_items_that_stay_unprocessed_are_reported(
    url: str, table: Any, errors: list[Exception]
) -> None:
    writer = Table(NAME)
    ReplacedCall(writer, "batch_write_item", put_none)
    cache = Cache(WEEK, writer, errors.append)
    fetched = await fetch_range(url, cache=cache, range="1-51", strategy="index")
    assert len(fetched.results) == 51
    assert table.scan()["Count"] == 0
    assert [str(error) for error in errors] == [
        "UnprocessedItems in 3 of 3 batches after all retries"
    ]


async def test_environments_restored_from_one_snapshot_wait_differently(
    url: str, table: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(dynamodb, "sleep", waits.append)
    for _ in range(2):
        random.seed(1)  # SnapStart restores the same state in all environments
        writer = Table(NAME)
        ReplacedCall(writer, "batch_write_item", put_three)
        await fetch_range(url, cache=Cache(WEEK, writer), range="1-10")
    assert table.scan()["Count"] == 10
    assert waits[:3] != waits[3:]
    for index, seconds in enumerate(waits):
        longest = dynamodb.FIRST_DELAY * 2 ** (index % 3)
        assert longest / 2 <= seconds <= longest


def refuse(code: str) -> Callable[..., Any]:
    """Return a function that refuses a call with this error code, as DynamoDB does."""

    def answer(*_: Any, **__: Any) -> Any:
        raise ClientError({"Error": {"Code": code, "Message": "no"}}, "BatchGetItem")

    return answer


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("batch_get_item", "ProvisionedThroughputExceededException"),
        ("batch_write_item", "AccessDeniedException"),
    ],
)
async def test_a_table_that_refuses_is_skipped_and_then_paused(
    url: str, table: Any, errors: list[Exception], call: str, code: str
) -> None:
    refusing = Table(NAME)
    refused = ReplacedCall(refusing, call, refuse(code))
    cache = Cache(WEEK, refusing, errors.append)
    for number in range(1, 4):
        fetched = await fetch_range(url, cache=cache, range=str(number))
        assert len(fetched.attempts) == 1
    assert refused.calls == 1
    (error,) = errors
    assert code in str(error)
    assert table.scan()["Count"] == 0


@pytest.mark.usefixtures("table")
async def test_a_table_that_does_not_exist_is_skipped(url: str, errors: list[Exception]) -> None:
    cache = Cache(WEEK, Table("nowhere"), errors.append)
    fetched = await fetch_range(url, cache=cache, range="1")
    assert fetched.results == [Found(1, "bulbasaur")]
    assert "ResourceNotFoundException" in str(errors[0])


@pytest.mark.usefixtures("table")
def test_a_table_that_hangs_delays_neither_the_fetch_nor_the_reply(
    url: str, errors: list[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    table = Table(NAME)
    ReplacedCall(table, "batch_get_item", lambda *_, **__: go_on.wait())
    monkeypatch.setattr(cache_module, "TABLE_TIMEOUT", 0.1)
    fetched = asyncio.run(fetch_range(url, cache=Cache(WEEK, table, errors.append), range="1"))
    go_on.set()
    assert fetched.results == [Found(1, "bulbasaur")]
    assert [type(error) for error in errors] == [TimeoutError]


@pytest.mark.usefixtures("table")
async def test_a_table_is_paused_only_if_it_had_its_full_time(
    errors: list[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_module, "monotonic", lambda: 0.0)
    go_on = threading.Event()

    def get_late(call: ReplacedCall, **request: Any) -> Any:
        go_on.wait()
        return call.real(**request)

    table = Table(NAME)
    read = ReplacedCall(table, "batch_get_item", get_late)
    cache = Cache(WEEK, table, errors.append)
    await cache.load([1], deadline=0.1)
    assert [type(error) for error in errors] == [TimeoutError]
    await cache.load([2], deadline=0.0)
    go_on.set()
    await cache.load([3], deadline=60.0)
    assert read.calls == 2
    assert len(errors) == 1


async def test_an_item_has_room_for_the_longest_name(
    url: str, pokeapi: PokeAPI, table: Any, new_cache: NewCache, errors: list[Exception]
) -> None:
    longest = {"name": "\U0001f98e" * 100}
    longer = {"name": "x" * 101}
    pokeapi.answers[1] = answers.json(json.dumps(longest, ensure_ascii=False))
    pokeapi.answers[2] = answers.json(json.dumps(longer))
    pokeapi.answers[PokeAPI.LIST] = answers.status(404)
    fetched = await fetch_range(url, cache=new_cache(), range="1-2")
    assert [type(result) for result in fetched.results] == [Found, Failure]
    assert table.scan()["Count"] == 1
    assert errors == []


@pytest.mark.usefixtures("table")
def test_an_error_is_logged_and_counted(load_app: LoadApp, capsys: Capture) -> None:
    report = load_app(NAMES_TABLE="nowhere").handler({"range": "1"}, Context())
    assert report["complete"] is True
    assert report["names"] == ["bulbasaur"]
    output = Output(capsys.readouterr().out)
    line, *_ = output.logs
    assert line["level"] == "WARNING"
    assert line["message"] == "cache failed"
    assert line["error"].startswith("ResourceNotFoundException(")
    assert output.values("CacheFaults") == [1]
    metrics = output.metrics[0]["_aws"]["CloudWatchMetrics"][0]["Metrics"]
    assert {"Name": "CacheFaults", "Unit": "Count"} in metrics


def test_an_invocation_uses_the_table(table: Any, load_app: LoadApp, pokeapi: PokeAPI) -> None:
    for _ in range(2):
        app = load_app(NAMES_TABLE=NAME)
        assert app.handler({"range": "1-3"}, Context())["count"] == 3
    assert table.scan()["Count"] == 3
    assert pokeapi.requests == 3


def test_the_client_is_made_at_init(
    table: Any, load_app: LoadApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = load_app(NAMES_TABLE=NAME)
    monkeypatch.delattr(boto3, "client")
    app.handler({"range": "1-3"}, Context())
    assert table.scan()["Count"] == 3


@pytest.mark.usefixtures("table")
def test_the_client_times_out_soon() -> None:
    config = Table(NAME)._client.meta.config  # noqa: SLF001
    assert config.connect_timeout == 0.5
    assert config.read_timeout == 0.5
    assert config.retries == {"mode": "standard", "total_max_attempts": 2}
