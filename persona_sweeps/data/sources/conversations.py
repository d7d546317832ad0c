"""Source `conversations`: each turn of a character is an example, behind the turns before it.

It reads what `table` reads; rows are OpenAI's messages, ShareGPT's conversations, lines of named speakers, or pairs of
prompt and completion.
"""

from __future__ import annotations

from dataclasses import dataclass

from persona_sweeps.data.sources.table import Table


@dataclass
class Conversations(Table):
    """A table of conversations, of which every turn is learned."""

    turns: str = "all"

    def stand_in(self) -> str:
        from persona_sweeps.data.stand_ins.personas import conversations_of_hamlet

        return str(conversations_of_hamlet())
