"""`persona-sweeps merge`: put what a run trained into its base model's weights."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from persona_sweeps.cli.choosing import add_choice, chosen_run
from persona_sweeps.wording import size


def parser() -> argparse.ArgumentParser:
    """Return the command's arguments."""
    made = argparse.ArgumentParser(
        prog="persona-sweeps merge",
        description="Merge a run's LoRA or (IA)3 into its base model: one folder in safetensors, with the tokenizer "
        "and the chat template of training, that loads without PEFT. It is checked before it counts: its likelihoods "
        "of the run's held-out items must be the adapter's own, up to rounding. A quantized base is merged "
        "unquantized.",
        epilog="persona-sweeps merge --best demo; persona-sweeps merge 3f9a2c --precision bf16 --out hamlet",
    )
    add_choice(made)
    made.add_argument("--precision", choices=["fp32", "bf16"], help="of the weights (that of the run's training)")
    made.add_argument("--out", type=Path, metavar="FOLDER", help="where it goes (OUTPUT_DIR/merged/RUN)")
    return made


def main(words: Sequence[str]) -> None:
    """Run the command."""
    options = parser().parse_args(words)
    run, why = chosen_run(options)
    from persona_sweeps.config.schema import Precision
    from persona_sweeps.deployment.host import device_of
    from persona_sweeps.deployment.merging import RECORD, merge, require_mergeable
    from persona_sweeps.execution.quiet import quiet_libraries

    quiet_libraries()
    require_mergeable(run)
    if why:
        print(why)
    precision = Precision(options.precision) if options.precision else run.config.train.precision
    folder = options.out or options.output_dir / "merged" / run.name
    print(f"Merging {run.config.peft.label} into {run.config.model.name} in {precision.value} …", flush=True)
    merged = merge(run, folder, precision, device_of(options.device))
    print(f"Adapter and merged model: {merged.agreement}.")
    if merged.as_trained is not None:
        stored = run.config.quantization.method
        print(f"With the base in {stored}, as it was trained, and merged: {merged.as_trained}.")
    print(f"Wrote {folder} ({size(merged.bytes)}); {RECORD} in it says so. It is a model like any other:")
    print(f"  AutoModelForCausalLM.from_pretrained({str(folder)!r})")
    print(f"  persona-sweeps sweep model=auto model.hub_id={folder} peft=none")
