"""What a package and its repository bring besides code says the same as the code."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
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


RUN = """
import sys
sys.path[:0] = [{wheel!r}, {packages!r}]
sys.argv = ["persona-sweeps", *sys.argv[1:]]
from persona_sweeps.cli.main import main
main()
"""
"""started with -S, so that no path file leads to this checkout"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the wheel would fill in site-packages."""
    return built(REPOSITORY, tmp_path_factory.mktemp("wheel"))


def built(source: Path, folder: Path) -> Path:
    """Build the wheel of a source folder, and return the folder that it would fill in site-packages."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=source, check=True, capture_output=True,
    )  # fmt: skip
    [file] = folder.glob("*.whl")
    with zipfile.ZipFile(file) as packed:
        packed.extractall(folder / "site")
    return folder / "site"


def test_the_image_is_given_all_that_the_package_is_made_of(wheel: Path, tmp_path: Path) -> None:
    """No container can be built here; what its last step installs can."""
    ignored = (REPOSITORY / ".dockerignore").read_text().splitlines()
    source = tmp_path / "context"
    for line in (REPOSITORY / "Dockerfile").read_text().splitlines():
        if not line.startswith("COPY "):
            continue
        *names, target = line.split()[1:]
        for name in names:
            assert f"!{name}" in ignored, "it is in the context"
            path = source / (name if target == "./" else target)
            path.parent.mkdir(parents=True, exist_ok=True)
            if (REPOSITORY / name).is_dir():
                shutil.copytree(REPOSITORY / name, path, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(REPOSITORY / name, path)
    copied = built(source, tmp_path)
    assert files_of(copied) == files_of(wheel)


def files_of(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}


def test_a_developer_s_container_installs_what_ci_installs() -> None:
    made = (REPOSITORY / ".devcontainer" / "devcontainer.json").read_text()
    packages = re.findall(
        r"^(?:SLURM|BROWSER|LATEX)=\(([^)]+)\)", (REPOSITORY / ".ci" / "run").read_text(), re.MULTILINE
    )
    assert packages and all(package in made for group in packages for package in group.split())


def test_what_users_install_has_no_tools_of_developers() -> None:
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert extras["all"] == [
        "persona-sweeps[quantization,study,wandb,tensorboard,mlflow,trackio,slurm,ray,gguf,serve,plots]"
    ]
    assert not {"dev", "docs", "bench", "notebook"} & set(re.split(r"[\[\],]", extras["all"][0]))
    installed = set(re.split(r"[\[\],]", (REPOSITORY / "Makefile").read_text().partition("-e '.")[2].partition("'")[0]))
    assert {"all", "dev", "docs", "bench", "notebook"} <= installed


@pytest.fixture
def installed(wheel: Path, tmp_path: Path, shared_cache: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """A function that runs the wheel's command in an empty folder, where this checkout can't be imported."""
    code = RUN.format(wheel=str(wheel), packages=sysconfig.get_path("purelib"))
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-S", "-c", code, *words],
            cwd=tmp_path, env={**environment, "PERSONA_SWEEPS_CACHE": str(shared_cache)},
            capture_output=True, text=True, timeout=280,
        )  # fmt: skip

    return run


def test_the_wheel_takes_no_common_name(wheel: Path) -> None:
    names = {path.name for path in wheel.iterdir() if not path.name.endswith(".dist-info")}
    assert names == {"persona_sweeps", "hydra_plugins"}
    assert (wheel / "persona_sweeps" / "py.typed").is_file()
    assert (wheel / "persona_sweeps" / "conf" / "config.yaml").is_file()


@pytest.mark.slow
def test_the_wheel_sweeps_and_analyzes_in_an_empty_folder(
    installed: Callable[..., subprocess.CompletedProcess[str]], tiny: tuple[str, ...], tmp_path: Path
) -> None:
    swept = installed("sweep", "-m", *tiny, "train.max_steps=2", "peft=none,lora", "sweep.name=first")
    assert swept.returncode == 0, swept.stderr
    table = installed("analyze", "leaderboard", "--sweep", "first")
    assert table.returncode == 0 and "| untuned (ref.) |" in table.stdout, table.stderr
    page = installed("report", "--sweep", "first")
    assert page.returncode == 0 and (tmp_path / "multirun_outputs" / "sweeps" / "first" / "report.html").is_file()
    listed = installed("analyze", "--help").stdout
    assert "persona-sweeps analyze leaderboard" in listed and "python -m analysis" not in listed


def test_the_command_says_what_it_can_do(installed: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    for words in ([], ["--help"]):
        shown = installed(*words)
        assert shown.returncode == 0 and "persona-sweeps analyze" in shown.stdout
    nothing = installed("analyze")
    assert nothing.returncode == 1 and "`persona-sweeps sweep experiment=demo`" in nothing.stderr
    wrong = installed("peft=lorra")
    assert wrong.returncode == 1 and "Did you mean lora" in wrong.stderr
