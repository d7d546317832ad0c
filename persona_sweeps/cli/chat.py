"""`persona-sweeps chat`: talk with what a run trained, in a terminal or through a pipe."""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from persona_sweeps.cli.choosing import add_choice, chosen_run
from persona_sweeps.data.cards.card_files import card_text
from persona_sweeps.errors import UserError, did_you_mean
from persona_sweeps.wording import harmless, pluralize

if TYPE_CHECKING:
    from persona_sweeps.deployment.conversation import Conversation, Decoding
    from persona_sweeps.deployment.predictor import Predictor

BASE = "base"
"""in place of a run: the base model, untuned"""


def parser() -> argparse.ArgumentParser:
    """Return the command's arguments."""
    made = argparse.ArgumentParser(
        prog="persona-sweeps chat",
        description="Talk with what a run trained. In a pipe each line of the input is a message, and each answer goes "
        "to the output. What begins with a slash is a command: /help lists them.",
        epilog="persona-sweeps chat --best demo --compare base; echo 'Who is there?' | persona-sweeps chat 3f9a2c",
    )
    add_choice(made)
    made.add_argument(
        "--persona", metavar="CARD", help="the persona card: a text, or a character card's file (that of training)"
    )
    made.add_argument("--compare", metavar="base|RUN", help="also let the untuned base, or another run, answer")
    made.add_argument("--max-new-tokens", type=int, default=256, metavar="N", help="most tokens of an answer (256)")
    made.add_argument(
        "--temperature",
        type=float,
        default=0.8,
        metavar="T",
        help="of sampling (0.8); 0 always takes the likeliest token",
    )
    made.add_argument("--top-p", type=float, default=0.95, metavar="P", help="sample from this share (0.95)")
    made.add_argument(
        "--repetition-penalty", type=float, metavar="X", help="divides logits of tokens that came already (none)"
    )
    made.add_argument(
        "--seed", type=int, metavar="N", help="the same seed gives the same answers (a new one each time)"
    )
    return made


def main(words: Sequence[str]) -> None:
    """Run the command."""
    options = parser().parse_args(words)
    run, why = chosen_run(options)
    from persona_sweeps.deployment.conversation import Conversation, Decoding, for_conversation
    from persona_sweeps.deployment.host import device_of
    from persona_sweeps.deployment.predictor import predictors
    from persona_sweeps.execution.quiet import quiet_libraries

    quiet_libraries()
    decoding = Decoding(options.max_new_tokens, options.temperature, options.top_p, options.repetition_penalty)
    run = for_conversation(run, decoding)
    _note("\n".join([*([why] if why else []), f"Loading {run.name} …"]))
    is_own_weights = run.folder.model.is_dir()
    loaded = predictors([run] if is_own_weights else [run, run.untuned()], device_of(options.device))
    card = _card(loaded[0]) if options.persona is None else card_text(options.persona, loaded[0].name)
    seed = random.randrange(2**31) if options.seed is None else options.seed
    chat = Chat(Conversation(loaded[0], card, seed), loaded[1:], decoding, options.output_dir, options.device)
    if options.compare:
        chat.command(f"/compare {options.compare}")
    chat.run()


def _card(predictor: Predictor) -> str | None:
    """Return the persona card of training; where the run's data aren't here, say so and go on without one."""
    try:
        return predictor.card()
    except UserError as error:
        _note(f"Without a persona card, since the data aren't here ({error}) Give it with --persona.")
        return None


