"""What the `evaluate` library wants to know of a module that scores texts against references."""

from __future__ import annotations

import datasets
import evaluate


def of_text_pairs(description: str, citation: str, inputs: str, url: str) -> evaluate.MetricInfo:
    """Return the information of a metric of one text and one reference an item."""
    text = datasets.Value("string")
    return evaluate.MetricInfo(
        description=description,
        citation=citation,
        inputs_description=inputs,
        features=datasets.Features({"predictions": text, "references": text}),
        reference_urls=[url],
    )
