"""Backup and restore of a stack: decisions, what the pager remembers, and the weeks in Prometheus."""

from __future__ import annotations

import contextlib
import sqlite3
import stat
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from agentgauge import metrics
from agentgauge.agent_app import AgentApp, Tool
from agentgauge.autonomy.action import Proposal
from agentgauge.ledger import Ledger
from agentgauge.ops.prometheus import Prometheus
from alerts.promql import fill
from dashboards.catalog import DASHBOARDS
from sample_agent.settings import AGENT
from sample_agent.simulator import backfill, recording
from sample_agent.simulator.blocks import Samples
from stack import backup, config
from stack.errors import StackError
from stack.layout import Layout, Ports
from stack.services import services

DAYS = 9
HOUR = 3600


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """The folder of a stack that has run: three decisions, what the pager remembers, a token."""
    made = Layout(Ports.free(), tmp_path / "one")
    made.state.mkdir(parents=True)
    with contextlib.closing(Ledger.open(f"sqlite:///{made.ledger}")) as ledger:
        autonomy = AgentApp(AGENT, ledger="sqlite://", tools=[Tool("send")]).autonomy(ledger)
        for _ in range(3):
            waiting = autonomy.actions.propose(Proposal("send", "high", "approval", {}, {}))
            autonomy.approvals.approve(waiting.id, "ann")
    with contextlib.closing(sqlite3.connect(made.pager_state)) as pager:
        pager.execute("PRAGMA journal_mode = WAL").close()
        pager.execute("CREATE TABLE page (alert TEXT)").close()
        pager.execute("INSERT INTO page VALUES ('AgentGone')").close()
        pager.commit()
    token = made.state / "people" / "pager-token"
    token.parent.mkdir()
    token.touch(mode=0o600)
    token.write_text("secret", encoding="utf-8")
    return made


@contextlib.contextmanager
def prometheus(layout: Layout, programs: dict[str, Path], *, snapshots: bool = True) -> Iterator[Prometheus]:
    """The stack's Prometheus, on the data that the folder has."""
    config.write(layout)
    (service,) = (one for one in services(layout, programs, snapshots=snapshots) if one.name == "prometheus")
    with subprocess.Popen(service.command, cwd=service.folder) as process:
        try:
            deadline = time.monotonic() + 180
            while not _is_ready(layout):
                assert process.poll() is None, "Prometheus ended"
                assert time.monotonic() < deadline, "Prometheus does not answer"
                threading.Event().wait(0.1)
            yield Prometheus(layout.prometheus, timeout_seconds=60)
        finally:
            recording.end(process)


def _is_ready(layout: Layout) -> bool:
    with contextlib.suppress(requests.RequestException):
        return requests.get(f"{layout.prometheus}/-/ready", timeout=60).ok
    return False


def make_weeks(layout: Layout, programs: dict[str, Path], now: int) -> None:
    """Days of users, as Prometheus would have them by now."""
    data = layout.folder / "prometheus"
    data.mkdir()
    labels = {"agent": AGENT, "job": "agents", "instance": "one"}
    times = range(now - DAYS * 24 * HOUR, now, HOUR)
    lines = [
        Samples(metrics.ACTIVE_USERS.name, labels | {"window": window}, [(at, users) for at in times])
        for window, users in (("1d", 20), ("7d", 40), ("28d", 60))
    ]
    backfill.write_blocks(backfill.Programs(programs["prometheus"], programs["promtool"]), [lines], data)


def shown(asked: Prometheus, now: int) -> list[Any]:
    """What the panels of the users' dashboard show of the last week."""
    found = []
    for panel in DASHBOARDS["users.json"].panels:
        for query in panel.queries:
            if "<active_users>" in query.expr and "<threshold>" not in query.expr:
                expr = fill(query.expr, where=f'agent="{AGENT}"')
                found += asked.get(
                    "query_range", {"query": expr, "start": now - 7 * 24 * HOUR, "end": now, "step": HOUR}
                )["result"]
    return found


