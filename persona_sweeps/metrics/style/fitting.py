"""Fit a character's classifier once for each version of the data, and keep it in the cache folder."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from persona_sweeps.cache import cache_dir
from persona_sweeps.metrics.style.classifier import Classifier
from persona_sweeps.metrics.style.separation import Separation, separation
from persona_sweeps.metrics.style.voices import Voice
from persona_sweeps.records.files import write_bytes
from persona_sweeps.records.identity import digest

if TYPE_CHECKING:
    from persona_sweeps.data.all_characters import AllCharacters

VERSION = "1"
"""version of how lines are chosen, and of the file"""
CLASSIFIERS = {
    "ngrams": "persona_sweeps.metrics.style.ngrams:Ngrams",
    "bi_encoder": "persona_sweeps.metrics.style.bi_encoder:BiEncoder",
    "cross_encoder": "persona_sweeps.metrics.style.cross_encoder:CrossEncoder",
}
"""name → module:Class"""
CACHE_SIZE = 64
"""classifiers that a process keeps"""
_made: dict[str, Fitted | None] = {}


@dataclass(frozen=True)
class Fitted:
    """A fitted classifier, with its scores of the held-out lines of others and how it separates."""

    voice: Voice
    classifier: Classifier
    other: NDArray[np.float64]
    separation: Separation

    def as_record(self) -> dict[str, Any]:
        curve = [dict(step) for step in self.classifier.learning_curve]
        return self.separation.as_record() | ({"learning_curve": curve} if curve else {})


def classifier(name: str) -> type[Classifier]:
    """Return a class of classifiers by name."""
    module, class_name = CLASSIFIERS[name].split(":")
    found: type[Classifier] = getattr(import_module(module), class_name)
    return found


def fitted(name: str, character: str, everyone: AllCharacters) -> Fitted | None:
    """Return a character's classifier, fitted on the training scenes; None where there are too few lines for it.

    The same data give the same one without another look at them, in this process or, from the cache folder, in another.
    """
    key = digest([VERSION, name, classifier(name).version(), character, everyone.fingerprint])
    if key not in _made:
        if len(_made) >= CACHE_SIZE:
            _made.pop(next(iter(_made)))
        _made[key] = _fitted(classifier(name), Voice.of(character, everyone), cache_dir() / "style" / f"{key}.npz")
    return _made[key]


def _fitted(kind: type[Classifier], voice: Voice, path: Path) -> Fitted | None:
    if not (voice.train.is_enough and voice.held_out.is_enough):
        return None
    arrays = _read(path)
    if arrays is None:
        made = kind.fit(voice.train)
        _write(path, made.arrays())
    else:
        made = kind.restored(arrays)
    held_out = voice.held_out
    own, other = made.scores(held_out.own), made.scores(held_out.other)
    return Fitted(voice, made, other, separation(own, held_out.own_scenes, other, held_out.other_scenes))


def _read(path: Path) -> Mapping[str, NDArray[Any]] | None:
    """Return the arrays of a file; None if there is none that can be read."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None


def _write(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    content = BytesIO()
    np.savez(content, allow_pickle=False, **dict(arrays))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, content.getvalue())


def names() -> Sequence[str]:
    """Return the names of all classifiers."""
    return list(CLASSIFIERS)
