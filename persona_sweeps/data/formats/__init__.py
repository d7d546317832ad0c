"""Parsers of other formats: Harry Potter dialogues, pairs of lines, stories."""
