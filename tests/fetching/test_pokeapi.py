"""PokeAPI's paths, and the fields read from its JSON."""

import sys

import pytest

from pokemon_names.fetching.pokeapi import (
    LIST_PATHS,
    PATHS,
    decode_list,
    decode_name,
    is_missing,
)
from pokemon_names.http.client import Clients
from tests.conftest import NAMES

MEW = '{"name": "mew", "url": "https://pokeapi.co/api/v2/pokemon/151/"}'
NEXT = '"https://pokeapi.co/api/v2/pokemon?offset=1&limit=1"'
DEEP = "[" * 100_000
# From Python 3.14 on, the size of the stack is the limit, and this is not too deep.
TOO_DEEP = (
    "Input data was truncated"
    if sys.version_info >= (3, 14)
    else "maximum recursion depth exceeded while deserializing an object"
)


async def test_each_spelling_of_a_numbers_path_leads_to_its_name(url: str) -> None:
    clients = Clients(url)
    for path in PATHS:
        answer = await clients.get(path.format(25), lambda body: decode_name(body, 25))
        assert answer.body == "pikachu"


async def test_each_spelling_of_the_lists_path_leads_to_all_names(url: str) -> None:
    clients = Clients(url)
    for path in LIST_PATHS:
        assert (await clients.get(path, decode_list)).body == NAMES


@pytest.mark.parametrize("paths", [PATHS, LIST_PATHS])
def test_the_spelling_with_a_slash_which_pokeapi_never_redirects_comes_first(
    paths: tuple[str, ...],
) -> None:
    assert [path.partition("?")[0].endswith("/") for path in paths] == [True, False]


@pytest.mark.parametrize(
    "body",
    [
        '{"name": "mew", "id": 151}',
        '{"name": "mew"}',
        '{"abilities": [{"name": "x"}], "id": 151, "name": "mew", "order": 1}',
    ],
)
def test_the_name_is_read_from_the_top_level_of_the_body(body: str) -> None:
    assert decode_name(body.encode(), 151) == "mew"


NO_NAME = (
    r"Expected `str` matching regex '\\A[^\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029]*\\Z'"
    " - at `$.name`"
)
BAD_NAMES = {
    "not JSON": ("<html>", "JSON is malformed: invalid character (byte 0)"),
    "empty": ("", "Input data was truncated"),
    "another JSON": ("[1]", "Expected `object`, got `array`"),
    "no name": ('{"id": 151}', "Object missing required field `name`"),
    "another number's": ('{"id": 7, "name": "squirtle"}', "the body belongs to number 7"),
    "not text": ('{"name": 7}', "Expected `str`, got `int` - at `$.name`"),
    "empty name": ('{"name": ""}', "Expected `str` of length >= 1 - at `$.name`"),
    "long name": (
        f'{{"name": "{"x" * 101}"}}',
        "Expected `str` of length <= 100 - at `$.name`",
    ),
    "two lines": (r'{"name": "mew\nmewtwo"}', NO_NAME),
    "a last line": (r'{"name": "mew\n"}', NO_NAME),
    "two lines of Unicode": (r'{"name": "mew\u2028mewtwo"}', NO_NAME),
    "escape sequence": (r'{"name": "\u001b[2Jmew"}', NO_NAME),
    "8-bit escape sequence": (r'{"name": "\u009b2Jmew"}', NO_NAME),
    "NUL": (r'{"name": "\u0000"}', NO_NAME),
    "not UTF-8": (
        '{"name": "\udcff"}',
        "Invalid UTF-8 encoded string",
    ),
    "nested deeply": (
        f'{{"abilities": {DEEP}',
        TOO_DEEP,
    ),
}


@pytest.mark.parametrize(("body", "message"), BAD_NAMES.values(), ids=BAD_NAMES)
def test_the_error_says_what_is_wrong_with_the_body_of_a_name(body: str, message: str) -> None:
    with pytest.raises((ValueError, RecursionError)) as raised:
        decode_name(body.encode(errors="surrogateescape"), 151)
    assert str(raised.value) == message


def test_json_nested_as_deeply_as_a_body_has_space_for_is_an_error() -> None:
    with pytest.raises(RecursionError, match=r"while deserializing an object$"):
        decode_name(b'{"abilities": ' + b"[" * 3_900_000, 151)


@pytest.mark.parametrize("body", [b"null", b"", b"{}", b"Not Found"])
def test_no_body_says_that_a_number_does_not_exist(body: bytes) -> None:
    assert not is_missing(body)


@pytest.mark.parametrize("name", ["é" * 100, "Mr. Mime ♂", "日本"])
def test_a_name_may_have_any_100_printable_characters(name: str) -> None:
    assert decode_name(f'{{"name": "{name}"}}'.encode(), 151) == name


@pytest.mark.parametrize("extra", ["", '"next": null, ', '"count": 2, "next": null, '])
def test_the_number_of_a_name_in_the_list_is_the_last_part_of_its_url(extra: str) -> None:
    listed = f'{{{extra}"results": [{MEW}, {{"name": "pikachu", "url": "/25"}}]}}'
    assert decode_list(listed.encode()) == {151: "mew", 25: "pikachu"}


BAD_LISTS = {
    "no results": ('{"count": 0}', "Object missing required field `results`"),
    "empty": ('{"results": []}', "Expected `array` of length >= 1 - at `$.results`"),
    "cut short": (f'{{"count": 2, "results": [{MEW}]}}', "the list has 1 of 2 Pokémon"),
    "a page of it": (
        f'{{"next": {NEXT}, "results": [{MEW}]}}',
        "Expected `null`, got `str` - at `$.next`",
    ),
    "no name": ('{"results": [{"name": "", "url": "/151/"}]}', "Expected `str` of length >= 1"),
    "no number": ('{"results": [{"name": "mew", "url": "mew"}]}', "Expected `str` matching regex"),
    "another line": (
        '{"results": [{"name": "mew", "url": "/2/\\n"}]}',
        "Expected `str` matching regex",
    ),
    "two lines": (
        '{"results": [{"name": "a\\nb", "url": "/2/"}]}',
        "Expected `str` matching regex",
    ),
    "large number": (
        f'{{"results": [{{"name": "mew", "url": "/{"1" * 10}/"}}]}}',
        "Expected `str` matching regex",
    ),
    "nested deeply": (f'{{"previous": {DEEP}', TOO_DEEP),
}


@pytest.mark.parametrize(("body", "message"), BAD_LISTS.values(), ids=BAD_LISTS)
def test_a_list_that_may_be_incomplete_is_refused(body: str, message: str) -> None:
    with pytest.raises((ValueError, RecursionError)) as raised:
        decode_list(body.encode())
    assert str(raised.value).startswith(message)
