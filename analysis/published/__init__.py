"""Boards that others published, as data (`data`): rebuilt, checked, and set beside our own runs."""
