"""The names of a range of Pokémon, fetched from PokeAPI concurrently in one Lambda invocation."""

__version__ = "1.0.0"
