"""Plays in Markdown: their parser, and the library of plays that are installed."""
