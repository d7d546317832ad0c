"""`python -m persona_sweeps.tracking.follow`: show a sweep in its trackers while it runs, from its records.

The process that runs the sweep starts this one (`follower`), and writes to its standard input: first a line of JSON
with what to show where, then a line for each further run. The end of the input is the end of the sweep, however that
came.
What there is to say goes to standard output, a sentence a line.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO

from persona_sweeps.records.folders import SweepFolder
from persona_sweeps.tracking.entries import EntryCache, entries_of, rows_of, tables_of
from persona_sweeps.tracking.showing import Showing

POLL_SECONDS = 2.0


def main() -> None:
    """Follow a sweep until the input ends."""
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # the sweep is stopped; what it wrote is still shown
        signal.signal(name, signal.SIG_IGN)
    logging.disable(logging.CRITICAL)
    # W&B would load pandas only to see that nothing is a data frame.
    sys.modules["pandas"] = None  # type: ignore[assignment]
    said, sys.stdout = sys.stdout, open(os.devnull, "w")  # noqa: SIM115 - of clients, which print as they like
    spec = json.loads(sys.stdin.readline())
    lines: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_read, args=(lines,), daemon=True).start()
    follow(spec, lines, lambda sentence: _say(sentence, said))


def follow(spec: Mapping[str, Any], lines: queue.Queue[str | None], say: Callable[[str], None]) -> None:
    """Show the runs of `spec`, and those of each line, until a line is None; then what is left, and the tables."""
    output_dir, sweep = Path(spec["output_dir"]), str(spec["sweep"])
    showings = [
        Showing(getattr(import_module(module), name)(**keys), output_dir, sweep, say)
        for module, name, keys in spec["trackers"]
    ]
    cache = EntryCache(output_dir, sweep)
    rows = list(spec["rows"])
    waiting = True
    while waiting:
        waiting = _take(lines, rows)
        entries = cache.read(rows)
        for showing in showings:
            (showing.update if waiting else showing.finish)(entries)
    recorded = rows_of(SweepFolder.of(output_dir, sweep)) if spec["is_sweep"] else []
    entries = list(entries_of(output_dir, sweep, [*recorded, *rows]))
    for showing in showings:
        showing.finish(entries)
        if spec["is_sweep"]:
            showing.tables(lambda: tables_of(output_dir, sweep))
        showing.close()


def _take(lines: queue.Queue[str | None], rows: list[Mapping[str, Any]]) -> bool:
    """Add the rows that have come, after a while without any; return whether more may come."""
    try:
        line = lines.get(timeout=POLL_SECONDS)
        while line is not None:
            rows.append(json.loads(line))
            line = lines.get_nowait()
    except queue.Empty:
        return True
    return False


def _read(lines: queue.Queue[str | None]) -> None:
    for line in sys.stdin:
        lines.put(line)
    lines.put(None)


def _say(sentence: str, to: TextIO) -> None:
    with contextlib.suppress(OSError):  # the sweep's process is gone
        print(sentence, file=to, flush=True)


if __name__ == "__main__":
    main()
