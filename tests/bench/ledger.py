"""``make bench-ledger``: what the ledger costs a replica as users grow from a hundred to a million; some minutes.

Each user has one to four days of use in the last 28. Times are of CPU, of this thread: SQLite works inside of it, and
a process's clock is out by 4 ms now and then where the system keeps it by ticks.
"""

from __future__ import annotations

import random
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path
from time import thread_time

from prometheus_client import CollectorRegistry
from rich.console import Console
from rich.table import Table

from agentgauge import AgentGauge
from agentgauge.ledger import Ledger, Usage
from agentgauge.ledger.store import UserDay

USERS = (100, 1_000, 10_000, 100_000, 1_000_000)
AGENT = "bench"
DAYS = 28
WRITTEN_AT_ONCE = 20_000
ROUNDS = 100
IN_A_FLUSH = 20
WORKS = ("flush", "shows what another read", "reads for all, every 5 s", "weeks, once an hour")


def main() -> None:
    """Fill a ledger of each size and measure it; a line as soon as it is known."""
    out = Console()
    table = Table(title="CPU of one replica, in ms", title_justify="left", caption_justify="left")
    for column in ("users", *WORKS):
        table.add_column(column, justify="right")
    with tempfile.TemporaryDirectory() as folder:
        for users in USERS:
            with out.status(f"{users:,} users"):
                table.add_row(f"{users:,}", *(f"{one:.1f}" for one in measured(Path(folder), users).values()))
    table.caption = f"A flush writes {IN_A_FLUSH} users. What takes long is read less often: at most 1/20 of the time."
    out.print(table)


def measured(folder: Path, users: int, rounds: int = ROUNDS) -> dict[str, float]:
    """Milliseconds of each of WORKS in a new ledger of so many users, the median of `rounds`; weeks are read once."""
    now = datetime.now(UTC)
    with closing(Ledger.open(f"sqlite:///{folder / str(users)}.sqlite", now=lambda: now)) as ledger:
        usage = _usage(now, users)
        while some := dict(islice(usage, WRITTEN_AT_ONCE)):
            ledger.add_usage(AGENT, some)
        with closing(AgentGauge(AGENT, registry=CollectorRegistry(), ledger=ledger)) as gauge:
            shown = gauge._user_gauges
            assert shown is not None
            chosen = [f"user-{number}" for number in range(0, users, users // IN_A_FLUSH)][:IN_A_FLUSH]
            flushes = iter([_flush(now + timedelta(seconds=number), chosen) for number in range(rounds)])
            shown.refresh()
            works = (
                lambda: ledger.add_usage(AGENT, next(flushes)),
                shown.refresh,
                shown._users.read,
                shown._read_weeks,
            )
            turns = (rounds, rounds, rounds, 1)
            return {name: _milliseconds(work, n) for name, work, n in zip(WORKS, works, turns, strict=True)}


def _flush(at: datetime, users: list[str]) -> dict[UserDay, Usage]:
    return {(at.date(), user): Usage(1, 1, 0.1, at.timestamp(), at.timestamp()) for user in users}


def _usage(now: datetime, users: int) -> Iterator[tuple[UserDay, Usage]]:
    chance = random.Random(users)  # noqa: S311 - a sample, no secret
    for number in range(users):
        for _ in range(chance.randint(1, 4)):
            at = now - timedelta(days=chance.uniform(0, DAYS))
            day: date = at.date()
            yield (day, f"user-{number}"), Usage(1, 3, chance.random(), at.timestamp(), at.timestamp())


def _milliseconds(work: Callable[[], object], rounds: int) -> float:
    """The median."""
    times = []
    for _ in range(rounds):
        began = thread_time()
        work()
        times.append((thread_time() - began) * 1e3)
    return statistics.median(times)


if __name__ == "__main__":
    main()
