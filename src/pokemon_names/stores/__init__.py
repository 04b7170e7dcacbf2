"""What is stored on AWS: all that uses boto3, which is imported when a store is first used.

It may import `model`, and of pokemon_names nothing else.
"""
