"""`status=only`: how the runs of a sweep stand, read from their records, histories and leases; trains nothing."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console as Terminal
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from persona_sweeps.lifecycle.lease import holder
from persona_sweeps.planning.console import shown_values
from persona_sweeps.records.evaluation import Outcome, outcome
from persona_sweeps.records.folders import RunFolder

REFRESH = 2.0
"""seconds between looks, on a terminal"""
TAIL_BYTES = 4096
"""of a history, which is where its last line is"""
OVER = ("completed", "pruned", "failed")


@dataclass(frozen=True, slots=True)
class Standing:
    """How a run and its evaluation stand."""

    name: str
    state: str
    """queued, running, stopped (it was in training and nobody trains it now), trained, completed, pruned or failed"""
    detail: str


@dataclass(frozen=True, slots=True)
class Watched:
    """What is watched: an evaluation of a run."""

    name: str
    folder: RunFolder
    evaluation_id: str


def standing(watched: Watched) -> Standing:
    """Return how a run and its evaluation stand, as far as their files say."""
    found = outcome(watched.folder, watched.evaluation_id)
    if found.status == "planned":
        return Standing(watched.name, "queued", "")
    state, detail = DETAILS.get(found.status, _unfinished)(found, watched.folder)
    return Standing(watched.name, state, detail)


def show(runs: Sequence[Watched], title: str, terminal: Terminal) -> None:
    """Print the table of these runs; on a terminal it goes on being true until all have ended, or Ctrl-C."""
    if not terminal.is_terminal:
        terminal.print(_table(runs, title))
        return
    with Live(_table(runs, title), console=terminal, auto_refresh=False) as live:
        while not all(standing(run).state in OVER for run in runs):
            time.sleep(REFRESH)
            live.update(_table(runs, title), refresh=True)


def _table(runs: Sequence[Watched], title: str) -> Table:
    found = [standing(run) for run in runs]
    counts = Counter(one.state for one in found)
    caption = ", ".join(f"{count} {state}" for state, count in counts.items())
    table = Table(title=escape(f"{title}: {caption}"), title_justify="left", box=None, pad_edge=False)
    for heading in ("run", "state", ""):
        table.add_column(heading, overflow="fold")
    for one in found:
        table.add_row(escape(one.name), one.state, escape(one.detail))
    return table


def _completed(found: Outcome, folder: RunFolder) -> tuple[str, str]:
    shown = shown_values(found.metrics, found.descriptions)
    return "completed", ", ".join(f"{label} {value}" for label, value in shown)


def _failed(found: Outcome, folder: RunFolder) -> tuple[str, str]:
    failure = found.evaluation.get("failure") or found.run.get("failure") or {}
    return "failed", f"{failure.get('type', '')}: {failure.get('message', '')}".strip(": ")


def _pruned(found: Outcome, folder: RunFolder) -> tuple[str, str]:
    return "pruned", found.reason


def _trained(found: Outcome, folder: RunFolder) -> tuple[str, str]:
    who = holder(folder.lease)
    if who is None or who.alive is False:
        return "trained", "its evaluation is missing: the same command makes it"
    return "running", f"its evaluation, on {who.host}"


def _unfinished(found: Outcome, folder: RunFolder) -> tuple[str, str]:
    """Describe a run whose record says running: who trains it and how far it is, or that nobody does."""
    last = _last_line(folder)
    who = holder(folder.lease)
    if who is None or who.alive is False:
        saved = [int(path.name[5:]) for path in folder.checkpoint.glob("step-*")]
        start = f"goes on from step {max(saved)}" if saved else "begins anew"
        return "stopped", f"{start} when the command is given again"
    job = f" (job {who.job})" if who.job else ""
    return "running", f"{_progress(found.run['config']['train'], last)} on {who.host}{job}"


def _progress(train: dict[str, Any], last: dict[str, Any] | None) -> str:
    if last is None:
        return "step 0"
    share = last["step"] / train["max_steps"] if train.get("max_steps") else last["epoch"] / train["epochs"]
    held_out = f", held out {last['eval_nll']:.3f}" if last.get("eval_nll") is not None else ""
    loss = "nan" if last["train_nll"] is None else f"{last['train_nll']:.3f}"
    return f"step {last['step']} ({min(share, 1):.0%}), loss {loss}{held_out}"


def _last_line(folder: RunFolder) -> dict[str, Any] | None:
    """Return the last whole line of a run's history; None where there is none yet."""
    try:
        with folder.history.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
            lines = file.read().splitlines()
    except OSError:
        return None
    for line in reversed(lines):
        try:
            found = json.loads(line)
        except ValueError:  # being written, or cut by where reading began
            continue
        if isinstance(found, dict):
            return found
    return None


DETAILS: dict[str, Callable[[Outcome, RunFolder], tuple[str, str]]] = {
    "completed": _completed,
    "failed": _failed,
    "pruned": _pruned,
    "trained": _trained,
}
"""status of an outcome → state, and what is printed of it; any other is of a run in training"""
