"""Train once, ask anything: each stage looks for its result first, and does what is missing and no more."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from persona_sweeps.models import loading
from persona_sweeps.records.files import read_json
from persona_sweeps.training.engine import Engine
from tests.conftest import Ended, write_dialogue

Launch = Callable[..., Ended]

METRIC = '''
"""How far a text's length is from its reference's: lower is better."""
from dataclasses import dataclass

from persona_sweeps.metrics.metric import TEXT, Description, Metric, Scores


@dataclass
class LengthGap(Metric):
    scale: float = 1.0

    def requests(self):
        return (TEXT,)

    def version(self):
        return f"1, scale {self.scale:g}"

    def describe(self):
        mean = {"form": "mean", "of": "length_gap"}
        return {"length_gap": Description("length gap", False, (0.0, None), self.version(), mean, headline=5)}

    def score(self, predictions):
        gaps = [self.scale * abs(len(line["text"]) - len(line["reference"])) for line in predictions[TEXT]]
        return Scores({"length_gap": sum(gaps) / len(gaps)}, [{"length_gap": gap} for gap in gaps])
'''


@pytest.fixture
def trained_steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that grows by one with each step that any engine trains."""
    taken: list[int] = []
    step = Engine.step

    def counted(self: Engine) -> Any:
        taken.append(1)
        return step(self)

    monkeypatch.setattr(Engine, "step", counted)
    return taken


@pytest.fixture
def loaded_bases(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A list that grows by one with each base model that is loaded."""
    loaded: list[str] = []
    load = loading.load_base

    def counted(card: Any, *rest: Any, **more: Any) -> Any:
        loaded.append(card.name)
        return load(card, *rest, **more)

    monkeypatch.setattr(loading, "load_base", counted)
    return loaded


@pytest.fixture
def own_metric(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The option of a command that finds a metric of one's own, `metrics=length_gap`."""
    (tmp_path / "my_metrics.py").write_text(METRIC, encoding="utf-8")
    conf = tmp_path / "my_conf" / "metrics"
    conf.mkdir(parents=True)
    text = "# How far lengths are apart.\nlength_gap:\n  _target_: my_metrics.LengthGap\n  scale: 1.0\n"
    (conf / "length_gap.yaml").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    return f"--config-dir={tmp_path / 'my_conf'}"


def predictions(ended: Ended) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(ended.output.glob("runs/*/predictions/*.jsonl"))}


def adapters(ended: Ended) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(ended.output.glob("runs/*/adapter/*.safetensors"))}


def test_a_run_leaves_its_three_stages(launch: Launch, tiny: tuple[str, ...]) -> None:
    ended = launch(*tiny)
    assert ended.code == 0, ended.err
    [record], [evaluation] = ended.records(), ended.evaluations()
    assert record["schema_version"] == 2 and record["status"] == "completed"
    written = read_json(ended.folder_of(record) / "run.json")
    assert written is not None and not {"metrics", "descriptions", "comparability_key"} & written.keys()
    assert record["setting_key"] != record["run_id"] and not {"metrics", "generation"} & written["config"].keys()
    assert evaluation["run_id"] == record["run_id"]
    assert {"completion_ppl", "rougeL", "bleu"} <= evaluation["metrics"].keys()
    assert evaluation["metrics"].keys() == evaluation["descriptions"].keys()
    heads = [read_json(path) for path in ended.folder_of(record).glob("predictions/*.json")]
    assert sorted(head["request"]["kind"] for head in heads if head) == ["nll", "text"]
    samples = ended.folder_of(record) / "evaluations" / f"{evaluation['evaluation_id']}.samples.jsonl"
    rows = [json.loads(line) for line in samples.read_text().splitlines()]
    assert len(rows) == evaluation["data"]["eval_examples"] and all(row["prediction"] is not None for row in rows)


