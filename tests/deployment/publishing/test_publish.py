"""Publishing: the repository holds the run and says what it is, privately, and nothing of its owner's machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from persona_sweeps.data import corpus_of
from persona_sweeps.deployment.host import FinishedRun
from persona_sweeps.deployment.merging import merge
from persona_sweeps.deployment.publishing.repository import CARD, CHARACTER, RECORD, Extras, write_repository
from persona_sweeps.deployment.publishing.upload import require_name
from persona_sweeps.errors import UserError

from ..conftest import Finished
from . import hub as hubs

pytestmark = pytest.mark.slow


def publish(
    finished: Finished, hub: hubs.Hub, *words: str, token: str = hubs.TOKEN
) -> subprocess.CompletedProcess[str]:
    run = finished.run("lora")
    command = [sys.executable, "-m", "persona_sweeps", "publish", run.name, "--output-dir", str(finished.output)]
    environment = {**os.environ, "HF_ENDPOINT": hub.address, "HF_TOKEN": token, "HF_HUB_DISABLE_XET": "1"}
    environment.pop("HF_HUB_OFFLINE", None)
    return subprocess.run([*command, *words], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.long
def test_what_is_published_is_the_folder_and_private(finished: Finished, tmp_path: Path) -> None:
    with hubs.running() as hub:
        done = publish(finished, hub, "--repo", "me/hamlet", "--out", str(tmp_path / "pub"))
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"Published at {hub.address}/me/hamlet, private" in done.stdout
        assert hub.private == {"me/hamlet": True} and "Publish run" in hub.messages[0]
        written = {str(p.relative_to(tmp_path / "pub")): p.read_bytes() for p in (tmp_path / "pub").rglob("*")}
        assert hub.files["me/hamlet"] == written
        assert {CARD, CHARACTER, RECORD, "adapter_config.json", "adapter_model.safetensors"} == set(written)
        again = publish(finished, hub, "--repo", "me/hamlet", "--out", str(tmp_path / "pub"))
        assert again.returncode == 0 and len(hub.messages) == 2
        wrong = publish(finished, hub, "--repo", "me/other", "--out", str(tmp_path / "pub"), token="hf_wrong")
        assert wrong.returncode == 1 and "error: The Hub refuses me/other (401)" in wrong.stderr
        assert "Traceback" not in wrong.stderr and "me/other" not in hub.files
    gone = publish(finished, hub, "--repo", "me/hamlet", "--out", str(tmp_path / "pub"))
    assert gone.returncode == 1 and "error: The Hub can't be reached" in gone.stderr
    dry = publish(finished, hub, "--repo", "me/hamlet", "--dry-run", "--out", str(tmp_path / "dry"))
    assert dry.returncode == 0 and "sent nothing" in dry.stdout


def test_the_card_says_what_the_record_says(finished: Finished, tmp_path: Path) -> None:
    from huggingface_hub import ModelCard

    run = finished.run("lora")
    write_repository(run, tmp_path / "pub", "me/hamlet", Extras(), finished.output)
    card = ModelCard.load(tmp_path / "pub" / CARD)
    assert card.data.base_model == run.config.model.hub_id and card.data.library_name == "peft"
    evaluations = [json.loads(path.read_text()) for path in run.folder.evaluations.glob("*.json")]
    figures = {found.metric_type: found.metric_value for found in card.data.eval_results}
    assert figures == {name: value for one in evaluations for name, value in one["metrics"].items()}
    for said in (
        run.record["provenance"]["data_fingerprint"],
        "LoRA r=16",
        "untuned (ref.)",
        "[95 %]",
        "You are Hamlet",
    ):
        assert said in card.text
    assert str(finished.output) not in card.text + (tmp_path / "pub" / RECORD).read_text()
    record = json.loads((tmp_path / "pub" / RECORD).read_text())
    lines = [example.completion for example in corpus_of(run.config).train if len(example.completion) > 30]
    published = card.text + json.dumps(record, ensure_ascii=False)
    assert len(lines) > 9 and not [line for line in lines if line in published], "the data aren't published"
    assert record["run_id"] == run.record["run_id"] and "host_cpu" not in record["provenance"]
    assert "output_dir" not in record["config"] and record["evaluations"]


def test_what_merge_made_goes_with_it_and_nothing_of_another_run(finished: Finished, tmp_path: Path) -> None:
    run = finished.run("lora")
    merged = merge(run, tmp_path / "merged").folder
    extras = Extras.of([merged], run)
    write_repository(run, tmp_path / "pub", "me/hamlet", extras, finished.output)
    assert (tmp_path / "pub" / "merged" / "model.safetensors").is_file()
    assert 'subfolder="merged"' in (tmp_path / "pub" / CARD).read_text()
    with pytest.raises(UserError, match="was made of run"):
        Extras.of([merged], finished.run("dora"))
    with pytest.raises(UserError, match="made by neither"):
        Extras.of([tmp_path], run)


def test_what_has_nothing_to_publish_is_refused(finished: Finished, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="trained nothing here"):
        write_repository(finished.run("none"), tmp_path / "pub", "me/x", Extras(), finished.output)
    whole: FinishedRun = finished.run("full")
    write_repository(whole, tmp_path / "pub", "me/x", Extras(), finished.output)
    assert (tmp_path / "pub" / "model.safetensors").is_file()
    with pytest.raises(UserError, match="exists, and holds the persona_sweeps of run"):
        write_repository(finished.run("lora"), tmp_path / "pub", "me/x", Extras(), finished.output)


@pytest.mark.parametrize("name", ["hamlet", "me/", "me/ham let", "../x", "me/a--b", "me/" + "a" * 99])
def test_a_name_that_no_repository_has_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="isn't USER/NAME"):
        require_name(name)
