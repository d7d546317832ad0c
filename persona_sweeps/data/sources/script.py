"""Source `script`: scripts of any layout, as the speeches of a character or as whole episodes.

`unit=speeches` makes an example of each speech, in answer to what was said before, as `shakespeare` does.
`unit=episodes` makes one of each script, as clean text with `ending` behind it; texts are then generated for the scenes
of held-out scripts: from an instruction, the scene's heading, its first lines and `SPEAKER:`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persona_sweeps.config.checks import at_least, one_of
from persona_sweeps.data.cards.card_files import is_card_file
from persona_sweeps.data.example import Example
from persona_sweeps.data.personas import require_known
from persona_sweeps.data.rows.files import source_files
from persona_sweeps.data.scripts.episodes import ENDING, INSTRUCTION, episode, scene_prompts
from persona_sweeps.data.scripts.files import Found, ScriptColumns, ScriptText, find_scripts, script_paths
from persona_sweeps.data.scripts.layout_lines import leading_names
from persona_sweeps.data.scripts.screenplay import (
    DELIMITERS,
    LAYOUTS,
    Script,
    Speech,
    layout_of,
    names_of,
    parse_script,
)
from persona_sweeps.data.scripts.speakers import Cast, as_lists, is_crowd, name_lists
from persona_sweeps.data.scripts.speeches import SpeechMaker, in_stretches
from persona_sweeps.data.source import Reading, Source
from persona_sweeps.errors import DataError

if TYPE_CHECKING:
    from persona_sweeps.config.schema import RunConfig

UNITS = ("speeches", "episodes")
NO_SPEECH = "script without a speech"
STRETCH = 20
"""speeches that count as a scene where there is only one"""
KNOWN_FROM = 2
"""lines that a name must begin before it is looked for inside lines"""


@dataclass
class ScriptSource(Source):
    """The scripts of a series, a film or a play."""

    path: str | None = None
    split: str | None = None
    columns: ScriptColumns = field(default_factory=ScriptColumns)
    layout: str = "auto"
    unit: str = "speeches"
    work: str | None = None
    aliases: Any = None
    groups: Any = None
    context_lines: int = 4
    card: Any = "long"
    ending: str = ENDING
    instruction: str = INSTRUCTION
    seed_lines: int = 2

    def check(self, config: RunConfig) -> Iterator[str]:
        yield from super().check(config)
        yield from one_of("dataset.unit", self.unit, UNITS)
        yield from one_of("dataset.layout", self.layout, LAYOUTS)
        yield from at_least("dataset.context_lines", self.context_lines, 0)
        yield from at_least("dataset.seed_lines", self.seed_lines, 0)
        yield from name_lists(self.aliases, "dataset.aliases")
        yield from name_lists(self.groups, "dataset.groups")

    def files(self) -> list[Path]:
        cards = self.card.values() if isinstance(self.card, Mapping) else [self.card]
        card_files = source_files(*(card for card in cards if isinstance(card, str) and is_card_file(card)))
        return [*(script_paths(self.path) if self.path else []), *card_files]

    def read(self) -> Reading:
        """Return the speeches of the characters, or the scripts in which they speak, in the order of the files.

        Raises `ConfigError` for a character that nobody is called, `DataError` where no speech is found.
        """
        found = find_scripts(self.path or self._stand_in(), self.columns, self.split)
        notes = [] if self.path else ["No dataset.path: Shakespeare stands in, as a table of scripts, one row an act."]
        scripts, cast = self._parsed(found)
        personas = [cast.one(name) for name in self.personas]
        speakers = Counter(name for name in names_of(scripts) if not is_crowd(name))
        require_known(personas, speakers)
        dropped = found.dropped + self._without_speeches(found, scripts)
        if self.unit == "episodes":
            spoken_in = [script for script in scripts if not personas or {*personas} & {*names_of([script])}]
            examples = [episode(script, self.ending) for script in spoken_in]
        else:
            if sum(len(script.scenes) for script in scripts) == 1:
                scripts = [in_stretches(scripts[0], STRETCH)]
                notes.append(f"No scene is marked: each {STRETCH} speeches count as one, which stays on one side.")
            maker = SpeechMaker(scripts, personas, self.work, self.card, self.context_lines)
            examples = list(maker.examples())
            dropped += maker.dropped
        return Reading(
            examples,
            found.fingerprint,
            dropped=dict(dropped),
            hint=f"Most speeches: {', '.join(f'{name} ({count})' for name, count in speakers.most_common(8))}.",
            notes=(*notes, *found.notes, *cast.check()),
        )

    def prompts(self, held_out: Sequence[Example]) -> Sequence[Example]:
        """Return for each held-out script the beginnings of its scenes, up to the name of who speaks next.

        The first scenes of all scripts come first, so that generation.limit spreads over scripts.
        """
        if self.unit != "episodes":
            return ()
        names = {name.casefold() for name in self._canonical()}
        of_each = (scene_prompts(one, self.instruction, self.seed_lines, names, self.ending) for one in held_out)
        return [prompt for nth in zip_longest(*of_each) for prompt in nth if prompt is not None]

    def _canonical(self) -> Sequence[str]:
        cast = Cast(self.personas, as_lists(self.aliases))
        return [cast.one(name) for name in self.personas]

    def _stand_in(self) -> str:
        from persona_sweeps.data.stand_ins.scripts import stand_in

        return str(stand_in())

    def _parsed(self, found: Found) -> tuple[list[Script], Cast]:
        """Return the scripts that have speeches, with one name for each speaker."""
        aliases, groups = as_lists(self.aliases), as_lists(self.groups)
        layouts = [layout_of(text.text) if self.layout == "auto" else self.layout for text in found.texts]
        known = _known(found.texts, layouts) | {alias.casefold() for names in aliases.values() for alias in names}
        parsed = [
            parse_script(text.text, text.name, layout, known) for text, layout in zip(found.texts, layouts, strict=True)
        ]
        scripts = [script for script in parsed if any(scene.speeches for scene in script.scenes)]
        if not scripts:
            raise DataError(_nothing_found(found, self.layout))
        cast = Cast(names_of(scripts), aliases, groups)
        return [_with_cast(script, cast) for script in scripts], cast

    def _without_speeches(self, found: Found, scripts: Sequence[Script]) -> Counter[str]:
        missing = len(found.texts) - len(scripts)
        return Counter({NO_SPEECH: missing} if missing else {})


def _known(texts: Sequence[ScriptText], layouts: Sequence[str]) -> set[str]:
    """Return the names, casefolded, that begin several lines."""
    counts = Counter(
        name.casefold()
        for text, layout in zip(texts, layouts, strict=True)
        if layout in DELIMITERS
        for name in leading_names(text.text, DELIMITERS[layout])
    )
    return {name for name, count in counts.items() if count >= KNOWN_FROM}


def _with_cast(script: Script, cast: Cast) -> Script:
    scenes = [
        replace(
            scene,
            items=tuple(
                replace(item, speakers=cast.speakers(item.speakers[0])) if isinstance(item, Speech) else item
                for item in scene.items
            ),
        )
        for scene in script.scenes
    ]
    return replace(script, scenes=tuple(scenes))


def _nothing_found(found: Found, layout: str) -> str:
    if not found.texts:
        return "dataset.path holds no script: all texts are empty."
    return (
        f"{found.texts[0].place}: no speech was found (dataset.layout={layout}). A speech begins with `Name: `, or "
        "below the name in capitals on a line of its own."
    )
