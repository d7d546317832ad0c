"""Tell what a line of a script is: a speaker's cue, a scene's heading, credits, or a stage direction."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache
from typing import NamedTuple

LONGEST_CUE = 60
"""characters"""
MOST_WORDS = 6
_SMALL = frozenset((
    "a", "an", "and", "as", "at", "by", "de", "der", "des", "di", "du", "from", "for", "his", "her", "in", "la",
    "le", "of", "on", "over", "the", "their", "to", "van", "von", "with",
))  # fmt: skip
_NO_NAMES = frozenset((
    "i", "i'm", "i'll", "you", "we", "he", "she", "it", "they", "this", "that", "these", "those", "there",
    "here", "what", "when", "where", "why", "how", "if", "so", "but", "or", "because", "my", "your", "our",
    "is", "are", "was", "were", "be", "been", "am", "do", "don't", "did", "does", "not", "no", "says", "said",
    "say", "asks", "asked", "goes", "went", "means",
))  # fmt: skip
"""words of sentences: a line that begins with one of them before its colon isn't a cue"""
_CREDIT = frozenset((
    "note", "notes", "disclaimer", "airdate", "aired", "episode", "season", "title", "date", "draft",
    "copyright", "url", "http", "https", "source", "cast", "starring", "music", "credits", "time", "place",
    "setting", "summary", "synopsis",
))  # fmt: skip
_CREDITS = re.compile(
    r".*\bby|.*\b(?:note|notes)|(?:original )?air ?date|originally aired|guest stars?|guest starring|with help from|"
    r"(?:fade|cut|dissolve) (?:in|out|to)|commercial break|(?:opening|closing|ending|end) (?:credits|titles)",
    re.I,
)
_WRITTEN_BY = re.compile(r"\W*(?:written|teleplay|story|directed|transcribed|screenplay) (?:and \w+ )?by\b", re.I)
_MARKER = re.compile(
    r"\W*(?:(?:opening|closing|ending|end) (?:credits|titles?|theme)|commercials?(?: break)?|credits|teaser|tag|"
    r"(?:the )?end(?: of (?:the )?(?:episode|show|part \w+|act \w+|teaser|script))?|fade (?:in|out)|"
    r"to be continued)\W*",
    re.I,
)
_ORDINAL = r"(?:[IVX]+|\d+|ONE|TWO|THREE|FOUR|FIVE)\b"
_HEADING = re.compile(
    rf"[\[(]\s*(?:scene\b|cut to\b[:\s]+\w)|scene\s*(?:[:,]|{_ORDINAL})|cut to:\s*\w|"
    rf"[\[(]?\s*ACT {_ORDINAL}\s*(?:[:.,)\]]|$)|"
    r"(?:\w{1,5}[.\s]+)?(?-i:INT|EXT|I/E)\s*[./]",
    re.I,
)
_ACT = re.compile(r"act \w+\W*", re.I)
_BRACKETED = re.compile(r"(?P<name>[^()\[\]]*)(?P<notes>(?:[(\[][^()\[\]]*[)\]]\s*)*)")
_NOTE = re.compile(r"[(\[]([^()\[\]]*)[)\]]")
_CONTINUED = re.compile(r"cont(?:'d|’d|inued|inuing|d)?\W*", re.I)


class Cue(NamedTuple):
    """Who begins to speak, and how: what the cue says in brackets, such as `V.O.`; continued: after a page break."""

    name: str
    notes: tuple[str, ...] = ()
    continued: bool = False


class CueLine(NamedTuple):
    """A cue and what follows it on its line."""

    cue: Cue
    text: str


def cue_line(line: str, delimiter: str = ":", known: Collection[str] = ()) -> CueLine | None:
    """Return a line such as `Rachel (as Monica): Hi.` as its cue and its speech; None for any other line.

    A name of `known` (casefolded) is one however it is written.
    """
    head, found, text = line.replace("**", "").replace("__", "").partition(delimiter)
    if not found and delimiter == ":":
        head, found, text = line.partition("\uff1a")  # the full-width colon of Chinese and Japanese
    if not found or len(head) > LONGEST_CUE or text.startswith("//") or (text[:1].isdigit() and head[-1:].isdigit()):
        return None
    cue = divided(head)
    if cue is None or (delimiter == "." and not cue.name.isupper()):
        return None
    if not is_name(cue.name) and cue.name.casefold() not in known:
        return None
    return CueLine(cue, text.strip())


