"""What ``make test-compose WRITE=1`` keeps: docs/containers.md, from the results that pytest writes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

from stack.chaos.results import machine
from stack.layout import ROOT

PAGE = ROOT / "docs" / "containers.md"

HEAD = """<!-- Written by `make test-compose WRITE=1`; do not edit. -->

# In containers

`make test-compose` builds the images, starts both profiles of `docker-compose.yml` on a real engine, causes a fault in
the demo, and restarts each service. What has to hold, and how long it took:

| what holds | seconds | |
|---|---|---|
"""
PINNED = "The images are those that `docker-compose.yml` pins."
STAND_INS = """\
No registry could be reached, so Debian's Python, Prometheus and Alertmanager stood in under the pinned names; the
files, users, rights, networks, volumes and health checks are those of `docker-compose.yml`. Debian has no Grafana: this
project's preview of the dashboards ran in its place. The workflow `ci` runs the same with the pinned images."""
TAIL = """
The first of each profile includes its start. Clocks {clocks}.
Measured on {day}: {machine}, {load} at the end.

{images}
"""


@dataclass(frozen=True)
class Held:
    """A test that passed: its name in words, of what, how long it took, and what it says of itself."""

    what: str
    of: str
    seconds: float
    says: str


def held(junit: Path) -> Iterator[Held]:
    """The tests in pytest's file, in their order. Raises ValueError if one did not pass."""
    for case in ElementTree.parse(junit).iter("testcase"):  # noqa: S314 - pytest wrote it, in this run
        name, _, of = case.get("name", "").removeprefix("test_").partition("[")
        if any(case.find(tag) is not None for tag in ("failure", "error", "skipped")):
            raise ValueError(f"{name} did not pass")
        says = ", ".join(f"{one.get('name')} {one.get('value')}" for one in case.iter("property"))
        yield Held(name.replace("_", " "), of.rstrip("]"), float(case.get("time", "0")), says)


def page(results: list[Held], speed: float, *, stand_ins: bool) -> str:
    """The page of the documentation: a row for each thing that holds, of however many services."""
    rows = []
    for what in dict.fromkeys(one.what for one in results):
        same = [one for one in results if one.what == what]
        seconds = sum(one.seconds for one in same)
        services = (f"{one.of} {one.seconds:.0f} s" for one in same if one.of and one.seconds >= 1)
        says = "; ".join((*services, *(one.says for one in same if one.says)))
        rows.append(f"| {what} | {seconds:.0f} | {says} |\n")
    end = TAIL.format(
        day=datetime.now(UTC).date(),
        machine=machine(),
        clocks="as in production" if speed == 1 else f"{speed:g} times as fast as in production",
        load=f"load {os.getloadavg()[0]:.0f}",
        images=STAND_INS if stand_ins else PINNED,
    )
    return HEAD + "".join(rows) + end
