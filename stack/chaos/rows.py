"""The rows: what breaks, what has to hold meanwhile, and the stacks on which they are played."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace

from stack.chaos import agents, killing, ledgers, networks, surroundings
from stack.chaos.stage import Setting, Stage
from stack.layout import Layout


@dataclass(frozen=True)
class Row:
    """``cause`` breaks something for as long as its block runs, ``check`` says what has to hold meanwhile.

    ``quiet`` are alerts that may not be on their way before it begins. ``breaks`` says that processes die, so that
    connections may break. ``short`` rows are in the short form.
    """

    name: str
    what: str
    cause: Callable[[Stage], AbstractContextManager[None]]
    check: Callable[[Stage], object]
    quiet: tuple[str, ...] = ()
    breaks: bool = False
    short: bool = False


@dataclass(frozen=True)
class Scene:
    """Rows that share a stack, one after the other. ``not_here`` says why it cannot be played on this machine."""

    rows: tuple[Row, ...]
    setting: Callable[[Layout], AbstractContextManager[Setting]]
    not_here: Callable[[], str] = lambda: ""


@contextmanager
def usual(layout: Layout) -> Iterator[Setting]:
    """The stack as `make up` runs it."""
    yield Setting({}, f"sqlite:///{layout.ledger}")


@contextmanager
def ledger_on_small_disk(layout: Layout) -> Iterator[Setting]:
    """The ledger has a disk of its own."""
    disk = layout.folder / "disk"
    with ledgers.small_disk(disk, 32):
        url = f"sqlite:///{disk / 'ledger.sqlite'}"
        yield Setting({"AGENTGAUGE_LEDGER": url}, url)


@contextmanager
def prometheus_on_small_disk(layout: Layout) -> Iterator[Setting]:
    """Prometheus has a disk of its own."""
    with ledgers.small_disk(layout.folder / "prometheus", 128), usual(layout) as setting:
        yield setting


def needs_root() -> str:
    """Why mounts cannot be made; empty if they can."""
    return "" if os.geteuid() == 0 else "a disk of its own size takes root"


SCENES: tuple[Scene, ...] = (
    Scene(
        (
            Row(
                "locked ledger",
                "another program holds the lock of the ledger's file",
                ledgers.locked,
                ledgers.agent_goes_on,
                quiet=(ledgers.UNWRITTEN,),
                short=True,
            ),
            Row(
                "read-only ledger",
                "the ledger's file can be read and not written",
                ledgers.read_only,
                ledgers.agent_goes_on,
                quiet=(ledgers.UNWRITTEN,),
            ),
            Row(
                "Alertmanager down",
                "Alertmanager is killed and hangs while every tool fails",
                killing.alertmanager_dies_while_an_alert_fires,
                killing.pages_late,
                quiet=(killing.OUTAGE,),
            ),
            Row(
                "pager down",
                "the pager hangs and is killed while every tool fails, and is killed again after the page",
                killing.pager_dies_while_an_alert_fires,
                killing.pages_late,
                quiet=(killing.OUTAGE,),
            ),
            Row(
                "SIGTERM amid an approval",
                "the agent is ended while it does what people have just approved",
                agents.ended_amid_approvals,
                agents.nothing_is_unresolved,
                breaks=True,
            ),
            Row(
                "killed between effect and record",
                "an agent is killed when a note is in the CRM, before it can say so",
                agents.killed_between_effect_and_record,
                agents.a_person_is_asked,
                quiet=(agents.UNRESOLVED,),
            ),
            Row(
                "rolling update",
                "an agent is replaced by another while requests wait for their approvals",
                agents.rolling_update,
                Stage.people_get_through,
            ),
            Row(
                "scrape that times out",
                "what Prometheus scrapes takes its connections and never answers",
                surroundings.scrapes_time_out,
                surroundings.blindness_pages,
                quiet=(surroundings.BLIND,),
            ),
            Row(
                "provider hangs",
                "the model provider stops in the middle of its streams",
                surroundings.provider_hangs,
                surroundings.hanging_pages,
                quiet=surroundings.MODEL_FAILS,
            ),
            Row(
                "clock jumps",
                "the clock of an agent jumps by two hours, and one of its replicas is an hour ahead",
                surroundings.clock_jumps,
                surroundings.leases_hold,
            ),
            Row(
                "clock far ahead",
                "an agent starts whose clock is a year ahead: by it, all decisions are older than they are kept",
                surroundings.clock_far_ahead,
                surroundings.nothing_expires,
            ),
            Row(
                "kill -9",
                "processes of the stack are killed at random, one after the other",
                killing.killed_at_random,
                killing.all_come_back,
                breaks=True,
                short=True,
            ),
            Row(
                "newer schema",
                "a later version changes the ledger's schema while this one works on it",
                agents.newer_schema,
                agents.both_versions_work,
            ),
        ),
        usual,
    ),
    Scene(
        (
            Row(
                "full disk: ledger",
                "not a byte is left on the disk of the ledger",
                ledgers.full_disk,
                ledgers.agent_goes_on,
                quiet=(ledgers.UNWRITTEN,),
            ),
        ),
        ledger_on_small_disk,
        needs_root,
    ),
    Scene(
        (
            Row(
                "full disk: Prometheus",
                "not a byte is left on the disk of Prometheus",
                surroundings.full_prometheus_disk,
                surroundings.blindness_pages_without_disk,
                quiet=surroundings.NO_AGENT,
            ),
        ),
        prometheus_on_small_disk,
        needs_root,
    ),
    Scene(
        (
            Row(
                "PostgreSQL restarted",
                "the ledger's PostgreSQL crashes and is started again",
                networks.postgresql_restarts,
                Stage.people_get_through,
            ),
            Row(
                "PostgreSQL cut off",
                "nothing that is sent to the ledger's PostgreSQL is answered",
                networks.is_cut_off(networks.POSTGRESQL),
                ledgers.agent_goes_on,
                quiet=(ledgers.UNWRITTEN,),
            ),
            Row(
                "PostgreSQL frozen",
                "the ledger's PostgreSQL is stopped where it is: it keeps its connections and answers nothing",
                networks.postgresql_freezes,
                ledgers.agent_goes_on,
                quiet=(ledgers.UNWRITTEN,),
            ),
            Row(
                "Redis restarted",
                "the cache's Redis is killed and started again",
                networks.redis_restarts,
                Stage.people_get_through,
            ),
            Row(
                "Redis cut off",
                "nothing that is sent to the cache's Redis is answered",
                networks.is_cut_off(networks.REDIS),
                networks.tools_run_without_cache,
            ),
        ),
        networks.databases,
        networks.needs_network,
    ),
)
ROWS = tuple(row for scene in SCENES for row in scene.rows)


def chosen(only: str = "", short: bool = False) -> list[Scene]:
    """The scenes with the rows whose name has this word, and of the short form alone if ``short``."""
    scenes = []
    for scene in SCENES:
        rows = tuple(row for row in scene.rows if only.lower() in row.name.lower() and (row.short or not short))
        if rows:
            scenes.append(replace(scene, rows=rows))
    return scenes
