"""Lines that were scored as several characters: put together from runs of one character each, or from a run of all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from .labels import model_label
from .measures import Measure, measures
from .results import RunResult
from .samples import SamplesError, read_items
from .settings import Setting, settings


@dataclass(frozen=True)
class ScoredLine:
    """A held-out line of `speaker`: gain over the untuned base and NLL, nats a token, by the character scored as."""

    id: str
    cluster: str
    speaker: str
    gain: Mapping[str, float]
    nll: Mapping[str, float]


@dataclass(frozen=True)
class Matrix:
    """One setting as several characters: the lines that all of them scored, by seed.

    `by_run`: each character is a run of its own; else they are the cards of one run. `missing` are characters whose
    lines were scored and as whom nothing was; `left_out` counts the lines that not all characters scored.
    """

    setting: Setting
    model: str
    data: str
    by_run: bool
    characters: Sequence[str]
    by_seed: Mapping[str, Sequence[ScoredLine]]
    run_ids: Sequence[str]
    missing: Sequence[str] = ()
    left_out: int = 0

    @property
    def fixed(self) -> bool:
        """Whether no seed can change it."""
        return self.setting.is_fixed


@dataclass
class _Parts:
    """What belongs to one matrix: the lines of each result, by seed."""

    settings: list[Setting] = field(default_factory=list)
    lines: dict[str, dict[str, ScoredLine]] = field(default_factory=dict)
    run_ids: dict[str, None] = field(default_factory=dict)
    cards: dict[str, None] = field(default_factory=dict)

    def add(self, setting: Setting, result: RunResult, lines: Iterable[ScoredLine]) -> None:
        self.settings.append(setting)
        self.run_ids[result.run_id] = None
        of_seed = self.lines.setdefault(str(result.seed), {})
        for line in lines:
            self.cards |= dict.fromkeys(line.gain)
            known = of_seed.get(line.id)
            of_seed[line.id] = line if known is None else _merged(known, line)


def matrices(results: Sequence[RunResult]) -> tuple[list[Matrix], list[str]]:
    """Return the matrices of results whose descriptions name the columns of one, and sentences on unusable samples."""
    parts: dict[tuple[str, ...], _Parts] = {}
    troubles = []
    for setting in settings(results):
        for result in setting.results:
            try:
                for measure in measures([result]):
                    if measure.matrix is not None:
                        lines = _lines(result, measure)
                        key = _key(setting, result, measure, lines)
                        parts.setdefault(key, _Parts()).add(setting, result, lines)
                        break  # its other values have the same columns
            except (SamplesError, KeyError, TypeError, ValueError, AttributeError) as error:
                troubles.append(f"Left out: {result.folder.name}: its matrix can't be read ({error}).")
    return [_matrix(of, key[0] == "by run") for key, of in parts.items()], troubles


def _key(setting: Setting, result: RunResult, measure: Measure, lines: Sequence[ScoredLine]) -> tuple[str, ...]:
    """Return what results of one matrix share; runs of one character may have different data."""
    by_run = all(len(line.gain) == 1 for line in lines)
    data = "" if by_run else str(result.key)
    return "by run" if by_run else "by card", setting.label, setting.config_but("dataset"), measure.version, data


def _lines(result: RunResult, measure: Measure) -> list[ScoredLine]:
    columns = measure.matrix or {}
    items = read_items(result, measure.short)
    if items is None:
        raise SamplesError("it has no samples")
    return [
        ScoredLine(
            str(line["id"]),
            str(line["cluster"]),
            str(line[columns["speaker"]]),
            {str(card): float(value) for card, value in line[columns["gain"]].items()},
            {str(card): float(value) for card, value in line[columns["nll"]].items()},
        )
        for line in items.lines
        if columns["gain"] in line
    ]


def _merged(one: ScoredLine, other: ScoredLine) -> ScoredLine:
    return ScoredLine(one.id, one.cluster, one.speaker, {**one.gain, **other.gain}, {**one.nll, **other.nll})


def _matrix(parts: _Parts, by_run: bool) -> Matrix:
    """Return the matrix of the lines that all characters scored with each seed."""
    cards = list(parts.cards)
    whole = [
        {line.id for line in lines.values() if line.gain.keys() >= parts.cards.keys()} for lines in parts.lines.values()
    ]
    shared = set.intersection(*whole)
    every = {line for lines in parts.lines.values() for line in lines}
    speakers = {line.speaker: None for lines in parts.lines.values() for line in lines.values()}
    first = parts.settings[0]
    return Matrix(
        setting=first,
        model=model_label(first.first),
        data=str(first.first.get("config.dataset.source")),
        by_run=by_run,
        characters=cards,
        by_seed={seed: [line for line in lines.values() if line.id in shared] for seed, lines in parts.lines.items()},
        run_ids=list(parts.run_ids),
        missing=[name for name in speakers if name not in parts.cards],
        left_out=len(every) - len(shared),
    )
