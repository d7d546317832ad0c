"""Which runs are rated."""

from __future__ import annotations

from collections.abc import Sequence

from persona_sweeps.errors import UserError, did_you_mean

from .results import Record, Selection


def chosen_runs(selection: Selection, names: Sequence[str]) -> list[Record]:
    """Return completed runs by id, beginning of an id, name or folder; all of them where no name is given.

    Raises `UserError` for a name that fits no run or several.
    """
    completed = selection.completed()
    if not names:
        return completed
    return list({record.run_id: record for record in (_one(name, completed) for name in names)}.values())


def _one(name: str, records: Sequence[Record]) -> Record:
    exact = [r for r in records if name in (r.run_id, r.folder.name)]
    found = exact or [r for r in records if r.get("name") == name or r.run_id.startswith(name)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(f"Several runs are meant by {name!r}: {', '.join(r.run_id for r in found[:8])}.")
    known = [word for r in records for word in (r.run_id, r.folder.name)]
    raise UserError(f"No completed run is called {name!r}.{did_you_mean(name, known)}")
