"""A study's trials in Optuna's journal: asked for, taken over from the dead, told; one file for many processes.

Whoever asks or takes over holds the study's lock, so no trial is lost or given twice. A process at work holds a lease
of its own for as long as it lives: trials of others whose lease is free or dead were running and died, and are taken
over.
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
OVER = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


class _JournalLock(BaseJournalFileLock):
    """The lock of the journal's writers; unlike Optuna's, it dies with its holder."""

    def __init__(self, path: Path) -> None:
        self._lock = FileLock(path)

    def acquire(self) -> bool:
        self._lock.acquire()
        return True

    def release(self) -> None:
        self._lock.release()


def open_journal(path: Path) -> JournalStorage:
    """Open Optuna's journal, made if it isn't there; optuna-dashboard and optuna's own API open it too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = _JournalLock(path.with_name(path.name + ".lock"))
    return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))


class StudyStorage:
    """One study in the journal, as one process at work on it sees it."""

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
        alive = acquire(self._owner_lock(self._me))
        assert alive is not None, "no other process has this name"
        self._alive = alive

    def close(self) -> None:
        """Stop being at work: trials that are still running may be taken over."""
        self._alive.release()

    def trials(self) -> list[FrozenTrial]:
        """Return all trials of the study, in the order they were asked for."""
        return self.study.get_trials(deepcopy=False)

    def agree(self, terms: Mapping[str, Any]) -> None:
        """Note what the study is about. Raises ConfigError when it was begun with something else."""
        begun = self.study.user_attrs
        for key, value in terms.items():
            if key not in begun:
                self.study.set_user_attr(key, value)
            elif difference := _difference(key, begun[key], value):
                raise ConfigError(
                    f"The study {self.study.study_name} in {self.journal} was begun with {difference}: "
                    "give the new one another sweep.name."
                )

    def warm_start(self, sweep: str, settings: Sequence[Mapping[str, Any]]) -> bool:
        """Have these settings tried before any other, once, however often it is said; return whether it was new."""
        with self._exclusively(self.journal):
            known = self.study.user_attrs.get(WARM, [])
            if sweep in known:
                return False
            for params in settings:
                self.study.enqueue_trial(dict(params), skip_if_exists=True)
            self.study.set_user_attr(WARM, [*known, sweep])
            return True

    def claim(self, room: int, n_trials: int, max_tokens: int | None, begin: Callable[[Trial], None]) -> list[Trial]:
        """Take over trials whose process died, then ask for new ones: at most `room`, and `n_trials` in the study.

        No more are asked for either when those that have ended, with those in training counted as the longest of them,
        have taken `max_tokens`. `begin` is called with each while no other process can ask.
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
        """Whether as many trials were asked for as there are to be, by number or by budget."""
        begun = sum(trial.state is not TrialState.WAITING for trial in self.trials())
        return begun >= n_trials or (max_tokens is not None and self._tokens() >= max_tokens)

    def report(self, trial: Trial, rung: int, nll: float, item_nll: np.ndarray) -> None:
        """Note what a trial has come to at a rung; once, however often it had to be trained."""
        if rung not in self.study._storage.get_trial(trial._trial_id).intermediate_values:
            trial.set_user_attr(f"items_{rung}", [round(float(value), 5) for value in item_nll])
            trial.report(nll, rung)

    def begun(self, trial: Trial, cell: Cell) -> None:
        """Note which run a trial is."""
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
        """End a trial, unless it has ended: a process that was taken for dead may tell late."""
        trial = self.study.get_trials(deepcopy=False)[number]
        if trial.state in OVER:
            return
        for name, value in ((REASON, reason), (TOKENS, tokens)):
            if value:
                self.study._storage.set_trial_user_attr(trial._trial_id, name, value)
        self.study.tell(number, values=values, state=state)

    def _tokens(self) -> int:
        """Return how many tokens the trials have been trained on, with those in training counted as the longest."""
        trials = self.trials()
        ended = [trial.user_attrs.get(TOKENS, 0) for trial in trials if trial.state in OVER]
        running = sum(trial.state is TrialState.RUNNING for trial in trials)
        return sum(ended) + running * max(ended, default=0)

    @contextlib.contextmanager
    def _exclusively(self, journal: Path) -> Iterator[None]:
        self._folder.mkdir(parents=True, exist_ok=True)
        with FileLock(journal.with_name(journal.name + ".claim")):
            yield

    def _is_orphan(self, trial: FrozenTrial) -> bool:
        """Whether a running trial's process is no longer at work."""
        if trial.state is not TrialState.RUNNING:
            return False
        owner = trial.user_attrs.get(OWNER)
        if owner is None:  # its process died between asking and signing: it held the claim, which is ours now
            return True
        if owner == self._me:
            return False
        who = holder(self._owner_lock(owner))
        return who is None or who.alive is False

    def _owner_lock(self, owner: str) -> Path:
        return self._folder / f".worker-{owner}"


def _difference(name: str, begun: Any, asked: Any) -> str | None:
    """Say in what two terms differ; None when they are the same."""
    if not isinstance(begun, Mapping) or not isinstance(asked, Mapping):
        return None if begun == asked else f"{name}={begun}, and this command has {asked}"
    for key in {**begun, **asked}:
        if begun.get(key) != asked.get(key):
            return f"{key}={begun.get(key)}, and this command has {asked.get(key)}"
    return None
