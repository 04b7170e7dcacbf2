"""Response bodies: how they may be compressed, and how large they may be."""

import gzip

import httpx
import pytest
from aiohttp import web

from pokemon_names.http.body import decompress
from pokemon_names.http.client import Clients
from pokemon_names.http.errors import GetError, Kind, TooLargeError
from tests.conftest import both_clients
from tests.http.servers import get
from tests.tools.pokeapi import PokeAPI, answers

LIMIT = 4_000_000
MEW = b'{"name": "mew"}'
TWO_MEMBERS = gzip.compress(MEW[:7]) + gzip.compress(MEW[7:])
SIXTEEN_MEMBERS = gzip.compress(b"") * 15 + gzip.compress(MEW)
SPELLINGS = {
    "gzip": gzip.compress(MEW),
    "GZIP": gzip.compress(MEW),
    "x-gzip": gzip.compress(MEW),
    " Gzip ": TWO_MEMBERS,
    "X-GZip": gzip.compress(b"") + TWO_MEMBERS + gzip.compress(b""),
    "identity": MEW,
    "": MEW,
    "identity, gzip": gzip.compress(MEW),
    "gzip,identity,": gzip.compress(MEW),
    "identity, identity, identity, identity, identity, identity": MEW,
    "gzip, x-gzip, gzip, gzip": gzip.compress(gzip.compress(gzip.compress(gzip.compress(MEW)))),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_list_of_gzip_and_identity_is_accepted(spelling: str) -> None:
    assert decompress(SPELLINGS[spelling], spelling, LIMIT) == MEW


@both_clients
@pytest.mark.parametrize(
    ("coding", "body"),
    [("X-GZip", TWO_MEMBERS), ("identity, gzip", TWO_MEMBERS), ("", MEW), ("é", MEW)],
    ids=["compressed", "a list of codings", "not compressed", "not ASCII"],
)
async def test_the_header_says_whether_a_body_is_compressed(
    pokeapi: PokeAPI, url: str, strategy: str, coding: str, body: bytes
) -> None:
    pokeapi.answers[1] = answers.encoded(coding, body)  # a header that is not ASCII is ignored
    answer = await get(Clients(url), strategy)
    assert answer.body == {"name": "mew"}


def test_members_of_equal_size_are_all_decompressed() -> None:
    half = len(MEW) // 2
    parts = [MEW[:half], MEW[half:-1], MEW[-1:].ljust(half)]
    body = b"".join(map(gzip.compress, parts))
    assert decompress(body, "gzip", LIMIT) == b"".join(parts)


def test_a_body_may_have_16_members() -> None:
    assert decompress(SIXTEEN_MEMBERS, "gzip", LIMIT) == MEW


@both_clients
@pytest.mark.parametrize("status", [200, 503])
async def test_a_body_with_more_members_is_not_read(
    pokeapi: PokeAPI, url: str, strategy: str, status: int
) -> None:
    async def answer(_: web.Request) -> web.Response:
        body = gzip.compress(b"") + SIXTEEN_MEMBERS
        return web.Response(status=status, body=body, headers={"Content-Encoding": "gzip"})

    pokeapi.answers[1] = answer
    result = await get(Clients(url), strategy)
    assert result.body is None
    assert result.error
    if status == 200:
        assert result.error.reason == "bad_body"
        assert result.error.detail == "more than 16 gzip members"
    else:
        assert result.error.reason == "bad_status"
        assert result.error.detail == "Service Unavailable"


def test_a_body_that_is_too_large_is_decompressed_no_further() -> None:
    body = gzip.compress(gzip.compress(b" " * (LIMIT + 1), compresslevel=0), compresslevel=1)
    with pytest.raises(TooLargeError):
        decompress(body, "gzip, gzip", LIMIT)


def test_what_follows_the_last_member_is_ignored() -> None:
    assert decompress(gzip.compress(MEW) + bytes(8), "gzip", LIMIT) == MEW


def test_an_empty_body_may_be_compressed() -> None:
    assert decompress(gzip.compress(b""), "gzip", LIMIT) == b""


async def test_compression_may_make_a_body_larger(pokeapi: PokeAPI, url: str) -> None:
    body = gzip.compress(MEW, compresslevel=0)
    pokeapi.answers[1] = answers.encoded("gzip", body)
    answer = await get(Clients(url, len(body)))
    assert answer.body == {"name": "mew"}


@pytest.mark.parametrize("coding", ["gzip", ""])
def test_content_may_be_as_large_as_the_limit(coding: str) -> None:
    body = SPELLINGS[coding]
    limit = max(len(body), len(MEW))
    assert decompress(body, coding, limit) == MEW
    with pytest.raises(TooLargeError, match=f"more than {len(MEW) - 1} bytes"):
        decompress(body, coding, len(MEW) - 1)


def test_a_compressed_body_that_was_cut_at_the_limit_is_too_large() -> None:
    body = gzip.compress(MEW)
    with pytest.raises(TooLargeError, match="more than 20 bytes"):
        decompress(body[:21], "gzip", 20)


TOO_LARGE = f"more than {LIMIT} bytes"
TRUNCATED = "the gzip stream is truncated"
UNREADABLE_BODIES = {
    "Brotli": (
        "br",
        b"\x0b\x07\x80",
        "Content-Encoding is br, but only gzip is accepted",
    ),
    "Zstandard": (
        "zstd",
        b"\x28\xb5\x2f\xfd",
        "Content-Encoding is zstd, but only gzip is accepted",
    ),
    "deflate": (
        "deflate",
        b"\x78\x9c",
        "Content-Encoding is deflate, but only gzip is accepted",
    ),
    "several": (
        "gzip, br",
        gzip.compress(MEW),
        "Content-Encoding is gzip, br, but only gzip is accepted",
    ),
    "gzip five times": (
        "gzip, gzip, gzip, gzip, gzip",
        gzip.compress(MEW),
        "Content-Encoding is gzip, gzip, gzip, gzip, gzip, but only gzip is accepted",
    ),
    "not gzip": (
        "gzip",
        MEW,
        "Error -3 while decompressing data: incorrect header check",
    ),
    "empty": (
        "gzip",
        b"",
        TRUNCATED,
    ),
    "truncated": (
        "gzip",
        TWO_MEMBERS[:-1],
        TRUNCATED,
    ),
    "large last member": (
        "gzip",
        gzip.compress(MEW) + gzip.compress(b" " * LIMIT),
        TOO_LARGE,
    ),
    "truncated at the limit": (
        "gzip",
        gzip.compress(b" " * LIMIT)[:-1],
        TRUNCATED,
    ),
    "a byte after the limit": (
        "gzip",
        gzip.compress(b" " * LIMIT) + gzip.compress(b" "),
        TOO_LARGE,
    ),
    "large first member": (
        "gzip",
        gzip.compress(b" " * (LIMIT + 1)) + gzip.compress(MEW),
        TOO_LARGE,
    ),
}


@pytest.mark.parametrize(
    ("coding", "body", "detail"), UNREADABLE_BODIES.values(), ids=UNREADABLE_BODIES
)
def test_the_error_says_why_a_body_cannot_be_decompressed(
    coding: str, body: bytes, detail: str
) -> None:
    with pytest.raises(httpx.DecodingError) as caught:
        decompress(body, coding, LIMIT)
    assert str(caught.value) == detail
    assert isinstance(caught.value, TooLargeError) == (detail == TOO_LARGE)


@pytest.mark.parametrize(
    ("name", "kind"), [("truncated", "unreadable"), ("large last member", "final")]
)
async def test_the_answer_says_why_a_body_cannot_be_decompressed(
    pokeapi: PokeAPI, url: str, name: str, kind: Kind
) -> None:
    coding, body, detail = UNREADABLE_BODIES[name]
    pokeapi.answers[1] = answers.encoded(coding, body)
    answer = await get(Clients(url))
    assert answer.error == GetError(kind=kind, reason="bad_body", detail=detail)
