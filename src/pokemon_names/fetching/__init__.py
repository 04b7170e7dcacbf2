"""The names from PokeAPI: which request is next, when, and how often. It knows nothing of AWS.

It imports `http` and `model`, and nothing else of pokemon_names.
"""
