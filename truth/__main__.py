"""``python -m truth``: what the alerts can tell, measured with the real rules on made-up traffic."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from stack import binaries
from truth import curve, incidents, measure, plot, replay, report, traffic

ROOT = Path(__file__).resolve().parent.parent
PAGE, PICTURE = ROOT / "docs" / "truth.md", ROOT / "docs" / "truth.svg"
HEAD = """<!-- Written by `python -m truth --write`; do not edit. -->

# What the alerts can tell

A share over a window is a sample: with few events, a healthy agent looks bad now and then. The alerts on shares and
means therefore judge by how surprising the numbers are. This page says what that costs and brings.

The rules of `alerts/rules` were evaluated by {version} on made-up traffic: Poisson arrivals, binomial outcomes,
log-normal costs, office hours, weekends, deploys that reset counters, replicas that come and go. Volume ×1 is
{volume} an hour.
Everything was drawn with the seed {seed}; `make truth SEED=7` draws other histories and says what is not kept.
What comes before an incident of hours is scraped as seldom as the incident itself; the days and weeks before one that
needs them are scraped every {scrape} s and their rules evaluated every {step} s, and no alert is looked at in them.

"Found" is the share of the incidents for which one of the expected alerts paged while they lasted. The minutes are
medians: from the beginning of the incident, and from its end until no alert of the agent fires any more. What
Alertmanager mutes because its cause fires is not a page. An alert resolves falsely when it ends although the incident
lasts. A cost that creeps up looks usual beside its own weeks: only the budget of `AgentSpendOverBudget` finds it, on
the day that it is spent. `agentgauge truth --calls-per-hour 12` says what can work at your volume.

## What is asked, and kept

"Not kept" says that it is worse than asked, beyond what chance explains; "within chance", that the number is above the
limit, as it would be now and then if the limit were just kept. Where less is accepted than asked, the reason stands
beside it; `truth/limits.py` has them all. With scrapes of 60 s, and to end, it may take a minute more.
"""
FEW = """
This page holds the quick histories alone, `make truth SHORT=1`: scraped once a minute, at the agent's own volume, drawn
three times at most, nothing that needs days. A row without numbers was not drawn; `make truth WRITE=1` draws all.
"""
CURVE = """## Sooner, or more quietly

Every z of `thresholds.yml` can be lowered: faults are found sooner, and pages for nothing come more often. The dots are
{factors} times the numbers in force, the full ones the numbers themselves. This curve alone is from a model of the
formula of `{alert}`, not from the rules: it needs more weeks than they can be asked for.

![Minutes to find against false pages in four weeks, a line for each volume](truth.svg)
"""


def main() -> int:
    """Print what was measured, or write it to the docs; 1 if a limit is not kept."""
    parser = argparse.ArgumentParser(prog="python -m truth", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="another seed draws other histories")
    parser.add_argument("--short", action="store_true", help="the quick histories alone, in a minute")
    parser.add_argument("--only", default="", metavar="WORD", help="incidents with this word in their name, or alert")
    parser.add_argument("--write", action="store_true", help="write docs/truth.md and its picture")
    arguments = parser.parse_args()
    began = time.monotonic()
    prometheus = binaries.ensure(ROOT / ".stack", _say)["prometheus"]
    chosen = measure.cases(row for row in incidents.ALL if arguments.only in f"{row.name} {row.expects}")
    chosen = measure.short(chosen) if arguments.short else chosen
    _say(f"{len(chosen)} histories, {sum(one.kind == 'incident' for one in incidents.ALL)} incidents")
    outcomes = _replayed(chosen, arguments.seed, prometheus)
    _say(f"replayed after {time.monotonic() - began:.0f} s")
    judged = list(report.verdicts(outcomes))
    tables = [
        *report.verdict_table(judged),
        *("", "## Each alert", ""),
        *report.alert_table(outcomes),
        *("", "## Each incident", ""),
        *report.incident_table(outcomes),
        *("", "## Alerts without an incident", ""),
        *report.unmeasured(),
    ]
    sys.stdout.write("\n".join(tables) + "\n")
    if arguments.write:
        _write(tables, arguments.seed, prometheus, few=arguments.short)
    broken = [one for one in judged if one.kept is False]
    _say(f"{len(judged) - len(broken)} of {len(judged)} limits kept, after {time.monotonic() - began:.0f} s")
    for one in broken:
        _say(f"not kept: {one.what}: {one.measured}, at most {one.limit}")
    return 1 if broken else 0


def _replayed(cases: list[measure.Case], seed: int, prometheus: Path) -> list[measure.Outcome]:
    """What came of each history, under a bar on a terminal; elsewhere a line for each tenth of them."""
    outcomes = []
    columns = (TextColumn("histories"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("", total=len(cases))
        for outcome in measure.measure(cases, seed, prometheus, os.cpu_count() or 1):
            outcomes.append(outcome)
            progress.advance(bar)
            if not progress.console.is_terminal and len(outcomes) * 10 // len(cases) > (len(outcomes) - 1) * 10 // len(
                cases
            ):
                _say(f"{len(outcomes)} of {len(cases)} histories")
    return outcomes


def _write(tables: list[str], seed: int, prometheus: Path, *, few: bool) -> None:
    head = HEAD.format(
        version=_version(prometheus), volume=_volume(), seed=seed, scrape=traffic.COARSE_SCRAPE, step=replay.COARSE_STEP
    )
    factors = " ".join(f"{factor:g}" for factor in curve.FACTORS)
    end = CURVE.format(factors=factors, alert=curve.ALERT)
    PAGE.write_text("\n".join([head + (FEW if few else ""), *tables, "", end]), encoding="utf-8")
    PICTURE.write_text(plot.svg(curve.points(seed)), encoding="utf-8")


def _volume() -> str:
    of = traffic.usual(0)
    events = {"tool calls": sum(traffic.TOOLS.values())} | {
        name: of[name] for name in ("tasks", "sessions", "approvals", "ratings")
    }
    *first, last = [f"{number:g} {name}" for name, number in events.items()]
    return f"{', '.join(first)} and {last}"


def _version(prometheus: Path) -> str:
    result = subprocess.run([prometheus, "--version"], capture_output=True, text=True, check=True)
    return "Prometheus " + (result.stdout or result.stderr).split()[2].partition("+")[0]


def _say(text: str, end: str = "\n") -> None:
    sys.stderr.write(text + end)
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
