"""Everything that is specific to PokeAPI, apart from its base URL.

To use another API, replace this module. CONTRIBUTING.md has an example. Other modules use:

HEADERS      headers that each request has in addition to the client's own, such as an API key
PATHS        the spellings of a number's path
LIST_PATHS   the spellings of the list's path, empty if the API has no list
LIST_NAME    what messages call the list
decode_name  returns the name in a number's body
is_missing   whether a body without a name says that its number does not exist
decode_list  returns the names in the list by number
"""

from collections.abc import Mapping
from typing import Annotated

import msgspec

from pokemon_names.model import Name

HEADERS: Mapping[str, str] = {}
# The spellings of each path, relative to the base URL. A cache in front of PokeAPI may hold a wrong
# response for one of them and the right one for the other. PokeAPI's own URLs end with a slash, and
# a self-hosted PokeAPI redirects to them.
PATHS = ("pokemon/{}/", "pokemon/{}")
# By default, the list has 20 entries; any limit is allowed.
LIST_PATHS = ("pokemon/?limit=100000&offset=0", "pokemon?limit=10000&offset=0")
LIST_NAME = "the list of all Pokémon"


class Pokemon(msgspec.Struct):
    """The fields needed of one Pokémon, out of up to 665 KB of JSON.

    Decoding only these takes a fifth of the time that json.loads takes.
    """

    name: Name
    id: int | None = None


class Entry(msgspec.Struct):
    """One Pokémon in the list of all."""

    name: Name
    url: Annotated[str, msgspec.Meta(pattern=r"/[0-9]{1,9}/?\Z")]

    @property
    def number(self) -> int:
        """The last part of the URL."""
        return int(self.url.rstrip("/").rpartition("/")[2])


class Index(msgspec.Struct):
    """The list of all Pokémon. It must be complete, because numbers not in it do not exist."""

    results: Annotated[list[Entry], msgspec.Meta(min_length=1)]
    next: None = None
    count: int | None = None

    def __post_init__(self) -> None:
        if self.count is not None and self.count != len(self.results):
            raise ValueError(f"the list has {len(self.results)} of {self.count} Pokémon")


def decode_name(content: bytes | bytearray, number: int) -> str:
    """Return the name in a number's body, or raise ValueError if it belongs to another number."""
    pokemon = msgspec.json.decode(content, type=Pokemon)
    if pokemon.id not in {None, number}:
        raise ValueError(f"the body belongs to number {pokemon.id}")
    return pokemon.name


def is_missing(_: bytes | bytearray) -> bool:
    """Whether a body without a name says that its number does not exist.

    PokeAPI answers 404 instead, which needs no code here. Other APIs answer 200 with `null`.
    """
    return False


def decode_list(content: bytes | bytearray) -> dict[int, str]:
    """Return the names in the list of all Pokémon by number, or raise ValueError."""
    index = msgspec.json.decode(content, type=Index)
    return {entry.number: entry.name for entry in index.results}
