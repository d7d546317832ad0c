"""Libraries that keep to themselves what means nothing to someone who watches a sweep."""

from __future__ import annotations

import logging
import os


def quiet_libraries() -> None:
    """Silence progress bars and advice of transformers, datasets and bitsandbytes, and the Hub's reports of retries."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")  # it is slow to import, and a plan may not need it
    from transformers.utils import logging as transformers_logging

    from persona_sweeps.models.quantization import silence_bitsandbytes

    transformers_logging.set_verbosity_error()
    logging.getLogger("absl").setLevel(logging.WARNING)
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    silence_bitsandbytes()
