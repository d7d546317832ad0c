"""The command `persona-sweeps`: what to do comes first, and its own arguments behind it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from persona_sweeps.analysis_package import analysis_module
from persona_sweeps.errors import UserError, did_you_mean

OVERVIEW = """\
persona-sweeps: teach language models to speak as a character, and compare how.

  persona-sweeps sweep …      train and evaluate: one run, or a sweep with -m (sweep --help lists groups and keys)
  persona-sweeps analyze …    tables of what was measured (analyze --help lists them)
  persona-sweeps report …     one HTML page of a sweep, with curves and examples
  persona-sweeps push …       show a sweep in W&B, MLflow, Trackio or TensorBoard, whenever it was trained
  persona-sweeps chat …       talk with what a run trained, beside its base or another run
  persona-sweeps serve …      an OpenAI-compatible server for it and other runs, with a page to talk on
  persona-sweeps merge …      put what a run trained into its base model's weights
  persona-sweeps gguf …       write it for llama.cpp and Ollama, checked there
  persona-sweeps publish …    put it on the Hugging Face Hub, with a model card made of its record
  persona-sweeps card …       write its persona card for SillyTavern and other chat programs

Overrides without a command are a sweep's: persona-sweeps peft=lora seed=0 is persona-sweeps sweep peft=lora seed=0.
"""


MODULES = ("card", "chat", "gguf", "merge", "publish", "push", "serve")
"""commands that have a module of their own here, with `parser` and `main`"""


def main() -> None:
    """Run the command line; exit with the code of what it ran."""
    words = sys.argv[1:]
    if not words or words in (["--help"], ["-h"], ["help"]):
        print(OVERVIEW, end="")
        return
    command = COMMANDS.get(words[0])
    if command is not None:
        command(words[1:])
    elif words[0].isalpha() and words[1:2] != ["="] and (hint := did_you_mean(words[0], COMMANDS)):
        sys.exit(f"error: {words[0]} is no command.{hint}")
    else:
        _sweep(words)


def _sweep(words: Sequence[str]) -> None:
    from persona_sweeps.cli.launch import main as launch

    sys.argv[1:] = words
    launch()


def _analyze(words: Sequence[str]) -> None:
    sys.exit(analysis_module("__main__").main(list(words)))


def _report(words: Sequence[str]) -> None:
    _analyze(["report", *words])


def _of_module(name: str) -> Callable[[Sequence[str]], None]:
    """Return the command of the module `name` here; its mistakes are one sentence each."""

    def run(words: Sequence[str]) -> None:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # waiting threads sleep, as in a sweep
        try:
            import_module(f"persona_sweeps.cli.{name}").main(words)
        except UserError as error:
            sys.exit(f"error: {error}")
        except BrokenPipeError:  # whoever read this has seen enough, such as `head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except OSError as error:  # a full disk, a folder that can't be written
            sys.exit(f"error: {error.filename or 'A file'} can't be read or written: {error.strerror or error}.")
        except KeyboardInterrupt:
            sys.exit(128 + signal.SIGINT)

    return run


COMMANDS: dict[str, Callable[[Sequence[str]], None]] = {
    "sweep": _sweep,
    "analyze": _analyze,
    "report": _report,
    **{name: _of_module(name) for name in MODULES},
}
