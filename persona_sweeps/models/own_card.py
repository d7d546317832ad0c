"""Make a card true for the model that `model.hub_id` names: its name, and with `model=auto` every fact of it.

The facts come from the model's own config.json, and whether it chats from its tokenizer's files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from persona_sweeps.config.kinds import FAMILIES
from persona_sweeps.errors import ConfigError, UserError
from persona_sweeps.models.source import hub_errors

CONFIG, TOKENIZER, TEMPLATE = "config.json", "tokenizer_config.json", "chat_template.jinja"
HUB_ID = r"(?!.*(--|\.\.))(?=.{1,96}$)\w[\w.-]*(/\w[\w.-]*)?(?<![.-])"
"""as the Hub validates it"""
_CONTEXT = ("max_position_embeddings", "n_positions")
"""keys of config.json with the longest text that a model can attend over"""


def settle_card(model: DictConfig, given: bool = False) -> None:
    """Complete a composed card in place; `given` says that the user gave `model.name`.

    A `hub_id` that isn't the card's own gives the name, and ends the pairing with the card's counterpart. Raises
    ConfigError for a folder that isn't there, UserError for a model that `model=auto` can't read, or doesn't know.
    """
    if OmegaConf.is_missing(model, "hub_id"):
        raise ConfigError("model=auto needs model.hub_id: the Hub id of a model, such as owner/name, or its folder.")
    hub_id = str(model.hub_id)
    _require_place(hub_id)
    own = model.architecture is not None and model.architecture.hub_id == hub_id
    if OmegaConf.is_missing(model, "name") or not (own or given or model.architecture is None):
        model.name, model.counterpart = name_of(hub_id), None
    missing = [
        key for key in ("family", "instruct", "context_length", "chat_style") if OmegaConf.is_missing(model, key)
    ]
    if missing:
        facts = _facts(hub_id, str(model.revision))
        for key in missing:
            model[key] = facts[key]


def name_of(hub_id: str) -> str:
    """Return what run names and tables call a model: the last part of its Hub id, or its folder's name."""
    last = Path(hub_id).expanduser().resolve().name if is_path(hub_id) else hub_id.rpartition("/")[2]
    return re.sub(r"[^\w.+-]+", "-", last).strip("-.") or "model"


def is_path(hub_id: str) -> bool:
    """Return whether this is a folder's path: one that exists, or can't be a Hub id."""
    return Path(hub_id).expanduser().is_dir() or not re.fullmatch(HUB_ID, hub_id)


def _require_place(hub_id: str) -> None:
    if is_path(hub_id) and not Path(hub_id).expanduser().is_dir():
        raise ConfigError(
            f"model.hub_id={hub_id} is neither a folder here nor a Hub id, which reads owner/name: mend the path, or "
            "drop it to have the card's own model."
        )


@cache
def _facts(hub_id: str, revision: str) -> Mapping[str, Any]:
    config = _read(hub_id, revision, CONFIG)
    if config is None:
        raise UserError(f"model.hub_id={hub_id} has no {CONFIG}: it isn't a model of transformers.")
    config = config.get("text_config") or config  # of a model that also sees
    family = next(
        (
            name
            for name in FAMILIES.names()
            if getattr(FAMILIES.find(name), "model_type", "") == config.get("model_type")
        ),
        None,
    )
    if family is None:
        raise UserError(
            f"model.hub_id={hub_id} is of the architecture {config.get('model_type')}; these can be trained here: "
            f"{', '.join(FAMILIES.names())}."
        )
    length = next((config[key] for key in _CONTEXT if isinstance(config.get(key), int)), None)
    if length is None:
        raise UserError(f"The {CONFIG} of {hub_id} doesn't say how long a text may be: set model.context_length.")
    chats = bool((_read(hub_id, revision, TOKENIZER) or {}).get("chat_template")) or _has(hub_id, revision, TEMPLATE)
    style = "none" if not chats else "gemma" if family.startswith("gemma") else "chatml"
    return {"family": family, "instruct": chats, "context_length": length, "chat_style": style}


def _read(hub_id: str, revision: str, name: str) -> dict[str, Any] | None:
    """Return a JSON file of a model; None if it has none."""
    path = _path(hub_id, revision, name)
    if path is None:
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} can't be read: {error}.") from None
    if not isinstance(found, dict):
        raise UserError(f"{path} must hold one JSON object.")
    return found


def _has(hub_id: str, revision: str, name: str) -> bool:
    return _path(hub_id, revision, name) is not None


def _path(hub_id: str, revision: str, name: str) -> Path | None:
    """Return a model's file here, fetched from the Hub where it must be; None if the model has no such file."""
    folder = Path(hub_id).expanduser()
    if folder.is_dir():
        return folder / name if (folder / name).is_file() else None
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    with hub_errors(hub_id, revision):
        try:
            return Path(hf_hub_download(hub_id, name, revision=revision))
        except LocalEntryNotFoundError:
            if name != CONFIG:
                return None
            raise
        except EntryNotFoundError:
            return None
