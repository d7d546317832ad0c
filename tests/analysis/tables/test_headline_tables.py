"""Every figure of the two headline tables, computed again by plain code from the items that runs left behind.

Three base models and their counterparts, of which each counterpart lacks an item, with no training, LoRA and prompt
tuning at two rates and three seeds.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import special, stats

from analysis.read.selection import Selection, read_all
from analysis.tables import base_vs_instruct, lora_vs_prompt_tuning
from tests.analysis.synthetic_runs import config, write

SCENES, LINES, MISSING = 9, 3, "4/1"
MODELS = ("a", "b", "c")
METHODS: tuple[dict[str, Any], ...] = (
    {"method": "none", "learning_rate": None},
    {"method": "lora", "learning_rate": 1e-3, "r": 8, "alpha": 16.0},
    {"method": "lora", "learning_rate": 1e-2, "r": 8, "alpha": 16.0},
    {"method": "prompt_tuning", "learning_rate": 1e-3, "num_virtual_tokens": 16},
    {"method": "prompt_tuning", "learning_rate": 1e-2, "num_virtual_tokens": 16},
)
GAIN = (0.0, 0.2, 0.35, 0.05, 0.15)


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("headline")
    rng = np.random.default_rng(8)
    common = rng.normal(3, 0.4, (SCENES, 1)) + rng.normal(0, 0.5, (SCENES, LINES))
    tokens = rng.integers(5, 41, (SCENES, LINES)).tolist()
    for model in MODELS:
        for instruct in (False, True):
            own = common + rng.normal(0, 0.1, common.shape) - 0.1 * instruct
            for place, peft in enumerate(METHODS):
                of_setting = own - GAIN[place] + rng.normal(0, 0.05, common.shape)
                for seed in range(1 if peft["method"] == "none" else 3):
                    nll = of_setting + rng.normal(0, 0.05) + rng.normal(0, 0.02, common.shape)
                    name, other = (f"{model}_it", model) if instruct else (model, f"{model}_it")
                    of_run = config(
                        model__name=name, model__instruct=instruct, model__counterpart=other, peft=peft, seed=seed
                    )
                    folder = write(root, f"{name}{place}{seed}", of_run, nll.tolist(), tokens)
                    if instruct:
                        _drop(folder / "evaluations", MISSING)
    return root


def _drop(folder: Path, name: str) -> None:
    """Take an item from an evaluation, as if it hadn't fitted."""
    lines = [line for line in (folder / "e.samples.jsonl").read_text().splitlines() if json.loads(line)["id"] != name]
    (folder / "e.samples.jsonl").write_text("\n".join(lines) + "\n")
    items = [json.loads(line) for line in lines]
    record = json.loads((folder / "e.json").read_text())
    tokens = sum(item["completion_tokens"] for item in items)
    nll = sum(item["completion_nll"] * item["completion_tokens"] for item in items) / tokens
    bits, rouge = nll / 4 / math.log(2), sum(item["rougeL"] for item in items) / len(items)
    record["metrics"] |= {
        "completion_nll": nll,
        "completion_ppl": math.exp(nll),
        "bits_per_byte": bits,
        "rougeL": rouge,
    }
    record["data"]["eval_examples"] = len(items)
    (folder / "e.json").write_text(json.dumps(record))


# Plain code from here on: a side is a list of seeds, a seed a list of (scene, above, below) of the common items.

Seed = Sequence[tuple[str, float, float]]


def items(root: Path, run_ids: str, metric: str) -> list[Seed]:
    seeds = []
    for run in run_ids.split():
        text = (root / "runs" / f"run-{run}" / "evaluations" / "e.samples.jsonl").read_text()
        lines = [line for line in map(json.loads, text.splitlines()) if line["id"] != MISSING]
        if metric == "bits_per_byte":
            seeds.append(
                [
                    (x["cluster"], x["completion_nll"] * x["completion_tokens"] / math.log(2), x["completion_bytes"])
                    for x in lines
                ]
            )
        else:
            seeds.append([(x["cluster"], x["rougeL"], 1.0) for x in lines])
    return seeds


def value_of(seed: Seed) -> float:
    return sum(above for _, above, _ in seed) / sum(below for _, _, below in seed)


