"""Hostile text made safe to show: escaped, its invisible characters visible, the runs that it names linked."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup, escape

_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
"""Controls, bidirectional controls, invisible formatting, lone surrogates; joiners, which emoji and Persian need, stay.

assets/base.js has the same list."""
_ID = re.compile(r"(?<![0-9A-Za-z])[0-9a-f]{6,64}(?![0-9A-Za-z])")
_IN_SCRIPT = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


def name_of(character: str) -> str:
    """Return what stands for a hidden character: its picture (␀) where Unicode has one, else its code (U+202E)."""
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else f"U+{code:04X}"


def shown(text: object) -> Markup:
    """Return text as HTML in which hidden characters are marked, so that none can act: `a<b` as `a&lt;b`."""
    parts, end = [], 0
    whole = str(text)
    for match in _HIDDEN.finditer(whole):
        parts.append(escape(whole[end : match.start()]))
        parts.append(Markup('<span class="hidden-character">{}</span>').format(name_of(match[0])))
        end = match.end()
    return Markup("").join([*parts, escape(whole[end:])])


def linked(text: object, anchors: Mapping[str, str]) -> Markup:
    """Return text as `shown` has it, with each run id in it a link to its anchor on the page."""
    parts, end = [], 0
    whole = str(text)
    for match in _ID.finditer(whole):
        if match[0] in anchors:
            parts.append(shown(whole[end : match.start()]))
            parts.append(Markup('<a class="id" href="#{}">{}</a>').format(anchors[match[0]], match[0]))
            end = match.end()
    return Markup("").join([*parts, shown(whole[end:])])


def plain(text: object) -> str:
    """Return text for places that take no markup, such as a title: hidden characters by name."""
    return _HIDDEN.sub(lambda match: name_of(match[0]), str(text))


def embedded(value: Any) -> Markup:
    """Return JSON that can stand in a script element: nothing in it can end the element or begin a comment.

    Raises ValueError for a number that JSON doesn't have.
    """
    return Markup(json.dumps(value, separators=(",", ":"), allow_nan=False).translate(_IN_SCRIPT))


def shortened(text: str, most: int) -> tuple[str, int]:
    """Return the first `most` characters, and how many were left out."""
    return text[:most], max(0, len(text) - most)
