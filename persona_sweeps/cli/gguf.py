"""`persona-sweeps gguf`: write a run as files that llama.cpp, Ollama and their relatives run."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from persona_sweeps.cli.choosing import add_choice, chosen_run
from persona_sweeps.wording import size

KINDS = "f16,q8_0"


def parser() -> argparse.ArgumentParser:
    """Return the command's arguments."""
    made = argparse.ArgumentParser(
        prog="persona-sweeps gguf",
        description="Merge a run into its base model, and write it as GGUF files with llama.cpp's own converter, "
        "beside a Modelfile for Ollama with the persona card. Every file is loaded in llama.cpp before it counts: it "
        "must read prompts as the same tokens as in training, and F16 must answer as the model does here; how far the "
        "others are from it is printed, and written to gguf.json.",
        epilog="persona-sweeps gguf --best demo; persona-sweeps gguf 3f9a2c --types q8_0,q4_k_m --out hamlet-gguf",
    )
    add_choice(made)
    made.add_argument(
        "--types",
        default=KINDS,
        metavar="LIST",
        help=f"how weights are stored ({KINDS}); q4_k_m and others need llama-quantize",
    )
    made.add_argument(
        "--lora", action="store_true", help="not merged: the base's file, with the LoRA as a small one beside it"
    )
    made.add_argument(
        "--llama-cpp", type=Path, metavar="FOLDER", help="a checkout of llama.cpp, whose converter is taken"
    )
    made.add_argument("--llama-quantize", type=Path, metavar="FILE", help="its llama-quantize (the one on PATH)")
    made.add_argument("--out", type=Path, metavar="FOLDER", help="where they go (OUTPUT_DIR/gguf/RUN)")
    return made


def main(words: Sequence[str]) -> None:
    """Run the command."""
    options = parser().parse_args(words)
    from persona_sweeps.deployment.gguf.kinds import read_kinds

    kinds = read_kinds(options.types)
    run, why = chosen_run(options)
    from persona_sweeps.deployment.gguf.export import ADAPTER, MODELFILE, RECORD, export, find_tools
    from persona_sweeps.deployment.host import device_of
    from persona_sweeps.execution.quiet import quiet_libraries

    quiet_libraries()
    tools = find_tools(kinds, options.llama_cpp, options.llama_quantize)
    if why:
        print(why)
    folder = options.out or options.output_dir / "gguf" / run.name
    how = "beside" if options.lora else "merged into"
    print(f"Writing {run.config.peft.label} {how} {run.config.model.name} as GGUF: {', '.join(kinds)} …", flush=True)
    written = export(run, folder, kinds, tools, options.lora, device_of(options.device))
    items = written[0].check.agreement
    print(f"The model here: {items.first:.4f} nats a token on {items.tokens} held-out tokens. In {tools.llama}:")
    for one in written:
        kept = size(one.bytes) if one.kept else "compared, not kept"
        print(f"  {one.kind} ({kept}): {one.check}.")
    print(f"Wrote {folder}; {RECORD} in it says so. To run it:")
    print(f"  ollama create NAME -f {folder / MODELFILE}")
    chosen = min((one for one in written if one.kept), key=lambda one: one.bytes)
    adapter = f" --lora {next(folder.glob(f'*{ADAPTER}*'))}" if options.lora else ""
    print(f"  llama-server -m {folder / chosen.name}{adapter}")
