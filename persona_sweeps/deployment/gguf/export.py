"""Write a run as GGUF files, each of which llama.cpp has loaded and answered with before it counts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from anyascii import anyascii

from persona_sweeps.config.schema import Precision
from persona_sweeps.deployment.cards import card_of, persona_of
from persona_sweeps.deployment.gguf.checks import Check, Expected, check, expect, require_same
from persona_sweeps.deployment.gguf.kinds import F16, QUANTIZED, needs_quantizer
from persona_sweeps.deployment.gguf.llama import require_llama
from persona_sweeps.deployment.gguf.lora import require_low_rank, write_lora
from persona_sweeps.deployment.gguf.modelfile import modelfile
from persona_sweeps.deployment.gguf.tools import Converter, converter, quantize, quantizer
from persona_sweeps.deployment.host import FinishedRun, Host
from persona_sweeps.deployment.merging import (
    as_base,
    merge,
    require_mergeable,
    require_same_weights,
    save_whole,
    unquantized,
)
from persona_sweeps.deployment.output import made_of, require_free
from persona_sweeps.deployment.predictor import Predictor
from persona_sweeps.models.fingerprints import file_sha256
from persona_sweeps.records.files import replacing, write_json, write_text
from persona_sweeps.records.provenance import environment, now

RECORD, MODELFILE = "gguf.json", "Modelfile"
ADAPTER = "lora-f32"
"""how an adapter's file is named"""
CONTEXT = 8192
"""most tokens of context that the Modelfile asks for: a longer one takes memory that few have"""


@dataclass(frozen=True)
class Tools:
    """The programs of llama.cpp, and what they are called in the record."""

    converter: Converter
    quantizer: Path | None
    llama: str


@dataclass(frozen=True)
class Written:
    """A file, and how it answers in llama.cpp; F16 that nobody asked for is compared with, and not kept."""

    kind: str
    name: str
    bytes: int
    check: Check
    kept: bool = True


def find_tools(kinds: Sequence[str], checkout: Path | None, program: Path | None) -> Tools:
    """Return the programs that these kinds of file need. Raises `UserError` for one that isn't here."""
    llama = require_llama()
    found = quantizer(program, checkout) if needs_quantizer(kinds) else None
    return Tools(converter(checkout), found, llama)


def export(
    run: FinishedRun, folder: Path, kinds: Sequence[str], tools: Tools, lora: bool = False, device: str = "cpu"
) -> list[Written]:
    """Write a folder with a GGUF file of each kind, Ollama's Modelfile, and a record of how the files answer.

    The run is merged into its base; with `lora`, the files are of the base alone, and its LoRA is one beside them. F16
    must agree with the model here; how far the others are from it is reported.

    Raises `UserError` for what can't be merged or converted, for another folder's content, and where F16 differs.
    """
    require_free(folder, run, RECORD)
    if not lora:
        require_mergeable(run)
    with replacing(folder) as draft, TemporaryDirectory(dir=draft.parent) as scratch:
        with (_adapter_beside if lora else _merged)(run, Path(scratch), device) as source:
            written = _files(source, draft, kinds, tools)
            write_text(draft / MODELFILE, _modelfile(run, source, written))
        write_json(draft / RECORD, _record(run, tools, written, draft))
    return written


@dataclass(frozen=True)
class _Source:
    """A model's folder, what its files must agree with, and the predictor of a run whose LoRA is beside it."""

    model: Path
    expected: Expected
    predictor: Predictor
    adapted: Host | None = None


@contextmanager
def _merged(run: FinishedRun, scratch: Path, device: str) -> Iterator[_Source]:
    """Merge the run in its own precision, and compute with what was written in fp32, as llama.cpp adds up."""
    merged = merge(run, scratch / "merged", None, device)
    predictor = Predictor(Host([as_base(merged.folder, unquantized(run, Precision.fp32))], device))
    yield _Source(merged.folder, expect(predictor), predictor)


@contextmanager
def _adapter_beside(run: FinishedRun, scratch: Path, device: str) -> Iterator[_Source]:
    """Write the base by itself, and load it with the run's adapter on it."""
    host = Host([unquantized(run, Precision.fp32)], device)
    require_same_weights(run, host.base.fingerprint)
    require_low_rank(host.adapters[0], f"{run.name} ({run.config.peft.label})")
    predictor = Predictor(host)
    expected = expect(predictor)
    host.close()
    save_whole(host.base.model, host.base.tokenizer, scratch / "base")
    yield _Source(scratch / "base", expected, predictor, host)


def _files(source: _Source, folder: Path, kinds: Sequence[str], tools: Tools) -> list[Written]:
    """Write and check the files: F16 first, which the others are made of or compared with."""
    name = _name(source.predictor.run)
    paths = {kind: folder / f"{name}-{kind}.gguf" for kind in (F16, *kinds)}
    tools.converter.convert(source.model, paths[F16], F16)
    adapter = None
    if source.adapted is not None:
        adapter = folder / f"{name}-{ADAPTER}.gguf"
        weights = require_low_rank(source.adapted.adapters[0], name)
        write_lora(weights, source.adapted.base.model, paths[F16], adapter)
    written: list[Written] = []
    for kind, path in paths.items():
        if kind in QUANTIZED:
            assert tools.quantizer is not None
            quantize(tools.quantizer, paths[F16], path, kind)
        elif kind != F16:
            tools.converter.convert(source.model, path, kind)
        found = check(path, source.expected, adapter)
        if kind == F16:
            require_same(found, path.name)
        written.append(Written(kind, path.name, path.stat().st_size, found, kind in kinds))
    if F16 not in kinds:
        paths[F16].unlink()
    return written


def _name(run: FinishedRun) -> str:
    """Return what the files are named after: the character, and the base model."""
    words = [*([persona_of(run.config) or ""]), run.config.model.name]
    return "-".join(re.sub(r"[^a-z0-9.]+", "_", anyascii(word).lower()).strip("_") for word in words if word)


def _modelfile(run: FinishedRun, source: _Source, written: Sequence[Written]) -> str:
    """Return Ollama's Modelfile for the smallest file."""
    chosen = min((one for one in written if one.kept), key=lambda one: one.bytes)
    decode = source.predictor.host.base.tokenizer.decode
    stops = [str(decode([token])) for token in source.predictor.renderer().stop_token_ids]
    return modelfile(
        chosen.name,
        card_of(run.config),
        [*stops, *run.config.generation.stop],
        min(run.config.model.context_length, CONTEXT),
        f"{_name(source.predictor.run)}-{ADAPTER}.gguf" if source.adapted is not None else None,
    )


def _record(run: FinishedRun, tools: Tools, written: Sequence[Written], folder: Path) -> Mapping[str, Any]:
    return {
        **made_of(run),
        "converter": tools.converter.name,
        "checked_in": tools.llama,
        "files": [asdict(one) for one in written],
        "sha256": {path.name: file_sha256(path) for path in sorted(folder.glob("*.gguf"))},
        "provenance": {"created": now(), **environment()},
    }
