"""The models that a server offers: the runs of a host, and their untuned base."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from persona_sweeps.deployment.conversation import Decoding, for_conversation
from persona_sweeps.deployment.host import FinishedRun
from persona_sweeps.deployment.predictor import Predictor, predictors
from persona_sweeps.deployment.serving.errors import ApiError
from persona_sweeps.errors import UserError, did_you_mean

BASE = "base"
"""the model that is the untuned base"""
SHORTEST_ID = 4
"""fewest characters of the beginning of a run's id"""


@dataclass(frozen=True)
class Offered:
    """A run, or the base, under the name that clients ask for."""

    name: str
    predictor: Predictor
    run_id: str | None
    created: int

    @cached_property
    def card(self) -> str:
        """The persona card that stands before its messages; "" for none. It is read when it is first needed."""
        return self.predictor.card() or ""

    def listing(self) -> dict[str, Any]:
        """Return its entry in /v1/models."""
        config = self.predictor.config
        return {
            "id": self.name,
            "object": "model",
            "created": self.created,
            "owned_by": "persona-sweeps",
            "run_id": self.run_id,
            "character": self.predictor.name,
            "method": config.peft.label,
            "base": config.model.hub_id,
        }


@dataclass(frozen=True)
class Models:
    """What is offered, in order."""

    offered: Sequence[Offered]

    def find(self, name: str) -> Offered:
        """Return a model by its name, its run's id or the beginning of it. Raises `ApiError`."""
        meant = [one for one in self.offered if one.name == name]
        if not meant and len(name) >= SHORTEST_ID:
            meant = [one for one in self.offered if one.run_id is not None and one.run_id.startswith(name)]
        if len(meant) != 1:
            names = [one.name for one in self.offered]
            raise ApiError(
                404,
                f"There is no model {name!r} here: {', '.join(names)}.{did_you_mean(name, names)}",
                "model_not_found",
                "model",
            )
        return meant[0]


def load_models(runs: Sequence[FinishedRun], device: str, max_tokens: int) -> Models:
    """Load these runs and their base, which they must share. Raises `UserError`."""
    longest = Decoding(max_tokens, temperature=0)
    unique = {str(run.record["run_id"]): run for run in runs}
    prepared = [for_conversation(run, longest) for run in unique.values()]
    alone = len(prepared) == 1 and prepared[0].folder.model.is_dir()
    if not alone:  # where all of a model's weights were trained, its base isn't there beside them
        prepared.append(prepared[0].untuned())
    answering = predictors(prepared, device)
    ids: list[str | None] = [*unique, *([] if alone else [None])]
    names = [BASE if run_id is None else run.name for run_id, run in zip(ids, prepared, strict=True)]
    if len(set(names)) < len(names):
        raise UserError("Two of these runs have the same name: give folders with different names.")
    return Models(
        [
            Offered(name, predictor, run_id, _created(predictor.run))
            for name, predictor, run_id in zip(names, answering, ids, strict=True)
        ]
    )


def _created(run: FinishedRun) -> int:
    return int(run.folder.record.stat().st_mtime)
