"""Find scripts: one text or web page, a folder of them, or the rows of a table, each the text of an episode."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from persona_sweeps.data.rows.files import SAVED, SUFFIXES, Rows, open_rows
from persona_sweeps.data.rows.row import RowError
from persona_sweeps.data.rows.values import text_of
from persona_sweeps.data.scripts.text import decoded, plain_text
from persona_sweeps.errors import ConfigError, DataError, did_you_mean

TEXTS = (".txt", ".text", ".htm", ".html", ".md", ".fountain", ".script")
"""names of a folder's files that are read"""
USUAL = {
    "script": ("script", "screenplay", "transcript", "text", "dialogue", "content", "episode_script"),
    "title": ("episode_title", "title", "episode", "name", "film", "movie", "id", "index", ""),
}
"""the usual names of the columns, the likeliest first; "" is the row's number as pandas writes it"""
EMPTY = "empty script"


class ScriptText(NamedTuple):
    """A script before it is parsed; `name` is unique among those that are read together."""

    name: str
    text: str
    place: str


@dataclass
class ScriptColumns:
    """The keys of `dataset.columns`: a column's name; None to guess it."""

    script: str | None = None
    title: str | None = None


@dataclass
class Found:
    """The texts of all scripts, and the notes on how they were read."""

    texts: list[ScriptText]
    fingerprint: str
    dropped: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    titles: Counter[str] = field(default_factory=Counter)


def script_paths(path: str) -> list[Path]:
    """Return the existing files behind `dataset.path`."""
    root = Path(path).expanduser()
    if root.is_file():
        return [root]
    if not root.is_dir():
        return []
    files = sorted(file for file in root.rglob("*") if file.is_file())
    return files if _is_saved(root) else [file for file in files if file.suffix.lower() in TEXTS]


def find_scripts(path: str, columns: ScriptColumns, split: str | None = None) -> Found:
    """Return the scripts at a path. Raises DataError for what is missing or can't be read, ConfigError for columns."""
    root = Path(path).expanduser()
    if (root.is_dir() and not _is_saved(root)) or (root.is_file() and root.suffix.lower() not in SUFFIXES):
        return _in_files(root)
    return _in_rows(open_rows(path, "dataset.path", split), columns)


def _is_saved(folder: Path) -> bool:
    return any((folder / file).is_file() for file in SAVED)


def _in_files(root: Path) -> Found:
    files = script_paths(str(root))
    if not files:
        raise DataError(f"dataset.path={root} holds no script: their files end in {', '.join(TEXTS)}.")
    found, digest, by_page = Found([], ""), hashlib.sha256(), []
    for file in files:
        raw = file.read_bytes()
        name = file.relative_to(root).as_posix() if root.is_dir() else file.name
        digest.update(f"{name}\0{hashlib.sha256(raw).hexdigest()}\n".encode())
        text, is_latin = decoded(raw, str(file))
        by_page += [file.name] if is_latin else []
        _add(found, name.rpartition(".")[0] or name, plain_text(text), str(file))
    found.fingerprint = digest.hexdigest()
    if by_page:
        more = f" and {len(by_page) - 1} more" if len(by_page) > 1 else ""
        found.notes.append(f"{by_page[0]}{more}: not UTF-8, so read as Windows-1252 (ISO-8859-1).")
    return found


def _in_rows(rows: Rows, columns: ScriptColumns) -> Found:
    found = Found([], "")
    chosen: dict[str, str] | None = None
    for row in rows:
        if chosen is None:
            chosen = _columns(list(row.values), columns, rows.name)
            found.notes += _told(chosen, columns, rows.name)
        try:
            text = text_of(row.values.get(chosen["script"]), chosen["script"])
            title = text_of(row.values.get(chosen["title"]), chosen["title"]) if "title" in chosen else ""
        except RowError as error:
            rows.tally.fault(row.place, str(error))
            continue
        title = f"script-{title.strip()}" if title.strip().isdigit() else title.strip()
        _add(found, title or row.name, plain_text(text), row.place)
    rows.tally.check()
    found.dropped += rows.tally.dropped
    found.fingerprint = rows.fingerprint()
    return found


def _add(found: Found, title: str, text: str, place: str) -> None:
    if not text.strip():
        found.dropped[EMPTY] += 1
        return
    slug = re.sub(r"[^\w/]+", "-", title.casefold()).strip("-/") or "script"
    found.titles[slug] += 1
    count = found.titles[slug]
    found.texts.append(ScriptText(f"{slug}--{count}" if count > 1 else slug, text, place))


def _columns(keys: Sequence[str], columns: ScriptColumns, table: str) -> dict[str, str]:
    """Return the column of each role; the title's may be missing."""
    plain = {key.strip().casefold().replace(" ", "_"): key for key in reversed(keys)}
    chosen: dict[str, str] = {}
    for role, usual in USUAL.items():
        named = getattr(columns, role)
        if named is not None and named not in keys:
            hint = did_you_mean(named, keys)
            listing = f"{hint} There are {_listed(keys)}."
            raise ConfigError(f"dataset.columns.{role}={named} is no column of {table}.{listing}")
        free = (plain[name] for name in usual if name in plain and plain[name] not in chosen.values())
        column = next(free, None) if named is None else named
        if column is not None:
            chosen[role] = column
    if "script" not in chosen:
        raise ConfigError(
            f"{table}: no column is called like a script ({', '.join(USUAL['script'])}): name one with "
            f"dataset.columns.script=…. There are {_listed(keys)}."
        )
    return chosen


def _told(chosen: Mapping[str, str], columns: ScriptColumns, table: str) -> Iterator[str]:
    unlike = [(role, name) for role, name in chosen.items() if name not in (role, "")]
    guessed = [f"{role} = {name}" for role, name in unlike if getattr(columns, role) is None]
    if guessed:
        yield f"{table}: columns guessed: {', '.join(guessed)} (dataset.columns.… names others)."


def _listed(keys: Sequence[str]) -> str:
    return ", ".join(key or '""' for key in keys)
