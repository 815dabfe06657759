"""Text of others on a terminal: label values can hold anything, and a terminal obeys some of it."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text on one line, without what would move a terminal's cursor, colour it, or be no Unicode."""
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in " ".join(text.split())
    )


def printable_lines(text: str) -> str:
    """The same on the lines that it has, its blanks as they are."""
    return "".join(
        character if character.isprintable() or character == "\n" else "\N{REPLACEMENT CHARACTER}"
        for character in text.replace("\r\n", "\n").expandtabs()
    )


def number(value: float) -> str:
    """A figure as people read it: three digits, no exponent."""
    if value != value or value in (float("inf"), float("-inf")):
        return {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}[str(value)]
    return f"{value:,.0f}".replace(",", " ") if abs(value) >= 100 else f"{value:.3g}"


def cut(text: str, width: int) -> str:
    """The text, cut at this width."""
    return text if len(text) <= width else f"{text[: max(width - 1, 0)]}…"
