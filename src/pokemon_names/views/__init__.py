"""The texts, pictures and pages for people: races and the documentation.

This package may import `report`, `model` and `ranges`.
"""
