"""Store a study's trials in Optuna's journal, one file for many processes.

A process that asks for trials or takes some over holds the study's lock, so that no trial is lost or given twice. Each
process holds a lease for as long as it lives. Running trials of a process whose lease is free or dead are taken over.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from filelock import FileLock
from optuna.samplers import BaseSampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import BaseJournalFileLock
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from persona_sweeps.errors import ConfigError
from persona_sweeps.lifecycle.lease import acquire, holder
from persona_sweeps.planning.cells import Cell

OWNER, RUN, EVALUATION, FOLDER = "owner", "run_id", "evaluation_id", "folder"
OVERRIDES, REASON, TOKENS = "overrides", "reason", "tokens"
"""user attributes of a trial"""
WARM, FINALS = "warm_start", "finals"
"""user attributes of a study"""
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


class _JournalLock(BaseJournalFileLock):
    """The lock of the journal's writers; unlike Optuna's lock, it is released when its process dies."""

    def __init__(self, path: Path) -> None:
        self._lock = FileLock(path)

    def acquire(self) -> bool:
        self._lock.acquire()
        return True

    def release(self) -> None:
        self._lock.release()


def open_journal(path: Path) -> JournalStorage:
    """Open Optuna's journal, and create it if needed; optuna-dashboard and Optuna's own API can open it, too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = _JournalLock(path.with_name(path.name + ".lock"))
    return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))


