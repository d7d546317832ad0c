"""Source `jsonl`: one example a line, as a prompt with its completion, or as chat messages.

    {"prompt": "Who's there?", "completion": "Nay, answer me.", "persona": "Francisco", "scene": "1.1"}
    {"messages": [{"role": "user", "content": "Who's there?"}, {"role": "assistant", "content": "Nay, answer me."}]}

Optional keys are `persona`, `id`, and one of `cluster`, `dialogue`, `scene`, `episode`; any other becomes metadata.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from omegaconf import MISSING

from persona_sweeps.data.example import Corpus, Example, Message
from persona_sweeps.data.jsonl_line import LineError, parse_line
from persona_sweeps.data.source import Source
from persona_sweeps.data.splits import evaluated, require_enough, shuffled_clusters, split_examples
from persona_sweeps.errors import ConfigError, DataError, did_you_mean

SHOWN_ERRORS = 5


@dataclass
class Jsonl(Source):
    """The lines of one file, or of two: one to train on and one to evaluate on."""

    path: str = MISSING
    eval_path: str | None = None
    card: str | None = None

    def files(self) -> list[Path]:
        paths = [Path(name).expanduser() for name in (self.path, self.eval_path) if name is not None]
        return [path for path in paths if path.exists()]

    def load(self) -> Corpus:
        """Return the examples of `path`, split by cluster, or with those of `eval_path` as eval.

        Raises `DataError` for a file that is missing, malformed (naming the first bad lines), too small, or that shares
        ids or clusters with the other one, and `ConfigError` for a persona that no line names.
        """
        dropped: Counter[str] = Counter()
        path = _existing(self.path, "path")
        examples = _read(path, "line", dropped)
        digest = hashlib.sha256(path.read_bytes())
        held_out = None
        if self.eval_path is not None:
            eval_path = _existing(self.eval_path, "eval_path")
            held_out = _read(eval_path, "eval-line", dropped)
            digest.update(b"\0eval\0" + eval_path.read_bytes())
        _require_unique([*examples, *(held_out or [])])
        examples = _prepared(examples, self)
        if held_out is None:
            train, evaluation = split_examples(examples, self, hint=f"They come from {path}.")
        else:
            train, evaluation = _given_split(examples, _prepared(held_out, self), self)
        return Corpus(train, evaluation, digest.hexdigest(), dict(dropped))


def _existing(name: str, key: str) -> Path:
    path = Path(name).expanduser()
    if path.is_file():
        return path
    if path.is_dir():
        raise DataError(f"dataset.{key}={name} is a folder; give a JSON Lines file.")
    folder = path.parent
    files = sorted(entry.name for entry in folder.iterdir() if entry.is_file()) if folder.is_dir() else []
    where = "" if folder.is_dir() else f" The folder {folder} doesn't exist either."
    raise DataError(f"dataset.{key}={name} doesn't exist.{did_you_mean(path.name, files)}{where}")


def _read(path: Path, prefix: str, dropped: Counter[str]) -> list[Example]:
    """Return the examples of a file, and count the empty ones in `dropped`. Raises DataError with all bad lines."""
    examples: list[Example] = []
    errors: list[str] = []
    for number, raw in enumerate(path.read_bytes().removeprefix(b"\xef\xbb\xbf").splitlines(), start=1):
        if not raw.strip():
            dropped["blank line"] += 1
            continue
        try:
            example = parse_line(raw, f"{prefix}-{number}")
        except LineError as error:
            errors.append(f"{path}, line {number}: {error}{'' if str(error)[-1:] in '.?' else '.'}")
            continue
        if reason := _nothing_to_learn(example):
            dropped[reason] += 1
        else:
            examples.append(example)
    if errors:
        more = f"\n… and {len(errors) - SHOWN_ERRORS} more." if len(errors) > SHOWN_ERRORS else ""
        plural = "s are" if len(errors) > 1 else " is"
        raise DataError(f"{len(errors)} line{plural} not valid:\n" + "\n".join(errors[:SHOWN_ERRORS]) + more)
    return examples


def _nothing_to_learn(example: Example) -> str | None:
    """Return why an example can't be used, as a reason of `Corpus.dropped`; None if it can."""
    last_message = example.prompt if isinstance(example.prompt, str) else example.prompt[-1].content
    if not example.completion.strip():
        return "empty completion"
    return None if last_message.strip() else "empty prompt"


def _require_unique(examples: Sequence[Example]) -> None:
    repeated = [name for name, count in Counter(example.id for example in examples).items() if count > 1]
    if repeated:
        listing = ", ".join(repeated[:SHOWN_ERRORS])
        raise DataError(f"{len(repeated)} ids are on more than one line, and each must be unique: {listing}.")


def _prepared(examples: Iterable[Example], source: Jsonl) -> list[Example]:
    """Return the examples of the persona, if one is set, with the card in front of those that have none."""
    return [_with_card(example, source.card) for example in _of_persona(list(examples), source.persona)]


def _of_persona(examples: list[Example], persona: str | None) -> list[Example]:
    if persona is None:
        return examples
    kept = [example for example in examples if (example.persona or "").casefold() == persona.casefold()]
    if not kept:
        names = sorted({example.persona for example in examples if example.persona})
        hint = did_you_mean(persona, names) or f" There are {', '.join(names[:10]) or 'no personas at all'}."
        raise ConfigError(f'dataset.persona={persona} is the "persona" of no line.{hint}')
    return kept


def _with_card(example: Example, card: str | None) -> Example:
    if not card:
        return example
    turns = (Message("user", example.prompt),) if isinstance(example.prompt, str) else example.prompt
    return example if turns[0].role == "system" else replace(example, prompt=(Message("system", card), *turns))


def _given_split(
    train: list[Example], held_out: list[Example], source: Jsonl
) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Return the examples of two files as (train, eval), in the shuffled order of clusters that a split would give."""
    require_enough(train, source, f"They come from {source.path}.")
    if not held_out:
        raise DataError(f"dataset.eval_path={source.eval_path} holds no example to evaluate on.")
    shared = {example.cluster for example in train} & {example.cluster for example in held_out}
    if shared:
        listing = ", ".join(sorted(shared)[:3])
        raise DataError(
            f"{len(shared)} clusters are in both dataset.path and dataset.eval_path ({listing}): keep each scene, "
            "episode or dialogue on one side, or give them different names."
        )
    sides = [
        [example for cluster in shuffled_clusters(side, source.split_seed).values() for example in cluster]
        for side in (train, held_out)
    ]
    return evaluated(sides[0], sides[1], source, f"They come from {source.path}.")
