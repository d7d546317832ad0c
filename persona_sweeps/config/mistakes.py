"""Tell a mistake in the command line as one sentence that names the nearest right names."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from omegaconf import OmegaConf

from persona_sweeps.errors import UserError, did_you_mean

KINDS = {"Integer": "a whole number", "Float": "a number", "bool": "true or false"}
"""what OmegaConf calls a type → what to say"""

PLUGINS = ("hydra/launcher", "hydra/sweeper")
"""groups whose options have keys of their own, all under the same name"""
COMPOSERS = ("hydra.", "omegaconf.", "antlr4.")

Explainer = Callable[[str, Path], str | None]
"""(the message of Hydra or OmegaConf, the conf folder) → a sentence, or None when it is about something else"""


def explain(error: BaseException, conf: Path) -> str | None:
    """Return what is wrong in a sentence, or None for an error that is not the user's."""
    seen: BaseException | None = error
    messages = []
    while seen is not None:
        if isinstance(seen, UserError):
            return str(seen)
        if _of_the_config(seen):
            messages.append(str(seen))
        seen = seen.__cause__ or seen.__context__
    for explainer in EXPLAINERS:
        for message in messages:
            if sentence := explainer(message, conf):
                return sentence
    lines = [message.strip().splitlines()[0] for message in messages if message.strip()]
    return ": ".join(dict.fromkeys(lines)) or None


def _of_the_config(error: BaseException) -> bool:
    """Whether a library that composes configs raised this, by its type or by where it comes from."""
    frames = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
    return f"{type(error).__module__} ".startswith(COMPOSERS) or (bool(frames) and frames[-1].startswith(COMPOSERS))


def _unknown_option(message: str, conf: Path) -> str | None:
    found = re.search(r"Could not (?:find|load) '([\w/]+)/([^/']+)'", message)
    if not found:
        return None
    group, option = found.groups()
    known = options(conf, group)
    if not known:
        return None
    return f"{group}={option}: there is no such {group}; choose one of {', '.join(known)}.{did_you_mean(option, known)}"


def _unknown_group(message: str, conf: Path) -> str | None:
    found = re.search(r"Could not override '([\w/]+)'\.\s*No match in the defaults list", message)
    if not found:
        return None
    known = [*groups(conf), *keys(conf)]
    return f"{found[1]} is neither a config group nor a key.{did_you_mean(found[1], known)} --help lists them."


def _unknown_key(message: str, conf: Path) -> str | None:
    found = re.search(r"Could not override '([^']+)'", message) or re.search(r"full_key: ([\w.]+)", message)
    if not found or not re.search(r"not in struct|not in '|Could not override", message):
        return None
    key = found[1]
    for plugin in PLUGINS:
        if key.startswith(prefix := plugin.replace("/", ".") + "."):
            return _unknown_plugin_key(key, plugin, prefix, conf)
    if owners := _owners(key, conf):
        return (
            f"{key} is a key of {key.split('.', 1)[0]}={_listed(owners)} only. --cfg job lists what this command has."
        )
    last = {known.rsplit(".", 1)[-1]: known for known in keys(conf)}
    names = keys(conf) if "." in key else [*groups(conf), "seed", "device", "group_size", "output_dir", "sweep"]
    suggestion = did_you_mean(key, names) or did_you_mean(key.rsplit(".", 1)[-1], last)
    return f"{key} is not a key of this config.{suggestion} --cfg job lists what this command has."


def _unknown_plugin_key(key: str, plugin: str, prefix: str, conf: Path) -> str:
    known = {path.stem: _dotted(path, prefix) for path in sorted((conf / plugin).glob("*.yaml"))}
    if empty := next((name for name in _empty(plugin, prefix, conf) if f"{key}.".startswith(f"{name}.")), None):
        return f"{empty} is empty until something is added to it, with a + in front: +{empty}.NAME=…"
    if owners := [option for option, names in known.items() if key in names]:
        return f"{key} is a key of {plugin}={_listed(owners)} only: add that."
    own = {option: names[1:] for option, names in known.items() if len(names) > 1}  # beside _target_
    return f"{key} is not a key of {plugin}={_listed(list(own))}.{did_you_mean(key, sum(own.values(), []))}"


def _empty(plugin: str, prefix: str, conf: Path) -> list[str]:
    """Return the keys of a plugin that are mappings to which nothing belongs yet."""
    contents = [OmegaConf.load(path) for path in (conf / plugin).glob("*.yaml")]
    return [f"{prefix}{key!s}" for content in contents for key, value in content.items() if value == {}]


