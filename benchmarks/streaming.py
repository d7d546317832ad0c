"""`python -m benchmarks.streaming`: what it takes to prepare very many stories, and how much memory that needs.

Stories of pseudo-words are written to a JSON Lines file, about 3 KB each. A process of its own prepares them as a run
does: reads them, splits them, and tokenizes them with the tokenizer of the tiny twins. Then another one does so again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.page import rewrite_between
from benchmarks.rounds import ROOT
from persona_sweeps.records.files import write_json
from persona_sweeps.records.provenance import environment, now

BEGIN, END = "<!-- streaming:begin -->", "<!-- streaming:end -->"
RESULT = "streaming.json"
WORDS = 470
"""of a story: about 3 KB"""
OVERRIDES = ("model.scale=tiny", "device=cpu", "train.precision=fp32", "peft=lora", "dataset=stories")


def write_stories(path: Path, count: int, words: int = WORDS) -> None:
    """Write so many stories, always the same ones."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in stories(count, words))


def stories(count: int, words: int = WORDS) -> Iterator[dict[str, str]]:
    """Yield stories of pseudo-words, most of them with a prompt of their own."""
    generator = random.Random(0)
    syllables = [a + b for a in "bdfgklmnprstvw" for b in ("a", "e", "i", "o", "u", "an", "er", "ing")]
    vocabulary = ["".join(generator.choices(syllables, k=generator.randint(1, 4))) for _ in range(5000)]
    for number in range(count):
        story = " ".join(generator.choices(vocabulary, k=words))
        yield {"prompt": f"[ WP ] {' '.join(generator.choices(vocabulary, k=12))} .", "story": f"{number}: {story} ."}


def prepare_once(path: str, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Prepare the stories of a file in this process; return what it took."""
    from benchmarks.workload import compose_config
    from persona_sweeps.data.prepare import prepare
    from persona_sweeps.models.loading import load_tokenizer, tokenizer_fingerprint
    from persona_sweeps.running.peak_memory import peak_rss_bytes

    config = compose_config([*OVERRIDES, f"dataset.path={path}", *overrides])
    tokenizer = load_tokenizer(config.model)
    started, used = time.perf_counter(), time.process_time()
    data = prepare(config, tokenizer, tokenizer_fingerprint(config.model, tokenizer))
    return {
        "stories": len(data.train) + len(data.eval),
        "wall_seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - used,
        "peak_rss_bytes": peak_rss_bytes(),
    }


def in_a_process(path: Path, cache: Path) -> dict[str, Any]:
    """Prepare the stories of a file in a process of its own, with a cache of its own."""
    code = (
        "import json, sys; sys.path.insert(0, sys.argv[1]); from benchmarks.streaming import prepare_once; "
        "print(json.dumps(prepare_once(sys.argv[2])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(ROOT), str(path)],
        env=os.environ | {"PERSONA_SWEEPS_CACHE": str(cache)},
        check=True,
        stdout=subprocess.PIPE,
    )
    return json.loads(done.stdout.splitlines()[-1])


def measure(counts: Sequence[int], folder: Path) -> list[dict[str, Any]]:
    """Return what each number of stories takes, at first and again."""
    measured = []
    for count in counts:
        path, cache = folder / "stories.jsonl", folder / f"cache-{count}"
        write_stories(path, count)
        size = path.stat().st_size
        first, again = in_a_process(path, cache), in_a_process(path, cache)
        measured.append({"stories": count, "bytes": size, "first": first, "again": again})
        print(json.dumps(measured[-1]), file=sys.stderr)
    return measured


def render(kept: dict[str, Any]) -> str:
    """Return the figures as Markdown."""
    heading = ("Stories", "File", "Peak memory", "CPU s", "Peak memory, again", "CPU s, again")
    rows = [
        (
            f"{row['stories']:,}",
            f"{row['bytes'] / 1e9:.2f} GB",
            f"{row['first']['peak_rss_bytes'] / 1e6:.0f} MB",
            f"{row['first']['cpu_seconds']:.0f}",
            f"{row['again']['peak_rss_bytes'] / 1e6:.0f} MB",
            f"{row['again']['cpu_seconds']:.1f}",
        )
        for row in kept["measured"]
    ]
    table = "\n".join(f"| {' | '.join(row)} |" for row in (heading, ("---:",) * len(heading), *rows))
    return f"\n{table}\n\n- `python -m benchmarks.streaming`, {kept['created'][:10]}, {kept['host_cpu']}.\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, keep the figures, and write them to docs/performance.md."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.streaming", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--stories", type=int, nargs="+", default=[30_000, 300_000], metavar="N")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results", metavar="DIR")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "performance.md", metavar="FILE")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(options.stories, Path(folder))
    kept = {"created": now(), **environment(), "measured": measured}
    write_json(options.results / RESULT, kept)
    rewrite_between(options.page, BEGIN, END, render(kept))
    print(render(kept))
    return 0


if __name__ == "__main__":
    sys.exit(main())
