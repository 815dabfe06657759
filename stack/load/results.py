"""What the load tests measured, kept in a file, and the page that says what follows from it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from agentgauge.ledger.store import LONGEST_WINDOW_DAYS
from alerts.promql import Duration
from bundle.configuration import INTERVAL

FILE = Path(__file__).with_name("results.json")
SCRAPE_SECONDS = Duration.parse(INTERVAL).seconds
FLEETS = (200, 2000, 10_000)
PEOPLE = 1_000_000


@dataclass(frozen=True)
class LoadResult:
    """One run: so many replicas, each with ``sessions_per_second`` divided among them, for ``seconds``.

    Durations are in seconds and memory in bytes, as Prometheus said them at the end; ``machine`` and ``load`` are the
    machine's, its load that of the beginning. ``slowest_scrape`` is the longest of one replica, ``rules`` what one
    evaluation of each group of rules took, added up, ``missed`` how many of these evaluations did not take place.
    """

    replicas: int
    seconds: float
    asked_sessions_per_second: float
    sessions_per_second: float
    added_p50: float
    added_p99: float
    up: int
    slowest_scrape: float
    rules: float
    missed: int
    series: int
    memory: int
    machine: str
    load: float


def load(file: Path = FILE) -> list[LoadResult]:
    """The last result for each number of replicas, fewest first; none where nothing was measured yet."""
    if not file.exists():
        return []
    return [LoadResult(**one) for one in json.loads(file.read_text(encoding="utf-8"))]


def keep(result: LoadResult, file: Path = FILE) -> None:
    """Put a result in the place of the earlier one for as many replicas."""
    others = [one for one in load(file) if one.replicas != result.replicas]
    kept = sorted([*others, result], key=lambda one: one.replicas)
    file.write_text(json.dumps([asdict(one) for one in kept], indent=2) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class Fleet:
    """What a number of replicas asks of Prometheus: series, samples a second, bytes of memory."""

    replicas: int
    series: int
    samples_per_second: float
    memory: float


def fleet(replicas: int, smallest: LoadResult, largest: LoadResult) -> Fleet:
    """In proportion to what each replica added between two runs; what does not grow with replicas is left as it is."""
    each = (largest.series - smallest.series) / (largest.replicas - smallest.replicas)
    series = round(smallest.series + each * (replicas - smallest.replicas))
    memory_each = (largest.memory - smallest.memory) / (largest.series - smallest.series)
    return Fleet(replicas, series, series / SCRAPE_SECONDS, smallest.memory + memory_each * (series - smallest.series))


def page(results: list[LoadResult]) -> str:
    """docs/scaling.md, without what has not been measured."""
    lines = ["# How far it goes", ""]
    lines += [
        "What many replicas cost, measured by `make load WRITE=1`: one process plays them, each with a registry",
        "and an address of its own, and Prometheus scrapes them and judges by all rules. In the process that plays",
        "many, they also wait for each other: what is added to a session is an upper bound.",
        "",
    ]
    if not results:
        return "\n".join([*lines, "Nothing is measured yet."])
    last = results[-1]
    lines += [
        f"Measured on {last.machine}; load {last.load:.0f} at the beginning of the largest run. With more load than "
        "cores, seconds say little beyond their order.",
        "",
    ]
    lines += [
        "| replicas | sessions/s | of those asked for | added to a session, p50 | p99 | answering | slowest scrape "
        "| one evaluation of each group of rules, added up | evaluations missed | series | memory of Prometheus |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
        *(_row(one) for one in results),
        "",
    ]
    lines += ["Where it breaks first, and how it says so: " + _first_break(results), ""]
    whole = [one for one in results if one.up == one.replicas]  # what is not scraped has no series
    if len(whole) > 1:
        lines += _arithmetic(whole)
    return "\n".join(lines)


def _row(one: LoadResult) -> str:
    share = one.sessions_per_second / one.asked_sessions_per_second
    return (
        f"| {one.replicas:,} | {one.sessions_per_second:.0f} | {share:.0%} | {one.added_p50 * 1e3:.2f} ms "
        f"| {one.added_p99 * 1e3:.2f} ms | {one.up:,} of {one.replicas:,} | {one.slowest_scrape * 1e3:,.0f} ms "
        f"| {one.rules * 1e3:,.0f} ms | {one.missed} | {one.series:,} | {one.memory / 1e6:,.0f} MB |"
    )


def _first_break(results: list[LoadResult]) -> str:
    for one in results:
        if one.up < one.replicas:
            return (
                f"with {one.replicas} replicas, {one.replicas - one.up} were not scraped in time. `up` is 0 for them, "
                "and `AgentExporterDown` pages. All replicas are one process here, which is what was too slow: "
                "replicas on hosts of their own do not wait for each other."
            )
        if one.missed:
            return (
                f"with {one.replicas} replicas, {one.missed} evaluations of a group of rules were late and left out. "
                "`prometheus_rule_group_iterations_missed_total` counts them, and pages come later."
            )
    return (
        f"not up to {results[-1].replicas} replicas. Beyond, scrapes that take too long come first: `up` is 0, and "
        "`AgentExporterDown` pages. Evaluations that take too long are counted in "
        "`prometheus_rule_group_iterations_missed_total`."
    )


def _arithmetic(results: list[LoadResult]) -> list[str]:
    smallest, largest = results[0], results[-1]
    each = (largest.series - smallest.series) / (largest.replicas - smallest.replicas)
    fleets = [fleet(replicas, smallest, largest) for replicas in FLEETS]
    return [
        "## What follows",
        "",
        f"A replica has {each:.0f} series: the difference between the runs of {smallest.replicas:,} and "
        f"{largest.replicas:,}, ({largest.series:,} − {smallest.series:,}) / "
        f"({largest.replicas:,} − {smallest.replicas:,}). "
        f"Each is a sample every {SCRAPE_SECONDS:.0f} s. Memory grows with the series as it did between the two runs.",
        "",
        "| replicas | series | samples/s | memory of one Prometheus |",
        "|---|---|---|---|",
        *(f"| {f.replicas:,} | {f.series:,} | {f.samples_per_second:,.0f} | {f.memory / 1e9:.1f} GB |" for f in fleets),
        "",
        "* **One Prometheus** is enough as long as its memory and one evaluation of all rules fit: nothing but this "
        "document is needed.",
        "* **Several, by team or by cluster**, need nothing either: each judges the agents that it scrapes.",
        "* **One agent whose replicas several Prometheus scrape** needs one place that judges: "
        "[remote write](operate.md#past-one-prometheus). Scrapes spread over as many Prometheus as you like there.",
        "",
        "People do not make series: there is one for each of the largest spenders, and no other carries a user. "
        f"{PEOPLE:,} people who come every day are as many rows a day in the ledger, {PEOPLE * LONGEST_WINDOW_DAYS:,} "
        f"in the {LONGEST_WINDOW_DAYS} days that the figures about users look back for. That is for PostgreSQL; SQLite "
        "is for one host.",
    ]
