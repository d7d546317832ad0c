r"""Tables as LaTeX to \input: booktabs, one table environment a section, in plain ASCII for any engine and encoding."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from ..tables.table import Column, Section, Table

_HEAD = r"% In the preamble: \usepackage{booktabs,graphicx}"
_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "`": r"\textasciigrave{}", '"': "''", "[": "{[}", "]": "{]}", "*": "{*}",
    "±": r"\ensuremath{\pm}", "×": r"\ensuremath{\times}", "÷": r"\ensuremath{\div}", "−": r"\ensuremath{-}",
    "·": r"\ensuremath{\cdot}", "≤": r"\ensuremath{\leq}", "≥": r"\ensuremath{\geq}", "≠": r"\ensuremath{\neq}",
    "≈": r"\ensuremath{\approx}", "→": r"\ensuremath{\rightarrow}", "∞": r"\ensuremath{\infty}",
    "√": r"\ensuremath{\surd}", "–": "--", "—": "---", "…": r"\ldots{}", "‘": "`", "’": "'", "“": "``", "”": "''",
    "°": r"\ensuremath{^\circ}", "§": r"\S{}", "¶": r"\P{}", "©": r"\copyright{}", "†": r"\dag{}",
    "æ": r"\ae{}", "Æ": r"\AE{}", "œ": r"\oe{}", "Œ": r"\OE{}", "ø": r"\o{}", "Ø": r"\O{}", "ß": r"\ss{}",
    "ł": r"\l{}", "Ł": r"\L{}", "ı": r"\i{}", "¿": "?`", "¡": "!`", "\u00a0": "~", "\u202f": r"\,", "\u2009": r"\,",
    "✓": r"\ensuremath{\surd}",
}  # fmt: skip
_GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi psi "
    "omega"
)
_CAPITALS = "Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega"
_SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-", strict=True))
_SUBSCRIPTS = dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True))
_ACCENTS = {
    "\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0304": "=", "\u0306": "u", "\u0307": ".",
    "\u0308": '"', "\u030a": "r", "\u030b": "H", "\u030c": "v", "\u0327": "c",
}  # fmt: skip
_LIGATURES = re.compile(r"-(?=-)|'(?=')|,(?=,)|[?!](?=`)")


def render(tables: Sequence[Table]) -> str:
    """Return the table environments of all tables; characters that LaTeX can't set are given by code and counted."""
    body = "\n".join(_table(table) for table in tables)
    unset = body.count("{[}U+")
    missing = [f"% {unset} characters that pdfLaTeX can't set stand as [U+...]."] if unset else []
    return "\n".join([_HEAD, *missing, body])


def escape(text: str) -> str:
    """Return text as LaTeX sets it, in ASCII, on one line."""
    return "".join(map(_character, _unligated(" ".join(text.split()))))


def _unligated(text: str) -> str:
    # \0 is no character of a text that was split at spaces and printed; it keeps "--" from becoming a dash.
    return _LIGATURES.sub(lambda found: f"{found[0]}\0", text.replace("\0", ""))


def _character(character: str) -> str:
    if character == "\0":
        return "{}"
    if character in _SPECIAL:
        return _SPECIAL[character]
    if " " <= character <= "~":
        return character
    return _symbol(character) or _accented(character) or rf"{{[}}U+{ord(character):04X}{{]}}"


def _symbol(character: str) -> str:
    """Return a Greek letter, a superscript or a subscript; "" for anything else."""
    if character in _SUPERSCRIPTS:
        return rf"\ensuremath{{^{{{_SUPERSCRIPTS[character]}}}}}"
    if character in _SUBSCRIPTS:
        return rf"\ensuremath{{_{{{_SUBSCRIPTS[character]}}}}}"
    name = unicodedata.name(character, "").removeprefix("GREEK ")
    size, _, letter = name.partition(" LETTER ")
    letter = letter.lower().replace("lamda", "lambda")
    if size == "SMALL" and letter in _GREEK.split():
        return rf"\ensuremath{{\{letter}}}"
    if size == "CAPITAL" and letter.title() in _CAPITALS.split():
        return rf"\ensuremath{{\{letter.title()}}}"
    return r"\ensuremath{\mu}" if character == "µ" else ""


def _accented(character: str) -> str:
    """Return a Latin letter with one accent; "" for anything else."""
    parts = unicodedata.normalize("NFD", character)
    if len(parts) != 2 or not parts[0].isascii() or not parts[0].isalpha() or parts[1] not in _ACCENTS:
        return ""
    letter = rf"\{parts[0]}" if parts[0] in "ij" and parts[1] != "\u0327" else parts[0]
    return rf"\{_ACCENTS[parts[1]]}{{{letter}}}"


def _table(table: Table) -> str:
    parts = [_section(table, section, number) for number, section in enumerate(table.sections, start=1)]
    return "\n".join([f"% {escape(table.title)}", *parts, *_paragraphs(table.notes)]) + "\n"


def _section(table: Table, section: Section, number: int) -> str:
    columns = table.columns_of(section)
    label = re.sub(r"[^a-z0-9]+", "-", f"{table.title} {number}".lower()).strip("-")
    notes = [r"\par\smallskip\raggedright\footnotesize", *map(_sentence, section.notes)] if section.notes else []
    return "\n".join(
        [
            r"\begin{table}[htbp]",
            r"\centering\small",
            rf"\caption{{{escape(f'{table.title}: {section.title}')}}}",
            rf"\label{{tab:{label}}}",
            r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            *_tabular(columns, section.rows),
            "}",
            *notes,
            *(rf"% figure {escape(figure.name)}: {escape(figure.caption)}" for figure in section.figures),
            r"\end{table}",
        ]
    )


def _tabular(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[str]:
    sides = "".join("r" if column.right else "l" for column in columns)
    lines = [_line([column.heading for column in columns]), r"\midrule", *map(_line, rows)]
    return [rf"\begin{{tabular}}{{@{{}}{sides}@{{}}}}", r"\toprule", *lines, r"\bottomrule", r"\end{tabular}%"]


def _line(cells: Sequence[str]) -> str:
    return " & ".join(map(escape, cells)) + r" \\"


def _sentence(note: str) -> str:
    return escape(note).replace(r"\textasciigrave{}", "'") + r"\par"


def _paragraphs(notes: Sequence[str]) -> list[str]:
    return [r"{\footnotesize\raggedright\noindent", *map(_sentence, notes), "}"] if notes else []