@lru_cache(maxsize=2**14)
def divided(head: str) -> Cue | None:
    """Return `JOKER (V.O.) (CONT'D)` as a cue; None if more than brackets follows the name."""
    match = _BRACKETED.fullmatch(head.strip().lstrip("@").rstrip(",; "))
    if match is None or not match["name"].strip():
        return None
    notes = [note.strip() for note in _NOTE.findall(match["notes"])]
    kept = tuple(note for note in notes if note and not _CONTINUED.fullmatch(note))
    return Cue(" ".join(match["name"].split()).rstrip(",;"), kept, len(kept) < len([note for note in notes if note]))


@lru_cache(maxsize=2**14)
def is_name(name: str) -> bool:
    """Return whether a text can be a speaker's name rather than the beginning of a sentence."""
    words = name.split()
    if not words or len(words) > MOST_WORDS or not any(letter.isalpha() for letter in name):
        return False
    if name[0].islower() or not (name[0].isalnum() or name[0] in "#\"'") or re.search(r"[!?;…=<>{}|]|\.\.", name):
        return False
    if is_credit(name) or is_heading(name) or any(_ends_sentence(word) for word in words[:-1]):
        return False
    plain = [word.strip(".,'\"").casefold() for word in words]
    if any(word in _NO_NAMES for word in plain) and not name.isupper():
        return False
    lower = [word for word in words if word[0].islower() and word not in _SMALL]
    return not lower or len(words) <= 4


def is_credit(name: str) -> bool:
    """Return whether a line that begins so tells of the script rather than what happens: `Written by`."""
    return name.strip().casefold() in _CREDIT or _CREDITS.fullmatch(name.strip()) is not None


def is_credit_line(line: str) -> bool:
    """Return whether a line is such: `Written by: …`, or `Written by …`."""
    head, colon, rest = line.partition(":")
    return (bool(colon) and not rest.startswith("//") and is_credit(head)) or _WRITTEN_BY.match(line) is not None


def is_marker(line: str) -> bool:
    """Return whether a line marks a part of the broadcast: opening credits, a commercial break, the end."""
    return len(line) < LONGEST_CUE and _MARKER.fullmatch(line) is not None


def is_heading(line: str) -> bool:
    """Return whether a line opens a scene: `[Scene: …]`, `(Scene 4 …`, `[Cut to: …]`, `INT. …`, `ACT ONE`."""
    return _HEADING.match(line) is not None


def is_act(heading: str) -> bool:
    """Return whether a heading names an act alone."""
    return _ACT.fullmatch(heading) is not None


def heading_text(line: str) -> str:
    """Return a heading without brackets and without an unnumbered `Scene:`; scene numbers beside INT. go, too."""
    text = unbracketed(line)
    text = re.sub(r"^(?i:scene)\b(?!\s*[\dIVX]+\b)[\s:,.–-]*", "", text)
    number = re.match(r"(\w{1,5})[.\s]+(?=(?:INT|EXT|I/E)\b)", text)
    if number:
        text = re.sub(rf"\s+{re.escape(number[1])}$", "", text[number.end() :])
    return text.strip() or "a scene"


def unbracketed(text: str) -> str:
    """Return a direction without its outer brackets, and with round ones inside; white space is collapsed."""
    text = " ".join(text.split())
    if text[:1] in "[(":
        close = {"[": "]", "(": ")"}[text[0]]
        text = text[1:-1] if text.endswith(close) else text[1:]
    return text.replace("[", "(").replace("]", ")").strip(" *_")


def _ends_sentence(word: str) -> bool:
    return word.endswith(".") and len(word.rstrip(".")) > 3
