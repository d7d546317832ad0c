"""Code that comes with a model is never run, and nobody is asked whether it may."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from persona_sweeps.config.schema import ModelConfig
from tests.conftest import REPOSITORY
from tests.models.test_sources import save_twin

MARK = "the code of elsewhere was here"


def with_code(folder: Path, where: str) -> None:
    """Have a saved model name code of its own for its tokenizer or its config, which leaves a mark when it is run."""
    (folder / "evil.py").write_text(f"open({str(folder / 'mark')!r}, 'w').write({MARK!r})\nEvil = object\n")
    path = folder / where
    content = json.loads(path.read_text())
    if where == "config.json":
        content |= {"model_type": "evil", "auto_map": {"AutoConfig": "evil.Evil", "AutoModelForCausalLM": "evil.Evil"}}
    else:
        content |= {"tokenizer_class": "Evil", "auto_map": {"AutoTokenizer": ["evil.Evil", None]}}
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("where", ["tokenizer_config.json", "config.json"])
@pytest.mark.parametrize("plan", [(), pytest.param(("plan=only",), marks=pytest.mark.long)])
def test_a_folder_with_code_is_read_without_it_or_refused_and_asks_nothing(
    compose_card: Callable[..., ModelConfig], tmp_path: Path, where: str, plan: tuple[str, ...]
) -> None:
    folder = tmp_path / "saved"
    save_twin(compose_card("smollm2_135m_instruct"), folder)
    with_code(folder, where)
    command = [
        sys.executable, str(REPOSITORY / "launch.py"), f"model.hub_id={folder}", "peft=none", "metrics=[likelihood]",
        "dataset.eval_limit=2", "dataset.persona=Hamlet", f"output_dir={tmp_path / 'out'}", *plan,
    ]  # fmt: skip
    done = subprocess.run(command, input="y\n" * 20, capture_output=True, text=True, timeout=300, cwd=tmp_path)
    said = done.stdout + done.stderr
    assert not (folder / "mark").exists(), said
    assert "[y/N]" not in said and "Traceback" not in said
    if done.returncode:
        assert said.strip().splitlines()[-1].startswith("error: ") and str(folder) in said