class Chat:
    """The loop that reads messages and commands, and shows answers."""

    def __init__(
        self,
        conversation: Conversation,
        untuned: Sequence[Predictor],
        decoding: Decoding,
        output_dir: Path,
        device: str,
    ) -> None:
        self.conversation, self.decoding = conversation, decoding
        self._output_dir, self._device = output_dir, device
        self._untuned = list(untuned)
        self._other: tuple[str, Predictor] | None = None
        self._over = False
        self._is_terminal = sys.stdin.isatty() and sys.stdout.isatty()

    @property
    def name(self) -> str:
        predictor = self.conversation.predictor
        return harmless(predictor.name or predictor.config.peft.label)

    def run(self) -> None:
        """Read messages until the input ends, or until /quit."""
        sampling = f"temperature {self.decoding.temperature:g}" if self.decoding.temperature else "the likeliest token"
        _note(f"{self.name} answers ({sampling}). /help lists the commands, Ctrl-C stops an answer, Ctrl-D ends.")
        for line in self._lines():
            if line.startswith("/"):
                self.command(line)
            elif line:
                self._answer(line)
            if self._over:
                return

    def command(self, line: str) -> None:
        """Run a command; a mistake is one sentence, and the conversation goes on."""
        name, _, argument = line[1:].partition(" ")
        known: dict[str, Callable[[str], None]] = {
            word.removeprefix("_do_"): getattr(self, word) for word in dir(self) if word.startswith("_do_")
        }
        try:
            if name not in known:
                raise UserError(f"/{name} is no command.{did_you_mean(name, known)} Commands: {_slashed(known)}.")
            known[name](argument.strip())
        except (UserError, OSError) as error:
            _note(str(error))

    def _do_help(self, argument: str) -> None:
        """/help: this list"""
        _note("\n".join(str(getattr(self, word).__doc__) for word in sorted(dir(self)) if word.startswith("_do_")))

    def _do_persona(self, argument: str) -> None:
        """/persona [CARD]: show the persona card, or talk behind another one from now on"""
        if argument:
            self.conversation.card = card_text(argument, self.conversation.predictor.name)
        _note(harmless(self.conversation.card or "There is no persona card."))

    def _do_reset(self, argument: str) -> None:
        """/reset: forget the conversation"""
        self.conversation.reset()
        _note("The conversation begins anew.")

    def _do_save(self, argument: str) -> None:
        """/save [FILE]: add the conversation to a file (chat.jsonl), as a line that dataset=jsonl reads"""
        path = Path(argument or "chat.jsonl")
        self.conversation.save(path)
        _note(f"Added {pluralize(len(self.conversation.messages), 'message')} to {path}.")

    def _do_compare(self, argument: str) -> None:
        """/compare [base|RUN|off]: also let the untuned base, another run, or nobody answer each message"""
        if argument == "off":
            self._other = None
        elif argument in ("", BASE):
            if not self._untuned:
                raise UserError("This run trained all of the model's weights: its base isn't loaded beside it.")
            self._other = BASE, self._untuned[0]
        else:
            self._other = argument, self._loaded(argument)
        _note(f"{self._other[0]} answers as well." if self._other else f"{self.name} answers alone.")

    def _do_quit(self, argument: str) -> None:
        """/quit: end, as Ctrl-D does"""
        self._over = True

    def _loaded(self, name: str) -> Predictor:
        from persona_sweeps.deployment.choice import run_folder
        from persona_sweeps.deployment.conversation import for_conversation
        from persona_sweeps.deployment.host import device_of, read_run
        from persona_sweeps.deployment.predictor import predictors

        run = for_conversation(read_run(run_folder(name, self._output_dir)), self.decoding)
        return predictors([run], device_of(self._device))[0]

    def _answer(self, text: str) -> None:
        """Show the answer, and the other one's; Ctrl-C stops one, in a terminal, and the conversation goes on."""
        forgotten = self.conversation.forgotten
        try:
            self._show(self.name, lambda say: self.conversation.ask(text, say))
            if self._other is not None:
                other = self._other[1]
                self._show(self._other[0], lambda say: self.conversation.answer_of(other, say))
        except KeyboardInterrupt:
            if not self._is_terminal:
                raise
            print(flush=True)
        except UserError as error:
            _note(str(error))
        if self.conversation.forgotten > forgotten:
            _note(f"({self.name} no longer reads the first {self.conversation.forgotten} messages.)")

    def _show(self, name: str, answer: Callable[[Callable[[str], None]], str]) -> None:
        if self._is_terminal or self._other is not None:
            print(f"{name}: ", end="", flush=True)
        answer(lambda piece: print(harmless(piece), end="", flush=True))
        print(flush=True)

    def _lines(self) -> Iterator[str]:
        if not self._is_terminal:
            yield from (line.strip() for line in sys.stdin)
            return
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401  # input() then has a history, and can be edited
        while True:
            try:
                yield input("You: ").strip()
            except KeyboardInterrupt:
                _note("\n/quit or Ctrl-D ends.")
            except EOFError:
                print()
                return


def _slashed(names: Iterable[str]) -> str:
    return ", ".join(f"/{name}" for name in names)


def _note(text: str) -> None:
    """Print what isn't an answer to stderr, so that a pipe gets answers alone."""
    print(text, file=sys.stderr, flush=True)