class Side:
    """A setting's mean, pseudo-values by seed and scene, and variances, the textbook way."""

    def __init__(self, seeds: Sequence[Seed]) -> None:
        scenes = sorted({scene for scene, _, _ in seeds[0]})
        count = len(scenes)
        rows = []
        for seed in seeds:
            whole = value_of(seed)
            found = [count * whole - (count - 1) * value_of([x for x in seed if x[0] != left]) for left in scenes]
            rows.append([one + whole - sum(found) / count for one in found])
        self.z = np.array(rows)
        self.value = float(np.mean([value_of(seed) for seed in seeds]))
        self.seeds, self.count = len(seeds), count
        weights = np.array([sum(x[2] for x in seeds[0] if x[0] == scene) for scene in scenes])
        self.df = 1 / float(((weights / weights.sum()) ** 2).sum()) - 1
        by_seed = self.z.mean(axis=1)
        self.between = float(by_seed.var(ddof=1)) if self.seeds > 1 else 0.0
        self.seed_df = self.seeds - 1.0
        rest = self.z - self.z.mean(axis=0) - by_seed[:, None] + self.value
        self.noise = float((rest**2).sum()) / ((self.seeds - 1) * (count - 1)) / count if self.seeds > 1 else 0.0

    @property
    def seed_variance(self) -> float:
        return max(self.between - self.noise, 0.0) / self.seeds if self.seeds > 1 else 0.0


def moderate(sides: Sequence[Side]) -> None:
    """Smyth's squeezed variances, but that larger ones stay, and d₀ is at most (rows − 1) / 2."""
    seeded = [side for side in sides if side.seeds > 1]
    df, most = seeded[0].seed_df, (len(seeded) - 1) / 2
    logs = np.log([side.between for side in seeded]) - special.digamma(df / 2) + math.log(df / 2)
    spread = float(logs.var(ddof=1) - special.polygamma(1, df / 2))
    if spread <= 0:
        usual, d0 = float(np.mean([side.between for side in seeded])), most
    else:
        low, high = 1e-6, 1e6
        for _ in range(200):
            middle = math.sqrt(low * high)
            low, high = (middle, high) if special.polygamma(1, middle) > spread else (low, middle)
        usual, d0 = math.exp(float(logs.mean()) + float(special.digamma(low)) - math.log(low)), min(2 * low, most)
    for side in seeded:
        side.between = max(side.between, (d0 * usual + df * side.between) / (d0 + df))
        side.seed_df = d0 + df


def compared(pairs: Sequence[tuple[Side, Side]]) -> tuple[float, float, float, float]:
    """Return the mean difference of pairs, the ends of its interval, and its p."""
    sides = [side for pair in pairs for side in pair]
    value = float(np.mean([one.value - other.value for one, other in pairs]))
    by_scene = np.mean([one.z.mean(axis=0) - other.z.mean(axis=0) for one, other in pairs], axis=0)
    cluster = float(by_scene.var(ddof=1)) / len(by_scene)
    parts = [(side.seed_variance, max(side.seed_df, 1.0)) for side in sides]
    seed = sum(v for v, _ in parts) / len(pairs) ** 2
    total = sum(v for v, _ in parts)
    seed_df = total**2 / sum(v**2 / d for v, d in parts) if total else 1.0
    scene_df = min(side.df for side in sides)
    df = max(1.0, (cluster + seed) / (cluster / scene_df + seed / seed_df))
    error = math.sqrt(cluster + seed)
    half = stats.t.ppf(0.975, df) * error
    return value, value - half, value + half, 2 * stats.t.sf(abs(value) / error, df)


def holm(p: Sequence[float]) -> list[float]:
    order = sorted(range(len(p)), key=lambda place: p[place])
    found, largest = [0.0] * len(p), 0.0
    for done, place in enumerate(order):
        largest = max(largest, min(1.0, (len(p) - done) * p[place]))
        found[place] = largest
    return found


def agree(rows: Sequence[dict[str, Any]], prefix: str, again: Sequence[tuple[float, float, float, float]]) -> None:
    for row, (value, low, high, p), corrected in zip(rows, again, holm([one[3] for one in again]), strict=True):
        assert row[f"{prefix}_difference"] == pytest.approx(value, rel=1e-9)
        assert row[f"{prefix}_difference_low"] == pytest.approx(low, rel=1e-7)
        assert row[f"{prefix}_difference_high"] == pytest.approx(high, rel=1e-7)
        assert row[f"{prefix}_p"] == pytest.approx(p, rel=1e-6)
        assert row[f"{prefix}_p_holm"] == pytest.approx(corrected, rel=1e-6)


@pytest.fixture(scope="module")
def selection(outputs: Path) -> Selection:
    return read_all(outputs)


