"""What a package and its repository bring besides code says the same as the code."""

from __future__ import annotations

from pathlib import Path

from omegaconf import OmegaConf

import persona_sweeps

REPOSITORY = Path(__file__).resolve().parents[1]


def test_the_citation_is_of_this_version() -> None:
    cited = OmegaConf.load(REPOSITORY / "CITATION.cff")
    assert cited.version == persona_sweeps.__version__ and cited.license == "Apache-2.0"


def test_types_are_for_those_who_import_it() -> None:
    assert (Path(persona_sweeps.__file__).parent / "py.typed").is_file()


def test_the_workflow_runs_what_ci_runs() -> None:
    workflow = OmegaConf.to_container(OmegaConf.load(REPOSITORY / ".github" / "workflows" / "ci.yml"))
    assert isinstance(workflow, dict)
    assert workflow["jobs"]["ci"]["steps"][-1] == {"run": ".ci/run"} and (REPOSITORY / ".ci" / "run").is_file()
