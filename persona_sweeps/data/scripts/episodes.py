"""Make an example of each whole script, and prompts of held-out ones: a scene's beginning, up to who speaks next."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from persona_sweeps.data.example import Example
from persona_sweeps.data.scripts.screenplay import Script, written_scene

ENDING = "[End of episode]"
INSTRUCTION = "Continue this scene of the script."


def episode(script: Script, ending: str = ENDING) -> Example:
    """Return a script as clean text, its scenes divided by blank lines, with `ending` behind them."""
    text = "\n\n".join([*map(written_scene, script.scenes), *([ending] if ending else [])])
    speeches = sum(len(scene.speeches) for scene in script.scenes)
    metadata = {"script": script.name, "scenes": len(script.scenes), "speeches": speeches}
    return Example(id=script.name, prompt="", completion=text, cluster=script.name, metadata=metadata)


def scene_prompts(
    example: Example, instruction: str, seed_lines: int, personas: Collection[str], ending: str = ENDING
) -> Iterator[Example]:
    """Yield a prompt for each scene of a whole script that has a speech after `seed_lines` lines.

    It is the instruction, the heading, at least so many speeches (with their directions), and the next speaker's name,
    who is one of `personas` (casefolded) if there are any. The completion is what really follows in the scene.
    """
    for number, block in enumerate(example.completion.removesuffix(ending).strip().split("\n\n"), start=1):
        lines = block.split("\n")
        speeches = [index for index, line in enumerate(lines) if line[:1] not in ("[", "(")]
        index = next((i for i in speeches[seed_lines:] if not personas or _speakers(lines[i]) & {*personas}), None)
        if index is None:
            continue
        speaker, _, said = lines[index].partition(":")
        before = "\n".join([*lines[:index], f"{speaker}:"])
        yield Example(
            id=f"{example.id}/scene-{number}",
            prompt=f"{instruction}\n\n{before}" if instruction else before,
            completion="\n".join([said, *lines[index + 1 :]]),
            cluster=example.cluster,
            persona=speaker if personas else None,
            metadata={"script": example.id, "speaker": speaker},
        )


def _speakers(line: str) -> set[str]:
    name = line.partition(":")[0]
    return {part.strip().casefold() for part in name.replace(" and ", ", ").split(",")}
