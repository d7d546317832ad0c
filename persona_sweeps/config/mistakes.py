"""Explain a mistake in the command line in one sentence, with the nearest right names."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from omegaconf import OmegaConf

from persona_sweeps.errors import UserError, did_you_mean, nearest

TYPES = {"Integer": "a whole number", "Float": "a number", "bool": "true or false"}
"""OmegaConf's name of a type → what a message calls it"""

SHARED = "shared"
"""the folder of a group with the keys that its options share"""
PLUGINS = ("hydra/launcher", "hydra/sweeper")
"""groups whose options have different keys under the same name"""
OPTIONS_ELSEWHERE = {
    ("dataset", "csv"): "table", ("dataset", "tsv"): "table", ("dataset", "parquet"): "table",
    ("dataset", "json"): "jsonl or table", ("dataset", "sharegpt"): "conversations",
    ("quantization", "4bit"): "nf4", ("quantization", "int4"): "nf4", ("quantization", "8bit"): "int8",
    ("peft", "qlora"): "peft=lora quantization=nf4", ("peft", "prompt"): "prompt_tuning",
}  # fmt: skip
"""what other tools call an option → what it is called here"""
KEYS_ELSEWHERE = {
    "rank": "peft.r", "lora_r": "peft.r", "lora_alpha": "peft.alpha", "lora_dropout": "peft.dropout",
    "max_seq_length": "train.max_length", "num_train_epochs": "train.epochs", "num_epochs": "train.epochs",
    "per_device_train_batch_size": "train.batch_size", "gradient_accumulation_steps": "train.micro_batch_size",
    "lr_scheduler_type": "train.scheduler", "load_in_4bit": "quantization=nf4", "load_in_8bit": "quantization=int8",
}  # fmt: skip
"""what other trainers call a key → what it is called here"""
COMPOSERS = ("hydra.", "omegaconf.", "antlr4.")

Explainer = Callable[[str, Path], str | None]
"""(the message of Hydra or OmegaConf, the conf folder) → a sentence, or None if the message is about something else"""


def explain(error: BaseException, conf: Path) -> str | None:
    """Return a sentence that says what is wrong, or None for an error that isn't the user's mistake."""
    seen: BaseException | None = error
    messages = []
    while seen is not None:
        if isinstance(seen, UserError):
            return str(seen)
        if _comes_from_config(seen):
            messages.append(str(seen))
        seen = seen.__cause__ or seen.__context__
    for explainer in EXPLAINERS:
        for message in messages:
            if sentence := explainer(message, conf):
                return sentence
    lines = [message.strip().splitlines()[0] for message in messages if message.strip()]
    return ": ".join(dict.fromkeys(lines)) or None


def _comes_from_config(error: BaseException) -> bool:
    """Return whether a library that composes configs raised this, judging by its type and its last frame."""
    frames = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
    return f"{type(error).__module__} ".startswith(COMPOSERS) or (bool(frames) and frames[-1].startswith(COMPOSERS))


def _unknown_option(message: str, conf: Path) -> str | None:
    match = re.search(r"Could not (?:find|load) '((?:hydra/)?\w+)/([^']*)'", message)
    if not match:
        return None
    group, option = match.groups()
    names = options(conf, group)
    if not names:
        return None
    if group == "model" and "/" in option:
        return (
            f"model={option} names no card; a Hub id or a folder is model=auto model.hub_id={option}. "
            f"The cards are {', '.join(names)}."
        )
    if not option:
        return f"{group}= names nothing: choose one of {', '.join(names)}."
    usual = OPTIONS_ELSEWHERE.get((group, option.casefold()))
    hint = f" Did you mean {usual}?" if usual else did_you_mean(option, names)
    return f"{group}={option}: there is no such {group}.{hint} The options are {', '.join(names)}."


def _unknown_group(message: str, conf: Path) -> str | None:
    match = re.search(r"Could not override '([\w/]+)'\.\s*No match in the defaults list", message)
    if not match:
        return None
    names = [*groups(conf), *keys(conf)]
    return f"{match[1]} is neither a config group nor a key.{did_you_mean(match[1], names)} --help lists them."


def _unknown_key(message: str, conf: Path) -> str | None:
    match = re.search(r"Could not override '([^']+)'", message) or re.search(r"full_key: ([\w.]+)", message)
    if not match or not re.search(r"not in struct|not in '|Could not override", message):
        return None
    key = match[1]
    for plugin in PLUGINS:
        if key.startswith(prefix := plugin.replace("/", ".") + "."):
            return _unknown_plugin_key(key, plugin, prefix, conf)
    if owners := _owners(key, conf):
        return (
            f"{key} is a key of {key.split('.', 1)[0]}={_listed(owners)} only. --cfg job lists what this command has."
        )
    return f"{key} is not a key of this config.{_near_key(key, conf)} --cfg job lists what this command has."


def _near_key(key: str, conf: Path) -> str:
    """Return which keys may be meant: those that other trainers call so, or the nearest ones, with their groups."""
    last = key.rpartition(".")[2]
    if key.partition(".")[0] in options(conf, "peft"):
        return f" Did you mean methods.{key}?"
    if last in KEYS_ELSEWHERE:
        return f" Did you mean {KEYS_ELSEWHERE[last]}?"
    known = [name for name in keys(conf) if not name.startswith(("methods.", "model.architecture."))]
    if "." in key and (hint := did_you_mean(key, known)):
        return hint
    by_last: dict[str, str] = {}
    for name in sorted(known, key=lambda name: name.count(".")):
        by_last.setdefault(name.rpartition(".")[2], name)
    names = [] if "." in key else groups(conf)
    best = [last] if last in by_last else nearest(last, dict.fromkeys([*names, *by_last]), n=2)
    near = list(dict.fromkeys(by_last.get(name, name) for name in best))
    return f" Did you mean {' or '.join(near)}?" if near else ""


