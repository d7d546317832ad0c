"""Write the reference of every config key, from the comments of the files under conf/ and the schemas."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import dropwhile
from pathlib import Path

from persona_sweeps.config.kinds import GENERATION, METRICS, PEFT, SOURCES, TRACKERS, KindGroup
from persona_sweeps.config.schema import SCHEMAS, RunConfig, SweepConfig, TrainConfig

GROUPS = {
    "model": "The base model: a card for each.",
    "quantization": "How the base model's weights are stored.",
    "peft": "What is trained, or what answers without training.",
    "dataset": "The lines to learn, and how they are divided.",
    "metrics": "What is measured; a list chooses several.",
    "generation": "How texts are made.",
    "train": "How every run is trained.",
    "tracker": "Where curves and samples are shown; a list chooses several.",
    "experiment": "Whole sweeps under one name.",
    "hydra/launcher": "Where a sweep runs.",
    "hydra/sweeper": "How a sweep's cells are chosen.",
}
"""group → what it decides, in the order of the page"""
KINDS: dict[str, KindGroup] = {
    "peft": PEFT, "dataset": SOURCES, "generation": GENERATION, "tracker": TRACKERS, "metrics": METRICS,
}  # fmt: skip

_KEY = re.compile(r"^(?P<indent> *)(?P<key>[\w.]+): *(?P<rest>.*)$")
_CONTINUED = re.compile(r"^ {8,}# ?(?P<text>.*)$")
_BEFORE = re.compile(r"^ {0,7}# ?(?P<text>.*)$")


@dataclass
class Key:
    """A key of a config file: its dotted path, its default as YAML writes it, and its explanation."""

    path: str
    default: str
    text: str


def page(conf: Path) -> str:
    """Return the page in Markdown."""
    parts = [
        "# Config keys\n",
        "Every key, as the files under `conf/` explain it. An override sets one: `peft.r=8`; a comma makes a sweep: "
        "`peft.r=8,16`. `persona-sweeps sweep --cfg job` prints the config that a command has.\n",
        "## Of every run\n",
        *_table(read_keys(conf / "config.yaml"), _types("", "config")),
    ]
    for group, about in GROUPS.items():
        parts += [f"## {group}\n", f"{about}\n", *_group(conf, group)]
    return "\n".join(parts)


def read_group(conf: Path, group: str) -> dict[str, list[Key]]:
    """Return the keys of a group's options; each is explained once, where it is first, and that counts for all."""
    found = {path.stem: read_keys(path) for path in sorted((conf / group).glob("*.yaml"))}
    texts = {key.path: key.text for keys in reversed(found.values()) for key in keys if key.text}
    for keys in found.values():
        for key in keys:
            key.text = key.text or texts.get(key.path, "")
    return found


def _group(conf: Path, group: str) -> Iterator[str]:
    shared = conf / group / "shared" / "keys.yaml"
    if shared.is_file():
        yield f"### Keys of every {group}\n"
        yield f"{description(shared)}\n"
        yield from _table(read_keys(shared), _types(group, "keys"), f"{group}.")
    cards, keys = [], read_group(conf, group)
    for path in sorted((conf / group).glob("*.yaml")):
        if group in ("model", "experiment"):
            cards.append(f"| `{group}={path.stem}` | {description(path).partition(' The keys are')[0]} |")
            continue
        yield f"### {group}={path.stem}\n"
        yield f"{description(path)}\n"
        prefix = {"hydra/launcher": "hydra.launcher.", "hydra/sweeper": "hydra.sweeper."}.get(group, f"{group}.")
        yield from _table(keys[path.stem], _types(group, path.stem), prefix)
    if cards:
        yield "\n".join(["| | |", "| --- | --- |", *cards, ""])
    if group == "model":
        example = conf / "model" / "smollm2_135m_instruct.yaml"
        yield "### Keys of a card\n"
        yield "With the values of the default one, `model=smollm2_135m_instruct`; `model=auto` reads a model's own.\n"
        yield from _table(read_keys(example), _types(group, "card"), "model.")


def description(path: Path) -> str:
    """Return the comment with which a file opens."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    return _escaped(" ".join(lines))


def read_keys(path: Path) -> list[Key]:
    """Return the keys of a config file in its order, but for its defaults list and what is for Hydra."""
    found: list[Key] = []
    above: list[tuple[int, str]] = []
    skipped: int | None = None
    before = ""
    for line in dropwhile(lambda line: line.startswith("#"), path.read_text(encoding="utf-8").splitlines()):
        if (more := _CONTINUED.match(line)) is not None and found and skipped is None:
            found[-1].text = f"{found[-1].text} {more['text']}".strip()
            continue
        if (explained := _BEFORE.match(line)) is not None:
            before = f"{before} {explained['text']}".strip()
            continue
        if (match := _KEY.match(line)) is None:
            continue
        indent, key = len(match["indent"]), match["key"]
        if skipped is not None and indent > skipped:
            continue
        skipped = indent if key in ("defaults", "hydra", "_target_") and indent == 0 else None
        if skipped is not None:
            continue
        above = [one for one in above if one[0] < indent]
        value, text = _divided(match["rest"])
        dotted = ".".join([*(name for _, name in above), key])
        above.append((indent, key))
        found.append(Key(dotted, value, f"{before} {text}".strip()))
        before = ""
    parents = {key.path.rpartition(".")[0] for key in found}
    return [key for key in found if (key.default or key.text) or key.path not in parents]


def _divided(rest: str) -> tuple[str, str]:
    """Divide what stands behind a key into the value and the comment; a # within quotes is neither."""
    quote = ""
    for index, letter in enumerate(rest):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter == "#" and (index == 0 or rest[index - 1] == " "):
            return rest[:index].strip(), rest[index + 1 :].strip()
    return rest.strip(), ""


def _types(group: str, option: str) -> dict[str, str]:
    """Return the type of each key that has a schema."""
    if group in KINDS:
        kinds = KINDS[group]
        kind: type | None = kinds.find(option) if option in kinds.builtin else None
    else:
        kind = {"": RunConfig, "train": TrainConfig}.get(group) or SCHEMAS.get(group, {}).get(_schema(group, option))
    inner = f"{option}." if group in KINDS and KINDS[group].key is None else ""
    named = {} if kind is None else {f"{inner}{key.name}": _plain(key.type) for key in fields(kind)}
    return named | ({f"sweep.{key.name}": _plain(key.type) for key in fields(SweepConfig)} if not group else {})


def _schema(group: str, option: str) -> str:
    return "four_bit" if group == "quantization" and option in ("nf4", "fp4") else option


def _plain(annotation: object) -> str:
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
    choices = {"DeviceKind": "choice", "PlanMode": "choice", "Precision": "choice", "Any": ""}
    return choices.get(text, text.replace(" | None", " or null"))


def _table(keys: Sequence[Key], types: dict[str, str], prefix: str = "") -> list[str]:
    if not keys:
        return []
    rows = [_row(key, types, prefix) for key in keys]
    return ["\n".join(["| key | type | default | |", "| --- | --- | --- | --- |", *rows, ""])]


def _row(key: Key, types: dict[str, str], prefix: str) -> str:
    name = key.path.rpartition(".")[2]
    kind = types.get(key.path, types.get(name, ""))
    return f"| `{prefix}{key.path}` | {_code(kind)} | {_code(key.default)} | {_escaped(key.text)} |"


def _code(text: str) -> str:
    return f"`{text.replace('|', ' or ')}`" if text else ""


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_")
