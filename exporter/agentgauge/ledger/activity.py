"""When one user was active, and under which slots of time that counts; plain values, no database.

The counts of all users together answer how many were active in a trailing window, without reading any user.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, Self

SLOT_SECONDS = 300
"""Windows trail to this: a cut falls on the beginning of a slot, so a window holds up to one slot more."""
WEEK_SECONDS = timedelta(days=7).total_seconds()
KEPT_SECONDS = timedelta(days=35).total_seconds()
"""How long before the last turn runs are kept; the figures look back 28 days."""

Kind = Literal["turn", "failed", "seen", "began", "left"]
"""Of each user the slot of the last ``turn``, of the last ``failed`` request, and of the later of both (``seen``).

Of each run of turns, none of them more than a week after the one before, the slots where it ``began`` and where the
user ``left``; for the current run, ``turn`` is in the place of ``left``.
"""
Count = tuple[Kind, int]
Run = tuple[float, float]


def slot_of(at: float) -> int:
    """The slot of a moment in Unix seconds."""
    return int(at // SLOT_SECONDS)


@dataclass(frozen=True)
class Activity:
    """One user's runs of turns, oldest first, and the last failed request, in Unix seconds.

    In whatever order turns are added, the same comes of it.
    """

    runs: tuple[Run, ...] = ()
    last_failed_at: float | None = None

    @classmethod
    def read(cls, runs: Iterable[tuple[float, float]], last_failed_at: float | None) -> Self:
        """What a row of the ledger holds: the pairs of its JSON."""
        return cls(tuple([(began, ended) for began, ended in runs]), last_failed_at)

    def written(self) -> str:
        """The runs for a row of the ledger."""
        return json.dumps(self.runs)

    @property
    def last_turn_at(self) -> float | None:
        """The end of the last run."""
        return self.runs[-1][1] if self.runs else None

    def with_turns(self, first_at: float, last_at: float) -> Activity:
        """After these turns, too, which are at most a week apart."""
        first, last = first_at, last_at
        runs: list[Run] = []
        for began, ended in self.runs:
            if began - last_at <= WEEK_SECONDS and first_at - ended <= WEEK_SECONDS:
                first, last = min(first, began), max(last, ended)
            else:
                runs.append((began, ended))
        runs.append((first, last))
        runs.sort()
        oldest = runs[-1][1] - KEPT_SECONDS
        return Activity(tuple([run for run in runs if run[1] >= oldest]), self.last_failed_at)

    def with_failure(self, at: float) -> Activity:
        """After a request that failed then, too."""
        return Activity(self.runs, at if self.last_failed_at is None else max(at, self.last_failed_at))

    def counts(self) -> list[Count]:
        """Where this user counts, once each."""
        counts: list[Count] = []
        seen = 0
        for began, ended in self.runs:
            seen = slot_of(ended)
            counts += ("began", slot_of(began)), ("left", seen)
        if counts:
            counts[-1] = "turn", seen
        if self.last_failed_at is not None:
            failed = slot_of(self.last_failed_at)
            counts.append(("failed", failed))
            seen = max(seen, failed)
        if counts:
            counts.append(("seen", seen))
        return counts
