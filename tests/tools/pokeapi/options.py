"""The options that describe the local PokeAPI, for every program that runs one."""

import math
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable
from pathlib import Path

from tests.tools.options import Mistake, number
from tests.tools.pokeapi.faults import FAULTS, Faults
from tests.tools.pokeapi.server import PokeAPI
from tests.tools.pokeapi.weather import WEATHER, Weather

RATES = (
    f"NAME=RATE, with a name of {', '.join(FAULTS)}; "
    "the rates add up to at most 1, such as 'reset=0.1 429=0.2'"
)
CONDITIONS = f"NAME=NUMBER, with a name of {', '.join(WEATHER)}, such as 'outage=2 poison=50'"


def add_options(parser: ArgumentParser) -> None:
    seconds = number(float, "0 or more seconds, such as 0.05")
    seed = number(int, "a whole number, such as 7", minimum=-math.inf)
    parser.add_argument(
        "--delay", type=seconds, default=0.0, help="seconds before each answer of the local PokeAPI"
    )
    parser.add_argument("--faults", type=_faults, default={}, help=RATES)
    parser.add_argument("--seed", type=seed, default=0, help="seed of the faults")
    parser.add_argument("--weather", type=_weather, default={}, help=CONDITIONS)


def bodies(text: str) -> Path:
    """Return a folder of recorded bodies."""
    folder = Path(text)
    if not any(folder.glob("*.json.gz")):
        raise Mistake(text, "a folder of recorded bodies, NUMBER.json.gz")
    return folder


def service(options: Namespace, bodies: Path | None = None) -> PokeAPI:
    """Return the PokeAPI that the options describe."""
    faults = Faults(options.faults, options.seed)
    weather = Weather(options.weather)
    return PokeAPI(bodies, options.delay, faults, weather)


def _faults(text: str) -> dict[str, float]:
    rates = _numbers(text, FAULTS, RATES)
    if math.fsum(rates.values()) > 1:
        raise Mistake(text, RATES)
    return rates


def _weather(text: str) -> dict[str, float]:
    return _numbers(text, WEATHER, CONDITIONS)


def _numbers(text: str, names: Iterable[str], allowed: str) -> dict[str, float]:
    numbers = {}
    for part in text.split():
        name, _, value = part.partition("=")
        if name not in names:
            raise Mistake(part, allowed)
        try:
            numbers[name] = number(float, allowed)(value)
        except Mistake:
            raise Mistake(part, allowed) from None
    return numbers
