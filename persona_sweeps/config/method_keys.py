"""Keys for one method of a sweep over several: `methods.lora.r=8 methods.prompt_tuning.num_virtual_tokens=20`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from persona_sweeps.config.kinds import PEFT
from persona_sweeps.errors import ConfigError, did_you_mean


def apply_method_keys(config: DictConfig, overrides: Sequence[str]) -> None:
    """Set the keys of `peft` that `methods` has for the chosen method, and empty `methods`, in place.

    A key of `peft` in the overrides themselves wins, since it is meant for every method. Raises ConfigError for a
    method or a key that doesn't exist.
    """
    given = config.get("methods") or {}
    names = PEFT.names()
    for name in given:
        if name not in names:
            hint = did_you_mean(str(name), names)
            raise ConfigError(f"methods.{name}: there is no such method; choose one of {', '.join(names)}.{hint}")
    keys = given.get(str(config.peft.get("method"))) or {}
    if not isinstance(keys, Mapping):
        raise ConfigError(f"methods.{config.peft.method}={keys} must be a mapping of keys, such as {{r: 8}}.")
    everywhere = {override.partition("=")[0].lstrip("+~") for override in overrides}
    with read_write(config), open_dict(config):
        for key, value in keys.items():
            if key not in config.peft:
                names = [str(known) for known in config.peft]
                hint = did_you_mean(str(key), names) or f" It has {', '.join(names)}."
                raise ConfigError(f"methods.{config.peft.method}.{key} is no key of peft={config.peft.method}.{hint}")
            if f"peft.{key}" not in everywhere:
                OmegaConf.update(config, f"peft.{key}", value)
        config.methods = {}
