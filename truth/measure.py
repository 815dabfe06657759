"""Draws the histories, replays the rules on them, and says what came of each: found, ended, who else paged."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from truth.incidents import Incident, Span
from truth.paging import Page, pages
from truth.replay import Clock, Firing, replay
from truth.traffic import COARSE_SCRAPE, Agent, Replica, series

RULES = sorted((Path(__file__).resolve().parent.parent / "alerts" / "rules").glob("*.yml"))
MOST_SAMPLES = 55_000
"""Scrapes of all agents of a batch: what one Prometheus is asked for at once. Less than half of the short form, which
two cores share."""
SHORT_SCRAPE, SHORT_DRAWS, SHORT_SECONDS = 60, 3, 6 * 3600
SAY_NOTHING = ("info", "none")
"""Severities that notify nobody."""


@dataclass(frozen=True)
class Case:
    """One history of an incident."""

    incident: Incident
    volume: float
    scrape: int
    number: int

    def agent(self, seed: int) -> Agent:
        """The agent that it happens to; its name is that of the case, by which its alerts are known."""
        row, span = self.incident, self.incident.span
        name = f"{row.name} x{self.volume:g} {self.scrape}s {self.number}"
        begins = row.begins or span.before
        if not row.gap:  # a gap is that of all in the batch
            begins += crc32(f"{seed} {name}".encode()) % 12 * 5  # not just after a scrape
        ends = begins if row.kind in ("healthy", "edge") else min(begins + row.minutes * 60, span.seconds)
        return Agent(
            name,
            seed,
            span.start,
            span.seconds,
            self.scrape,
            self.volume,
            row.level,
            row.always,
            row.during,
            begins,
            ends,
            row.routine,
            span.coarse,
            (begins, ends) if row.gap else (0, 0),
            _replicas(row, begins, ends),
        )


@dataclass(frozen=True)
class Outcome:
    """What came of a case. Minutes: ``found`` from its beginning, ``ended`` from its end; None where it was not.

    ``others`` are pages of other alerts while it lasted, ``first`` says whether one of them came before that which was
    expected. ``after`` are pages that began after the mending, ``before`` those before the beginning.
    ``resolved`` counts how often the alert ended although it lasted. ``watched`` is for how many weeks alerts were.
    """

    case: Case
    found: float | None
    ended: float | None
    resolved: int
    others: tuple[str, ...]
    first: bool
    after: tuple[str, ...]
    before: tuple[str, ...]
    critical: int
    watched: float


def cases(rows: Iterable[Incident]) -> list[Case]:
    """The histories to draw."""
    return [
        Case(row, volume, scrape, number)
        for row in rows
        for scrape, draws in zip((15, 60), row.draws, strict=True)
        for volume in row.volumes
        for number in range(draws if volume in row.found_within or not row.found_within else min(draws, 1))
    ]


def short(all_cases: Iterable[Case]) -> list[Case]:
    """The quick ones among them: some hours scraped every minute, and weeks without an incident."""
    return [
        case
        for case in all_cases
        if case.scrape == SHORT_SCRAPE
        and case.number < SHORT_DRAWS
        and (case.incident.span.seconds <= SHORT_SECONDS or case.incident.kind in ("healthy", "edge"))
        and (case.volume == 1 or (case.incident.kind == "healthy" and not case.incident.always))
        and (case.number == 0 or case.incident.found_within)
    ]


def batches(all_cases: Iterable[Case]) -> list[list[Case]]:
    """The cases in groups that one Prometheus is asked about at once, the longest first."""
    groups: dict[tuple[Span, int], list[list[Case]]] = {}
    for case in all_cases:
        span = case.incident.span
        scrapes = span.coarse // COARSE_SCRAPE + (span.seconds - span.coarse) // case.scrape
        group = groups.setdefault((span, case.scrape), [[]])
        if len(group[-1]) * scrapes >= MOST_SAMPLES:
            group.append([])
        group[-1].append(case)
    return sorted((batch for group in groups.values() for batch in group), key=_work, reverse=True)


def _work(batch: list[Case]) -> float:
    span, scrape = batch[0].incident.span, batch[0].scrape
    return len(batch) * (span.seconds - span.coarse) / scrape


def measure(all_cases: list[Case], seed: int, prometheus: Path, workers: int = 2) -> Iterator[Outcome]:
    """What came of them, as batches are done."""
    with ProcessPoolExecutor(workers) as pool:
        for outcomes in pool.map(_measured, *zip(*[(b, seed, prometheus) for b in batches(all_cases)], strict=True)):
            yield from outcomes


def _measured(batch: list[Case], seed: int, prometheus: Path) -> list[Outcome]:
    agents = [case.agent(seed) for case in batch]
    one = agents[0]
    gap = (one.start + one.gap[0], one.start + one.gap[1]) if one.gap[1] else (0, 0)
    clock = Clock(one.start, one.start + one.coarse, one.start + one.seconds, one.scrape, gap)
    wanted = _names_in(RULES)
    with tempfile.TemporaryDirectory(prefix="truth-") as folder:
        lines = (line for agent in agents for line in series(agent, wanted))
        firings = replay(lines, clock, prometheus, RULES, Path(folder))
    return [outcome(case, agent, _of(agent, firings)) for case, agent in zip(batch, agents, strict=True)]


def _names_in(rule_files: list[Path]) -> str:
    return "\n".join(file.read_text(encoding="utf-8") for file in rule_files)


def _of(agent: Agent, firings: list[Firing]) -> list[Firing]:
    """The alerts of one agent, by its name or that of its scrape target."""
    return [
        firing
        for firing in firings
        if firing.severity not in SAY_NOTHING
        and (firing.label("agent") == agent.name or firing.label("instance").startswith(f"{agent.name}-"))
    ]


def outcome(case: Case, agent: Agent, firings: list[Firing]) -> Outcome:
    """What these alerts are worth."""
    row = case.incident
    begins, ends = agent.start + agent.begins, agent.start + agent.ends
    paged = sorted(pages(firings), key=lambda page: page.at)
    within = [page for page in paged if begins <= page.at < ends]
    right = [page for page in within if page.firing.alert in row.expects]
    others = [page for page in within if page.firing.alert not in (*row.expects, *row.brings)]
    ended = [firing.ends for firing in firings if firing.begins < ends]
    lasting = [end for end in ended if end is not None and end > ends]
    open_at_the_end = any(end is None for end in ended)
    false_ends = [
        page for page in right if page.firing.ends is not None and page.firing.ends < ends and _alone(page, right)
    ]
    return Outcome(
        case,
        found=(right[0].at - begins) / 60 if right else None,
        ended=None if open_at_the_end else (max(lasting, default=ends) - ends) / 60,
        resolved=len(false_ends),
        others=tuple(page.firing.alert for page in others),
        first=bool(others and right and others[0].at < right[0].at),
        after=tuple(page.firing.alert for page in paged if page.at >= ends > begins),
        before=tuple(page.firing.alert for page in paged if page.at < begins or begins == ends),
        critical=sum(page.firing.severity == "critical" for page in paged),
        watched=(agent.seconds - agent.coarse) / (7 * 86400),
    )


def _alone(page: Page, right: list[Page]) -> bool:
    """Whether nothing that was expected goes on when this one ends."""
    ends = page.firing.ends or 0
    return not any(
        other.firing.begins <= ends and (other.firing.ends is None or other.firing.ends > ends) for other in right
    )


def _replicas(row: Incident, begins: int, ends: int) -> tuple[Replica, ...]:
    if row.gone:
        return Replica(until=begins), Replica(since=ends)
    if row.replicas > 1:  # two, then five, then two
        return (*[Replica()] * 2, *[Replica(since=begins, until=ends)] * (row.replicas - 2))
    if row.replicas < 0:
        return (Replica(),) * -row.replicas
    if row.restart_every:
        return (Replica(restarts=tuple(range(begins, ends, row.restart_every))),)
    return (Replica(),)
