"""What a person sees while a sweep runs: the plan, live progress, and a summary that names every file."""

from __future__ import annotations

import contextlib
import math
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console as Terminal
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column, Table

from persona_sweeps.planning.best_so_far import BestSoFar
from persona_sweeps.planning.cells import Cell, Stage
from persona_sweeps.planning.plan import Plan
from persona_sweeps.planning.progress import SweepProgress, Weight
from persona_sweeps.wording import duration, harmless, pluralize

WIDE = 110
"""columns of a terminal that has room for bars"""
LINE_EVERY = 10.0
"""seconds between progress lines where there is no terminal to redraw"""

Descriptions = Mapping[str, Mapping[str, Any]]
"""what an evaluation says of its values, by name"""


class Console:
    """Prints for a terminal with live bars, and for a log with a line now and then."""

    def __init__(self, terminal: Terminal | None = None) -> None:
        self.terminal = terminal or _terminal()
        self.finished: dict[str, tuple[str, Mapping[str, float], str]] = {}
        self.on_run: Callable[[Cell], None] | None = None
        """called with each cell whose run begins, or that has a result"""
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._overall: TaskID | None = None
        self._totals: dict[str, int] = {}
        self._sweep = SweepProgress({})
        self._last_line = 0.0
        self._answering: Callable[[str], None] | None = None
        self._answers: tuple[str, float, int] = ("", 0.0, 0)
        """what is being answered, since when, and how much of it was done then"""
        self._best = BestSoFar()
        self._labels: dict[str, str] = {}
        self._started = time.perf_counter()

    def note(self, text: str) -> None:
        self.terminal.print(escape(harmless(text)))

    def plan(self, plan: Plan, sweep: str | None) -> None:
        """Say what is asked for, what is done already, and what will run together."""
        self._labels = short_labels([cell.name for cell in plan.distinct])
        done = sum(cell.done for cell in plan.distinct)
        name = f"Sweep {sweep}: " if sweep else ""
        different = len(plan.distinct)
        doubled = f", {different} of them different" if different < len(plan.cells) else ""
        groups = f" in {pluralize(len(plan.groups), 'group')}" if plan.groups else ""
        self.note(
            f"{name}{pluralize(len(plan.cells), 'cell')}{doubled}; {done} done already, "
            f"{len(plan.to_do)} to run{groups}{_missing(plan)}."
        )
        for sentence in dict.fromkeys(_notes(plan)):
            self.note(sentence)

    def expect(self, runs: Mapping[str, Weight]) -> None:
        """Take note of the runs that are to be done, and of what each takes beside the others."""
        self._sweep = SweepProgress(dict(runs))

    def label(self, cell: Cell) -> str:
        """Return what tells a run from the others of its plan; the whole name of one that stands alone."""
        return self._labels.get(cell.name, cell.name)

    def dropped(self, cells: Sequence[Cell], counts: Mapping[str, int], examples: str) -> None:
        """Tell which examples were left out, and why."""
        for reason, count in counts.items():
            users = "1 run uses" if len(cells) == 1 else f"{len(cells)} runs use"
            self.note(f"Left out {count} of {examples} examples ({users} these data): {reason}.")

    @contextlib.contextmanager
    def training(self) -> Iterator[None]:
        """Show a bar for each run that begins while the block runs."""
        self._last_line = time.perf_counter()
        if not self.terminal.is_terminal:
            yield
            return
        narrow = self.terminal.width < WIDE
        name = Column(no_wrap=True, overflow="ellipsis", ratio=1) if narrow else None
        columns = (
            TextColumn("{task.description}", table_column=name),
            *([] if narrow else [BarColumn(bar_width=24)]),
            *(
                TextColumn(f"{{task.fields[{key}]}}", table_column=Column(no_wrap=True))
                for key in ("count", "loss", "left")
            ),
        )
        with Progress(*columns, console=self.terminal, expand=narrow) as progress:
            self._progress = progress
            if len(self._sweep.weights) > 1:
                self._overall = progress.add_task("all runs", total=1.0, count="", loss="", left="")
                self._show_overall()
            try:
                yield
            finally:
                self._progress, self._overall = None, None

    def begin(self, cell: Cell, steps: int) -> None:
        """Take note that a run begins, of so many steps; one without any has no bar."""
        if self.on_run is not None:
            self.on_run(cell)
        self._sweep.begin(cell.run_id, steps)
        self._totals[cell.run_id] = steps
        if self._progress is not None and steps:
            self._tasks[cell.run_id] = self._progress.add_task(
                escape(self.label(cell)), total=steps, count=f"0/{steps}", loss="–", left=""
            )

    def step(self, cell: Cell, values: Mapping[str, float]) -> None:
        """Show a trial's step and loss, and the time left for all runs."""
        step, total = int(values["step"]), self._totals[cell.run_id]
        self._sweep.step(cell.run_id, step)
        loss = f"{values['train_nll']:.3f}"
        if "eval_nll" in values:
            loss += f", held out {values['eval_nll']:.3f}"
        if self._progress is not None:
            left = self._time_left() if self._overall is None else ""
            self._progress.update(
                self._tasks[cell.run_id], completed=step, count=f"{step}/{total}", loss=f"loss {loss}", left=left
            )
            self._show_overall()
            return
        now = time.perf_counter()
        if now - self._last_line < LINE_EVERY and step < total:
            return
        self._last_line = now
        runs, done = len(self._sweep.weights), len(self._sweep.done)
        of_all = f"; {done} of {runs} runs done" if runs > 1 else ""
        left = self._time_left()
        self.note(f"  {self.label(cell)}: step {step}/{total}, loss {loss}{of_all}{left and f', {left}'}")

    def _time_left(self) -> str:
        seconds = self._sweep.seconds_left()
        return "" if seconds is None else f"{duration(seconds)} left"

    def _show_overall(self) -> None:
        if self._progress is not None and self._overall is not None:
            count = f"{len(self._sweep.done)}/{len(self._sweep.weights)} done"
            share, left = self._sweep.share, self._time_left()
            self._progress.update(self._overall, completed=share, count=count, left=left)

    @contextlib.contextmanager
    def evaluating(self, runs: int) -> Iterator[None]:
        if not runs:
            yield
            return
        message = f"Evaluating {pluralize(runs, 'run')} on held-out examples …"
        self._last_line = time.perf_counter()
        if not self.terminal.is_terminal:
            self.note(message)
            self._answering = self._say_rarely
            yield
        else:
            with self.terminal.status(message) as status:
                self._answering = lambda text: status.update(f"{message}{text}")
                yield
        self._answering = None

    def answered(self, what: str, done: int, total: int, unit: str) -> None:
        """Show how much of an evaluation is done; nothing outside of `evaluating`."""
        if self._answering is None or not done:
            return
        now = time.perf_counter()
        if self._answers[0] != what or done < self._answers[2]:
            self._answers = what, now, done
        _, since, before = self._answers
        left = f", {duration((now - since) / (done - before) * (total - done))} left" if before < done < total else ""
        self._answering(f"  {what}: {done} of {total} {unit}".rstrip() + left)

    def _say_rarely(self, text: str) -> None:
        if (now := time.perf_counter()) - self._last_line >= LINE_EVERY:
            self._last_line = now
            self.note(text)

    def end(self, cell: Cell, status: str, metrics: Mapping[str, float], reason: str = "") -> None:
        self.finished[cell.evaluation_id] = (status, metrics, reason)
        if self.on_run is not None:
            self.on_run(cell)
        if status == "completed":
            self._best.add(self.label(cell), cell.outcome)
        self._sweep.end(cell.run_id)
        self._show_overall()
        if self._progress is not None and status != "completed" and cell.run_id in self._tasks:
            self._progress.stop_task(self._tasks[cell.run_id])
        if reason:
            self.note(f"{cell.name} {status}: {reason}")

    def best_so_far(self) -> None:
        """Say which run is ahead, while others are to come."""
        if len(self._sweep.done) < len(self._sweep.weights) and self._best.sentence:
            self.note(self._best.sentence)

    def summary(self, plan: Plan, written: Sequence[Path]) -> None:
        """Print a row a run and the paths of everything that was written."""
        if self.finished:
            table = Table(box=None, pad_edge=False)
            table.add_column("run", overflow="fold")
            table.add_column("status")
            described = [cell.outcome.descriptions for cell in plan.distinct if cell.evaluation_id in self.finished]
            columns = headlines(described)
            for description in columns.values():
                table.add_column(str(description["label"]), justify="right")
            for cell in plan.distinct:
                if cell.evaluation_id in self.finished:
                    status, metrics, _ = self.finished[cell.evaluation_id]
                    values = [_formatted(metrics.get(key), found["format"]) for key, found in columns.items()]
                    table.add_row(escape(self.label(cell)), status, *values)
            self.terminal.print(table)
        folders = dict.fromkeys(cell.folder.path for cell in plan.distinct if cell.evaluation_id in self.finished)
        for path in (*folders, *written):
            self.note(f"  {path}")
        counts = [status for status, _, _ in self.finished.values()]
        done, failed = counts.count("completed"), counts.count("failed")
        elapsed = duration(time.perf_counter() - self._started)
        self.note(f"{done} completed, {failed} failed, {len(plan.distinct) - len(counts)} done before; {elapsed}.")


