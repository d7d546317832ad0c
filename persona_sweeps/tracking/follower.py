"""Start and feed the process that shows a sweep in its trackers (`follow`)."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from persona_sweeps.tracking.tracker import Tracker

FINISH_SECONDS = 120.0
"""how long the end of a sweep waits for uploads"""
STOPPED_SECONDS = 15.0
"""how long a stopped sweep waits: a cluster gives it half a minute"""
_QUIET_SECONDS = 3.0
"""how long it waits without a word"""

Trackers = Mapping[str, Tracker]
Row = Mapping[str, Any]
Say = Callable[[str], None]


class Follower:
    """A process beside this one that shows runs; none without trackers. No call raises or waits but `close`."""

    def __init__(
        self,
        trackers: Trackers,
        output_dir: Path,
        sweep: str,
        rows: Sequence[Row],
        say: Say,
        is_sweep: bool = True,
    ) -> None:
        """Start it. `rows` are cells as a sweep's record lists them; a single run has no record of a sweep."""
        self._say = say
        self._what = f"persona-sweeps push --sweep {sweep} --to {','.join(trackers)}"
        self._announced: set[tuple[str, str]] = set()
        self._process: subprocess.Popen[str] | None = None
        shown = {name: tracker for name, tracker in trackers.items() if name != "none"}
        if not shown:
            return
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "persona_sweeps.tracking.follow"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                start_new_session=True,  # Ctrl-C on the terminal is for the sweep
            )
        except OSError as error:
            say(f"The trackers can't be started ({error}); later, `{self._what}` shows the sweep.")
            return
        assert self._process.stdout is not None
        self._reader = threading.Thread(target=self._repeat, args=(self._process.stdout,), daemon=True)
        self._reader.start()
        self._write(
            {
                "output_dir": str(output_dir.absolute()),
                "sweep": sweep,
                "trackers": [[*_class(tracker), asdict(tracker)] for tracker in shown.values()],
                "rows": list(rows),
                "is_sweep": is_sweep,
            }
        )
        self._announced |= {_key(row) for row in rows}

    def follow(self, row: Row) -> None:
        """Have a run shown, too."""
        if _key(row) not in self._announced:
            self._announced.add(_key(row))
            self._write(row)

    def close(self, seconds: float = FINISH_SECONDS) -> None:
        """Have the rest shown, and wait so long for it."""
        process = self._process
        if process is None or process.stdin is None:
            return
        self._process = None
        with contextlib.suppress(OSError):  # it is gone, which its exit code says
            process.stdin.close()
        try:
            try:
                process.wait(min(_QUIET_SECONDS, seconds))
            except subprocess.TimeoutExpired:
                self._say("Waiting until the trackers have everything …")
                process.wait(seconds)
            self._reader.join(_QUIET_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            self._say(f"The trackers took too long, and don't have everything: `{self._what}` sends what is missing.")
            return
        if process.returncode:
            self._say(f"The trackers stopped early, and don't have everything: `{self._what}` sends what is missing.")

    def _write(self, content: Mapping[str, Any]) -> None:
        if self._process is None or self._process.stdin is None:
            return
        with contextlib.suppress(OSError):  # it is gone, which its exit code says in the end
            self._process.stdin.write(json.dumps(content, default=str) + "\n")
            self._process.stdin.flush()

    def _repeat(self, lines: IO[str]) -> None:
        for line in lines:
            self._say(line.rstrip("\n"))


@contextmanager
def following(
    trackers: Trackers, output_dir: Path, sweep: str, rows: Sequence[Row], say: Say, is_sweep: bool = True
) -> Iterator[Follower]:
    """Show runs in trackers meanwhile, and the rest of them at the end, also of a sweep that is stopped."""
    follower = Follower(trackers, output_dir, sweep, rows, say, is_sweep)
    try:
        yield follower
    except BaseException:
        follower.close(STOPPED_SECONDS)
        raise
    follower.close()


def _class(tracker: Tracker) -> tuple[str, str]:
    """Return the module and the name of a tracker's class: by these the process needs no config to find it."""
    return type(tracker).__module__, type(tracker).__qualname__


def _key(row: Row) -> tuple[str, str]:
    return str(row.get("folder")), str(row.get("evaluation_id"))
