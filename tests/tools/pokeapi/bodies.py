"""Bodies: recorded ones from a folder, or generated ones with the real fields, names and sizes."""

import csv
import gzip
import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

API = "https://pokeapi.co/api/v2"
ASSETS = "https://raw.githubusercontent.com/PokeAPI"
FIRST_FORM = 10_001  # from here on, the numbers are other forms of earlier Pokémon
NAMES_FILE = Path(__file__).with_name("names.csv")


class Pokemon(NamedTuple):
    """A line of the names file. `size` is the size of the live body, uncompressed, in bytes."""

    number: int
    name: str
    size: int


@cache
def pokemon() -> Mapping[int, Pokemon]:
    """Return every Pokémon by number, in PokeAPI's order."""
    by_number = dict[int, Pokemon]()
    with NAMES_FILE.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            number = int(row["number"])
            by_number[number] = Pokemon(number, row["name"], int(row["bytes"]))
    return by_number


def list_entry(one: Pokemon) -> dict[str, str]:
    """Return a Pokémon's entry in the list of all."""
    return _link("pokemon", one.number, one.name)


def recorded(folder: Path) -> Callable[[Pokemon], bytes]:
    """Return a function that reads compressed bodies from `<number>.json.gz` files."""
    return lambda one: (folder / f"{one.number}.json.gz").read_bytes()


@cache
def generated(one: Pokemon) -> bytes:
    """Return a compressed body. Its uncompressed size is right to within one move."""
    body = _text(_body(one))
    count = max(0, one.size - len(body)) // len(_move(1))
    moves = ",".join(map(_move, range(count)))
    body = body.replace('"moves":[]', f'"moves":[{moves}]')
    return gzip.compress(body.encode(), compresslevel=1, mtime=0)


def _body(one: Pokemon) -> dict[str, Any]:
    """Return the fields of a body, in the live service's order.

    The name comes after the moves, which are nearly all of a body.
    """
    return {
        "abilities": [{"ability": _link("ability", 1, "stench"), "is_hidden": False, "slot": 1}],
        "base_experience": 64,
        "cries": {
            "latest": f"{ASSETS}/cries/main/cries/pokemon/latest/{one.number}.ogg",
            "legacy": f"{ASSETS}/cries/main/cries/pokemon/legacy/{one.number}.ogg",
        },
        "forms": [_link("pokemon-form", one.number, one.name)],
        "game_indices": [{"game_index": one.number, "version": _link("version", 1, "red")}],
        "height": 7,
        "held_items": [],
        "id": one.number,
        "is_default": one.number < FIRST_FORM,
        "location_area_encounters": f"{API}/pokemon/{one.number}/encounters",
        "moves": [],
        "name": one.name,
        "order": one.number,
        "past_abilities": [],
        "past_stats": [],
        "past_types": [],
        "species": _link("pokemon-species", one.number, one.name),
        "sprites": _sprites(one.number),
        "stats": [
            {"base_stat": 45, "effort": 0, "stat": _link("stat", i, name)}
            for i, name in _STATS.items()
        ],
        "types": [{"slot": 1, "type": _link("type", 1, "normal")}],
        "weight": 69,
    }


_STATS = {1: "hp", 2: "attack", 3: "defense", 4: "special-attack", 5: "special-defense", 6: "speed"}
_VERSION_GROUPS = {
    1: "red-blue",
    2: "yellow",
    3: "gold-silver",
    4: "crystal",
    5: "ruby-sapphire",
    6: "emerald",
}


@cache
def _move(number: int) -> str:
    learned = {
        "level_learned_at": 0,
        "move_learn_method": _link("move-learn-method", 4, "machine"),
        "order": None,
    }
    groups = [
        {**learned, "version_group": _link("version-group", i, name)}
        for i, name in _VERSION_GROUPS.items()
    ]
    return _text(
        {
            "move": _link("move", 100 + number, f"move-{100 + number}"),
            "version_group_details": groups,
        }
    )


def _sprites(number: int) -> dict[str, Any]:
    views = ("back_default", "back_shiny", "front_default", "front_shiny")
    return {view: f"{ASSETS}/sprites/master/sprites/pokemon/{view}/{number}.png" for view in views}


def _link(kind: str, number: int, name: str) -> dict[str, str]:
    return {"name": name, "url": f"{API}/{kind}/{number}/"}


def _text(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
