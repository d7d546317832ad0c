"""How long examples may be, where the model decides."""

from __future__ import annotations

import pytest

from persona_sweeps.config.max_length import resolve_max_length
from persona_sweeps.errors import ConfigError


@pytest.mark.parametrize(("context", "length"), [(512, 384), (1024, 768), (1365, 1023), (1366, 1024), (131072, 1024)])
def test_auto_leaves_room_for_what_is_written(context: int, length: int) -> None:
    assert resolve_max_length("auto", context) == length


@pytest.mark.parametrize("wrong", ["aut", "1e3", 1.5, None, True, [512]])
def test_anything_else_is_a_whole_number(wrong: object) -> None:
    assert resolve_max_length(99, 10) == 99
    with pytest.raises(ConfigError, match="neither a whole number of tokens nor auto"):
        resolve_max_length(wrong, 1024)
