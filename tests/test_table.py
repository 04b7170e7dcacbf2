"""The shared table, in moto's DynamoDB."""

import json
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from pokemon_names import cache as cache_module
from pokemon_names import table as table_module
from pokemon_names.cache import Cache
from pokemon_names.outcome import Failed, Found
from pokemon_names.table import Table
from tests.conftest import fetched
from tests.tools.invoke import Context
from tests.tools.pokeapi import PokeAPI, answers

NAME = "names"
WEEK = 604800.0


@pytest.fixture
def table(aws: None, monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ARG001
    """Make the table; gives boto3's own view of it."""
    monkeypatch.setattr(cache_module, "TABLE_SECONDS", 10.0)  # importing boto3 among other tests
    monkeypatch.setattr(table_module, "FIRST_WAIT", 0.001)
    return boto3.resource("dynamodb").create_table(
        TableName=NAME,
        KeySchema=[{"AttributeName": "number", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "number", "AttributeType": "N"}],
        BillingMode="PAY_PER_REQUEST",
    )


@pytest.fixture
def faults() -> list[Exception]:
    return []


@pytest.fixture
def environment(table: Any, faults: list[Exception]) -> Callable[[], Cache]:  # noqa: ARG001
    """Give the cache of a new Lambda environment: its memory is empty, the table is what it was."""
    return lambda: Cache(WEEK, Table(NAME), faults.append)


Environment = Callable[[], Cache]


async def test_a_name_fetched_in_one_environment_is_known_in_all(
    pokeapi: PokeAPI, url: str, environment: Environment, table: Any, faults: list[Exception]
) -> None:
    first = await fetched(url, cache=environment(), range="1-150")
    second = await fetched(url, cache=environment(), range="1-150")
    assert second.outcomes == first.outcomes
    assert (second.cached, pokeapi.requests, faults) == (150, 150, [])
    item = table.get_item(Key={"number": 1})["Item"]
    assert item["name"] == "bulbasaur"
    assert item["ttl"] == int(item["fresh_until"]) + 30 * 24 * 3600


async def test_numbers_that_do_not_exist_stay_out_of_it(url: str, environment: Environment, table: Any) -> None:
    await fetched(url, cache=environment(), range="1026-1030")
    assert table.scan()["Items"] == []


async def test_an_expired_item_serves_while_pokeapi_fails(
    pokeapi: PokeAPI, url: str, environment: Environment, table: Any
) -> None:
    table.put_item(Item={"number": 1, "name": "bulbasaur", "fresh_until": 1, "ttl": 2})
    pokeapi.answers[1] = answers.status(500)
    result = await fetched(url, cache=environment(), range="1")
    assert (result.outcomes, result.cached, result.stale) == ([Found(1, "bulbasaur")], 0, 1)


async def test_malformed_items_are_passed_over_and_mended(
    pokeapi: PokeAPI, url: str, environment: Environment, table: Any, faults: list[Exception]
) -> None:
    good = {"number": 1, "name": "bulbasaur", "fresh_until": 9_999_999_999, "ttl": 9_999_999_999}
    for item in (
        good,
        {**good, "number": 2, "name": 7},
        {**good, "number": 3, "fresh_until": "soon"},
        {"number": 4},
        {**good, "number": 5, "name": ""},
    ):
        table.put_item(Item=item)
    result = await fetched(url, cache=environment(), range="1-5")
    assert [outcome.number for outcome in result.outcomes if isinstance(outcome, Found)] == [1, 2, 3, 4, 5]
    assert (result.cached, pokeapi.requests) == (1, 4)
    assert [str(fault) for fault in faults] == ["4 malformed items"]
    assert (await fetched(url, cache=environment(), range="1-5")).cached == 5


class Meddling:
    """boto3's client with one call's answers replaced."""

    def __init__(self, table: Table, call: str, answer: Callable[..., Any]) -> None:
        self.client = table._client  # noqa: SLF001
        self.real = getattr(self.client, call)
        self.calls = 0
        self.answer = answer
        setattr(self.client, call, self)

    def __call__(self, **request: Any) -> Any:
        self.calls += 1
        return self.answer(self, **request)


async def test_unprocessed_keys_and_items_are_sent_again(
    url: str, table: Any, pokeapi: PokeAPI, faults: list[Exception]
) -> None:
    """DynamoDB may take any part of a batch."""

    def put_three(it: Meddling, **request: Any) -> Any:
        items = request["RequestItems"][NAME]
        answer = it.real(RequestItems={NAME: items[:3]})
        return {**answer, "UnprocessedItems": {NAME: items[3:]} if items[3:] else {}}

    def get_three(it: Meddling, **request: Any) -> Any:
        keys = request["RequestItems"][NAME]["Keys"]
        answer = it.real(RequestItems={NAME: {"Keys": keys[:3]}})
        return {**answer, "UnprocessedKeys": {NAME: {"Keys": keys[3:]}} if keys[3:] else {}}

    writer, reader = Table(NAME), Table(NAME)
    write, read = Meddling(writer, "batch_write_item", put_three), Meddling(reader, "batch_get_item", get_three)
    await fetched(url, cache=Cache(WEEK, writer, faults.append), range="1-10")
    assert table.scan()["Count"] == 10
    assert (await fetched(url, cache=Cache(WEEK, reader, faults.append), range="1-10")).cached == 10
    assert (write.calls, read.calls, pokeapi.requests, faults) == (4, 4, 10, [])


async def test_what_stays_unprocessed_is_fetched(url: str, environment: Environment, faults: list[Exception]) -> None:
    def get_none(_: Meddling, **request: Any) -> Any:
        return {"Responses": {NAME: []}, "UnprocessedKeys": request["RequestItems"]}

    await fetched(url, cache=environment(), range="1-3")
    table = Table(NAME)
    read = Meddling(table, "batch_get_item", get_none)
    result = await fetched(url, cache=Cache(WEEK, table, faults.append), range="1-3")
    assert (len(result.outcomes), result.cached, read.calls) == (3, 0, 5)
    assert [str(fault) for fault in faults] == ["1 batches with UnprocessedKeys to the end"]


def refuse(code: str) -> Callable[..., Any]:
    def answer(*_: Any, **__: Any) -> Any:
        raise ClientError({"Error": {"Code": code, "Message": "no"}}, "BatchGetItem")

    return answer


@pytest.mark.parametrize("code", ["ProvisionedThroughputExceededException", "AccessDeniedException"])
@pytest.mark.parametrize("call", ["batch_get_item", "batch_write_item"])
async def test_a_table_that_refuses_is_passed_over_and_left_alone_for_a_while(
    url: str, table: Any, faults: list[Exception], call: str, code: str
) -> None:
    behind = Table(NAME)
    meddling = Meddling(behind, call, refuse(code))
    cache = Cache(WEEK, behind, faults.append)
    for number in range(1, 4):
        assert len((await fetched(url, cache=cache, range=str(number))).exchanges) == 1
    assert (meddling.calls, len(faults)) == (1, 1)
    assert code in str(faults[0])
    assert table.scan()["Count"] == 0


@pytest.mark.usefixtures("aws")
async def test_no_such_table(url: str, faults: list[Exception]) -> None:
    result = await fetched(url, cache=Cache(WEEK, Table("nowhere"), faults.append), range="1")
    assert result.outcomes == [Found(1, "bulbasaur")]
    assert "ResourceNotFoundException" in str(faults[0])


@pytest.mark.usefixtures("table")
async def test_a_table_that_hangs_does_not_hold_up_the_fetch(
    url: str, faults: list[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    behind = Table(NAME)
    Meddling(behind, "batch_get_item", lambda *_, **__: go_on.wait())
    monkeypatch.setattr(cache_module, "TABLE_SECONDS", 0.1)
    result = await fetched(url, cache=Cache(WEEK, behind, faults.append), range="1")
    go_on.set()
    assert result.outcomes == [Found(1, "bulbasaur")]
    assert [type(fault) for fault in faults] == [TimeoutError]


@pytest.mark.usefixtures("table")
async def test_a_table_is_left_alone_only_when_it_had_its_full_time(url: str, faults: list[Exception]) -> None:
    go_on = threading.Event()
    behind = Table(NAME)
    meddling = Meddling(behind, "batch_get_item", lambda it, **request: go_on.wait() and it.real(**request))
    cache = Cache(WEEK, behind, faults.append)
    await fetched(url, seconds=0.3, cache=cache, range="1", straggler_timeout=0)
    assert [type(fault) for fault in faults] == [TimeoutError]
    await fetched(url, seconds=0, cache=cache, range="2")
    go_on.set()
    await fetched(url, cache=cache, range="3")
    assert (meddling.calls, len(faults)) == (2, 1)


@pytest.mark.usefixtures("table")
async def test_the_longest_name_fits_in(url: str, pokeapi: PokeAPI, table: Any, faults: list[Exception]) -> None:
    pokeapi.answers[1] = answers.json(json.dumps({"name": "\U0001f98e" * 100_000}, ensure_ascii=False))
    pokeapi.answers[2] = answers.json(json.dumps({"name": "x" * 100_001}))
    result = await fetched(url, cache=Cache(WEEK, Table(NAME), faults.append), range="1-2")
    assert [type(outcome) for outcome in result.outcomes] == [Found, Failed]
    assert (table.scan()["Count"], faults) == (1, [])


@pytest.mark.usefixtures("aws")
def test_a_fault_is_logged_and_counted(load_app: Callable[..., ModuleType], capsys: pytest.CaptureFixture[str]) -> None:
    report = load_app(NAMES_TABLE="nowhere").handler({"range": "1"}, Context())
    assert (report["complete"], report["names"]) == (True, ["bulbasaur"])
    printed = capsys.readouterr().out
    assert '"level":"WARNING"' in printed
    assert "cache passed over" in printed
    assert '"CacheFaults":[1' in printed


def test_with_a_table_an_invocation_uses_it(table: Any, load_app: Callable[..., ModuleType], pokeapi: PokeAPI) -> None:
    for _ in range(2):
        assert load_app(NAMES_TABLE=NAME).handler({"range": "1-3"}, Context())["count"] == 3
    assert (table.scan()["Count"], pokeapi.requests) == (3, 3)
