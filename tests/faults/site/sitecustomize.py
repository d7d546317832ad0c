"""Faults for commands and their workers, which load this by PYTHONPATH as they start; FAULT in the environment chooses.

FAULT=clock     the clock jumps hours back and forth
FAULT=kill:1    a process dies of SIGKILL as it trains a run of seed 1, in its fifth step
FAULT=exit:1    it ends there, with exit code 3 and a word
FAULT=hang:1    it stands still there, in a call that holds Python's lock
FAULT=slow:DIR  each step takes half a second more, until DIR has a file named `all` or as the run's learning rate
"""

import ctypes
import functools
import importlib.abc
import importlib.util
import os
import signal
import sys
import time


class AfterImport(importlib.abc.MetaPathFinder):
    """Lets a module be found as ever, and changes it once it's there."""

    def __init__(self, name, change):
        self.name, self.change = name, change

    def find_spec(self, name, path, target=None):
        if name != self.name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def changed(module):
            execute(module)
            self.change(module)

        spec.loader.exec_module = changed
        return spec


def die(kind):
    if kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "hang":
        ctypes.PyDLL(None).sleep(3600)
    print("the pipes have burst", flush=True)
    os._exit(3)


def deadly(kind, seed, module):
    update = module.Trial.update

    def fatal(trial, loss, norm):
        if trial.adapter.seed == seed and trial.progress.step == 4:
            die(kind)
        return update(trial, loss, norm)

    module.Trial.update = fatal


def slow(folder, module):
    update = module.Trial.update

    def slowed(trial, loss, norm):
        found = update(trial, loss, norm)
        if not any(os.path.exists(os.path.join(folder, name)) for name in ("all", f"{trial.config.learning_rate:g}")):
            time.sleep(0.5)
        return found

    module.Trial.update = slowed


kind, _, what = os.environ.get("FAULT", "").partition(":")
if kind == "clock":
    import jumping

    jumping.time_itself()
    for name in jumping.DATED:
        sys.meta_path.insert(0, AfterImport(name, jumping.dates))
elif kind in ("kill", "exit", "hang"):
    sys.meta_path.insert(0, AfterImport("persona_sweeps.training.trial", functools.partial(deadly, kind, int(what))))
elif kind == "slow":
    sys.meta_path.insert(0, AfterImport("persona_sweeps.training.trial", functools.partial(slow, what)))
