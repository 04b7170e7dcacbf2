"""What people see: the race in words, as a picture and as a page; the documentation.

It may import `report`, `model` and `ranges`.
"""
