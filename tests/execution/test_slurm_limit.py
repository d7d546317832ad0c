"""One limit on the jobs of a sweep, whatever arrays they are in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from persona_sweeps.execution.slurm.limit import Lanes, shares


@given(st.integers(1, 20), st.lists(st.integers(0, 50), max_size=10))
def test_arrays_share_the_limit_and_none_waits_for_ever(limit: int, counts: list[int]) -> None:
    left = {str(index): count for index, count in enumerate(counts)}
    found = shares(limit, left)
    with_work = [array for array, count in left.items() if count]
    assert list(found) == with_work
    assert all(1 <= found[array] <= left[array] for array in with_work)
    assert sum(found.values()) == max(len(with_work), min(limit, sum(counts)))


def test_the_array_with_more_to_do_gets_more() -> None:
    assert shares(6, {"a": 30, "b": 10, "c": 1}) == {"a": 4, "b": 1, "c": 1}


@given(st.integers(1, 5), st.lists(st.integers(0, 4), min_size=1, max_size=40))
def test_no_more_jobs_than_the_limit_run_at_once(limit: int, ends: list[int]) -> None:
    """Each step one job is given, and then some of those that run end."""
    lanes, over, ahead = Lanes(limit), set[str](), dict[str, str | None]()
    for number, ending in enumerate(ends):
        job = str(number)
        ahead[job] = lanes.ahead(over.__contains__)
        lanes.add(job)
        running = [job for job, before in ahead.items() if job not in over and (before is None or before in over)]
        assert len(running) <= limit
        waiting = [job for job in ahead if job not in over and job not in running]
        assert not waiting or len(running) == limit, "none waits while there is room"
        over |= set(running[:ending])
