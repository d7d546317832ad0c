"""Kinds of GGUF files: a list is read, and what is none is refused with the nearest."""

from __future__ import annotations

import pytest

from persona_sweeps.deployment.gguf.kinds import CONVERTED, KINDS, needs_quantizer, read_kinds
from persona_sweeps.errors import UserError


def test_a_list_is_read_in_its_order_and_each_kind_once() -> None:
    assert read_kinds("Q8_0, f16,q8_0") == ("q8_0", "f16")
    assert set(read_kinds(",".join(KINDS))) == set(KINDS)


@pytest.mark.parametrize(("text", "why"), [("q4_k", "Did you mean q4_k_"), ("", "Which kind"), (" , ", "Which kind")])
def test_what_is_no_kind_is_refused(text: str, why: str) -> None:
    with pytest.raises(UserError, match=why):
        read_kinds(text)


def test_only_what_the_converter_cannot_write_needs_llama_quantize() -> None:
    assert not needs_quantizer(CONVERTED) and needs_quantizer(("f16", "q4_k_m"))
