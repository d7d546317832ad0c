"""In what the settings of a section differ, beside what their labels and columns say: no row may hide a confound."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .labels import canonical, flat, method_label, method_of, model_label, plain
from .results import RunResult

if TYPE_CHECKING:
    from .settings import Setting

GROUPS = ("model", "quantization", "peft", "train", "dataset", "max_length")
"""of the config: what a setting is"""
_OWN_COLUMN = ("train.learning_rate", "peft.learning_rate", "peft.method")
_BESIDE_THE_POINT = ("dataset.report",)
_FINGERPRINTS = ("data_fingerprint", "template_fingerprint", "model_fingerprint")


def groups(result: RunResult) -> dict[str, Any]:
    """Return the parts of a result's config that say what its setting is."""
    config = result.part("config")
    return {group: config[group] for group in GROUPS if group in config}


def extras(found: Sequence[Setting]) -> list[str]:
    """Return, for each of the settings of a section, the keys in which they differ and that nothing else names.

    How they were trained is compared among all that were, a method's own keys within the method, a model's within the
    model. Settings that would still read the same get what their fingerprints or keys say.
    """
    flats = [flat(groups(setting.first)) for setting in found]
    differing: list[set[str]] = [set() for _ in found]
    for prefixes, of in _COMPARED:
        for places in _alike([of(setting) for setting in found]):
            for key in _differing([flats[place] for place in places], prefixes):
                if prefixes == ("peft.",) and _is_in_labels([(found[place], flats[place]) for place in places], key):
                    continue
                for place in places:
                    differing[place].add(key)
    texts = [_listed(values, sorted(keys)) for values, keys in zip(flats, differing, strict=True)]
    for places in _alike([_shown(setting, text) for setting, text in zip(found, texts, strict=True)]):
        if len(places) > 1:
            for place, text in zip(places, _by_fingerprints([found[place].first for place in places]), strict=True):
                texts[place] = f"{texts[place]} {text}".strip()
    return texts


def _if_trained(setting: Setting) -> object:
    return "trained" if setting.trains else None


def _of_model(setting: Setting) -> object:
    return model_label(setting.first) if setting.has_model else None


_COMPARED: tuple[tuple[tuple[str, ...], Callable[[Setting], object]], ...] = (
    (("train.", "dataset.", "max_length"), _if_trained),
    (("peft.",), lambda setting: setting.method),
    (("model.", "quantization."), _of_model),
)
"""which keys are compared, and among which settings: those of which this is the same, and not None"""


def _alike(keys: Sequence[object]) -> Iterable[list[int]]:
    """Return the places of equal keys, but for None."""
    places: dict[object, list[int]] = {}
    for place, key in enumerate(keys):
        if key is not None:
            places.setdefault(key, []).append(place)
    return places.values()


def _differing(flats: Sequence[Mapping[str, Any]], prefixes: tuple[str, ...]) -> list[str]:
    keys = dict.fromkeys(key for values in flats for key in values if key.startswith(prefixes))
    return [
        key
        for key in keys
        if key not in (*_OWN_COLUMN, *_BESIDE_THE_POINT) and len({canonical(values.get(key)) for values in flats}) > 1
    ]


def _is_in_labels(found: Sequence[tuple[Setting, Mapping[str, Any]]], key: str) -> bool:
    """Return whether the labels of a method's settings say what a key's value is."""
    return all(
        any(plain(values.get(key)) == word.rpartition("=")[2] for word in method_label(setting.first).split())
        for setting, values in found
    )


def _listed(values: Mapping[str, Any], keys: Sequence[str]) -> str:
    return " ".join(f"{key}={plain(values.get(key))}" for key in keys)


def _shown(setting: Setting, extra: str) -> object:
    """Return all that tables show of a setting."""
    return (
        model_label(setting.first),
        method_of(setting.first),
        method_label(setting.first),
        setting.learning_rate,
        extra,
    )


def _by_fingerprints(results: Sequence[RunResult]) -> list[str]:
    """Return what tells results apart whose configs read the same: the first fingerprints that differ, or their key."""
    found = [{key: str(result.get(f"provenance.{key}"))[:12] for key in _FINGERPRINTS} for result in results]
    differing = [key for key in _FINGERPRINTS if len({values[key] for values in found}) > 1]
    if not differing:
        return [f"setting {result.setting_key[:6]}" for result in results]
    return [_listed(values, differing) for values in found]
