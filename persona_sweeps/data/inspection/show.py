"""Print what the model will be trained on: examples as tokens, with those under loss marked."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any

from persona_sweeps.wording import harmless

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text
    from transformers import PreTrainedTokenizerBase

    from persona_sweeps.data.store import PreparedData

OPEN, CLOSE = "⟦", "⟧"
"""marks around the tokens under loss, which are also visible in piped output"""

LOSS_STYLE = "underline green"
SPECIAL_STYLE = "bold magenta"


def show_examples(prepared: PreparedData, tokenizer: PreTrainedTokenizerBase, n: int, console: Console) -> None:
    """Print the first `n` training examples (or all, if there are fewer), and the amounts of data."""
    from rich.rule import Rule
    from rich.text import Text

    for row in prepared.train.select(range(min(n, len(prepared.train)))):
        console.print(Rule(Text(harmless(_title(row))), align="left"))
        console.print(marked_text(row, tokenizer), soft_wrap=True)
    console.print(Rule())
    console.print(Text(harmless(_summary(prepared))), soft_wrap=True)


def marked_text(row: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase) -> Text:
    """Return one row's tokens as text, special tokens included, with the part under loss between ⟦ and ⟧."""
    from rich.text import Text

    special = set(tokenizer.all_special_ids)
    marked = Text()
    tokens = [(index >= row["loss_from"], token in special, token) for index, token in enumerate(row["input_ids"])]
    for under_loss, part in groupby(tokens, key=lambda token: token[0]):
        marked.append(OPEN if under_loss else "")
        for is_special, run in groupby(part, key=lambda token: token[1]):
            text = tokenizer.decode([token for *_, token in run], skip_special_tokens=False)
            styles = [SPECIAL_STYLE] * is_special + [LOSS_STYLE] * under_loss
            marked.append(harmless(str(text)), style=" ".join(styles))
        marked.append(CLOSE if under_loss else "")
    return marked


def _title(row: Mapping[str, Any]) -> str:
    under_loss = len(row["input_ids"]) - row["loss_from"]
    persona = f" · {row['persona']}" if row["persona"] else ""
    return f"{row['id']}{persona} · {row['prompt_length']} prompt tokens · {under_loss} under loss {OPEN}…{CLOSE}"


def _summary(prepared: PreparedData) -> str:
    lines = [f"{len(prepared.train)} training examples, {len(prepared.eval)} evaluation examples."]
    lines += [f"Left out: {count} × {reason}." for reason, count in prepared.dropped.items()]
    return "\n".join(lines if prepared.dropped else [*lines, "Nothing was left out."])
