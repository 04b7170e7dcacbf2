"""What is stored on AWS: all that uses boto3, which is imported only where there is a store.

It may import `model`, and of pokemon_names nothing else.
"""
