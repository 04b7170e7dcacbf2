"""One GET: a decoded body, or an error as a value. It knows nothing of numbers, retries or AWS.

It imports nothing else of pokemon_names.
"""
