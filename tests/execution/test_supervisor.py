"""The supervisor: work is given to jobs, found again, and given again when a job is lost, whatever the work is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from persona_sweeps.errors import UserError
from persona_sweeps.execution.backend import JobState, JobStatus, Task
from persona_sweeps.execution.supervisor import PRAISE, Job, Supervisor
from persona_sweeps.lifecycle import stopping
from persona_sweeps.lifecycle.stopping import Detached, Stop, Stopped
from persona_sweeps.planning.console import Console
from persona_sweeps.records.files import read_json, write_json
from persona_sweeps.records.folders import SweepFolder

FINISHED = JobStatus(JobState.finished, "n1", "exit code 137")


class ScriptedBackend:
    """Jobs that stand as a function of their id and the number of looks says."""

    slots = 2

    def __init__(self, folder: Path, look: Callable[[str, int], JobStatus], survives: bool = False) -> None:
        self.survives = survives
        self.submitted: list[Task] = []
        self.stopped: list[str] = []
        self.avoided: list[str] = []
        self._folder = folder
        self._look = look
        self._looks: dict[str, int] = {}

    def submit(self, tasks: Sequence[Task]) -> list[str]:
        first = len(self.submitted) + 1
        self.submitted += tasks
        return [f"job{number}" for number in range(first, first + len(tasks))]

    def poll(self, jobs: Sequence[str]) -> Mapping[str, JobStatus]:
        for job in jobs:
            self._looks[job] = self._looks.get(job, 0) + 1
        return {job: self._look(job, self._looks[job]) for job in jobs}

    def log(self, job: str) -> Path | None:
        return self._folder / f"{job}.log"

    def avoid(self, node: str) -> None:
        self.avoided.append(node)

    def stop(self, jobs: Sequence[str]) -> None:
        self.stopped += jobs


class ListedWork:
    """Parts with names, each done when its job has ended well; given up after so many losses."""

    name = "part"

    def __init__(self, *parts: str, most_losses: int = 3) -> None:
        self.parts = parts
        self._left = most_losses

    def describe(self, cells: Sequence[Any]) -> str:
        return " ".join(cells)

    def notes(self, cells: Sequence[Any]) -> dict[str, Any]:
        return {"parts": list(cells)}

    def recognize(self, notes: Mapping[str, Any]) -> list[Any]:
        return [part for part in notes.get("parts", ()) if part in self.parts]

    def begin(self, jobs: Sequence[Job], slots: int) -> Sequence[Sequence[Any]]:
        taken = {part for job in jobs for part in job.cells}
        return [[part] for part in self.parts if part not in taken]

    def write(self, path: Path, cells: Sequence[Any]) -> None:
        write_json(path, {"parts": list(cells)})

    def undeliverable(self, cells: Sequence[Any], reason: str) -> None:
        raise UserError(reason)

    def follow(self, job: Job) -> None:
        pass

    def left(self, job: Job, status: JobStatus, others: int) -> str:
        return "" if status.reason == "exit code 0" else f"without {self.describe(job.cells)}"

    def again(self, job: Job, reason: str) -> Sequence[Sequence[Any]]:
        self._left -= 1
        if self._left < 0:
            raise UserError(f"too often: {reason}")
        return [job.cells]


def done_at(look: int) -> Callable[[str, int], JobStatus]:
    """Return the script of jobs that all end well at so many looks."""
    return lambda job, looks: (
        JobStatus(JobState.finished, reason="exit code 0") if looks >= look else JobStatus(JobState.running, "n1")
    )


@pytest.fixture
def files(tmp_path: Path) -> SweepFolder:
    return SweepFolder(tmp_path / "sweeps" / "s")


def supervise(work: ListedWork, backend: ScriptedBackend, files: SweepFolder) -> None:
    Supervisor(work, backend, files, Console(), poll_seconds=0.0).run()


def test_each_part_is_given_to_a_job_and_nothing_is_left_of_the_jobs(files: SweepFolder, tmp_path: Path) -> None:
    backend = ScriptedBackend(tmp_path, done_at(2))
    supervise(ListedWork("a", "b", "c"), backend, files)
    assert [list(task.cells) for task in backend.submitted] == [["a"], ["b"], ["c"]]
    assert len({task.path for task in backend.submitted}) == 3
    assert not files.groups.exists() and not files.jobs.exists()


def test_what_a_lost_job_has_left_is_given_again_with_its_last_words(
    files: SweepFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "job1.log").write_text(f"first\nout of\nmemory\nat last\nsubmitit INFO - {PRAISE[0]}\n{PRAISE[1]}\n")
    backend = ScriptedBackend(tmp_path, lambda job, looks: FINISHED if job == "job1" else done_at(1)(job, looks))
    supervise(ListedWork("a", "b"), backend, files)
    assert [list(task.cells) for task in backend.submitted] == [["a"], ["b"], ["a"]]
    printed = capsys.readouterr().out
    assert "Job job1 ended without a: exit code 137 (out of / memory / at last)" in printed
    assert "Job job3 ended with a; 0 jobs to come." in printed


def test_a_node_that_loses_jobs_in_a_row_is_avoided_unless_it_is_the_last(files: SweepFolder, tmp_path: Path) -> None:
    def look(job: str, looks: int) -> JobStatus:
        if job == "job2":
            return JobStatus(JobState.running, "n2") if looks < 5 else JobStatus(JobState.finished, "n2", "exit code 0")
        if looks == 1:
            return JobStatus(JobState.running, "n1")
        return FINISHED if job in ("job1", "job3") else JobStatus(JobState.finished, "n1", "exit code 0")

    backend = ScriptedBackend(tmp_path, look)
    supervise(ListedWork("a", "b"), backend, files)
    assert backend.avoided == ["n1"]


def test_jobs_that_survive_are_found_again_and_given_nothing_twice(
    files: SweepFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = Stop()
    monkeypatch.setattr(stopping, "current", lambda: stop)

    def interrupted(job: str, looks: int) -> JobStatus:
        if looks == 2:
            stop.requested = "SIGINT"
        return JobStatus(JobState.running, "n1")

    first = ScriptedBackend(tmp_path, interrupted, survives=True)
    with pytest.raises(Detached):
        supervise(ListedWork("a", "b"), first, files)
    assert not first.stopped and len((read_json(files.jobs) or {})["jobs"]) == 2
    assert len(list(files.groups.iterdir())) == 2

    stop.requested = None
    again = ScriptedBackend(tmp_path, done_at(2), survives=True)
    supervise(ListedWork("a", "b", "c"), again, files)
    assert [list(task.cells) for task in again.submitted] == [["c"]], "the other two have their jobs"
    assert not files.groups.exists() and not files.jobs.exists()


def test_jobs_of_other_work_are_left_alone(files: SweepFolder, tmp_path: Path) -> None:
    write_json(files.jobs, {"jobs": [{"id": "old", "file": "study-0.json", "notes": {"studies": ["s"]}}]})
    write_json(files.groups / "study-0.json", {})
    backend = ScriptedBackend(tmp_path, done_at(1), survives=True)
    supervise(ListedWork("a"), backend, files)
    assert [path.name for path in files.groups.iterdir()] == ["study-0.json"]


def test_jobs_that_do_not_survive_are_stopped_with_the_command_and_when_the_work_is_given_up(
    files: SweepFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = Stop()
    monkeypatch.setattr(stopping, "current", lambda: stop)

    def interrupted(job: str, looks: int) -> JobStatus:
        stop.requested = "SIGTERM"
        return JobStatus(JobState.running)

    backend = ScriptedBackend(tmp_path, interrupted)
    with pytest.raises(Stopped) as stopped:
        supervise(ListedWork("a"), backend, files)
    assert not isinstance(stopped.value, Detached) and backend.stopped == ["job1"]

    stop.requested = None
    lost = ScriptedBackend(tmp_path, lambda job, looks: JobStatus(JobState.running) if job == "job2" else FINISHED)
    with pytest.raises(UserError, match="too often: exit code 137"):
        supervise(ListedWork("a", "b", most_losses=1), lost, files)
    assert lost.stopped == ["job2"]
