"""How the rows went: shown in a terminal, and kept in a file that the docs are written from."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.table import Table

FILE = Path(__file__).with_name("results.json")
"""The last result of each row: `make chaos WRITE=1` renews those that it plays."""


@dataclass(frozen=True)
class Result:
    """How a row went: what was ``seen`` of it, and what was ``lost``; it survived if nothing was.

    ``not_run`` says why a row could not be played here. ``seconds`` is how long it took, ``on`` the day (ISO, UTC).
    """

    name: str
    seen: tuple[str, ...]
    lost: tuple[str, ...]
    seconds: int
    seed: int
    on: str
    machine: str
    not_run: str = ""

    @property
    def survived(self) -> bool:
        """Whether it was played, and nothing was lost."""
        return not self.lost and not self.not_run

    @property
    def verdict(self) -> str:
        """One word or two."""
        return "not run" if self.not_run else "survived" if self.survived else "LOST"


def machine() -> str:
    """This machine in plain words."""
    try:
        system = platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        system = platform.system()
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores, {gigabytes:.0f} GB of memory, {system}, Python {platform.python_version()}"


def table(results: Sequence[Result]) -> Table:
    """The results as people read them in a terminal."""
    made = Table("row", "", "seconds", "seen", "lost")
    for one in results:
        seen = one.not_run or "\n".join(one.seen)
        colour = "green" if one.survived else "yellow" if one.not_run else "red"
        lost = "\n".join(one.lost) or "nothing"
        made.add_row(one.name, f"[{colour}]{one.verdict}[/{colour}]", str(one.seconds), seen, lost)
    return made


def load(file: Path = FILE) -> dict[str, Result]:
    """Name of the row → its last result."""
    if not file.exists():
        return {}
    rows = json.loads(file.read_text(encoding="utf-8"))
    return {row["name"]: Result(**(row | {"seen": tuple(row["seen"]), "lost": tuple(row["lost"])})) for row in rows}


def keep(results: Iterable[Result], order: Sequence[str], file: Path = FILE) -> None:
    """Renew the results of these rows, and drop those of rows that are not in ``order`` any more."""
    kept = load(file) | {one.name: one for one in results}
    rows = [asdict(kept[name]) for name in order if name in kept]
    file.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


HEAD = """# What it survives

`make chaos` starts the real programs, lets simulated people work with the agent, and breaks things under them: the
table says how. While a row is played, further people ask for notes in the CRM, approve or reject them, and rate the
answers; they remember whatever the agent acknowledged. A row survives if

* each of them had an answer, or a refusal that says why; a connection may break only where a process is killed;
* every acknowledged decision and rating is in the ledger afterwards, and the chain of decisions is whole;
* everything that was approved was done once, or is shown to people as unresolved; nothing was done twice;
* what was to page did, late rather than never; and once the cause is gone, the agent works again.

Pages come sooner than in production: the windows are shortened. `make chaos ONLY=ledger` plays the rows whose name has
that word, `SEED=7` the same dice again, `SHORT=1` a few rows in some minutes, `WRITE=1` renews this page.
"""


def page(rows: Sequence[tuple[str, str]], results: Mapping[str, Result]) -> str:
    """The results as a page of the docs; ``rows`` are name and cause of each row there is, in their order."""
    there = [results[name] for name, _ in rows if name in results]
    survived = sum(one.survived for one in there)
    summary = f"{len(rows)} rows: {survived} survived, {sum(bool(one.lost) for one in there)} lost."
    columns = ("| row | what happens | | seen | played |", "|---|---|---|---|---|")
    return "\n".join([HEAD, summary, "", *columns, *_rows(rows, results), "", *_machines(there)])


def _rows(rows: Sequence[tuple[str, str]], results: Mapping[str, Result]) -> Iterator[str]:
    for name, what in rows:
        one = results.get(name)
        if one is None:
            yield f"| {name} | {what} | not played yet | | |"
            continue
        verdict = f"**{one.verdict}**" if one.lost else one.verdict
        seen = " ".join(("; ".join(one.lost or one.seen) or one.not_run).replace("|", "/").split())
        yield f"| {name} | {what} | {verdict} | {seen} | {one.on}, seed {one.seed} |"


def _machines(results: Sequence[Result]) -> list[str]:
    return [f"Played on {machine}." for machine in dict.fromkeys(one.machine for one in results)]