def test_a_restored_stack_has_the_decisions_and_the_panels_of_the_week(
    layout: Layout, programs: dict[str, Path], tmp_path: Path
) -> None:
    """From one that runs into an empty one: the chain of decisions verifies, and Prometheus answers the same."""
    now, file, other = int(time.time()), tmp_path / "backup.tar", Layout(Ports.free(), tmp_path / "other")
    make_weeks(layout, programs, now)
    with prometheus(layout, programs) as running:
        before = shown(running, now)
        backup.back_up(layout, file, lambda _text: None, running=True)
    assert len(before) >= 3
    assert not list((layout.folder / "prometheus" / "snapshots").iterdir())
    backup.restore(other, file)
    with prometheus(other, programs) as restored:
        assert shown(restored, now) == before
    with contextlib.closing(Ledger.open(f"sqlite:///{other.ledger}")) as ledger:
        verified = AgentApp(AGENT, ledger="sqlite://", tools=[Tool("send")]).autonomy(ledger).decisions.verify()
        assert (verified.rows, verified.problems) == (3, ())


def test_of_a_stack_that_does_not_run_the_files_are_copied(layout: Layout, tmp_path: Path) -> None:
    """Databases as one file each, and every file as private as it was."""
    (layout.folder / "prometheus" / "wal").mkdir(parents=True)
    (layout.folder / "prometheus" / "lock").touch()
    file, other = tmp_path / "backup.tar", Layout(Ports(), tmp_path / "other")
    backup.back_up(layout, file, lambda _text: None, running=False)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup.tar", "one"]
    backup.restore(other, file)
    token = other.state / "people" / "pager-token"
    assert (token.read_text(encoding="utf-8"), stat.S_IMODE(token.stat().st_mode)) == ("secret", 0o600)
    with contextlib.closing(sqlite3.connect(other.pager_state)) as pager:
        assert pager.execute("SELECT alert FROM page").fetchall() == [("AgentGone",)]
    for database in (other.pager_state, other.ledger):
        assert stat.S_IMODE(database.stat().st_mode) == 0o600
    assert [path.name for path in (other.folder / "prometheus").iterdir()] == ["wal"]


def test_nothing_is_overwritten(layout: Layout, tmp_path: Path) -> None:
    """Neither an archive nor the data of a stack."""
    file = tmp_path / "backup.tar"
    backup.back_up(layout, file, lambda _text: None, running=False)
    with pytest.raises(StackError, match="exists already; name another file"):
        backup.back_up(layout, file, lambda _text: None, running=False)
    with pytest.raises(StackError, match="is not empty, and nothing is overwritten"):
        backup.restore(layout, file)


def test_a_prometheus_that_may_make_no_snapshot_says_what_to_do(
    layout: Layout, programs: dict[str, Path], tmp_path: Path
) -> None:
    """By default it may not, because whoever reaches its port could then delete series."""
    with (
        prometheus(layout, programs, snapshots=False),
        pytest.raises(StackError, match=r"python -m stack down.*SNAPSHOTS=1"),
    ):
        backup.back_up(layout, tmp_path / "backup.tar", lambda _text: None, running=True)
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_what_is_no_backup_of_a_stack_is_refused(tmp_path: Path) -> None:
    """And nothing is left of it."""
    layout = Layout(Ports(), tmp_path / "one")
    with tarfile.open(tmp_path / "other.tar", "w") as archive:
        archive.add(__file__, "something")
    with pytest.raises(StackError, match="is not a backup of a stack"):
        backup.restore(layout, tmp_path / "other.tar")
    (tmp_path / "text").write_text("text", encoding="utf-8")
    with pytest.raises(StackError, match="cannot be restored"):
        backup.restore(layout, tmp_path / "text")
    with pytest.raises(StackError, match="there is nothing to back up"):
        backup.back_up(layout, tmp_path / "backup.tar", lambda _text: None, running=False)
    assert not list(layout.folder.iterdir())