def _listed(names: Sequence[str]) -> str:
    return " or ".join([", ".join(names[:-1]), names[-1]][len(names) < 2 :])


def _wrong_type(message: str, conf: Path) -> str | None:
    found = re.search(r"Value '(.*?)' (?:of type '\w+' could not be converted to|is not a valid) (\w+)", message)
    wrong = re.search(r"Invalid value '(.*?)', expected one of \[(.*?)\]", message)
    key = re.search(r"full_key: ([\w.]+)", message)
    name = key[1] if key else "a value"
    empty = re.search(r"field '([\w.]+)' is not Optional", message)
    if empty or "Incompatible value 'None'" in message:
        return f"{empty[1] if empty else name}=null: this key needs a value."
    if found:
        kind = KINDS.get(found[2], found[2])
        return f"{name}={found[1]} must be {kind}."
    if wrong:
        known = wrong[2].split(", ")
        return f"{name}={wrong[1]} is unknown: choose one of {', '.join(known)}.{did_you_mean(wrong[1], known)}"
    return None


def _missing_value(message: str, conf: Path) -> str | None:
    found = re.search(r"full_key: ([\w.]+)", message)
    if not found or "mandatory value" not in message.lower():
        return None
    if found[1] in groups(conf):
        known = options(conf, found[1])
        return f"{found[1]} is empty: choose one of {', '.join(known)}, such as {found[1]}={known[0]}."
    return f"{found[1]} has no default: set it, for example {found[1]}=…"


def _several_values(message: str, conf: Path) -> str | None:
    found = re.search(r"Ambiguous value for argument '(.*)'", message)
    if not found:
        return None
    key = found[1].partition("=")[0]
    return f"{found[1]} has several values: sweep over them with -m, or quote a text with commas ('{key}=\"a, b\"')."


def _unreadable(message: str, conf: Path) -> str | None:
    if not re.search(r"parsing override|override_grammar|no viable alternative", message):
        return None
    first = message.strip().splitlines()[0]
    return f"{first.rstrip('.')}: write key=value, close every bracket and quote, and quote texts ('key=\"a, b\"')."


def _null_option(message: str, conf: Path) -> str | None:
    if "Config group override must be" not in message:
        return None
    return f"A config group can't be null: name one of its options. The groups are {', '.join(groups(conf))}."


def _interval(message: str, conf: Path) -> str | None:
    if "does not support sweep type" not in message:
        return None
    return "This sweeper can't go through an interval: list its values (key=1,2,4), or give a range (key=range(1,5))."


EXPLAINERS: tuple[Explainer, ...] = (
    _unknown_option,
    _unknown_group,
    _unknown_key,
    _wrong_type,
    _missing_value,
    _several_values,
    _null_option,
    _interval,
    _unreadable,
)


def _owners(key: str, conf: Path) -> list[str]:
    """Return the options of the key's group that have it, such as lora for peft.r."""
    group = key.split(".", 1)[0]
    if group not in groups(conf):
        return []
    paths = sorted((conf / group).glob("*.yaml"))
    return [path.stem for path in paths if key in _dotted(path, f"{group}.")]


def groups(conf: Path) -> list[str]:
    """Return the names of the config groups."""
    return sorted(path.name for path in conf.iterdir() if path.is_dir() and path.name != "hydra")


def options(conf: Path, group: str) -> list[str]:
    """Return the options of a group; its conf folder is the list."""
    found = sorted(path.stem for path in (conf / group).glob("*.yaml"))
    if group in ("hydra/launcher", "hydra/sweeper"):
        found.append("basic")
    return found


def keys(conf: Path) -> list[str]:
    """Return every key that any option of any group has, dotted."""
    found: dict[str, None] = {}
    found.update(dict.fromkeys(_dotted(conf / "config.yaml", "")))
    for group in groups(conf):
        prefix = "" if group == "experiment" else f"{group}."
        for path in sorted((conf / group).glob("*.yaml")):
            found.update(dict.fromkeys(_dotted(path, prefix)))
    return [key for key in found if not key.startswith("hydra")]


def _dotted(path: Path, prefix: str) -> list[str]:
    content = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    assert isinstance(content, dict)
    content.pop("defaults", None)
    return list(_flatten(content, prefix))


def _flatten(node: dict, prefix: str) -> list[str]:
    names = []
    for key, value in node.items():
        names += _flatten(value, f"{prefix}{key}.") if isinstance(value, dict) and value else [f"{prefix}{key}"]
    return names
