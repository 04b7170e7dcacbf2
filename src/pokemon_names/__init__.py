"""The names of a range of Pokémon from PokeAPI, fetched all at once in one Lambda invocation."""

__version__ = "0.1.0"
