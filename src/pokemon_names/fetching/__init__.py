"""Fetching names from PokeAPI: which request to send next, when, and how often.

This package knows nothing of AWS. It imports `http` and `model`, and no other module of
pokemon_names.
"""
