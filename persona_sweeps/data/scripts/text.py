"""Read a script's file as plain text: in whatever encoding it is, and without the tags of a web page."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser

from persona_sweeps.errors import DataError

BYTE_ORDER_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
BLOCKS = frozenset((
    "address", "blockquote", "body", "center", "dd", "div", "dl", "dt", "h1", "h2", "h3", "h4", "h5", "h6",
    "hr", "li", "ol", "p", "table", "td", "th", "tr", "ul",
))  # fmt: skip
UNSEEN = ("script", "style", "title")
"""elements whose text isn't shown on the page"""


def decoded(raw: bytes, place: str) -> tuple[str, bool]:
    """Return a file's text, and whether it had to be read as Windows-1252, of which ISO-8859-1 is a part.

    Raises DataError for a file that isn't text.
    """
    encoding = BYTE_ORDER_MARKS.get(raw[:2], "utf-8-sig")
    if encoding != "utf-16" and (b"\0" in raw or raw.startswith(b"%PDF")):
        raise DataError(f"{place} isn't a text file: save the script as plain text or HTML.")
    try:
        return raw.decode(encoding), False
    except UnicodeDecodeError:
        # The few bytes without a meaning in Windows-1252 are control characters in ISO-8859-1.
        return "".join(bytes([byte]).decode("cp1252", "replace") for byte in raw).replace("\ufffd", ""), True


def plain_text(text: str) -> str:
    """Return a text with line feeds alone as line breaks, and without tags and entities if it has any.

    Of a web page with preformatted text (as IMSDB has it) only that remains, since the rest is the site's own.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if re.search(r"<\s*(?:html|body|p|br|div|pre|b|i|td)\b[^<>]*>", text, re.I):
        page = _Page(preformatted=re.search(r"<\s*(?:html|body|p|br|div|pre)\b", text, re.I) is None)
        page.feed(text)
        page.close()
        text = page.text()
    return html.unescape(text).replace("\xa0", " ").replace("\u2028", "\n")


class _Page(HTMLParser):
    """Collects a page's text; tags that are never closed, or closed elsewhere, do no harm."""

    def __init__(self, preformatted: bool) -> None:
        super().__init__(convert_charrefs=True)
        self._whole_is_preformatted = preformatted
        self._depth = 0
        self._unseen: str | None = None
        self._preformatted: list[str] = []
        self._flowing: list[str] = []

    def text(self) -> str:
        """Return the preformatted text if it is most of the page, else all text."""
        inside, outside = "".join(self._preformatted), "".join(self._flowing)
        return inside if len(inside.strip()) > len(outside.strip()) else outside + "\n\n" + inside

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag in UNSEEN:
            self._unseen = tag
        elif tag == "pre":
            self._depth += 1
        self._break(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag == self._unseen:
            self._unseen = None
        elif tag == "pre":
            self._depth = max(0, self._depth - 1)
        elif tag in BLOCKS:
            self._break(tag)

    def handle_data(self, data: str) -> None:
        if self._unseen:
            return
        if self._depth or self._whole_is_preformatted:
            self._preformatted.append(data)
        else:
            self._flowing.append(re.sub(r"\s+", " ", data))

    def _break(self, tag: str) -> None:
        broken = "\n" if tag == "br" else "\n\n" if tag in BLOCKS else ""
        (self._preformatted if self._depth else self._flowing).append(broken)