@pytest.mark.parametrize(
    "change", ["generation=nucleus", "dataset.eval_limit=2", "generation.max_new_tokens=3", "metrics=likelihood"]
)
def test_another_question_trains_nothing(
    launch: Launch, tiny: tuple[str, ...], trained_steps: list[int], change: str
) -> None:
    first = launch(*tiny)
    before, steps = adapters(first), len(trained_steps)
    assert steps and before
    second = launch(*tiny, change)
    assert second.code == 0, second.err
    assert len(trained_steps) == steps and adapters(second) == before
    assert len(second.records()) == 1 and len(second.evaluations()) == 2


def test_other_decoding_makes_texts_alone(launch: Launch, tiny: tuple[str, ...]) -> None:
    first = predictions(launch(*tiny))
    second = predictions(launch(*tiny, "generation=nucleus"))
    assert first.items() <= second.items() and len(second) == len(first) + 1


def test_two_temperatures_share_one_run(launch: Launch, tiny: tuple[str, ...], trained_steps: list[int]) -> None:
    ended = launch("-m", *tiny, "generation=nucleus", "generation.temperature=0.5,0.9", "sweep.name=warm")
    assert ended.code == 0, ended.err
    assert len(trained_steps) == 3 and len(ended.records()) == 1
    cells = ended.sweep("warm")
    assert len({cell["run_id"] for cell in cells}) == 1 and len({cell["evaluation_id"] for cell in cells}) == 2
    assert {cell["state"] for cell in cells} == {"completed"}
    keys = {evaluation["comparability_key"] for evaluation in ended.evaluations()}
    assert len(keys) == 2


def test_a_metric_without_new_predictions_loads_no_model(
    launch: Launch, tiny: tuple[str, ...], loaded_bases: list[str], own_metric: str
) -> None:
    sweep = ("-m", *tiny, "peft=none,lora,nearest_reply", "sweep.name=asked")
    first = launch(*sweep)
    assert first.code == 0, first.err
    before, loaded = predictions(first), len(loaded_bases)
    second = launch(own_metric, *sweep, "metrics=[likelihood,overlap,length_gap]")
    assert second.code == 0, second.err
    assert len(loaded_bases) == loaded and predictions(second) == before
    assert "3 to score" in second.out
    scored = [e for e in second.evaluations() if "length_gap" in e["metrics"]]
    assert len(scored) == 3
    for evaluation in scored:
        assert evaluation["descriptions"]["length_gap"]["higher_is_better"] is False
        earlier = next(
            e for e in second.evaluations() if e["run_id"] == evaluation["run_id"] and "length_gap" not in e["metrics"]
        )
        assert earlier["metrics"].items() <= evaluation["metrics"].items()
        assert earlier["comparability_key"] == evaluation["comparability_key"]


def test_predictions_are_the_same_in_a_group_solo_and_anew(launch: Launch, tiny: tuple[str, ...]) -> None:
    sweep = ("-m", *tiny, "peft=none,lora,ia3,prompt_tuning,prefix_tuning", "sweep.name=all")
    together = launch(*sweep)
    assert together.code == 0, together.err
    first = predictions(together)
    for path in first:
        path.unlink()
        path.with_suffix(".json").unlink()
    for path in together.output.glob("runs/*/evaluations/*"):
        path.unlink()
    solo = launch(*sweep, "group_size=1")
    assert solo.code == 0, solo.err
    assert predictions(solo) == first


def test_what_is_not_as_written_is_set_aside_and_made_anew(launch: Launch, tiny: tuple[str, ...]) -> None:
    first = launch(*tiny)
    before = predictions(first)
    for path in first.output.glob("runs/*/evaluations/*"):
        path.unlink()
    broken = next(iter(before))
    broken.write_text('{"id": "made up"}\n', encoding="utf-8")
    second = launch(*tiny)
    assert second.code == 0, second.err
    assert predictions(second) == before
    assert "set aside" in second.out and list(broken.parent.glob(f"{broken.name}.broken-*"))


