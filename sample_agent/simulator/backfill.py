"""Writes a made-up history where the stack will find it: in Prometheus's data folder and, who came, in the ledger.

Decisions, audits and evaluations are left out of the ledger: what nobody decided must not earn a tool its autonomy, and
what never ran must not be the baseline of a deploy.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from agentgauge.ledger import Ledger
from agentgauge.ops.prometheus import PrometheusError
from sample_agent.simulator import blocks, history, recording
from sample_agent.simulator.blocks import PromtoolError, Samples
from sample_agent.simulator.history import History
from sample_agent.simulator.stories import Story

SCRAPE_JOB = "agents"

Say = Callable[[str], None]


class BackfillError(Exception):
    """No history was written; the message says why, and what to do."""


@dataclass(frozen=True)
class Programs:
    """Prometheus and promtool, of one version."""

    prometheus: Path
    promtool: Path

    @classmethod
    def find(cls, folder: Path) -> Programs:
        """The programs in this folder, else those on PATH; BackfillError if they are in neither."""
        where = os.pathsep.join([str(folder), os.environ.get("PATH", "")])
        found = [shutil.which(name, path=where) for name in ("prometheus", "promtool")]
        if None in found:
            raise BackfillError(
                f"there is no prometheus or promtool in {folder} or on PATH; `make up` brings them, once, "
                "or name their folder with --programs"
            )
        return cls(*(Path(name).absolute() for name in found if name))


@dataclass(frozen=True)
class Agent:
    """Whose history it is, with the labels by which Prometheus knows the running one."""

    name: str
    instance: str

    @property
    def labels(self) -> dict[str, str]:
        """Of every series scraped from it."""
        return {"agent": self.name, **self.target}

    @property
    def target(self) -> dict[str, str]:
        """Of the scrape target."""
        return {"job": SCRAPE_JOB, "instance": self.instance}


def backfill(
    story: Story,
    days: int,
    agent: Agent,
    ledger: Ledger,
    data: Path,
    programs: Programs,
    rule_files: list[Path],
    say: Say,
) -> None:
    """Write the story's last ``days`` days, up to now, for a Prometheus that is started on ``data`` thereafter.

    All of it or, if it raises, nothing. Raises BackfillError when there is data already, or a program fails.
    """
    _check_empty(agent, ledger, data)
    data.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=data.parent, prefix="history-") as temporary:
        folder = Path(temporary)
        try:
            say(f"making up {days} days")
            made_up = history.tell(story, days, datetime.now(UTC), ledger.pseudonym)
            say(f"writing {len(made_up.times):,} samples of each series")
            write_blocks(programs, parts_of(made_up, story, agent), folder)
            say("evaluating the recording rules and alerts on them")
            record(programs, rule_files, folder, made_up.times[0], made_up.times[-1])
        except (PromtoolError, PrometheusError) as error:
            raise BackfillError(str(error)) from error
        say("handing them to the ledger and Prometheus")
        ledger.add_usage(agent.name, made_up.usage)
        move_blocks(folder, data)


def parts_of(made_up: History, story: Story, agent: Agent) -> Iterator[Iterator[Samples]]:
    """The series of a history, in parts of one block each."""
    for part in made_up.parts(blocks.BLOCK_HOURS * 3600):
        yield _lines(part, story, agent)


def write_blocks(programs: Programs, parts: Iterable[Iterable[Samples]], folder: Path) -> None:
    """Turn each part into blocks in ``folder``: one part is written while promtool reads those before."""
    with ThreadPoolExecutor() as pool:
        made = []
        for number, part in enumerate(parts):
            file = folder / f"{number}.om"
            blocks.write_openmetrics(part, file)
            made.append(pool.submit(blocks.make_blocks, programs.promtool, file, folder))
        for block in made:
            block.result()


def record(
    programs: Programs, rule_files: list[Path], folder: Path, start: int, end: int, *, for_panels: bool = True
) -> None:
    """Add what the rules would have recorded from ``start`` to ``end`` (Unix seconds) to the blocks in ``folder``.

    Unless it is ``for_panels``, what no rule looks back on for days is recorded only as far as alerts are followed.
    """
    with recording.serving(programs.prometheus, folder, rule_files) as prometheus:
        rules = recording.loaded_rules(prometheus)
    lately = max(start, end - recording.RECENT_HOURS * 3600)
    whole = {rule.name for rule in rules} if for_panels else recording.looked_back_on(rules)
    for readable in recording.rounds(rules):
        with recording.serving(programs.prometheus, folder, rule_files) as prometheus:
            recorded = [
                *recording.records(prometheus, [rule for rule in readable if rule.name in whole], start, end),
                *recording.records(prometheus, [rule for rule in readable if rule.name not in whole], lately, end),
            ]
        write_blocks(programs, [recorded], folder)
    with recording.serving(programs.prometheus, folder, rule_files) as prometheus:
        states = list(recording.alert_states(prometheus, rules, end))
    write_blocks(programs, [states], folder)


def has_data(data: Path) -> bool:
    """Whether there is anything in Prometheus's data folder."""
    return data.exists() and any(data.iterdir())


def move_blocks(folder: Path, data: Path) -> None:
    """Move the finished blocks, and nothing else, into Prometheus's data folder."""
    data.mkdir(parents=True, exist_ok=True)
    for meta in folder.glob("*/meta.json"):
        meta.parent.rename(data / meta.parent.name)


def _lines(part: History, story: Story, agent: Agent) -> Iterator[Samples]:
    yield Samples("up", agent.target, [(at, 1) for at in part.times])
    for one, values in history.series(part, story):
        yield Samples(one.name, agent.labels | dict(one.labels), zip(part.times, values, strict=True))


def _check_empty(agent: Agent, ledger: Ledger, data: Path) -> None:
    if has_data(data):
        raise BackfillError(
            f"{data} holds data already, which a made-up history would mix with; "
            "stop the stack and remove the folder to start again, or name another with --prometheus-data"
        )
    if users := ledger.users(agent.name).active["28d"]:
        raise BackfillError(
            f"the ledger knows {users} users of {agent.name} already, whose usage a made-up history would add to; "
            "stop the stack and remove the ledger to start again, or name another with AGENTGAUGE_LEDGER"
        )
