"""One GET: what is sent, and the answer, whose error is a value."""

import asyncio
import email.utils
import json
import time
from typing import Any

import httpx
import pytest
from aiohttp import web

from pokemon_names import __version__
from pokemon_names.http import client
from pokemon_names.http.client import Clients
from pokemon_names.http.connections import Limits
from pokemon_names.http.errors import GetError
from pokemon_names.model import STRATEGIES
from tests.conftest import BOTH_CLIENTS, both_clients, fetch_range, names_of
from tests.tools.pokeapi import PokeAPI, answers
from tests.tools.pokeapi.answers import Answer


async def get(
    clients: Clients, strategy: str, path: str = "pokemon/1/", **options: Any
) -> client.Answer[Any]:
    """Send one request, by the client of a strategy, for JSON of any kind."""
    options = {"decode": json.loads, **options}
    if strategy == "sync":
        return await asyncio.to_thread(lambda: clients.get_blocking(path, **options))
    return await clients.get(path, **options)


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the URLs of the requests that are built, in their order."""
    built: list[str] = []
    build_request = httpx.AsyncClient.build_request

    def note(self: httpx.AsyncClient, method: str, url: str, **options: Any) -> httpx.Request:
        built.append(url)
        return build_request(self, method, url, **options)

    monkeypatch.setattr(httpx.AsyncClient, "build_request", note)
    return built


def test_the_user_agent_names_the_project_and_its_version(pokeapi: PokeAPI, url: str) -> None:
    clients = Clients(url)
    for strategy in STRATEGIES:
        asyncio.run(fetch_range(clients, range="1-2", strategy=strategy))
    assert pokeapi.agents == {f"pokemon-names/{__version__}"}


@both_clients
async def test_a_request_asks_for_gzip_and_nothing_else(
    pokeapi: PokeAPI, url: str, strategy: str
) -> None:
    codings = []

    async def answer(request: web.Request) -> web.Response:
        codings.append(request.headers.getall("Accept-Encoding"))
        return web.Response(text="{}")

    pokeapi.answers[1] = answer
    await get(Clients(url), strategy)
    assert codings == [["gzip"]]


async def test_the_base_url_may_end_in_a_slash(url: str) -> None:
    fetched = await fetch_range(f"{url}/", range="1")
    assert names_of(fetched) == ["bulbasaur"]
    assert fetched.listed == 0


@both_clients
async def test_the_last_requests_are_stored_and_sent_again(
    url: str, monkeypatch: pytest.MonkeyPatch, built: list[str], strategy: str
) -> None:
    monkeypatch.setattr(client, "_MAX_REQUESTS", 1)
    clients = Clients(url)
    built.clear()
    one, two = f"{url}/pokemon/1", f"{url}/pokemon/2"
    for path, all_built in [
        ("pokemon/1", [one]),
        ("pokemon/1", [one]),
        ("pokemon/2", [one, two]),
        ("pokemon/1", [one, two, one]),
    ]:
        await get(clients, strategy, path)
        assert built == all_built


@both_clients
async def test_a_request_with_a_time_of_its_own_is_not_stored(
    url: str, built: list[str], strategy: str
) -> None:
    clients = Clients(url)
    built.clear()
    for _ in range(2):
        await get(clients, strategy, seconds=10)
    assert len(built) == 2


@both_clients
async def test_an_answer_has_a_body_and_the_time_when_it_began(
    pokeapi: PokeAPI, url: str, strategy: str
) -> None:
    pokeapi.answers[1] = answers.json('{"name": "bulbasaur"}')
    before = time.monotonic()
    answer = await get(Clients(url), strategy)
    assert answer.body == {"name": "bulbasaur"}
    assert answer.error is None
    assert answer.bytes == 21
    assert answer.begun_at is not None
    assert before < answer.begun_at < time.monotonic()


@both_clients
async def test_the_bytes_of_a_body_count_decompressed(url: str, strategy: str) -> None:
    answer = await get(Clients(url), strategy, decode=bytes)
    assert answer.body is not None
    assert answer.bytes == len(answer.body) > 50_000


@both_clients
@pytest.mark.parametrize("is_compressed", [False, True])
@pytest.mark.parametrize("status", [404, 503])
async def test_an_error_has_the_text_of_its_response(
    pokeapi: PokeAPI, url: str, strategy: str, status: int, *, is_compressed: bool
) -> None:
    async def answer(_: web.Request) -> web.Response:
        response = web.Response(status=status, text=" Gone fishing\n", headers={"Retry-After": "7"})
        if is_compressed:
            response.enable_compression(web.ContentCoding.gzip)
        return response

    pokeapi.answers[1] = answer
    result = await get(Clients(url), strategy)
    assert result.body is None
    assert result.begun_at is not None
    assert result.bytes == 14 or is_compressed
    assert result.error == GetError(
        kind="service" if status == 503 else "final",
        reason="bad_status" if status == 503 else "not_found",
        detail="Gone fishing",
        status=status,
        retry_after=7.0,
    )
    assert str(result.error) == f"{status} Gone fishing"


@pytest.mark.parametrize(
    ("retry_after", "least", "most"),
    [
        ("0", 0, 0),
        ("7", 7, 7),
        (email.utils.formatdate(time.time() + 3600, usegmt=True), 1800, 3600),
        ("Thu, 01 Jan 2026 00:00:00 GMT", 0, 0),
    ],
    ids=["none", "seconds", "date", "date that is over"],  # the same in all workers
)
async def test_an_error_has_the_seconds_of_retry_after(
    pokeapi: PokeAPI, url: str, retry_after: str, least: float, most: float
) -> None:
    pokeapi.answers[1] = answers.status(429, retry_after)
    answer = await Clients(url).get("pokemon/1/", bytes)
    assert answer.error
    assert answer.error.retry_after is not None
    assert least <= answer.error.retry_after <= most


@pytest.mark.parametrize("retry_after", ["soon", "-1", "1.5", "Thu, 01 Jan 2026 00:00:00 -0000"])
async def test_a_malformed_retry_after_is_none(
    pokeapi: PokeAPI, url: str, retry_after: str
) -> None:
    pokeapi.answers[1] = answers.status(429, retry_after)
    answer = await Clients(url).get("pokemon/1/", bytes)
    assert answer.error
    assert answer.error.retry_after is None


@both_clients
@pytest.mark.parametrize("answer", [answers.endless, answers.text(503, "x" * 1_000_000)])
async def test_no_more_of_a_body_is_read_than_the_limit_allows(
    pokeapi: PokeAPI, url: str, strategy: str, answer: Answer
) -> None:
    pokeapi.answers[1] = answer
    result = await get(Clients(url, max_body_bytes=100_000), strategy)
    assert result.error
    assert result.bytes < 900_000
    assert result.error.kind == ("service" if result.error.status else "final")
    assert result.error.detail in {"more than 100000 bytes", "Service Unavailable"}


@both_clients
async def test_whatever_is_wrong_with_a_body_is_an_error_of_its_own(
    url: str, strategy: str
) -> None:
    def decode(_: bytes | bytearray) -> None:
        raise LookupError("strange")

    answer = await get(Clients(url), strategy, decode=decode)
    assert answer.body is None
    assert answer.begun_at is not None
    assert answer.bytes > 50_000
    assert answer.error == GetError(kind="unreadable", reason="bad_body", detail="strange")


@both_clients
async def test_a_request_takes_no_longer_than_it_may(
    pokeapi: PokeAPI, url: str, strategy: str
) -> None:
    pokeapi.answers[1] = answers.hang
    before = time.monotonic()
    answer = await get(Clients(url), strategy, seconds=0.3)
    assert 0.3 <= time.monotonic() - before < 4.5  # the client's own timeout is 5 s
    assert answer.begun_at is None
    timeout = GetError(kind="service", reason="timeout", detail="operation timed out")
    assert answer.error == timeout
    assert str(timeout) == "operation timed out"


@both_clients
@pytest.mark.parametrize(
    ("answer", "limits"),
    [
        (answers.hang, Limits(read_timeout=0.5)),
        (answers.stuck, Limits(read_timeout=0.5)),
        (answers.drip, Limits(total_timeout=1.5)),
    ],
)
async def test_a_request_takes_no_longer_than_the_limits_say(
    pokeapi: PokeAPI, url: str, strategy: str, answer: Answer, limits: Limits
) -> None:
    pokeapi.answers[1] = answer
    before = time.monotonic()
    result = await get(Clients(url, limits=limits), strategy)
    assert result.error
    assert result.error.reason == "timeout"
    assert (result.begun_at is None) == (answer is answers.hang)
    assert time.monotonic() - before < 4.5


def test_whatever_the_transport_raises_is_an_error(url: str) -> None:
    answer = Clients(url).get_blocking("pokemon/1", bytes, seconds=-1)
    assert answer.error
    assert answer.error.kind == "unreadable"
    assert "negative" in answer.error.detail


def test_connections_stay_warm_from_one_event_loop_to_the_next(pokeapi: PokeAPI, url: str) -> None:
    clients = Clients(url)
    pokeapi.delay = 0.1
    for _ in range(3):
        asyncio.run(fetch_range(clients, range="1-20"))
    assert len(pokeapi.connections) == 20


@both_clients
def test_a_warm_up_leaves_a_connection(pokeapi: PokeAPI, url: str, strategy: str) -> None:
    clients = Clients(url)
    paths = []

    async def answer(request: web.Request) -> web.Response:
        paths.append(request.path)
        return web.Response()

    pokeapi.answers[1] = answer
    asyncio.run(clients.warm_up("pokemon/1", 10, blocking=strategy == "sync"))
    assert paths == ["/api/v2/pokemon/1"]
    assert len(pokeapi.connections) == 1
    asyncio.run(fetch_range(clients, range="2", strategy=strategy))
    assert len(pokeapi.connections) == 1


@both_clients
@pytest.mark.parametrize("answer", [answers.hang, answers.drip, answers.reset, answers.status(500)])
async def test_a_warm_up_ends_in_time_and_ignores_errors(
    pokeapi: PokeAPI, url: str, strategy: str, answer: Answer
) -> None:
    pokeapi.answers[1] = answer
    clients = Clients(url)
    warming = clients.warm_up("pokemon/1", 0.1, blocking=strategy == "sync")
    await asyncio.wait_for(warming, timeout=9)  # the transport's own timeout is 10 s
    fetched = await fetch_range(clients, range="2", strategy=strategy)
    assert names_of(fetched) == ["ivysaur"]
    assert fetched.listed == 0


async def test_cookies_are_not_kept(pokeapi: PokeAPI, url: str) -> None:
    cookies = []

    async def answer(request: web.Request) -> web.Response:
        cookies.append(request.headers.get("Cookie"))
        return web.Response(text="{}", headers={"Set-Cookie": "a=1"})

    pokeapi.answers[1] = answer
    clients = Clients(url)
    for strategy in BOTH_CLIENTS * 2:
        await get(clients, strategy)
    assert cookies == [None] * 4
