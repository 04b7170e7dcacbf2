"""The options that describe the local PokeAPI, for every program that runs one."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.tools.pokeapi.faults import FAULTS, Faults
from tests.tools.pokeapi.server import PokeAPI
from tests.tools.pokeapi.weather import WEATHER, Weather


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--delay", type=float, default=0.0, help="seconds before each answer of the local PokeAPI"
    )
    _add_named(parser, "fault", "NAME=RATE", FAULTS)
    parser.add_argument("--seed", type=int, default=0, help="of the faults")
    _add_named(parser, "weather", "NAME=VALUE", WEATHER)


def service(options: Namespace, bodies: Path | None = None) -> PokeAPI:
    """Return the PokeAPI that the options describe."""
    faults = Faults(dict(options.fault), options.seed)
    weather = Weather(dict(options.weather))
    return PokeAPI(bodies, options.delay, faults, weather)


def _add_named(parser: ArgumentParser, what: str, form: str, names: Iterable[str]) -> None:
    parser.add_argument(
        f"--{what}",
        action="append",
        default=[],
        type=_named(what, form, names),
        metavar=form,
        help=", ".join(names),
    )


def _named(what: str, form: str, names: Iterable[str]) -> Callable[[str], tuple[str, float]]:
    def read(text: str) -> tuple[str, float]:
        name, _, value = text.partition("=")
        if name not in names:
            raise ArgumentTypeError(f"{name}: no such {what}, only {', '.join(names)}")
        try:
            return name, float(value)
        except ValueError:
            raise ArgumentTypeError(f"{text}: {form} is wanted, with a number") from None

    return read
