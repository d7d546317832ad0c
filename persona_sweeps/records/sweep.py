"""Write the record of a sweep: the command, its studies, and its cells in order with their run ids and states."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from persona_sweeps.records.files import write_json
from persona_sweeps.records.folders import SweepFolder
from persona_sweeps.records.identity import RUN_SCHEMA
from persona_sweeps.records.redaction import redacted


def write_sweep(
    folder: SweepFolder, name: str, rows: Sequence[Mapping[str, Any]], studies: Mapping[str, Any] | None = None
) -> None:
    """Write sweep.json; `rows` are its cells. Raises OSError."""
    command = " ".join(["launch.py", *sys.argv[1:]])
    record: dict[str, Any] = {"schema_version": RUN_SCHEMA, "name": name, "command": command}
    if studies:
        record["studies"] = studies
    write_json(folder.record, redacted({**record, "cells": rows}))
