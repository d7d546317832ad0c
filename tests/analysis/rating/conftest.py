"""An endpoint on this machine for every test that asks a judge."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.analysis.rating.endpoints import Server, serving


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as found:
        yield found
