"""Clocks that jump hours back and forth at every look."""

import datetime
import importlib
import itertools
import time

DATED = ("persona_sweeps.records.provenance", "persona_sweeps.lifecycle.lease")
"""modules that ask for the date"""
JUMPS = itertools.cycle([0.0, 7200.0, -86400.0, 3600.0, -5400.0])


class Jumping(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.datetime.now(tz) + datetime.timedelta(seconds=next(JUMPS))


def time_itself():
    now, now_ns = time.time, time.time_ns
    time.time = lambda: now() + next(JUMPS)
    time.time_ns = lambda: now_ns() + int(next(JUMPS) * 1e9)


def dates(module):
    module.datetime = Jumping


def all_clocks():
    """Have the clocks of a process jump that runs already."""
    time_itself()
    for name in DATED:
        dates(importlib.import_module(name))
