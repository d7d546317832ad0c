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
from persona_sweeps.records.folders import RunFolder
from persona_sweeps.records.run import read_record

REFRESH = 2.0
"""seconds between looks, on a terminal"""
TAIL_BYTES = 4096
"""of a history, which is where its last line is"""
OVER = ("completed", "pruned", "failed")


@dataclass(frozen=True, slots=True)
class Standing:
    """How a run stands."""

    name: str
    state: str
    """queued, running, stopped (it was in training and nobody trains it now), completed, pruned or failed"""
    told: str


def standing(name: str, folder: RunFolder) -> Standing:
    """Return how a run stands, as far as its folder tells."""
    record = read_record(folder)
    if record is None:
        return Standing(name, "queued", "")
    status = record["status"]
    return Standing(name, *TOLD.get(status, _unended)(record, folder))


def show(runs: Sequence[tuple[str, RunFolder]], title: str, terminal: Terminal) -> None:
    """Print the table of these runs; on a terminal it goes on being true until all have ended, or Ctrl-C."""
    if not terminal.is_terminal:
        terminal.print(_table(runs, title))
        return
    with Live(_table(runs, title), console=terminal, auto_refresh=False) as live:
        while not all(standing(*run).state in OVER for run in runs):
            time.sleep(REFRESH)
            live.update(_table(runs, title), refresh=True)


def _table(runs: Sequence[tuple[str, RunFolder]], title: str) -> Table:
    found = [standing(*run) for run in runs]
    counts = Counter(one.state for one in found)
    caption = ", ".join(f"{count} {state}" for state, count in counts.items())
    table = Table(title=escape(f"{title}: {caption}"), title_justify="left", box=None, pad_edge=False)
    for heading in ("run", "state", ""):
        table.add_column(heading, overflow="fold")
    for one in found:
        table.add_row(escape(one.name), one.state, escape(one.told))
    return table


def _completed(record: dict[str, Any], folder: RunFolder) -> tuple[str, str]:
    metrics = record.get("metrics") or {}
    shown = [f"{name} {metrics[key]:.{digits}f}" for key, name, digits in SHOWN if metrics.get(key) is not None]
    return "completed", ", ".join(shown)


def _failed(record: dict[str, Any], folder: RunFolder) -> tuple[str, str]:
    failure = record.get("failure") or {}
    return "failed", f"{failure.get('type', '')}: {failure.get('message', '')}".strip(": ")


def _pruned(record: dict[str, Any], folder: RunFolder) -> tuple[str, str]:
    return "pruned", str((record.get("training") or {}).get("pruned", ""))


def _unended(record: dict[str, Any], folder: RunFolder) -> tuple[str, str]:
    """Tell of a run whose record says running: who trains it and how far it is, or that nobody does."""
    last = _last_line(folder)
    who = holder(folder.lease)
    if who is None or who.alive is False:
        saved = [int(path.name[5:]) for path in folder.checkpoint.glob("step-*")]
        told = f"goes on from step {max(saved)}" if saved else "begins anew"
        return "stopped", f"{told} when the command is given again"
    job = f" (job {who.job})" if who.job else ""
    return "running", f"{_progress(record['config']['train'], last)} on {who.host}{job}"


def _progress(train: dict[str, Any], last: dict[str, Any] | None) -> str:
    if last is None:
        return "step 0"
    share = last["step"] / train["max_steps"] if train["max_steps"] else last["epoch"] / train["epochs"]
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


SHOWN = (("completion_ppl", "PPL", 2), ("bits_per_byte", "bits/byte", 3), ("rougeL", "ROUGE-L", 3), ("bleu", "BLEU", 3))
"""metrics of a completed run: name in the record, name in print, digits"""

TOLD: dict[str, Callable[[dict[str, Any], RunFolder], tuple[str, str]]] = {
    "completed": _completed,
    "failed": _failed,
    "pruned": _pruned,
}
"""status of a record → state, and what is told of it; a record of any other is of a run that hasn't ended"""
