"""What is known of PokeAPI: its paths, and the fields of its JSON that are read.

Another API needs another base URL and this module.
"""

from typing import Annotated

import httpx
import msgspec

INDEX_PATH = "pokemon?limit=100000&offset=0"  # the list has no maximum, and 20 as its default

# DynamoDB's items have at most 400 KB, and a character has at most four bytes.
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100_000)]


class Pokemon(msgspec.Struct):
    """The name out of up to 665 KB of JSON; to skip the rest takes a fifth of json.loads' time."""

    name: _Name


class Entry(msgspec.Struct):
    """One Pokémon of the list."""

    name: _Name
    url: Annotated[str, msgspec.Meta(pattern=r"/[0-9]{1,9}/?$")]

    @property
    def number(self) -> int:
        """The last part of the URL."""
        return int(self.url.rstrip("/").rpartition("/")[2])


class Index(msgspec.Struct):
    """The list of all Pokémon. One that is cut short is refused, for it proves nothing missing."""

    results: Annotated[list[Entry], msgspec.Meta(min_length=1)]
    next: None = None
    count: int | None = None

    def __post_init__(self) -> None:
        if self.count is not None and self.count != len(self.results):
            raise ValueError(f"the list has {len(self.results)} of {self.count} Pokémon")


Body = Pokemon | Index


def pokemon_path(number: int) -> str:
    """Return the path of one Pokémon, relative to the base URL."""
    return f"pokemon/{number}"


def decode(content: bytes | bytearray, body_type: type[Body]) -> Body:
    """Return the body that JSON holds; raise httpx.DecodingError, whatever is wrong with it."""
    try:
        return msgspec.json.decode(content, type=body_type)
    except Exception as error:
        raise httpx.DecodingError(str(error)) from error
