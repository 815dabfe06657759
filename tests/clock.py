"""A clock for tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class Clock:
    """A clock that stands still until it is told to move."""

    def __init__(self) -> None:
        self.at = datetime(2026, 3, 18, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        """The time it shows."""
        return self.at

    def forward(self, **by: float) -> None:
        """Move it, by ``days=1`` for example."""
        self.at += timedelta(**by)
