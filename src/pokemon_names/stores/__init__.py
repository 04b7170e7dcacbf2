"""Storage on AWS: everything that uses boto3, which is imported only if a store is configured.

This package may import `model`, and no other module of pokemon_names.
"""
