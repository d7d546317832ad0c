"""`python -m benchmarks.item_noise --sweep NAME`: how much single replies differ in a metric, in a real sweep of ours.

For boards that printed means alone: the standard deviation of an item's score, and how alike two rows' scores are.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from analysis.read.labels import method_label, model_label
from analysis.read.results import RunResult
from analysis.read.samples import read_items
from analysis.read.selection import read_sweep
from benchmarks.rounds import ROOT
from persona_sweeps.records.files import write_json
from persona_sweeps.records.provenance import environment, now

RESULT = "item_noise.json"


def measure(results: Sequence[RunResult], metric: str) -> dict[str, Any]:
    """Return the deviation of each result's items, and the correlations of all pairs on the items that they share."""
    scores = {result.run_id: _scores(result, metric) for result in results}
    rows = [
        {
            "run_id": result.run_id,
            "row": f"{model_label(result)} {method_label(result)}",
            "seed": result.seed,
            "items": len(found),
            "mean": statistics.fmean(found.values()),
            "sd": statistics.stdev(found.values()),
        }
        for result in results
        if len(found := scores[result.run_id]) > 2
    ]
    correlations = sorted(
        _correlation(scores[one["run_id"]], scores[other["run_id"]]) for one, other in combinations(rows, 2)
    )
    return {"metric": metric, "rows": rows, "correlations": correlations}


def _scores(result: RunResult, metric: str) -> dict[str, float]:
    items = read_items(result, metric)
    return {str(line["id"]): float(line[metric]) for line in items.lines if metric in line} if items else {}


def _correlation(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    ids = [name for name in one if name in other]
    return statistics.correlation([one[name] for name in ids], [other[name] for name in ids])


def main(argv: Sequence[str] | None = None) -> int:
    """Measure a sweep's rows but for its ceiling, and keep the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.item_noise", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--sweep", required=True, metavar="NAME")
    parser.add_argument("--metric", default="rouge1")
    parser.add_argument("--output-dir", type=Path, default=ROOT / "multirun_outputs", metavar="DIR")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results", metavar="DIR")
    options = parser.parse_args(argv)
    selection = read_sweep(options.output_dir, options.sweep)
    rows = [result for result in selection.scored() if result.get("predictor.is_ceiling") is not True]
    kept = {"created": now(), **environment(), "sweep": options.sweep, **measure(rows, options.metric)}
    write_json(options.results / RESULT, kept)
    sds, found = [row["sd"] for row in kept["rows"]], kept["correlations"]
    print(json.dumps({"rows": len(sds), "sd": [min(sds), max(sds)], "correlation": [found[0], found[-1]]}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
