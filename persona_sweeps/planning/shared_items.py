"""Which held-out examples the models of a sweep will not share, said before anything runs.

A model's own template may push an example over train.max_length, so that this model isn't evaluated on it. Tables then
compare on the examples that all models have.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from persona_sweeps.data import corpus_of
from persona_sweeps.planning.cells import Cell
from persona_sweeps.planning.evaluated import evaluated_ids
from persona_sweeps.planning.plan import Plan
from persona_sweeps.planning.token_counts import has_tokenizer
from persona_sweeps.wording import pluralize

_SHOWN = 4


def not_shared(plan: Plan) -> Iterator[str]:
    """Yield a sentence for each set of held-out examples of which the models of a plan leave out different ones.

    Models whose tokenizer isn't on this machine are left aside.
    """
    by_data: dict[str, dict[str, Cell]] = {}
    for cell in plan.distinct:
        if cell.config.peft.has_model:
            readers = by_data.setdefault(corpus_of(cell.config).eval_fingerprint, {})
            readers.setdefault(f"{cell.config.model.name} {cell.config.train.max_length}", cell)
    for readers in by_data.values():
        if len(readers) > 1:
            yield from _sentence({name: ids for name, cell in readers.items() if (ids := _evaluated(cell)) is not None})


def _evaluated(cell: Cell) -> frozenset[str] | None:
    weights = cell.weights
    if cell.obstacles or weights is None or not has_tokenizer(cell.config, weights):
        return None
    found = evaluated_ids(cell.config, weights)
    return None if found is None else frozenset(found)


def _sentence(fitting: Mapping[str, frozenset[str]]) -> Iterator[str]:
    every = frozenset().union(*fitting.values())
    shared = frozenset.intersection(*fitting.values()) if fitting else every
    lacking = {name: len(every - ids) for name, ids in fitting.items() if len(ids) < len(every)}
    if len(shared) == len(every):
        return
    listed = [f"{name.split()[0]} {count}" for name, count in sorted(lacking.items(), key=lambda pair: -pair[1])]
    more = f" and {len(listed) - _SHOWN} more models" if len(listed) > _SHOWN else ""
    lengths = ", ".join(dict.fromkeys(name.split()[1] for name in fitting))
    yield (
        f"Not all models will be evaluated on all {pluralize(len(every), 'held-out example')}: some are too long for "
        f"train.max_length={lengths} in a model's own template ({', '.join(listed[:_SHOWN])}{more}). Tables compare "
        f"models on the {len(shared)} in common; a larger train.max_length keeps all."
    )