@pytest.mark.parametrize("kind", ["same setting", "each at its best"])
def test_base_against_instruct(outputs: Path, selection: Selection, kind: str) -> None:
    rows = [row for row in base_vs_instruct.build(selection).raw if row["row"] == kind]
    assert len(rows) == (30 if kind == "same setting" else 6)
    again: dict[int, tuple[float, float, float, float]] = {}
    for metric in ("bits_per_byte", "rougeL"):
        of_metric = [place for place, row in enumerate(rows) if row["metric"] == metric]
        pairs = {
            place: [Side(items(outputs, rows[place][ids], metric)) for ids in ("instruct_run_ids", "base_run_ids")]
            for place in of_metric
        }
        for place, (instruct, base) in pairs.items():
            assert rows[place]["instruct_value"] == pytest.approx(instruct.value, rel=1e-9)
            assert rows[place]["base_value"] == pytest.approx(base.value, rel=1e-9)
            assert rows[place]["instruct_over_base"] == pytest.approx(instruct.value / base.value - 1, rel=1e-9)
        moderate([side for pair in pairs.values() for side in pair])
        again |= {place: compared([(pair[0], pair[1])]) for place, pair in pairs.items()}
    agree(rows, "instruct_base", [again[place] for place in range(len(rows))])


def test_each_at_its_best_takes_the_best_setting_of_either_side(selection: Selection) -> None:
    raw = base_vs_instruct.build(selection).raw
    same = [row for row in raw if row["row"] == "same setting" and row["metric"] == "bits_per_byte"]
    for row in raw:
        if row["row"] == "each at its best" and row["metric"] == "bits_per_byte":
            of_pair = [other for other in same if other["base"] == row["base"]]
            assert row["base_value"] == min(other["base_value"] for other in of_pair)
            assert row["instruct_value"] == min(other["instruct_value"] for other in of_pair)


def test_wins_by_family_are_counted(selection: Selection) -> None:
    table = base_vs_instruct.build(selection)
    (section,) = [section for section in table.sections if section.title.startswith("By family")]
    bits = [row for row in table.raw if row["row"] == "same setting" and row["metric"] == "bits_per_byte"]
    (every,) = [row for row in section.rows if row[:2] == ["all", "bits/byte"]]
    ahead = sum(row["instruct_value"] < row["base_value"] for row in bits)
    shown = [row for row in bits if row["instruct_base_p_holm"] <= 0.05]
    better = sum(row["instruct_value"] < row["base_value"] for row in shown)
    assert every[2:] == ["15", str(ahead), str(15 - ahead), "0", str(better), str(len(shown) - better)]


def test_lora_against_prompt_tuning(outputs: Path, selection: Selection) -> None:
    raw = lora_vs_prompt_tuning.build(selection).raw
    duels = [row for row in raw if row["row"] == "model"]
    assert len(duels) == 12, "six models in two metrics"
    sides: dict[str, dict[str, list[Side]]] = {"bits_per_byte": {}, "rougeL": {}}
    for metric, by_model in sides.items():
        for row in (row for row in raw if row["row"] == "method"):
            by_model.setdefault(row["model"], []).append(Side(items(outputs, row["run_ids"], metric)))
        assert {len(found) for found in by_model.values()} == {3}, "the base, LoRA and prompt tuning"
        moderate([side for found in by_model.values() for side in found])
    again = [compared([(of[1], of[2])]) for row in duels if (of := sides[row["metric"]][row["model"]])]
    agree(duels, "lora_prompt_tuning", again)
    summaries = [row for row in raw if row["row"] == "all models"]
    whole = [compared([(of[1], of[2]) for of in sides[row["metric"]].values()]) for row in summaries]
    agree(summaries, "lora_prompt_tuning", whole)
    for row in summaries:
        signs = [of[1].value < of[2].value for of in sides[row["metric"]].values()]
        ahead = sum(signs) if row["metric"] == "bits_per_byte" else len(signs) - sum(signs)
        assert (row["lora_ahead"], row["prompt_tuning_ahead"], row["ties"]) == (ahead, 6 - ahead, 0)
        assert row["sign_p"] == pytest.approx(stats.binomtest(ahead, 6).pvalue)
    against = [row for row in raw if row["row"] == "method" and row["method"] != "none"]
    by_method = {"lora": 1, "prompt_tuning": 2}
    agree(
        against,
        "against_base",
        [
            compared(
                [
                    (
                        sides["bits_per_byte"][row["model"]][by_method[row["method"]]],
                        sides["bits_per_byte"][row["model"]][0],
                    )
                ]
            )
            for row in against
        ],
    )
