"""Processes that live, stop, hang and die, and what they hold meanwhile."""
