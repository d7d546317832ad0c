"""The base class of what `dataset=` chooses: a data source reads files of one format as `Example`s."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from omegaconf import MISSING

from persona_sweeps.config.checks import at_least, between, one_of
from persona_sweeps.data.code import code_fingerprint
from persona_sweeps.data.example import Corpus, Example
from persona_sweeps.data.splits import given_parts, split_examples
from persona_sweeps.data.spool import spooled

if TYPE_CHECKING:
    from persona_sweeps.config.schema import RunConfig

TEMPLATES = ("auto", "raw")
REPORTS = ("run", "only")
TOO_LONG = ("drop", "cut", "windows")
AFTER_READING = (
    "limit", "eval_limit", "eval_per_cluster", "eval_fraction", "split_seed", "evaluate_on", "validation_fraction",
    "min_examples", "loss_on", "template", "too_long", "stride", "report",
)  # fmt: skip
"""keys that have no part in what is read"""


@dataclass(frozen=True)
class Reading:
    """What a source finds in its files, before it is split.

    `fingerprint` is the SHA-256 (hex) of the files' bytes. `held_out` are the examples of a split that the data bring
    with them; None: the base class splits. `validation` is the part of such a split by which settings are chosen; None:
    the base class cuts it from `examples`. `dropped` counts what was left out, by reason. `hint` is a sentence for an
    error about too few examples, `notes` are sentences for the user, such as which columns were guessed.
    """

    examples: Iterable[Example]
    fingerprint: str
    held_out: Iterable[Example] | None = None
    validation: Iterable[Example] | None = None
    dropped: Mapping[str, int] = field(default_factory=dict)
    hint: str = ""
    notes: tuple[str, ...] = ()


@dataclass
class Source:
    """The base of all options of `dataset=`. Subclasses add their keys as fields, and implement `read`.

    conf/dataset/jsonl.yaml explains the keys of this class; a source of another package has their defaults.
    """

    streams: ClassVar[bool] = False
    """whether there may be more examples than memory should hold: `read` then gives iterators, which are read once for
    each version of the files, and its counts need be right only when these have ended"""

    source: str = MISSING
    persona: Any = None
    """a name, a list of names, or None for all"""
    limit: int | None = None
    eval_limit: int | None = None
    eval_per_cluster: int | None = None
    eval_fraction: float = 0.2
    split_seed: int = 0
    evaluate_on: str = "test"
    validation_fraction: float = 0.2
    min_examples: int = 8
    loss_on: str = "completion"
    template: str = "auto"
    too_long: str = "drop"
    stride: int | None = None
    report: str = "run"

    @property
    def personas(self) -> tuple[str, ...]:
        """The names that `persona` gives; empty for all."""
        if self.persona is None:
            return ()
        return tuple(map(str, self.persona)) if isinstance(self.persona, list) else (str(self.persona),)

    @property
    def label(self) -> str:
        """Its name in tables, such as `shakespeare, Hamlet`."""
        return ", ".join([self.source, " + ".join(self.personas)] if self.personas else [self.source])

    def check(self, config: RunConfig) -> Iterator[str]:
        """Yield a sentence for each wrong key. Subclasses also yield from this one."""
        if not (self.persona is None or isinstance(self.persona, str | int)):
            names = self.persona if isinstance(self.persona, list) else []
            if not names or not all(isinstance(name, str | int) for name in names):
                yield f"dataset.persona={self.persona} must be a name, a list of names ([Hamlet,Falstaff]), or null."
        yield from one_of("dataset.loss_on", self.loss_on, ("completion", "all_tokens"))
        yield from one_of("dataset.report", self.report, REPORTS)
        yield from one_of("dataset.template", self.template, TEMPLATES)
        yield from one_of("dataset.too_long", self.too_long, TOO_LONG)
        yield from at_least("dataset.stride", self.stride, 1)
        if self.stride is not None and self.stride >= config.train.max_length:
            yield (
                f"dataset.stride={self.stride} must be less than train.max_length={config.train.max_length}: windows "
                "overlap, since the first token of each is context alone."
            )
        if self.too_long == "windows" and config.peft.shots:
            yield f"dataset.too_long=windows leaves no room for shots (peft={config.peft.method}): choose drop or cut."
        yield from one_of("dataset.evaluate_on", self.evaluate_on, ("test", "validation"))
        yield from at_least("dataset.limit", self.limit, 1)
        yield from at_least("dataset.eval_limit", self.eval_limit, 1)
        yield from at_least("dataset.eval_per_cluster", self.eval_per_cluster, 1)
        yield from between("dataset.eval_fraction", self.eval_fraction, 0, 1)
        yield from between("dataset.validation_fraction", self.validation_fraction, 0, 1)

    def files(self) -> list[Path]:
        """Return the existing files that it reads, so that a changed file is read again."""
        return []

    def read(self) -> Reading:
        """Return the examples of the chosen personas, in the order of the files.

        Raises ConfigError for keys without a match, DataError for files that are missing or malformed.
        """
        raise NotImplementedError(f"{type(self).__name__}.read")

    def everyone(self) -> Sequence[Example]:
        """Return the lines of all characters of the same works; a source that is too large for memory gives none."""
        if self.streams:
            return ()
        found = replace(self, persona=None).read()
        return [*found.examples, *(found.held_out or ()), *(found.validation or ())]

    def prompts(self, held_out: Sequence[Example]) -> Sequence[Example]:
        """Return the prompts that texts are generated for, where these aren't the held-out examples themselves.

        A source whose examples are whole texts makes prompts of them here: a beginning to go on from. Their ids are
        unique, also among those of the examples.
        """
        return ()

    def load(self, monitored: bool = False) -> Corpus:
        """Return the examples, split and cut; `monitored` adds a part that decides when training stops.

        Raises ConfigError for keys without a match, DataError for bad data or too few of them.
        """
        found = Reading(**spooled(self._version(), self.read)) if self.streams else self.read()
        examples = _sequence(found.examples)
        if found.held_out is None:
            parts = split_examples(examples, self, found.hint, monitored)
        else:
            held_out, validation = _sequence(found.held_out), _sequence(found.validation or ())
            parts = given_parts(examples, held_out, self, found.hint, monitored, validation)
        return Corpus(
            parts.train,
            parts.eval,
            found.fingerprint,
            found.dropped,
            validation=parts.validation,
            prompts=tuple(self.prompts(parts.eval)),
            notes=(*found.notes, *parts.notes),
        )

    def _version(self) -> str | None:
        """Return a hash of all that decides what `read` gives; None if it reads what isn't in files."""
        paths = self.files()
        if not paths:
            return None
        stats = [(str(path.absolute()), path.stat()) for path in paths]
        files = [(name, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino) for name, s in stats]
        keys = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in AFTER_READING}
        code = [code_fingerprint(), Path(inspect.getfile(type(self))).read_text(encoding="utf-8")]
        return hashlib.sha256(repr([type(self).__qualname__, keys, files, code]).encode()).hexdigest()


def _sequence(examples: Iterable[Example]) -> Sequence[Example]:
    return examples if isinstance(examples, Sequence) else list(examples)
