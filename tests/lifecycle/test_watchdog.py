"""A process whose work stands still is ended, with where it stood; one whose work gets on is left alone."""

from __future__ import annotations

import subprocess
import sys

from persona_sweeps.lifecycle import watchdog

PATIENCE = 240
HANGS = """
import ctypes, sys
from persona_sweeps.lifecycle import watchdog

def stuck():
    ctypes.PyDLL(None).sleep(3600)  # with Python's lock held: no thread of Python's could end this

with watchdog.watching(1.0):
    stuck()
"""
GETS_ON = """
import time
from persona_sweeps.lifecycle import watchdog

with watchdog.watching(10.0):
    for _ in range(60):
        time.sleep(0.2)
        watchdog.feed()
time.sleep(0.1)
print("done")
"""
IMPORTS = """
import sys, tempfile
from pathlib import Path
from persona_sweeps.lifecycle import watchdog

folder = tempfile.mkdtemp()
sys.path.insert(0, folder)
for number in range(60):
    then = f"import slow{number + 1}" if number < 59 else ""
    Path(folder, f"slow{number}.py").write_text(f"import time; time.sleep(0.2)\\n{then}")
before = list(sys.meta_path)
with watchdog.watching(10.0):
    import slow0
assert sys.meta_path == before
print("done")
"""
ENDED = """
import time
from persona_sweeps.lifecycle import watchdog

with watchdog.watching(0.5):
    pass
time.sleep(1.5)
watchdog.feed()
print("done")
"""


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE)


def test_a_process_that_hangs_is_ended_and_tells_where_it_stood() -> None:
    ended = python(HANGS)
    assert ended.returncode == 1
    assert "in stuck" in ended.stderr
    assert watchdog.last_words(ended.stderr) == "it stood still for 0:00:01, in line 6 of <string>"


def test_work_that_gets_on_is_left_alone_for_as_long_as_it_takes() -> None:
    assert python(GETS_ON).stdout == "done\n"


def test_a_slow_import_is_work_that_gets_on() -> None:
    assert python(IMPORTS).stdout == "done\n"


def test_nothing_is_watched_once_the_work_has_ended() -> None:
    assert python(ENDED).stdout == "done\n"


def test_other_ends_are_not_taken_for_standing_still() -> None:
    assert watchdog.last_words("Timeout (of the server)\nTraceback (most recent call last):\n  ...\n") is None
