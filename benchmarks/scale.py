"""`python -m benchmarks.scale`: what ten thousand runs cost beside their training, with trials that do nothing.

The real planner, leases, records and metrics work on a sweep whose trials are never trained; and processes share a
study of Optuna's journal without training its trials. Counted are CPU seconds, files, and calls that a shared file
system's metadata server has to answer. A last sweep does train its runs, for one step, and one in twenty diverges.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.page import rewrite_between
from benchmarks.rounds import ROOT
from persona_sweeps.records.files import write_json
from persona_sweeps.records.provenance import environment, now

if TYPE_CHECKING:
    from persona_sweeps.planning.cells import Cell

BEGIN, END = "<!-- scale:begin -->", "<!-- scale:end -->"
RESULT = "scale.json"
COMMON = (
    "model.scale=tiny", "device=cpu", "train.precision=fp32", "peft=lora", "metrics=[likelihood]", "sweep.name=scale",
    "dataset.eval_limit=8",
)  # fmt: skip
COUNTED = ("open", "mkdir", "rename", "replace", "unlink", "rmdir", "fsync", "utime", "listdir", "scandir", "stat")
"""functions of `os` whose calls a shared file system answers; `open` is the builtin's too"""
WORKERS = 4
SOUND, DIVERGES = [f"{step}e-4" for step in range(1, 20)], "1e30"
"""learning rates; at the last one a run can't be scored"""
SHORTEST = ("train.max_steps=1", "train.warmup_ratio=0", "train.max_length=256", "group_size=50")


@contextlib.contextmanager
def counting(calls: Counter[str]) -> Iterator[None]:
    """Count calls of the functions above while the block runs."""
    originals: dict[str, Callable] = {name: getattr(os, name) for name in COUNTED}
    opened = io.open

    def counted(name: str, function: Callable) -> Callable:
        def call(*arguments: Any, **options: Any) -> Any:
            calls[name] += 1
            return function(*arguments, **options)

        return call

    for name, function in originals.items():
        setattr(os, name, counted(name, function))
    io.open = counted("open", opened)
    try:
        yield
    finally:
        for name, function in originals.items():
            setattr(os, name, function)
        io.open = opened


def command(runs: int, folder: Path, *more: str, succeeds: bool = True) -> float:
    """Give the sweep's command; return its CPU seconds. Raises CalledProcessError when it fails and shouldn't."""
    arguments = ["-m", *COMMON, f"seed=range({runs})", f"output_dir={folder}", *more]
    before = os.times()
    errors = None if succeeds else subprocess.DEVNULL
    subprocess.run(
        [sys.executable, str(ROOT / "launch.py"), *arguments], check=succeeds, stdout=subprocess.DEVNULL, stderr=errors
    )
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def pretend(runs: int, folder: Path) -> dict[str, Any]:
    """Take each run through its lease, its record, its predictions and their scores; return what that cost a run."""
    from hydra import initialize_config_dir

    from persona_sweeps.config.folder import conf_folder
    from persona_sweeps.config.schema import register_schemas
    from persona_sweeps.execution.hydra_jobs import compose_cell
    from persona_sweeps.planning.compose import Composer
    from persona_sweeps.running.checkpointing import take
    from persona_sweeps.running.run_writer import RunWriter
    from persona_sweeps.running.scoring import score

    register_schemas()
    calls: Counter[str] = Counter()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        composer = Composer(*_context())
        cells = [compose_cell(composer, [*COMMON, f"seed={seed}", f"output_dir={folder}"]) for seed in range(runs)]
    console = _Quiet()
    started = time.process_time()
    with counting(calls):
        for cell in cells:
            lease = take(cell, console)  # type: ignore[arg-type]
            assert lease is not None
            with lease:
                writer = RunWriter(cell, lease)
                writer.log({"step": 1, "train_nll": 1.0})
                writer.complete()
                _predict(cell)
                writer.close()
                score(cell)
    seconds = time.process_time() - started
    files = sum(len(names) for _, _, names in os.walk(folder / "runs")) / runs
    return {
        "cpu_seconds": seconds / runs,
        "files": files,
        "calls": {name: round(count / runs, 1) for name, count in calls.most_common()},
    }


def _predict(cell: Cell) -> None:
    """Write predictions that nobody made."""
    from persona_sweeps.data import load_corpus
    from persona_sweeps.records.predictions import write_predictions
    from persona_sweeps.running.predicting import prediction_head

    examples = load_corpus(cell.config.dataset).eval
    lines = [
        {
            "id": example.id, "cluster": example.cluster, "persona": example.persona, "prompt": example.prompt_text,
            "reference": example.completion, "nll": 20.0, "tokens": 10, "bytes": len(example.completion.encode()),
        }
        for example in examples
    ]  # fmt: skip
    counts = {"eval_examples": len(examples), "dropped": {}}
    for request, prediction_id in cell.requests.items():
        write_predictions(cell.folder, prediction_id, prediction_head(cell, request, examples, counts, {}, {}), lines)


def poisoned(runs: int, folder: Path) -> dict[str, Any]:
    """Train a sweep of runs of one step each, of which one in twenty diverges; return what a run cost, and the ends."""
    data = folder / "lines.jsonl"
    lines = [
        {"prompt": f"Who's there? ({n})", "completion": f"Nay, answer me: {n}.", "scene": n // 3} for n in range(12)
    ]
    data.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    rates = [*SOUND, DIVERGES]
    seconds = command(
        runs // len(rates), folder, f"train.learning_rate={','.join(rates)}", *SHORTEST, "dataset=jsonl",
        f"dataset.path={data}", "dataset.persona=null", "sweep.name=poisoned", succeeds=False,
    )  # fmt: skip
    evaluations = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("runs/*/evaluations/*.json")]
    reasons = [evaluation["failure"]["message"] for evaluation in evaluations if evaluation["failure"]]
    return {
        "runs": len(evaluations),
        "completed": len(evaluations) - len(reasons),
        "failed": len(reasons),
        "reasons": sorted(set(reasons)),
        "cpu_seconds": seconds / len(evaluations),
    }


