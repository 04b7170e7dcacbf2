import asyncio
import gzip

import httpx
import pytest
from aiohttp import web

from pokemon_names import __version__
from pokemon_names.fetching import client
from pokemon_names.fetching.client import Clients
from pokemon_names.model import STRATEGIES
from tests.conftest import both_clients, failures_of, fetch_range, names_of
from tests.tools.pokeapi import PokeAPI, answers
from tests.tools.pokeapi.answers import Answer


def test_the_user_agent_names_the_project_and_its_version(pokeapi: PokeAPI, url: str) -> None:
    clients = Clients(url)
    for strategy in STRATEGIES:
        asyncio.run(fetch_range(clients, range="1-2", strategy=strategy))
    assert pokeapi.agents == {f"pokemon-names/{__version__}"}


async def test_a_request_asks_for_gzip_and_has_no_timeout_of_httpx(url: str) -> None:
    request = (await Clients(url).get("pokemon/1")).request
    assert request.headers["Accept-Encoding"] == "gzip"
    assert set(request.extensions["timeout"].values()) == {None}


async def test_the_base_url_may_end_in_a_slash(url: str) -> None:
    assert names_of(await fetch_range(f"{url}/", range="1")) == ["bulbasaur"]


async def test_the_last_requests_are_stored_and_sent_again(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_MAX_REQUESTS", 1)
    clients = Clients(url)
    stored = (await clients.get("pokemon/1")).request
    assert (await clients.get("pokemon/1")).request is stored
    await clients.get("pokemon/2")
    assert (await clients.get("pokemon/1")).request is not stored


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
    assert names_of(await fetch_range(clients, range="2", strategy=strategy)) == ["ivysaur"]


def test_whatever_the_transport_raises_is_an_error_of_httpx(url: str) -> None:
    with pytest.raises(httpx.DecodingError, match="negative"):
        Clients(url).get_blocking("pokemon/1", -1)


MEW = b'{"name": "mew"}'
TWO_MEMBERS = gzip.compress(MEW[:7]) + gzip.compress(MEW[7:])
SPELLINGS = {
    "gzip": gzip.compress(MEW),
    "GZIP": gzip.compress(MEW),
    "x-gzip": gzip.compress(MEW),
    " Gzip ": TWO_MEMBERS,
    "X-GZip": gzip.compress(b"") + TWO_MEMBERS + gzip.compress(b""),
    "identity": MEW,
    "": MEW,
}


@both_clients
@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_every_legal_spelling_of_gzip_is_accepted(
    pokeapi: PokeAPI, url: str, strategy: str, spelling: str
) -> None:
    pokeapi.answers[151] = answers.encoded(spelling, SPELLINGS[spelling])
    assert names_of(await fetch_range(url, range="151", strategy=strategy)) == ["mew"]


@both_clients
async def test_a_header_that_is_no_ascii_is_ignored(
    pokeapi: PokeAPI, url: str, strategy: str
) -> None:
    pokeapi.answers[151] = answers.encoded("é", MEW)
    assert names_of(await fetch_range(url, range="151", strategy=strategy)) == ["mew"]


async def test_members_of_equal_size_are_all_decompressed(pokeapi: PokeAPI, url: str) -> None:
    half = len(MEW) // 2
    parts = [MEW[:half], MEW[half:-1], MEW[-1:].ljust(half)]
    body = b"".join(map(gzip.compress, parts))
    pokeapi.answers[151] = answers.encoded("gzip", body)
    assert names_of(await fetch_range(url, range="151")) == ["mew"]


async def test_what_follows_the_last_member_is_ignored(pokeapi: PokeAPI, url: str) -> None:
    pokeapi.answers[151] = answers.encoded("gzip", gzip.compress(MEW) + bytes(8))
    assert names_of(await fetch_range(url, range="151")) == ["mew"]


async def test_a_body_may_be_larger_while_it_is_compressed(pokeapi: PokeAPI, url: str) -> None:
    body = gzip.compress(MEW, compresslevel=0)
    pokeapi.answers[151] = answers.encoded("gzip", body)
    assert names_of(await fetch_range(Clients(url, len(body)), range="151")) == ["mew"]


UNREADABLE_BODIES = {
    "Brotli": (
        "br",
        b"\x0b\x07\x80",
        "the Content-Encoding is br, and only gzip is accepted",
    ),
    "Zstandard": (
        "zstd",
        b"\x28\xb5\x2f\xfd",
        "the Content-Encoding is zstd, and only gzip is accepted",
    ),
    "deflate": (
        "deflate",
        b"\x78\x9c",
        "the Content-Encoding is deflate, and only gzip is accepted",
    ),
    "several": (
        "gzip, br",
        gzip.compress(MEW),
        "the Content-Encoding is gzip, br, and only gzip is accepted",
    ),
    "broken off": (
        "gzip",
        TWO_MEMBERS[:-1],
        "the gzip stream breaks off",
    ),
    "large last member": (
        "gzip",
        gzip.compress(MEW) + gzip.compress(b" " * 4_000_000),
        "more than 4000000 bytes",
    ),
    "broken off at the limit": (
        "gzip",
        gzip.compress(b" " * 4_000_000)[:-1],
        "the gzip stream breaks off",
    ),
    "a byte after the limit": (
        "gzip",
        gzip.compress(b" " * 4_000_000) + gzip.compress(b" "),
        "more than 4000000 bytes",
    ),
    "large first member": (
        "gzip",
        gzip.compress(b" " * 4_000_001) + gzip.compress(MEW),
        "more than 4000000 bytes",
    ),
}


@pytest.mark.parametrize(
    ("coding", "body", "detail"), UNREADABLE_BODIES.values(), ids=UNREADABLE_BODIES
)
async def test_the_failure_says_why_a_body_cannot_be_decompressed(
    pokeapi: PokeAPI, url: str, coding: str, body: bytes, detail: str
) -> None:
    pokeapi.answers[151] = answers.encoded(coding, body)
    (failure,) = failures_of(await fetch_range(url, range="151"))
    assert failure.reason == "bad_body"
    assert failure.detail == detail
