"""Everything that is specific to PokeAPI: its paths, and the fields read from its JSON.

To use another API, change the base URL and this module.
"""

from typing import Annotated

import msgspec

# The spellings of each path, relative to the base URL. A cache in front of PokeAPI may hold a wrong
# response for one of them and the right one for the other. PokeAPI's own URLs end with a slash, and
# a self-hosted PokeAPI redirects to them.
POKEMON_PATHS = ("pokemon/{}/", "pokemon/{}")
# By default, the list has 20 entries; any limit is allowed. If your API has no list, leave this
# empty.
LIST_PATHS = ("pokemon/?limit=100000&offset=0", "pokemon?limit=10000&offset=0")

# Names are printed one per line, so they have no control characters. A reply may have a thousand of
# them, so their length is limited.
_Name = Annotated[
    str,
    msgspec.Meta(min_length=1, max_length=100, pattern=r"\A[^\x00-\x1f\x7f-\x9f\u2028\u2029]*\Z"),
]


class Pokemon(msgspec.Struct):
    """The fields needed of one Pokémon, out of up to 665 KB of JSON.

    Decoding only these takes a fifth of the time that json.loads takes.
    """

    name: _Name
    id: int | None = None


class Entry(msgspec.Struct):
    """One Pokémon in the list of all."""

    name: _Name
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


def decode_list(content: bytes | bytearray) -> dict[int, str]:
    """Return the names in the list of all Pokémon by number, or raise ValueError."""
    index = msgspec.json.decode(content, type=Index)
    return {entry.number: entry.name for entry in index.results}