def share_a_study(trials: int, workers: int, folder: Path) -> dict[str, float]:
    """Have processes share the trials of one study; return what a trial cost them, and the journal's size."""
    before, started = os.times(), time.perf_counter()
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from benchmarks.scale import work; "
        "work(sys.argv[2], int(sys.argv[3]))"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(ROOT), str(folder), str(trials)]) for _ in range(workers)
    ]
    assert all(process.wait() == 0 for process in processes)
    after = os.times()
    seconds = after.children_user + after.children_system - before.children_user - before.children_system
    return {
        "trials": trials,
        "workers": workers,
        "cpu_seconds": seconds / trials,
        "wall_seconds": (time.perf_counter() - started) / trials,
        "journal_bytes": (folder / "study.log").stat().st_size / trials,
    }


def work(folder: str, trials: int) -> None:
    """Ask for trials and report them until the study has as many as it should."""
    from optuna.samplers import RandomSampler
    from optuna.trial import Trial, TrialState

    from persona_sweeps.study.storage import StudyStorage

    storage = StudyStorage(Path(folder) / "study.log", "scale", ["minimize"], RandomSampler(seed=0))

    def begin(trial: Trial) -> None:
        trial.suggest_float("train.learning_rate", 1e-4, 1e-2, log=True)

    while claimed := storage.claim(1, trials, None, begin):
        for trial in claimed:
            storage.tell(trial.number, TrialState.COMPLETE, [1.0], tokens=1)
    storage.close()


def _context() -> tuple[Any, Any]:
    from hydra._internal.callbacks import Callbacks
    from hydra.core.global_hydra import GlobalHydra
    from hydra.types import HydraContext, RunMode

    hydra = GlobalHydra.instance().hydra
    assert hydra is not None
    context = HydraContext(config_loader=hydra.config_loader, callbacks=Callbacks())
    return context, hydra.config_loader.load_configuration("config", ["hydra.mode=MULTIRUN"], RunMode.MULTIRUN)


class _Quiet:
    def note(self, text: str) -> None:
        """Nobody watches."""


def measure(runs: int, trials: Sequence[int], short: int) -> dict[str, Any]:
    """Return what so many runs cost, studies of so many trials, and so many runs that train for one step."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plan = command(runs, folder, "status=only")
        run = pretend(runs, folder)
        again = command(runs, folder)
        status = command(runs, folder, "status=only")
        studies = []
        for count in trials:
            (folder / str(count)).mkdir()
            studies.append(share_a_study(count, WORKERS, folder / str(count)))
        (folder / "poisoned").mkdir()
        trained = poisoned(short, folder / "poisoned")
    return {
        "runs": runs, "plan_cpu_seconds": plan, "run": run, "again_cpu_seconds": again, "status_cpu_seconds": status,
        "studies": studies, "trained": trained,
    }  # fmt: skip


def render(kept: dict[str, Any]) -> str:
    """Return the figures as Markdown."""
    runs, run, trained = kept["runs"], kept["run"], kept["trained"]
    calls = ", ".join(f"{count:g} {name}" for name, count in run["calls"].items())
    rows = [
        (f"planning {runs:,} runs", f"{kept['plan_cpu_seconds']:.0f} CPU s"),
        ("the same command again, when all are done", f"{kept['again_cpu_seconds']:.0f} CPU s"),
        ("`status=only`, when all are done", f"{kept['status_cpu_seconds']:.0f} CPU s"),
        (
            "lease, record, predictions and evaluation of a run",
            f"{1000 * run['cpu_seconds']:.0f} CPU ms, {run['files']:g} files",
        ),
        ("calls to the file system for that", calls),
        *(
            (
                f"a trial of {study['trials']:,} in one study, {study['workers']} processes",
                f"{1000 * study['cpu_seconds']:.0f} CPU ms, {study['journal_bytes'] / 1000:.1f} kB of journal",
            )
            for study in kept["studies"]
        ),
        (
            f"a sweep of {trained['runs']:,} runs of one step, training and all: {trained['completed']} results, "
            f"{trained['failed']} reasons why not",
            f"{1000 * trained['cpu_seconds']:.0f} CPU ms a run",
        ),
    ]
    table = "\n".join(f"| {what} | {cost} |" for what, cost in (("Beside training", "Cost"), (":---", ":---"), *rows))
    source = f"{kept['created'][:10]}, {kept['host_cpu']}, a local disk"
    return f"\n{table}\n\n- `python -m benchmarks.scale`, {source}.\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, keep the figures, and write them to docs/clusters.md."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--trials", type=int, nargs="+", default=[200, 2000])
    parser.add_argument("--short", type=int, default=1000, metavar="RUNS", help="runs that train for one step")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results", metavar="DIR")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "clusters.md", metavar="FILE")
    options = parser.parse_args(argv)
    kept = {"created": now(), **environment(), **measure(options.runs, options.trials, options.short)}
    write_json(options.results / RESULT, kept)
    rewrite_between(options.page, BEGIN, END, render(kept))
    print(render(kept))
    return 0


if __name__ == "__main__":
    sys.exit(main())
