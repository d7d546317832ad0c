"""What TensorBoard's own reader finds in a tracked run."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugin_util import markdown_to_safe_html
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from persona_sweeps import tracking
from persona_sweeps.config.schema import RunConfig, SweepConfig
from persona_sweeps.tracking.tensorboard import TensorBoard, escape, flat
from persona_sweeps.tracking.tracker import TrackedRun

CONFIG = {"peft": {"method": "lora", "r": 8, "target_modules": ["q_proj"]}, "dataset": {"persona": None}, "seed": 1}
SAMPLE = {"id": "1", "persona": "Hamlet", "prompt": "<b>Who</b> | *there*", "reference": "Nay\nme", "prediction": "`"}


def start(folder: Path) -> TrackedRun:
    config = RunConfig(tracker=TensorBoard(kind="tensorboard"), sweep=SweepConfig(name="s"))
    return tracking.start(config, CONFIG, folder, "0123456789", "run")


def read(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder / "tensorboard")).Reload()


def text_of(events: EventAccumulator, tag: str) -> str:
    return events.Tensors(f"{tag}/text_summary")[-1].tensor_proto.string_val[0].decode()


def test_curves_config_samples_and_final_metrics_are_readable(tmp_path: Path) -> None:
    tracker = start(tmp_path)
    for step in range(3):
        tracker.log(step, {"train_nll": 3.0 - step})
    tracker.finish("pruned", {"completion_ppl": 8.5}, [SAMPLE])
    events = read(tmp_path)
    assert [(point.step, point.value) for point in events.Scalars("train_nll")] == [(0, 3.0), (1, 2.0), (2, 1.0)]
    assert [point.value for point in events.Scalars("final/completion_ppl")] == [8.5]
    assert json.loads(text_of(events, "config")) == CONFIG
    assert "pruned" in text_of(events, "status")
    plugin = events.summary_metadata["_hparams_/session_start_info"].plugin_data
    settings_shown = HParamsPluginData.FromString(plugin.content).session_start_info.hparams
    assert settings_shown["peft.r"].number_value == 8 and settings_shown["status"].string_value == "pruned"
    assert [path.name for path in tmp_path.iterdir()] == ["tensorboard"]


def test_a_relaunched_run_hides_the_points_of_its_broken_attempt(tmp_path: Path) -> None:
    broken = start(tmp_path)
    for step in range(5):
        broken.log(step, {"train_nll": 100.0})
    broken.finish("failed", {}, [])
    again = start(tmp_path)
    for step in range(2, 4):
        again.log(step, {"train_nll": 1.0})
    again.finish("completed", {}, [])
    points = [(point.step, point.value) for point in read(tmp_path).Scalars("train_nll")]
    assert points == [(0, 100.0), (1, 100.0), (2, 1.0), (3, 1.0)]


def test_samples_show_markup_as_text(tmp_path: Path) -> None:
    tracker = start(tmp_path)
    tracker.finish("completed", {}, [SAMPLE])
    rendered = markdown_to_safe_html(text_of(read(tmp_path), "samples"))
    cells = re.findall(r"<td>(.*?)</td>", rendered, flags=re.DOTALL)
    assert [html.unescape(cell.replace("<br>", "\n")) for cell in cells] == list(SAMPLE.values())


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=30))
def test_escaped_text_renders_as_it_stands(text: str) -> None:
    rendered = markdown_to_safe_html(f"| {escape(text)} |\n| --- |\n| x |")
    cell = re.findall(r"<th>(.*?)</th>", rendered, flags=re.DOTALL)
    assert [html.unescape(found) for found in cell] == [text]


def test_flat_settings_are_dotted_scalars() -> None:
    shown = flat(CONFIG)
    assert shown["peft.target_modules"] == '["q_proj"]' and shown["dataset.persona"] == "null" and shown["seed"] == 1
