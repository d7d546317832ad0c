"""What is rated: units drawn from the samples of runs, blinded, in random order, with sides balanced."""

from __future__ import annotations

import hashlib
import itertools
import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from persona_sweeps.errors import UserError

from ..read.find import find
from ..read.results import RunResult, distinct_ids
from ..read.samples import SamplesError, read_items

PAIRWISE, LIKERT = "pairwise", "likert"
DESIGNS = (PAIRWISE, LIKERT)
UNNAMED = "the character"
"""the persona of an item that names none"""
ANSWERS: Mapping[str, tuple[str, ...]] = {PAIRWISE: ("A", "tie", "B"), LIKERT: ("1", "2", "3", "4", "5")}
QUESTIONS: Mapping[str, Mapping[str, str]] = {
    PAIRWISE: {
        "persona": "Which reply sounds more like {persona}?",
        "coherence": "Which reply makes more sense here?",
        "engagement": "Which reply makes you want to go on?",
    },
    LIKERT: {
        "persona": "It sounds like {persona} (1 not at all – 5 completely)",
        "coherence": "It makes sense here (1 not at all – 5 completely)",
        "engagement": "It makes me want to go on (1 not at all – 5 completely)",
    },
}


@dataclass(frozen=True)
class Unit:
    """What is shown at once. `runs` wrote `texts`, in the order of the sides; a Likert unit has one of each."""

    unit: str
    item: str
    cluster: str
    persona: str
    prompt: str
    runs: tuple[str, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Key:
    """All that a sheet hides. `names` are by run id, `ties` are pairs (item, cluster, run, run) of equal texts.

    Pairs of equal texts are shown to no one: they count as ties.
    """

    design: str
    seed: int
    units: tuple[Unit, ...]
    names: Mapping[str, str]
    ties: tuple[tuple[str, str, str, str], ...] = ()

    @property
    def sheet(self) -> str:
        """The hash of what raters see, 16 hex digits."""
        return _hash([[unit.unit, unit.persona, unit.prompt, unit.texts] for unit in self.units])

    @property
    def hash(self) -> str:
        """The hash of the whole key, which the sheet carries: a key that was changed later shows."""
        return _hash(asdict(self))

    def to_json(self) -> str:
        return json.dumps({"schema_version": 1, "hash": self.hash, **asdict(self)}, indent=1, ensure_ascii=False) + "\n"


@dataclass(frozen=True)
class Drawn:
    """A key with sentences on what it leaves out."""

    key: Key
    notes: Sequence[str]


def key_from_json(text: str, where: str) -> Key:
    """Return the key that `to_json` wrote; raises `UserError`, naming `where`, for anything else."""
    try:
        raw = json.loads(text)
        units = tuple(
            Unit(**{**unit, "runs": tuple(unit["runs"]), "texts": tuple(unit["texts"])}) for unit in raw["units"]
        )
        ties = tuple((str(item), str(cluster), str(a), str(b)) for item, cluster, a, b in raw["ties"])
        key = Key(str(raw["design"]), raw["seed"], units, dict(raw["names"]), ties)
        stated = raw["hash"]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UserError(f"{where} is no key of `rate make`: {type(error).__name__} {error}.") from error
    if key.design not in DESIGNS or stated != key.hash:
        raise UserError(f"{where} was changed after it was made: its contents don't give its hash.")
    return key


def chosen(scored: Sequence[RunResult], names: Sequence[str]) -> list[RunResult]:
    """Return the results to rate: those with generated texts that are named, all of them where no name is given.

    Raises `UserError` for a name that fits none or several.
    """
    having = [result for result in scored if result.has_texts] or list(scored)
    if not names:
        return having
    found = [find(name, having, "evaluated run") for name in names]
    return list({(result.run_id, result.evaluation_id): result for result in found}.values())


def draw(results: Sequence[RunResult], items: int, design: str, seed: int) -> Drawn:
    """Draw units from items that all runs generated for: with one comparability key, or asked in equal words.

    Pairwise, every pair of runs meets in each of `items` items; each run of a pair stands left in half of them, one
    more or less. Likert, every run's reply to each of them is a unit. Units are shuffled; equal input gives equal ones.
    Raises `UserError` when there are too few runs or no item in common.
    """
    least = 2 if design == PAIRWISE else 1
    if len(results) < least or items < 1:
        raise UserError(
            f"A {design} sheet needs {least} or more runs and 1 or more items; got {len(results)}, {items}."
        )
    ids = distinct_ids(results)
    lines = {name: _lines(result) for name, result in zip(ids, results, strict=True)}
    common, notes = _common(lines, one_evaluation=len({result.key for result in results}) == 1)
    random_ = random.Random(f"{seed} {sorted(lines)}")
    chosen = random_.sample(common, min(items, len(common)))
    if len(chosen) < items:
        notes.append(f"{items} items were asked for; all {len(chosen)} that the runs have in common are in the sheet.")
    ties: list[tuple[str, str, str, str]] = []
    if design == PAIRWISE:
        drawn, ties = _pairs(chosen, lines, random_)
    else:
        drawn = [(item, (run,)) for item in chosen for run in lines]
    random_.shuffle(drawn)
    units = tuple(_unit(f"u{n:04d}", item, runs, lines) for n, (item, runs) in enumerate(drawn, start=1))
    if ties:
        notes.append(f"{len(ties)} pairs of equal texts aren't shown, and count as ties.")
    names = {name: _called(result, name) for name, result in zip(ids, results, strict=True)}
    return Drawn(Key(design, seed, units, names, tuple(ties)), notes)


def _pairs(
    items: Sequence[str], lines: Mapping[str, Mapping[str, Any]], random_: random.Random
) -> tuple[list[tuple[str, tuple[str, ...]]], list[tuple[str, str, str, str]]]:
    """Return the pairs shown, with sides balanced among them, and those of equal texts."""
    shown: list[tuple[str, tuple[str, ...]]] = []
    ties = []
    for one, other in itertools.combinations(lines, 2):
        differ = [i for i in items if lines[one][i]["prediction"].strip() != lines[other][i]["prediction"].strip()]
        ties += [(i, str(lines[one][i]["cluster"]), one, other) for i in items if i not in set(differ)]
        turned = [number % 2 == 0 for number in range(len(differ))]
        if random_.random() < 0.5:
            turned = [not turn for turn in turned]
        random_.shuffle(turned)
        shown += [(i, (other, one) if turn else (one, other)) for i, turn in zip(differ, turned, strict=True)]
    return shown, ties


def _unit(name: str, item: str, runs: tuple[str, ...], lines: Mapping[str, Mapping[str, Any]]) -> Unit:
    first = lines[runs[0]][item]
    # Models of two families render one dialogue each their own way: the way with the least markup is shown for all, or
    # the prompt would show which model replied.
    prompt = min((str(of_run[item].get("prompt", "")) for of_run in lines.values()), key=lambda text: (len(text), text))
    return Unit(
        unit=name,
        item=item,
        cluster=str(first["cluster"]),
        persona=str(first.get("persona") or UNNAMED),
        prompt=prompt,
        runs=runs,
        texts=tuple(str(lines[run][item]["prediction"]) for run in runs),
    )


def _called(result: RunResult, name: str) -> str:
    """Return a run's name, with its evaluation where several of the run are rated."""
    evaluation = name.partition("/")[2]
    return f"{result.get('name') or result.folder.name}{' ' if evaluation else ''}{evaluation}"


def _lines(result: RunResult) -> dict[str, Mapping[str, Any]]:
    """Return a run's lines with a prediction, by item; raises `UserError` where there are none."""
    try:
        items = read_items(result)
    except SamplesError as error:
        raise UserError(f"Run {result.run_id} can't be rated: {error}.") from error
    found = {
        str(line["id"]): line for line in (items.lines if items else []) if isinstance(line.get("prediction"), str)
    }
    if not found:
        raise UserError(f"Run {result.run_id} has no predictions to rate: {result.samples()}.")
    return found


def _common(lines: Mapping[str, Mapping[str, Mapping[str, Any]]], one_evaluation: bool) -> tuple[list[str], list[str]]:
    """Return the items that all runs answered, sorted, and what was left out; prompts may differ in one evaluation."""
    asked = Counter(item for of_run in lines.values() for item in of_run)
    shared = [item for item, runs in sorted(asked.items()) if runs == len(lines)]
    differing = {item for item in shared if len({str(of_run[item].get("prompt")) for of_run in lines.values()}) > 1}
    equal = [item for item in shared if one_evaluation or item not in differing]
    notes = []
    if len(shared) < len(asked):
        notes.append(f"{len(asked) - len(shared)} items that not all runs answered are left out.")
    if len(equal) < len(shared):
        notes.append(f"{len(shared) - len(equal)} items whose prompts differ between runs are left out.")
    elif differing:
        notes.append("Models render the prompts differently; the shortest rendering stands for all.")
    if not equal:
        raise UserError(f"These runs have no item in common that they were asked alike: {', '.join(lines)}.")
    return equal, notes


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
