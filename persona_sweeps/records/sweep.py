"""Write the record of a sweep: its commands, its studies, and its cells in order with their run ids and states.

Several commands may share a sweep: its record grows, and loses no cell of an earlier one.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from persona_sweeps.records.files import read_json, write_json
from persona_sweeps.records.folders import SweepFolder
from persona_sweeps.records.identity import RUN_SCHEMA
from persona_sweeps.records.redaction import redacted

_OF_CELL = ("study", "trial", "final", "run_id", "evaluation_id")
"""keys that make two rows the same cell"""


def write_sweep(
    folder: SweepFolder, name: str, rows: Sequence[Mapping[str, Any]], studies: Mapping[str, Any] | None = None
) -> None:
    """Write sweep.json; `rows` are the command's cells, after those that it has of other commands. Raises OSError."""
    earlier = read_json(folder.record) or {}
    command = redacted(shlex.join(["launch.py", *sys.argv[1:]]))
    before = [text for text in _listed(earlier, "commands") or [earlier.get("command")] if text not in (command, None)]
    record: dict[str, Any] = {"schema_version": RUN_SCHEMA, "name": name, "commands": [*before, command]}
    if all_studies := {**_mapping(earlier.get("studies")), **(studies or {})}:
        record["studies"] = all_studies
    write_json(folder.record, redacted({**record, "cells": [*other_cells(folder, rows, studies or ()), *rows]}))


def other_cells(
    folder: SweepFolder, rows: Sequence[Mapping[str, Any]], studies: Mapping[str, Any] | Sequence[str] = ()
) -> list[Mapping[str, Any]]:
    """Return the cells that a sweep has of other commands than the one with these rows, and of other studies."""
    known = {_key(row) for row in rows}
    listed = _listed(read_json(folder.record) or {}, "cells")
    cells = [cell for cell in listed if isinstance(cell, Mapping)]
    return [cell for cell in cells if _key(cell) not in known and cell.get("study") not in studies]


def _key(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(row.get(key)) for key in _OF_CELL)


def _listed(record: Mapping[str, Any], key: str) -> list[Any]:
    found = record.get(key)
    return found if isinstance(found, list) else []


def _mapping(found: Any) -> Mapping[str, Any]:
    return found if isinstance(found, Mapping) else {}