class StudyStorage:
    """One study in the journal, opened by one process."""

    def __init__(self, journal: Path, name: str, directions: Sequence[str], sampler: BaseSampler) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._folder = journal.parent
        with self._exclusively(journal):
            self.study: Study = optuna.create_study(
                storage=open_journal(journal),
                study_name=name,
                directions=list(directions),  # type: ignore[arg-type]  # checked with the settings
                sampler=sampler,
                load_if_exists=True,
            )
        self.journal = journal
        self._me = uuid.uuid4().hex[:12]
        lease = acquire(self._owner_lock(self._me))
        assert lease is not None, "no other process has this name"
        self._lease = lease

    def close(self) -> None:
        """Release this process's lease: its trials that are still running may be taken over."""
        self._lease.release()

    def trials(self) -> list[FrozenTrial]:
        """Return all trials of the study, in the order in which they were drawn."""
        return self.study.get_trials(deepcopy=False)

    def agree(self, terms: Mapping[str, Any]) -> None:
        """Store the terms that a study may not change. Raises ConfigError if it was begun with other ones."""
        directions = [direction.name.lower() for direction in self.study.directions]
        stored = {**self.study.user_attrs, "direction": directions}  # Optuna's own, which no later command changes
        for key, value in terms.items():
            if key not in stored:
                self.study.set_user_attr(key, value)
            elif difference := _difference(key, stored[key], value):
                raise ConfigError(
                    f"The study {self.study.study_name} in {self.journal} was begun with {difference}: "
                    "give the new one another sweep.name."
                )

    def warm_start(self, sweep: str, settings: Sequence[Mapping[str, Any]]) -> bool:
        """Enqueue a sweep's settings before all others, unless that was done before; return whether they are new."""
        with self._exclusively(self.journal):
            sweeps = self.study.user_attrs.get(WARM, [])
            if sweep in sweeps:
                return False
            for params in settings:
                self.study.enqueue_trial(dict(params), skip_if_exists=True)
            self.study.set_user_attr(WARM, [*sweeps, sweep])
            return True

    def claim(self, room: int, n_trials: int, max_tokens: int | None, begin: Callable[[Trial], None]) -> list[Trial]:
        """Take over trials whose process died, then draw new ones: at most `room`, and at most `n_trials` in the study.

        No new trials are drawn once the finished ones have taken `max_tokens`; each trial in training counts as much as
        the longest finished one. `begin` is called with each claimed trial, under the lock.
        """
        with self._exclusively(self.journal):
            trials = self.trials()
            claimed = [Trial(self.study, t._trial_id) for t in trials if self._is_orphan(t)][:room]
            begun = sum(trial.state is not TrialState.WAITING for trial in trials)
            for trial in claimed:
                trial.set_user_attr(OWNER, self._me)
                begin(trial)
            for _ in range(min(room - len(claimed), n_trials - begun)):
                if max_tokens is not None and self._tokens() >= max_tokens:
                    break
                claimed.append(self.study.ask())
                claimed[-1].set_user_attr(OWNER, self._me)
                begin(claimed[-1])
            return claimed

    def has_all(self, n_trials: int, max_tokens: int | None) -> bool:
        """Return whether all trials were drawn, by number or by budget."""
        begun = sum(trial.state is not TrialState.WAITING for trial in self.trials())
        return begun >= n_trials or (max_tokens is not None and self._tokens() >= max_tokens)

    def report(self, trial: Trial, rung: int, nll: float, item_nll: np.ndarray) -> None:
        """Store a trial's likelihoods at a rung, unless an earlier attempt stored them."""
        if rung not in self.study._storage.get_trial(trial._trial_id).intermediate_values:
            trial.set_user_attr(f"items_{rung}", [round(float(value), 5) for value in item_nll])
            trial.report(nll, rung)

    def begun(self, trial: Trial, cell: Cell) -> None:
        """Store which run a trial has."""
        trial.set_user_attr(FOLDER, str(cell.folder.path.relative_to(cell.config.output_dir)))
        trial.set_user_attr(OVERRIDES, list(cell.overrides))
        trial.set_user_attr(EVALUATION, cell.evaluation_id)
        trial.set_user_attr(RUN, cell.run_id)

    def tell(
        self,
        number: int,
        state: TrialState,
        values: Sequence[float] | None = None,
        reason: str = "",
        tokens: int | None = None,
    ) -> None:
        """Finish a trial, unless it is finished: a process that seemed dead may be late."""
        trial = self.study.get_trials(deepcopy=False)[number]
        if trial.state in FINISHED:
            return
        for name, value in ((REASON, reason), (TOKENS, tokens)):
            if value:
                self.study._storage.set_trial_user_attr(trial._trial_id, name, value)
        self.study.tell(number, values=values, state=state)

    def _tokens(self) -> int:
        """Return the trials' training tokens; a trial in training counts as much as the longest finished one."""
        trials = self.trials()
        finished = [trial.user_attrs.get(TOKENS, 0) for trial in trials if trial.state in FINISHED]
        running = sum(trial.state is TrialState.RUNNING for trial in trials)
        return sum(finished) + running * max(finished, default=0)

    @contextlib.contextmanager
    def _exclusively(self, journal: Path) -> Iterator[None]:
        self._folder.mkdir(parents=True, exist_ok=True)
        with FileLock(journal.with_name(journal.name + ".claim")):
            yield

    def _is_orphan(self, trial: FrozenTrial) -> bool:
        """Return whether a trial is running and its process has died."""
        if trial.state is not TrialState.RUNNING:
            return False
        owner = trial.user_attrs.get(OWNER)
        if owner is None:  # its process died between drawing and storing the owner: it held the lock, which is ours now
            return True
        if owner == self._me:
            return False
        process = holder(self._owner_lock(owner))
        return process is None or process.alive is False

    def _owner_lock(self, owner: str) -> Path:
        return self._folder / f".worker-{owner}"


def _difference(name: str, stored: Any, given: Any) -> str | None:
    """Return the first difference of two terms as text; None if they are equal."""
    if not isinstance(stored, Mapping) or not isinstance(given, Mapping):
        return None if stored == given else f"{name}={stored}, and this command has {given}"
    for key in {**stored, **given}:
        if stored.get(key) != given.get(key):
            return f"{key}={stored.get(key)}, and this command has {given.get(key)}"
    return None
