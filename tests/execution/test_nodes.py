"""Nodes that keep losing jobs are given no more, and a sweep always has one left to run on."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from persona_sweeps.execution.nodes import Nodes


def test_a_node_that_loses_two_jobs_in_a_row_is_avoided_once() -> None:
    avoided: list[str] = []
    nodes = Nodes(avoided.append)
    nodes.saw("good")
    assert nodes.lost("bad") is None
    assert nodes.lost("bad") == "2 jobs were lost on bad: it is given no more."
    assert nodes.lost("bad") is None and avoided == ["bad"]


def test_a_job_that_ends_well_clears_its_node() -> None:
    avoided: list[str] = []
    nodes = Nodes(avoided.append)
    nodes.saw("other")
    for _ in range(5):
        nodes.lost("busy")
        nodes.worked("busy")
    assert not avoided


def test_a_place_without_nodes_avoids_none() -> None:
    nodes = Nodes(lambda node: 1 / 0)
    assert [nodes.lost("") for _ in range(5)] == [None] * 5


@given(st.lists(st.sampled_from("abc"), max_size=40))
def test_whatever_is_lost_one_node_is_left(losses: list[str]) -> None:
    avoided: list[str] = []
    nodes = Nodes(avoided.append)
    for node in losses:
        if node not in avoided:
            nodes.lost(node)
    assert len(avoided) == len(set(avoided)) and (not losses or set(avoided) < set(losses))
