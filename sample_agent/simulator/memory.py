"""What a rep knows by heart, and so notices when an answer has it wrong."""

from __future__ import annotations

import csv
import functools
import re
from pathlib import Path

_DATA = Path(__file__).parent.parent / "sales" / "data"
_RENEWAL = re.compile(r"\brenewal(?: is on)? (\d{4}-\d\d-\d\d)")


def has_a_wrong_renewal(answer: str) -> bool:
    """Whether an answer names a renewal date that is none of the accounts'."""
    return not set(_RENEWAL.findall(answer)) <= _renewal_dates()


@functools.cache
def accounts() -> tuple[str, ...]:
    """The names of the accounts that the floor works on: all that the CRM has."""
    with (_DATA / "accounts.csv").open(encoding="utf-8", newline="") as file:
        return tuple(row["name"] for row in csv.DictReader(file))


@functools.cache
def _renewal_dates() -> frozenset[str]:
    with (_DATA / "deals.csv").open(encoding="utf-8", newline="") as file:
        return frozenset(row["renewal_date"] for row in csv.DictReader(file))
