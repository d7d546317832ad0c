"""Ten thousand runs: every table of results within ten CPU-seconds and one GiB."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from synthetic_runs import sweep

ROOT = Path(__file__).parents[2]
MEASURED = (
    "import resource, sys; from analysis.__main__ import main; code = main(sys.argv[1:]);"
    "used = resource.getrusage(resource.RUSAGE_SELF);"
    "print(used.ru_utime + used.ru_stime, used.ru_maxrss, file=sys.stderr); sys.exit(code)"
)


@pytest.fixture(scope="module", params=[(3334, 3), (10_000, 1)], ids=["3334 settings, 3 seeds", "10000 settings"])
def many(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("many")
    sweep(root, *request.param, effect=0.001)
    return root


@pytest.mark.slow
@pytest.mark.parametrize("table", ["leaderboard", "quantization", "lora-vs-prompt-tuning", "base-vs-instruct"])
def test_a_table_of_ten_thousand_runs_takes_ten_seconds_and_a_gibibyte_at_most(many: Path, table: str) -> None:
    command = [sys.executable, "-c", MEASURED, table, "--output-dir", str(many)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    seconds, kilobytes = map(float, done.stderr.split()[-2:])
    assert seconds < 10 and kilobytes < 2**20
