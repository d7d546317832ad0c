"""Helpers of the tests of data."""

from __future__ import annotations

from persona_sweeps.data.example import Corpus


def notes_on_rows(corpus: Corpus) -> list[str]:
    """Return what a corpus notes of its rows; that these small files hold out few scenes is another test's matter."""
    return [note for note in corpus.notes if not note.startswith("Scenes or dialogues held out: ")]
