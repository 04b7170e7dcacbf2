"""Storage on AWS: everything that uses boto3, which is imported only if there is a store.

This package may import `model`, and no other module of pokemon_names.
"""
