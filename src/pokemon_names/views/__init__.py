"""What people see: the race and the documentation as pages, the waterfall as SVG.

It may import `report` and `model`.
"""
