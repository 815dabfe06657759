"""``make test-first-run``: from a clone to the first page on an empty Debian, as somebody who has just got it.

Each system is played three times: with nothing fetched before, as a second clone, and once more in that clone. There
is no second page there: the pager knows of the first.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from stack.chaos.results import machine
from stack.errors import StackError
from stack.layout import HOME, ROOT, Ports, check_free
from tests.containers import empty, engine
from tests.containers.empty import EmptySystem
from tests.containers.engine import say

PAGE = ROOT / "docs" / "first-run.md"
RELEASES = {"bookworm": "3.11", "trixie": "3.13"}
"""Code name of Debian → its Python."""
OFFSETS: tuple[int, ...] = tuple(range(20_000, 50_000, 1_000))
PATIENCE_SECONDS = 1800.0
BUSY = 2.0 * (os.cpu_count() or 1)
"""A load with which the page is not written: a run alone has less."""

STORY = """\
set -e
rm -f over
[ -e {folder} ] || git clone --quiet /srv/agentgauge.git {folder}
cd {folder}
make up OFFSET={offset} & up=$!
until [ -e .stack/stack.json ]; do kill -0 $up; sleep 0.2; done
.venv/bin/python -m sample_agent fault inject looping
until [ -e ~/over ]; do kill -0 $up; sleep 0.2; done
.venv/bin/python -m sample_agent fault clear
make down
wait $up
"""
REFUSED = """\
git clone --quiet /srv/agentgauge.git refused
(cd refused && make up)
rm -rf refused
"""
READY, UP, PAGED = "looking for Prometheus", "Everything is up", "PAGE AgentSessionLooping"
"""What is said when the environment is there, when every service answers, and when the page is there."""


@dataclass(frozen=True)
class Run:
    """One way to a page: seconds to each step from the clone on, the longest silence on it, and what it cost in CPU."""

    release: str
    name: str
    ready: float
    up: float
    page: float | None
    silence: float
    cpu: float


def main() -> int:
    """Play and print the page, or write it; 1 if one of the ways leads to no page."""
    parser = argparse.ArgumentParser(prog="python -m tests.containers.first_run", description=__doc__)
    parser.add_argument("--only", choices=[*RELEASES], help="this release of Debian; default: each")
    parser.add_argument("--write", action="store_true", help="write docs/first-run.md")
    asked = parser.parse_args()
    load = os.getloadavg()[0]
    try:
        why = engine.obstacle()
        if why:
            raise StackError(f"no empty system can be made: {why}")
        runs = [run for release in ([asked.only] if asked.only else RELEASES) for run in _played(release)]
    except StackError as error:
        say(f"error: {error}")
        return 1
    text = page(runs)
    busiest = max(load, os.getloadavg()[0])
    say(text)
    if asked.write and busiest > BUSY:
        say(f"{PAGE.name} was not written: with a load of {busiest:.0f}, seconds say nothing about an idle machine")
        return 1
    if asked.write:
        PAGE.write_text(text, encoding="utf-8")
    return 0


def _played(release: str) -> list[Run]:
    folder = HOME / "first-run"
    folder.mkdir(parents=True, exist_ok=True)
    system = empty.make(release, folder)
    try:
        _check_refusals(system)
        return [
            _run(system, "nothing fetched before", "first", PAGED),
            _run(system, "a second clone", "second", PAGED),
            _run(system, "once more in that clone", "second", UP),
        ]
    finally:
        shutil.rmtree(system.root)


def _check_refusals(system: EmptySystem) -> None:
    """StackError if a program that is not installed is not said in one line, with what to do."""
    library = f"usr/lib/python{RELEASES[system.release]}"
    for missing, wanted in (
        (f"{library}/ensurepip", "apt-get install python3-venv"),
        (f"usr/bin/python{RELEASES[system.release]}", "Python 3.11 or newer is needed"),
    ):
        path = system.root / missing
        hidden = path.rename(path.with_name("hidden"))
        process = system.start(
            "git clone --quiet /srv/agentgauge.git refused && cd refused && make up; rm -rf ~/refused"
        )
        said, _ = process.communicate(timeout=PATIENCE_SECONDS)
        hidden.rename(path)
        errors = [line for line in said.splitlines() if line.startswith("error: ")]
        if len(errors) != 1 or wanted not in errors[0] or "Traceback" in said:
            raise StackError(f"without {missing}, {system.release} does not say {wanted!r} in one line:\n{said}")
        say(f"{system.release} without {path.name}: {errors[0]}")


def _run(system: EmptySystem, name: str, folder: str, last: str) -> Run:
    """From the clone, if there is none yet, until its output has the ``last`` of the steps."""
    say(f"\n{system.release}, Python {RELEASES[system.release]}: {name}")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = system.start(STORY.format(folder=folder, offset=_free_offset()))
    guard = threading.Timer(PATIENCE_SECONDS, process.kill)
    guard.start()
    seen: dict[str, float] = {}
    silence, began = 0.0, time.monotonic()
    latest, tail = began, deque[str](maxlen=20)
    for line in process.stdout or ():
        now = time.monotonic()
        say(f"{now - began:6.1f} s  {line.rstrip()}")
        tail.append(line)
        if UP not in seen:
            silence, latest = max(silence, now - latest), now
        seen |= {what: now - began for what in (READY, UP, PAGED) if what in line and what not in seen}
        if last in seen:
            (system.home / "over").touch()
    status = process.wait()
    guard.cancel()
    if status or last not in seen:
        raise StackError(f"{system.release}, {name}: not {last!r}; status {status}, and at last:\n{''.join(tail)}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(system.release, name, seen[READY], seen[UP], seen.get(PAGED), silence, cpu)


def _free_offset() -> int:
    """How far the ports are moved: the empty system has this machine's network, and maybe something listens there."""
    first = os.getpid() % len(OFFSETS)  # another run may look at the same time
    for offset in OFFSETS[first:] + OFFSETS[:first]:
        try:
            check_free(asdict(Ports().shifted(offset)))
        except StackError:
            continue
        return offset
    raise StackError("no ports are free")


HEAD = """<!-- Written by `make test-first-run WRITE=1`; do not edit. -->

# The first run

From `git clone` to the first page, as somebody who has just got this repository: on an empty Debian, after
`apt-get install {installed}`, without root and without Docker. It runs `make up`, breaks the agent as soon
as everything is up (`fault inject looping`), and waits for the page. A second clone finds the packages in uv's cache.

| Debian, Python | | environment | everything is up | first page | longest silence | CPU |
|---|---|---|---|---|---|---|
"""
TAIL = """
Seconds from the clone on; CPU is that of all processes until everything was stopped. What is missing is said in one
line, with what to install: it is tried without `python3-venv`, and without any Python.

Measured on {day}: {machine}.
The system is unpacked from Debian's packages, the clone comes from this machine, and packages come through its network.
Ubuntu's packages are not on Debian's mirrors: the workflow `ci` takes Ubuntu's own image.
"""


def page(runs: Sequence[Run]) -> str:
    """The page of the documentation."""
    rows = []
    for one in runs:
        cells = [f"{one.release}, {RELEASES[one.release]}", one.name]
        times = (one.ready, one.up, one.page, one.silence, one.cpu)
        cells += ["" if seconds is None else f"{seconds:.0f} s" for seconds in times]
        rows.append(f"| {' | '.join(cells)} |\n")
    head = HEAD.format(installed=" ".join(empty.INSTALLED))
    return head + "".join(rows) + TAIL.format(day=datetime.now(UTC).date(), machine=machine())


if __name__ == "__main__":
    sys.exit(main())
