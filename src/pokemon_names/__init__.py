"""The names of a range of Pokémon, fetched from PokeAPI concurrently in one Lambda invocation."""

__version__ = "0.1.0"