def short_labels(names: Sequence[str]) -> dict[str, str]:
    """Return each name without the parts that all of them have; the names themselves where nothing would be left."""
    parts = {name: re.split(r"(?<!\de)-", name) for name in names}  # not within 1e-05
    common = set.intersection(*map(set, parts.values())) if len(parts) > 1 else set()
    short = {name: "-".join(part for part in of if part not in common) for name, of in parts.items()}
    return (
        short
        if all(short.values()) and len(set(short.values())) == len(parts)
        else dict(zip(names, names, strict=True))
    )


def _notes(plan: Plan) -> Iterator[str]:
    """Yield what is worth knowing before the runs start."""
    for cell in plan.to_do:
        yield from cell.config.peft.notes(cell.config)


def _missing(plan: Plan) -> str:
    """Say what is to do where not all of it is training."""
    counts = plan.missing()
    if set(counts) <= {Stage.train}:
        return ""
    words = {Stage.train: "to train", Stage.predict: "to predict", Stage.score: "to score"}
    return f" ({', '.join(f'{counts[stage]} {word}' for stage, word in words.items() if counts[stage])})"


SHOWN = 5
"""metrics in the summary at most"""


def headlines(described: Iterable[Descriptions]) -> Descriptions:
    """Return what a table shows, by descriptions: the largest headlines, and one of each metric at least."""
    every = [pair for descriptions in described for pair in descriptions.items()]
    found = {name: one for name, one in every if one["headline"]}
    if not found:  # measures of the character alone
        places = {name: one for name, one in every if one.get("character")}
        return dict(sorted(places.items(), key=lambda pair: pair[1]["character"])[:SHOWN])
    ranked = sorted(found, key=lambda name: -found[name]["headline"])
    first = {found[name]["family"]: name for name in reversed(ranked)}
    chosen = {*first.values(), *[name for name in ranked if name not in first.values()][: max(0, SHOWN - len(first))]}
    return {name: found[name] for name in ranked if name in chosen}


def shown_values(metrics: Mapping[str, float], descriptions: Descriptions) -> list[tuple[str, str]]:
    """Return label and text of the headline values of an evaluation."""
    chosen = headlines([descriptions])
    return [(str(one["label"]), _formatted(metrics.get(name), one["format"])) for name, one in chosen.items()]


def _formatted(value: float | None, form: str) -> str:
    return format(value, form) if value is not None and math.isfinite(value) else "–"


class _Output(Terminal):
    """Standard output that may go away or fill its disk: the sweep goes on."""

    def on_broken_pipe(self) -> None:
        self.quiet = True

    def print(self, *objects: Any, **options: Any) -> None:
        with contextlib.suppress(OSError):
            super().print(*objects, **options)


def _terminal() -> Terminal:
    """Return standard output; where it is no terminal, lines are as long as they are."""
    found = _Output(highlight=False, soft_wrap=True)
    return found if found.is_terminal else _Output(highlight=False, soft_wrap=True, width=200)
