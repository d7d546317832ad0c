"""Ten thousand runs: every table of results in a small multiple of what reading them takes, and in one GiB."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.analysis.synthetic_runs import sweep

ROOT = Path(__file__).parents[3]
MEASURED = """
import json, pathlib, sys, time
started = time.process_time()
for path in pathlib.Path(sys.argv[-1]).glob("runs/**/*.json*"):
    for line in [path.read_text()] if path.suffix == ".json" else path.read_text().splitlines():
        json.loads(line)
plain = time.process_time() - started
from analysis.__main__ import main
code = main(sys.argv[1:])
spent = time.process_time() - started - plain
# Not ru_maxrss: a child takes over its parent's, which may hold models.
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(plain, spent, peak, file=sys.stderr)
sys.exit(code)
"""
TIMES_PLAIN_READING = 16
"""what a table may take, as a multiple of reading and parsing the same files in the same process; alone on a machine
that is ten seconds (measured: 2 to 7), and a busy one slows both"""


SHAPES = [
    pytest.param((3334, 3), id="3334 settings, 3 seeds", marks=pytest.mark.long),
    pytest.param((10_000, 1), id="10000 settings", marks=pytest.mark.long),
]
TABLES = [
    "leaderboard",
    *(
        pytest.param(name, marks=pytest.mark.long)
        for name in ("quantization", "lora-vs-prompt-tuning", "base-vs-instruct", "methods-over-models", "report")
    ),
]


@pytest.fixture(scope="module", params=SHAPES)
def many(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("many")
    sweep(root, *request.param, effect=0.001)
    return root


@pytest.mark.slow
@pytest.mark.parametrize("table", TABLES)
def test_a_table_of_ten_thousand_runs_takes_little_more_than_reading_them(many: Path, table: str) -> None:
    command = [sys.executable, "-c", MEASURED, table, "--output-dir", str(many)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    plain, seconds, kilobytes = map(float, done.stderr.split()[-3:])
    print(f"{table}: {seconds:.1f} CPU seconds, {seconds / plain:.1f} times plain reading, {kilobytes / 1024:.0f} MiB")
    assert seconds < TIMES_PLAIN_READING * plain and kilobytes < 2**20
