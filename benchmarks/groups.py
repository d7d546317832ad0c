"""`python -m benchmarks.groups`: how far a run's numbers move with the group it is trained in.

The same LoRA trial is trained solo, in a group of three and in a group of eight, each time on a newly loaded base
model. In fp32 the results are equal except for the order of sums; in bf16 each product rounds to three significant
digits, and its division into blocks depends on its number of rows.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmarks.page import rewrite_between
from benchmarks.rounds import ROOT
from benchmarks.scenarios import COMMON
from benchmarks.workload import Workload, load_workload
from persona_sweeps.config.schema import Precision
from persona_sweeps.records.files import write_json
from persona_sweeps.records.provenance import environment, now

BEGIN, END = "<!-- groups:begin -->", "<!-- groups:end -->"
GROUPS = (1, 3, 8)
EXAMPLES, EVALUATED, NEW_TOKENS = 48, 24, 32
OVERRIDES = ("dataset.card=long", "train.batch_size=4", "train.max_steps=6")


@dataclass(frozen=True, slots=True)
class TrialNumbers:
    """The numbers of the trial in a group of some size."""

    group: int
    train_nll: list[float]
    """loss of each step, in nats a token"""
    nll: list[float]
    """summed NLL of each evaluated completion, in nats"""
    texts: list[list[int]]
    """greedy tokens in answer to each evaluated prompt"""


def measure(workload: Workload, group: int) -> TrialNumbers:
    """Train the first seed's trial with `group` - 1 others of other ranks and rates; score and generate."""
    from persona_sweeps.methods.lora import Lora
    from persona_sweeps.methods.stack import AdapterStack
    from persona_sweeps.prediction.generation import generate, requests
    from persona_sweeps.prediction.greedy import Greedy
    from persona_sweeps.training.engine import Engine
    from persona_sweeps.training.trial import Trial

    base = workload.load_base()
    train, evaluation = workload.examples[:-EVALUATED], workload.examples[-EVALUATED:]
    evaluation = tuple(replace(sequence, index=index) for index, sequence in enumerate(evaluation))
    peft = workload.config.peft
    assert isinstance(peft, Lora)
    adapters, trials = [], []
    for seed in range(group):
        method = peft if seed == 0 else replace(peft, r=4 * seed, alpha=8.0 * seed)
        adapters.append(method.create(base.model, base.tokenizer, seed))
        assert workload.train.learning_rate is not None
        config = replace(workload.train, learning_rate=workload.train.learning_rate * (1 + seed))
        trials.append(Trial(adapters[-1], config, seed, train, evaluation if seed == 0 else ()))
    losses: list[float] = []
    with AdapterStack(base.model, adapters) as stack:
        engine = Engine(base.model, stack, trials)
        engine.train(lambda index, values: losses.append(values["train_nll"]) if index == 0 else None)
        nll = engine.evaluation_nll([0])[0].tolist()
        prompts = [sequence.tokens[: sequence.loss_from] for sequence in evaluation]
        text_requests = requests(0, prompts, [str(index) for index in range(EVALUATED)], seed=0)
        texts = generate(engine, text_requests, Greedy("greedy", NEW_TOKENS), [])
    return TrialNumbers(group, losses, nll, texts)


def compare(solo: TrialNumbers, together: TrialNumbers) -> dict[str, float]:
    """Return the largest relative differences, and the share of greedy texts that are the same."""
    return {
        "train_nll": _largest(together.train_nll, solo.train_nll),
        "item_nll": _largest(together.nll, solo.nll),
        "completion_nll": _largest([sum(together.nll)], [sum(solo.nll)]),
        "same_texts": sum(map(list.__eq__, together.texts, solo.texts)) / len(solo.texts),
    }


def _largest(ours: Sequence[float], reference: Sequence[float]) -> float:
    return max(abs(a - b) / abs(b) for a, b in zip(ours, reference, strict=True))


def render(rows: Sequence[tuple[str, int, dict[str, float]]], source: str) -> str:
    """Return the comparison as a Markdown table."""
    lines = [
        "| Precision | Group | Loss of a step | NLL of an item | Completion NLL | Same greedy texts |",
        "| :--- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for precision, group, found in rows:
        errors = (f"{found[name]:.1e}" for name in ("train_nll", "item_nll", "completion_nll"))
        lines.append(f"| {precision} | {group} | {' | '.join(errors)} | {found['same_texts']:.0%} |")
    return "\n" + "\n".join(lines) + f"\n\n- {source}.\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure in both precisions, keep the outcomes, and write the table to docs/performance.md."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.groups", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results", metavar="DIR")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "performance.md", metavar="FILE")
    parser.add_argument("--model-scale", default="full", choices=["full", "tiny"])
    options = parser.parse_args(argv)
    rows: list[tuple[str, int, dict[str, float]]] = []
    kept: dict[str, list[dict]] = {}
    for precision in Precision.fp32.value, Precision.bf16.value:
        chosen = [*COMMON, *OVERRIDES, f"train.precision={precision}", f"model.scale={options.model_scale}"]
        workload = load_workload(chosen, EXAMPLES, 1)
        outcomes = [measure(workload, group) for group in GROUPS]
        kept[precision] = [asdict(outcome) for outcome in outcomes]
        for outcome in outcomes[1:]:
            rows.append((precision, outcome.group, compare(outcomes[0], outcome)))
            print(*rows[-1], flush=True)
    known = environment()
    write_json(options.results / "groups.json", {"created": now(), **known, "overrides": OVERRIDES, "outcomes": kept})
    source = f"{now()[:10]}, {known['host_cpu']}, torch {known['packages']['torch']}"
    rewrite_between(options.page, BEGIN, END, render(rows, source))
    print(f"Wrote {options.page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
