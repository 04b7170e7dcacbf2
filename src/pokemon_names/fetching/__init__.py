"""The names from PokeAPI: strategies, retries, cache, HTTP. It knows nothing of AWS.

It may import `model`, and of pokemon_names nothing else.
"""
