"""One GET: the request sent, and the answer, which contains an error instead of raising it."""

import asyncio
import ssl
import time
from typing import Any

import httpx
import msgspec
import pytest
from aiohttp import web

from pokemon_names import __version__
from pokemon_names.http import client
from pokemon_names.http.client import Clients
from pokemon_names.http.connections import Limits
from pokemon_names.http.errors import GetError
from tests.conftest import BOTH_CLIENTS, both_clients
from tests.http.servers import ending, get, serving_bytes
from tests.tools.pokeapi import PokeAPI, answers
from tests.tools.pokeapi.answers import Answer

PATIENT = Limits(read_timeout=60.0, total_timeout=60.0)


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the URLs of all requests built during the test, in order."""
    built: list[str] = []
    build_request = httpx.AsyncClient.build_request

    def note(self: httpx.AsyncClient, method: str, url: str, **options: Any) -> httpx.Request:
        built.append(url)
        return build_request(self, method, url, **options)

    monkeypatch.setattr(httpx.AsyncClient, "build_request", note)
    return built


async def test_the_user_agent_names_the_project_and_its_version(pokeapi: PokeAPI, url: str) -> None:
    clients = Clients(url)
    for strategy in BOTH_CLIENTS:
        await get(clients, strategy)
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


@both_clients
async def test_further_headers_are_sent_and_take_precedence(
    pokeapi: PokeAPI, url: str, strategy: str
) -> None:
    received = []

    async def answer(request: web.Request) -> web.Response:
        received.append(request.headers)
        return web.Response(text="{}")

    pokeapi.answers[1] = answer
    clients = Clients(url, headers={"Authorization": "Bearer of names", "user-agent": "somebody"})
    await get(clients, strategy)
    await get(clients, strategy, seconds=10)
    for headers in received:
        assert headers.getall("Authorization") == ["Bearer of names"]
        assert headers.getall("User-Agent") == ["somebody"]
        assert headers.getall("Accept-Encoding") == ["gzip"]
    assert len(received) == 2


def test_a_header_that_cannot_be_sent_is_refused_without_its_value(url: str) -> None:
    """Its value may be a key that was read from a file, with the end of the line."""
    with pytest.raises(ValueError, match=r"^the value of the header x-key has control characters$"):
        Clients(url, headers={"X-Key": "secret\n"})


async def test_the_base_url_may_end_in_a_slash(url: str) -> None:
    answer = await get(Clients(f"{url}/"))
    assert answer.error is None


@both_clients
async def test_the_latest_requests_are_stored_and_sent_again(
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
async def test_a_request_with_its_own_timeout_is_not_stored(
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
async def test_the_size_of_a_body_is_its_decompressed_size(url: str, strategy: str) -> None:
    answer = await get(Clients(url), strategy, decode=bytes)
    assert answer.body is not None
    assert answer.bytes == len(answer.body) > 50_000


@both_clients
@pytest.mark.parametrize(("status", "is_compressed"), [(404, True), (503, False)])
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
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
async def test_json_may_start_with_a_byte_order_mark(
    pokeapi: PokeAPI, url: str, strategy: str, encoding: str
) -> None:
    """By itself, msgspec reads only UTF-8; httpx's own `json` reads all of these encodings."""
    pokeapi.answers[1] = answers.raw('{"name": "flabébé"}'.encode(encoding))
    answer = await get(Clients(url), strategy, decode=msgspec.json.decode)
    assert answer.body == {"name": "flabébé"}


@both_clients
async def test_a_body_that_ends_with_its_connection_is_read_if_its_json_is_whole(
    tls: ssl.SSLContext, strategy: str
) -> None:
    with serving_bytes(ending(b"", b'{"name": "mew"}'), tls) as port:
        answer = await get(Clients(f"https://localhost:{port}"), strategy)
    assert answer.body == {"name": "mew"}
    with serving_bytes(ending(b"", b'{"name": "mew'), tls) as port:
        answer = await get(Clients(f"https://localhost:{port}"), strategy)
    assert answer.error
    assert answer.error.reason == "bad_body"


async def test_a_broken_encoding_is_an_error(pokeapi: PokeAPI, url: str) -> None:
    pokeapi.answers[1] = answers.raw(b"\xff\xfe{")
    answer = await get(Clients(url))
    assert answer.error
    assert answer.error.reason == "bad_body"


@both_clients
async def test_whatever_decoding_raises_the_body_is_unreadable(url: str, strategy: str) -> None:
    def decode(_: bytes | bytearray) -> None:
        raise LookupError("strange")

    answer = await get(Clients(url), strategy, decode=decode)
    assert answer.body is None
    assert answer.begun_at is not None
    assert answer.bytes > 50_000
    assert answer.error == GetError(kind="unreadable", reason="bad_body", detail="strange")


@both_clients
async def test_a_request_takes_no_longer_than_its_own_timeout(
    pokeapi: PokeAPI, url: str, strategy: str
) -> None:
    pokeapi.answers[1] = answers.hang
    before = time.monotonic()
    answer = await get(Clients(url, limits=PATIENT), strategy, seconds=0.1)
    assert 0.1 <= time.monotonic() - before < 45
    assert answer.begun_at is None
    timeout = GetError(kind="service", reason="timeout", detail="operation timed out")
    assert answer.error == timeout
    assert str(timeout) == "operation timed out"


@pytest.mark.parametrize(
    ("strategy", "answer", "limits"),
    [
        ("gather", answers.hang, {"read_timeout": 0.1}),
        ("sync", answers.stuck, {"read_timeout": 0.1}),
        ("gather", answers.drip, {"total_timeout": 0.2}),
    ],
)
async def test_a_request_takes_no_longer_than_the_limits_allow(
    pokeapi: PokeAPI, url: str, strategy: str, answer: Answer, limits: dict[str, float]
) -> None:
    pokeapi.answers[1] = answer
    clients = Clients(url, limits=msgspec.structs.replace(PATIENT, **limits))
    result = await asyncio.wait_for(get(clients, strategy), timeout=45)
    assert result.error
    assert result.error.reason == "timeout"


def test_whatever_the_transport_raises_is_an_error(url: str) -> None:
    answer = Clients(url).get_blocking("pokemon/1", bytes, seconds=-1)
    assert answer.error
    assert answer.error.kind == "unreadable"
    assert "negative" in answer.error.detail


@both_clients
def test_connections_stay_warm_from_one_event_loop_to_the_next(
    pokeapi: PokeAPI, url: str, strategy: str
) -> None:
    clients = Clients(url)
    for _ in range(3):
        assert asyncio.run(get(clients, strategy)).error is None
    assert len(pokeapi.connections) == 1


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
    asyncio.run(get(clients, strategy, "pokemon/2"))
    assert len(pokeapi.connections) == 1


@both_clients
@pytest.mark.parametrize("answer", [answers.hang, answers.drip, answers.reset])
async def test_a_warm_up_ends_in_time_and_ignores_errors(
    pokeapi: PokeAPI, url: str, strategy: str, answer: Answer
) -> None:
    pokeapi.answers[1] = answer
    clients = Clients(url, limits=PATIENT)
    warming = clients.warm_up("pokemon/1", 0.1, blocking=strategy == "sync")
    await asyncio.wait_for(warming, timeout=45)
    assert (await get(clients, strategy, "pokemon/2")).error is None


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
