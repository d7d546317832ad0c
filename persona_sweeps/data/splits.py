"""Split examples in train, validation and test: by cluster, by the seed only, whatever the order of examples."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from persona_sweeps.data.clusters import Clusters, shuffled
from persona_sweeps.data.example import Example
from persona_sweeps.data.spool import names_of, selected
from persona_sweeps.errors import ConfigError, DataError
from persona_sweeps.wording import pluralize

if TYPE_CHECKING:
    from persona_sweeps.data.source import Source


FEW_CLUSTERS = 8
"""below it, intervals over clusters are wide and rough"""
LEAST_CLUSTERS = 6
"""below it, tables give no intervals, and test nothing (`analysis.statistics.spread`)"""


class Parts(NamedTuple):
    """The parts of a corpus, each in shuffled order of its clusters, and cut to its limit."""

    train: Sequence[Example]
    eval: Sequence[Example]
    validation: Sequence[Example] = ()
    """what decides when training stops; empty unless it is monitored"""
    notes: tuple[str, ...] = ()
    """what the user should know of them"""


def split_examples(examples: Sequence[Example], source: Source, hint: str = "", monitored: bool = False) -> Parts:
    """Split examples by cluster.

    The test part gets whole clusters until it has about `eval_fraction` of the examples; neither side is empty. A
    smaller limit gives a prefix of what a larger one gives. Raises `DataError`, with `hint` at its end, for too few
    examples or clusters.
    """
    require_enough(examples, source, hint)
    rest, test = _Part.of(examples, source).divided(source, "eval_fraction", hint)
    return _evaluated(rest, test, None, source, hint, monitored)


def given_parts(
    train: Sequence[Example],
    held_out: Sequence[Example],
    source: Source,
    hint: str = "",
    monitored: bool = False,
    validation: Sequence[Example] = (),
) -> Parts:
    """Return the parts of a split that the data bring with them, in the order that `split_examples` would give.

    Without a `validation` part it is cut from `train` where it is needed. Raises `DataError` for too few examples, or
    clusters on both sides.
    """
    require_enough(train, source, hint)
    if not held_out:
        raise DataError(f"The held-out part holds no example to evaluate on.{_spaced(hint)}")
    evaluated = {cluster for part in (held_out, validation) for cluster, *_ in names_of(part)}
    shared = {cluster for cluster, *_ in names_of(train) if cluster in evaluated}
    if shared:
        listing = ", ".join(sorted(shared)[:3])
        raise DataError(
            f"{pluralize(len(shared), 'cluster')} in both the training data and the held-out data ({listing}): "
            f"keep each scene, episode or dialogue on one side, or give them different names.{_spaced(hint)}"
        )
    given = _Part.of(validation, source) if validation else None
    return _evaluated(_Part.of(train, source), _Part.of(held_out, source), given, source, hint, monitored)


@dataclass(frozen=True, slots=True)
class _Part:
    """Some clusters of examples, in shuffled order."""

    examples: Sequence[Example]
    clusters: Clusters

    @classmethod
    def of(cls, examples: Sequence[Example], source: Source) -> _Part:
        return cls(examples, shuffled(names_of(examples), source.split_seed))

    def divided(self, source: Source, key: str, hint: str) -> tuple[_Part, _Part]:
        """Return (the rest, a part with about the share that the key sets)."""
        fraction = float(getattr(source, key))
        if not 0 < fraction < 1:
            raise ConfigError(f"dataset.{key}={fraction} must lie between 0 and 1.")
        if len(self.clusters.sizes) < 2:
            scope = "All" if key == "eval_fraction" else "Outside the test part all"
            count, one = len(self.clusters.indices), self.examples[self.clusters.indices[0]].cluster
            raise DataError(
                f"{scope} {count} examples come from one scene or dialogue ({one}), and a split in train and "
                f"{'eval' if key == 'eval_fraction' else 'validation'} needs at least 2.{_spaced(hint)}"
            )
        chosen = self.clusters.held_out(fraction)
        rest = self.clusters.chosen(lambda number: number not in chosen)
        return _Part(self.examples, rest), _Part(self.examples, self.clusters.chosen(chosen.__contains__))

    def taken(self, limit: int | None, key: str, per_cluster: int | None = None) -> Sequence[Example]:
        """Return the examples, at most `limit` of them and `per_cluster` of each cluster, the first ones.

        Raises `ConfigError` for a limit below 1.
        """
        if limit is not None and limit < 1:
            raise ConfigError(f"dataset.{key}={limit} must be at least 1; null takes everything.")
        clusters = self.clusters if per_cluster is None else self.clusters.capped(per_cluster)
        return selected(self.examples, clusters.indices[:limit])


def _evaluated(rest: _Part, test: _Part, given: _Part | None, source: Source, hint: str, monitored: bool) -> Parts:
    """Return the parts for `evaluate_on`, each cut to its limit.

    For `test`, all the rest is train, less a validation part if training is monitored. For `validation`, that part is
    eval, and the test part isn't used: so settings can be chosen without a look at the test part. A validation part
    that is `given` is the validation part, and nothing is cut from the rest.
    """
    train, validation = rest, given
    if given is None and (source.evaluate_on == "validation" or monitored):
        train, validation = rest.divided(source, "validation_fraction", hint)
    held_out = validation if source.evaluate_on == "validation" and validation is not None else test

    def taken(part: _Part) -> Sequence[Example]:
        return part.taken(source.eval_limit, "eval_limit", source.eval_per_cluster)

    watched = taken(validation) if monitored and validation is not None else ()
    evaluated = taken(held_out)
    notes = tuple(_few_clusters(evaluated, len(held_out.clusters.sizes), source))
    return Parts(train.taken(source.limit, "limit"), evaluated, watched, notes)


def _few_clusters(evaluated: Sequence[Example], clusters: int, source: Source) -> Iterator[str]:
    """Yield a sentence where so few clusters are held out, or left of them by a limit, that chance can't be judged."""
    if evaluated and clusters < LEAST_CLUSTERS:
        key = "eval_fraction" if source.evaluate_on == "test" else "validation_fraction"
        yield (
            f"Scenes or dialogues held out: {clusters}, fewer than {LEAST_CLUSTERS}, so tables will give no intervals "
            f"and test nothing; a larger dataset.{key} holds out more."
        )
        return
    if source.eval_limit is None or source.eval_per_cluster is not None:
        return
    kept = len({example.cluster for example in evaluated})
    if kept < min(FEW_CLUSTERS, clusters):
        each = math.ceil(source.eval_limit / clusters)
        yield (
            f"dataset.eval_limit={source.eval_limit} takes items of {kept} of the {clusters} scenes or dialogues held "
            f"out, too few for good intervals: dataset.eval_per_cluster={each} spreads them."
        )


def require_enough(examples: Sequence[Example], source: Source, hint: str = "") -> None:
    """Raise `DataError` if there are fewer than `min_examples`."""
    if len(examples) < source.min_examples:
        raise DataError(
            f"Only {pluralize(len(examples), 'example')} found, but {source.min_examples} are needed "
            f"(dataset.min_examples).{_spaced(hint)}"
        )


def spread(clusters: Sequence[str], limit: int | None) -> list[int]:
    """Return the indices of at most `limit` items, in order, taken from the clusters in turn.

    A smaller limit gives some of what a larger one gives.
    """
    if limit is None or limit >= len(clusters):
        return list(range(len(clusters)))
    seen: Counter[str] = Counter()
    turns = []
    for index, cluster in enumerate(clusters):
        turns.append((seen[cluster], index))
        seen[cluster] += 1
    return sorted(index for _, index in sorted(turns)[:limit])


def _spaced(hint: str) -> str:
    return f" {hint}" if hint else ""
