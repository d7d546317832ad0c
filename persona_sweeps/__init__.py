"""Sweeps that teach language models to speak as a character."""

__version__ = "0.1.0"
