"""Fetches the names of a range of Pokémon from PokeAPI, all at once, inside one AWS Lambda invocation."""

__version__ = "0.1.0"
