"""Sending GET requests. The result of each is a decoded body, or an error as a value.

This package knows nothing of Pokémon numbers, retries or AWS, and imports no other module of
pokemon_names.
"""
