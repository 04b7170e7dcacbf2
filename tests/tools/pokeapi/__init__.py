"""The local PokeAPI: a real HTTP server that behaves as the live service does.

Tests, the benchmark and `make run` use it.
"""

from tests.tools.pokeapi.server import PokeAPI, serving

__all__ = ["PokeAPI", "serving"]
