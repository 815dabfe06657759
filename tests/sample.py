"""The short form of a long suite: some of its cases, others on another day."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

Case = TypeVar("Case")


def chosen(cases: Sequence[Case]) -> Sequence[Case]:
    """One of each SAMPLE cases, from the one at START on; all of them unless that is set."""
    sample, start = (int(os.environ.get(name, default)) for name, default in (("SAMPLE", "1"), ("START", "0")))
    return cases[start % sample :: sample]
