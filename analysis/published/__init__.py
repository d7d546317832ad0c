"""Boards that others published, as data (`analysis/reference`): rebuilt, checked, and set beside our own runs."""
