"""Statistics of what was read: estimates from items, their intervals, differences, ranks, and what tuning gives.

`spread` and `ranking` are imported with every table, so numpy and scipy are imported inside their functions.
"""