def test_an_evaluation_that_fails_costs_no_training(
    launch: Launch, tiny: tuple[str, ...], trained_steps: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    from persona_sweeps.metrics.overlap.overlap import Overlap

    def broken(self: Overlap, predictions: Any) -> Any:
        raise RuntimeError("no dictionary")

    with monkeypatch.context() as patched:
        patched.setattr(Overlap, "score", broken)
        first = launch(*tiny)
    assert first.code != 0
    [record], [evaluation] = first.records(), first.evaluations()
    assert record["status"] == "completed" and record["failure"] is None
    assert evaluation["failure"]["message"] == "no dictionary"
    steps = len(trained_steps)
    second = launch(*tiny)
    assert second.code == 0 and len(trained_steps) == steps
    [mended] = second.evaluations()
    assert mended["failure"] is None and mended["metrics"]


def test_a_relative_and_an_absolute_path_are_one_run(launch: Launch, tiny: tuple[str, ...], tmp_path: Path) -> None:
    write_dialogue(tmp_path / "own.jsonl")
    plain = [text for text in tiny if not text.startswith("dataset.path")]
    first = launch(*plain, "dataset.path=own.jsonl")
    second = launch(*plain, f"dataset.path={tmp_path / 'own.jsonl'}", "seed=1")
    assert first.code == second.code == 0
    assert len(second.records()) == 2
    assert len({record["setting_key"] for record in second.records()}) == 1
    again = launch(*plain, f"dataset.path={tmp_path / 'own.jsonl'}")
    assert "1 done already" in again.out and len(again.records()) == 2


def test_an_untuned_base_is_one_run_for_all_data_and_rates(launch: Launch, tiny: tuple[str, ...]) -> None:
    ended = launch(
        "-m",
        *tiny,
        "peft=none",
        "train.learning_rate=1e-3,1e-2",
        "dataset.eval_limit=2,4",
        "seed=0,1",
        "sweep.name=base",
    )
    assert ended.code == 0, ended.err
    assert len(ended.records()) == 1 and len(ended.evaluations()) == 2


@pytest.fixture(autouse=True)
def forgotten_modules() -> Iterator[None]:
    """Forget the metric of one's own, so that the next test imports its own copy."""
    import sys

    yield
    sys.modules.pop("my_metrics", None)


WHOLE_ONLY = '''
"""How many texts there are; it says nothing of single items."""
from dataclasses import dataclass

from persona_sweeps.metrics.metric import TEXT, Description, Metric, Scores


@dataclass
class Texts(Metric):
    def requests(self):
        return (TEXT,)

    def version(self):
        return "1"

    def describe(self):
        return {"texts": Description("texts", True, (0.0, None), "1", {"form": "none"}, headline=5)}

    def score(self, predictions):
        return Scores({"texts": float(len(predictions[TEXT]))}, [{} for _ in predictions[TEXT]])
'''


def test_scores_without_items_are_reused_where_fewer_texts_than_likelihoods_are_asked_for(
    launch: Launch, tiny: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "whole_metrics.py").write_text(WHOLE_ONLY, encoding="utf-8")
    conf = tmp_path / "whole_conf" / "metrics"
    conf.mkdir(parents=True)
    (conf / "texts.yaml").write_text("# How many texts.\ntexts:\n  _target_: whole_metrics.Texts\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    of_three = (f"--config-dir={tmp_path / 'whole_conf'}", *tiny, "generation.limit=3")
    first = launch(*of_three, "metrics=[likelihood,texts]")
    second = launch(*of_three, "metrics=[likelihood,overlap,texts]")
    assert first.code == second.code == 0, first.err + second.err
    found = second.evaluations()
    assert len(found) == 2 and all(e["metrics"]["texts"] == 3.0 and e["failure"] is None for e in found)
    assert all(evaluation["scored"]["texts"]["items"] == 3 for evaluation in found)