def _unknown_plugin_key(key: str, plugin: str, prefix: str, conf: Path) -> str:
    keys_by_option = {path.stem: _dotted(path, prefix) for path in sorted((conf / plugin).glob("*.yaml"))}
    if empty := next((name for name in _empty(plugin, prefix, conf) if f"{key}.".startswith(f"{name}.")), None):
        return f"{empty} is empty until something is added to it, with a + in front: +{empty}.NAME=…"
    if owners := [option for option, names in keys_by_option.items() if key in names]:
        return f"{key} is a key of {plugin}={_listed(owners)} only: add that."
    with_keys = {option: names[1:] for option, names in keys_by_option.items() if len(names) > 1}  # beside _target_
    return f"{key} is not a key of {plugin}={_listed(list(with_keys))}.{did_you_mean(key, sum(with_keys.values(), []))}"


def _empty(plugin: str, prefix: str, conf: Path) -> list[str]:
    """Return the keys of a plugin whose value is an empty mapping."""
    contents = [OmegaConf.load(path) for path in (conf / plugin).glob("*.yaml")]
    return [f"{prefix}{key!s}" for content in contents for key, value in content.items() if value == {}]


def _listed(names: Sequence[str]) -> str:
    return " or ".join([", ".join(names[:-1]), names[-1]][len(names) < 2 :])


def _wrong_type(message: str, conf: Path) -> str | None:
    mistyped = re.search(r"Value '(.*?)' (?:of type '\w+' could not be converted to|is not a valid) (\w+)", message)
    wrong = re.search(r"Invalid value '(.*?)', expected one of \[(.*?)\]", message)
    key = re.search(r"full_key: ([\w.]+)", message)
    name = key[1] if key else "a value"
    empty = re.search(r"field '([\w.]+)' is not Optional", message)
    if empty or "Incompatible value 'None'" in message:
        return f"{empty[1] if empty else name}=null: this key needs a value."
    if mistyped:
        kind, listed = TYPES.get(mistyped[2], mistyped[2]), re.fullmatch(r"\[(.+)\]", mistyped[1])
        sweep = f" A sweep over several is -m {name}={listed[1].replace(' ', '')}." if listed else ""
        return f"{name}={mistyped[1]} must be {kind}.{sweep}"
    if wrong:
        values = wrong[2].split(", ")
        return f"{name}={wrong[1]} is unknown: choose one of {', '.join(values)}.{did_you_mean(wrong[1], values)}"
    return None


def _no_value_of_its_own(message: str, conf: Path) -> str | None:
    match = re.search(r"Error merging override (\w+)=(\S*)", message)
    if not match:
        return None
    names = [key for key in keys(conf) if key.startswith(f"{match[1]}.")]
    first = f" {names[0]}={match[2]}" if len(names) == 1 else f" one of {', '.join(names)}"
    return f"{match[1]} takes no value of its own, but its keys do: write{first}." if names else None


def _missing_value(message: str, conf: Path) -> str | None:
    match = re.search(r"full_key: ([\w.]+)", message)
    if not match or "mandatory value" not in message.lower():
        return None
    if match[1] in groups(conf):
        names = options(conf, match[1])
        return f"{match[1]} is empty: choose one of {', '.join(names)}, such as {match[1]}={names[0]}."
    return f"{match[1]} has no default: set it, for example {match[1]}=…"


def _several_values(message: str, conf: Path) -> str | None:
    match = re.search(r"Ambiguous value for argument '(.*)'", message)
    if not match:
        return None
    key = match[1].partition("=")[0]
    return f"{match[1]} has several values: sweep over them with -m, or quote a text with commas ('{key}=\"a, b\"')."


def _null_option(message: str, conf: Path) -> str | None:
    if "Config group override must be" not in message:
        return None
    return f"A config group can't be null: name one of its options. The groups are {', '.join(groups(conf))}."


def _interval(message: str, conf: Path) -> str | None:
    if "does not support sweep type" not in message:
        return None
    return "This sweeper can't search an interval: list its values (key=1,2,4), or give a range (key=range(1,5))."


EXPLAINERS: tuple[Explainer, ...] = (
    _unknown_option,
    _unknown_group,
    _unknown_key,
    _wrong_type,
    _missing_value,
    _several_values,
    _null_option,
    _interval,
    _no_value_of_its_own,
)


def _owners(key: str, conf: Path) -> list[str]:
    """Return the options of the key's group that have the key, such as lora for peft.r."""
    group = key.split(".", 1)[0]
    if group not in groups(conf):
        return []
    paths = sorted((conf / group).glob("*.yaml"))
    return [path.stem for path in paths if key in _dotted(path, f"{group}.")]


def groups(conf: Path) -> list[str]:
    """Return the names of the config groups."""
    return sorted(path.name for path in conf.iterdir() if path.is_dir() and path.name != "hydra")


def options(conf: Path, group: str) -> list[str]:
    """Return the options of a group, which are the files of its conf folder."""
    names = sorted(path.stem for path in (conf / group).glob("*.yaml"))
    if group in ("hydra/launcher", "hydra/sweeper"):
        names.append("basic")
    return names


def keys(conf: Path) -> list[str]:
    """Return the dotted keys of all options of all groups."""
    names = dict.fromkeys(_dotted(conf / "config.yaml", ""))
    for group in groups(conf):
        prefix = "" if group == "experiment" else f"{group}."
        for path in sorted([*(conf / group).glob("*.yaml"), *(conf / group / SHARED).glob("*.yaml")]):
            names.update(dict.fromkeys(_dotted(path, prefix)))
    return [key for key in names if not key.startswith("hydra")]


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
