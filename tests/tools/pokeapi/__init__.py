"""The local PokeAPI: a real HTTP server that behaves as the live service does, for tests, benchmarks and `make run`."""

from tests.tools.pokeapi.server import PokeAPI, serving

__all__ = ["PokeAPI", "serving"]
