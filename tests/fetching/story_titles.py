"""Everything that is specific to an API like Hacker News', if it also demanded a token."""

import os

import msgspec

from pokemon_names.model import Name

HEADERS = {"Authorization": f"Bearer {os.environ['API_TOKEN']}"}
PATHS = ("item/{}.json",)
LIST_PATHS = ()
LIST_NAME = "the list of all items"


class Item(msgspec.Struct):
    """The field needed of one item."""

    title: Name


def decode_name(content: bytes | bytearray, _number: int) -> str:
    """Return the title of an item."""
    return msgspec.json.decode(content, type=Item).title


def is_missing(content: bytes | bytearray) -> bool:
    """Return whether the body is `null`, as it is for an item that does not exist."""
    return content.strip() == b"null"


def decode_list(_: bytes | bytearray) -> dict[int, str]:
    """Raise an error. This is never called, because there is no list."""
    raise NotImplementedError
