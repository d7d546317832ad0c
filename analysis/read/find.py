"""Find runs by what people call them: an id, the beginning of one, a name, or a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from persona_sweeps.errors import UserError, did_you_mean

from .results import RunResult

_LISTED = 8


def find(name: str, results: Sequence[RunResult], where: str) -> RunResult:
    """Return the one result that is meant; `where` says what `results` are, for the message of an error.

    A name is a run id, the beginning of one, or a run's name or folder; `RUN/EVALUATION` names one of several
    evaluations of a run, by the beginning of its id. Raises `UserError` when there is none, or more than one.
    """
    path = Path(name)
    evaluations = [result for result in _matching(path.parent.name, results) if _evaluates(result, path.name)]
    found = evaluations or _matching(path.name, results)
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(map(_called, found[:_LISTED]))
        raise UserError(f"{len(found)} results are meant by {name!r}: {listed}{' …' if len(found) > _LISTED else ''}.")
    known = dict.fromkeys(word for result in results for word in (result.run_id, result.folder.name))
    raise UserError(f"No {where} is called {name!r}.{did_you_mean(Path(name).name, known)}")


def _matching(wanted: str, results: Sequence[RunResult]) -> list[RunResult]:
    exact = [result for result in results if wanted in (result.run_id, result.folder.name, result.get("name"))]
    return exact or [result for result in results if wanted and result.run_id.startswith(wanted)]


def _evaluates(result: RunResult, beginning: str) -> bool:
    return result.evaluation_id is not None and result.evaluation_id.startswith(beginning)


def _called(result: RunResult) -> str:
    return f"{result.folder.name}/{result.evaluation_id}" if result.evaluation_id else result.folder.name
