"""What stands in two parts of the data is found, word for word or nearly, and short replies are counted apart."""

from __future__ import annotations

import io

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from persona_sweeps.data.example import Corpus, Example
from persona_sweeps.data.inspection.duplicates import copies, repeated
from persona_sweeps.data.inspection.report import report

LONG = "To be, or not to be, that is the question: whether it is nobler in the mind to suffer the slings and arrows"


def example(name: str, completion: str, prompt: str = "p", persona: str | None = None) -> Example:
    return Example(name, prompt, completion, f"scene {name}", persona)


def test_a_copy_is_one_whatever_its_case_and_punctuation() -> None:
    found = copies([example("a", "to be or NOT to be?"), example("b", "Ay.")], [example("c", "To be, or not to be:")])
    assert [(one.id, other.id) for one, other in found.exact] == [("a", "c")] and not found.near and found.short == 1


@settings(deadline=None)
@given(st.integers(0, 19))
def test_a_text_with_a_word_changed_is_nearly_the_same_and_another_isn_t(place: int) -> None:
    changed = LONG.split()
    changed[place] = "banana"
    others = [example("backwards", " ".join(LONG.split()[::-1])), example("half", " ".join(LONG.split()[::2]))]
    found = copies([example("a", " ".join(changed)), example("b", "Nothing " * 12)], [*others, example("c", LONG)])
    assert [(one.id, other.id) for one, other in found.near] == [("a", "c")] and not found.exact


def test_a_question_that_is_asked_twice_with_one_answer_repeats() -> None:
    assert repeated([example("a", "x"), example("b", "x"), example("c", "x", "other"), example("d", "x")]) == 2


def printed(corpus: Corpus) -> str:
    console = Console(file=io.StringIO(), width=100)
    report(corpus, "test", None, console)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_the_report_says_how_much_what_is_missing_and_what_leaks() -> None:
    train = [
        example("a", LONG, persona="Ann"),
        example("b", "Ay, my lord.", persona="Ben"),
        example("b2", "Ay, my lord."),
    ]
    held_out = [example("c", LONG.upper(), persona="Ann"), example("d", "Ay, my lord!", persona="Ann")]
    text = printed(Corpus(train, held_out, "f", {"speech without spoken words": 3}))
    assert "train" in text and "Ann" in text and "Left out: 3 × speech without spoken words." in text
    assert "In test and in train word for word: 2 of 2 completions, 1 of them shorter than eight words." in text
    assert "c = a: TO BE, OR NOT" in text and "Repeated in train, prompt and completion: 1 example." in text
    clean = printed(Corpus(train[:1], [example("e", "Words, words, words")], "f"))
    assert "Nothing was left out." in clean and "No completion of test stands in train" in clean
