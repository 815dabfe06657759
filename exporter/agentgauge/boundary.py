"""What comes in from outside, from an agent's code, a provider or a model, made fit to be shown, or refused.

One value that no scrape can carry would make all others invisible: text that is not valid Unicode, a name of a
megabyte, a cost that is not a number.
"""

from __future__ import annotations

from decimal import Decimal

LONGEST_LABEL = 128
"""Characters of a label's value."""
MOST = 1e15
"""Of dollars, seconds or things: their sum stays finite for as long as a process lives."""


class NotAnAmountError(ValueError):
    """What should be dollars, seconds or a count is negative, beyond all sense, or not a number."""


def label_text(value: str) -> str:
    """A label's value as a scrape can carry it: valid Unicode, and no longer than LONGEST_LABEL."""
    return value[:LONGEST_LABEL].encode("utf-8", "replace").decode()


def amount(value: object) -> float:
    """A number from 0 to MOST; raises NotAnAmountError, which does not quote what it was instead."""
    if not isinstance(value, int | float | Decimal):
        raise NotAnAmountError(f"a number is wanted, not {type(value).__name__}")
    try:
        number = float(value)
    except (OverflowError, ValueError):  # an integer of 400 digits, a signalling NaN
        raise NotAnAmountError("too large to be an amount") from None
    if not 0 <= number <= MOST:  # nor is NaN
        raise NotAnAmountError(f"an amount is from 0 to {MOST:g}")
    return number


def elapsed(began: float, now: float) -> float:
    """Seconds between two readings of a clock; 0 if it went back, as a clock of a test does that is set."""
    return now - began if now > began else 0.0
