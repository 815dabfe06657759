"""The rows: what breaks, what has to hold meanwhile, and how one is played and judged."""

from __future__ import annotations

import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import requests

from agentgauge.ledger import Ledger
from stack import native, story
from stack.chaos import agents, killing, ledgers, networks, surroundings
from stack.chaos.results import Result, machine
from stack.chaos.stage import LostError, Say, Setting, Stage, now, saying
from stack.chaos.witness import Deed, RefusedError, Witness, losses, unfinished
from stack.layout import Layout, Ports

SPEED = 20.0
"""How much faster than real the clocks of rules and Alertmanager run."""
PACE = 3.0
KILLS, KILLS_IN_SHORT = 100, 12
SETTLED_SECONDS = 300.0
"""By when everything approved has an end, or is shown as unresolved: leases run on real clocks."""


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
                "kill -9",
                "processes of the stack are killed at random, one after the other",
                killing.killed_at_random,
                killing.all_come_back,
                breaks=True,
                short=True,
            ),
        ),
        usual,
    ),
    # Its last row leaves a ledger that this version does not open again.
    Scene(
        (
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
                networks.lost_ledger_pages,
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


def run(scenes: Sequence[Scene], seed: int, kills: int, say: Say) -> list[Result]:
    """Play the rows of these scenes, one stack after the other."""
    return [result for scene in scenes for result in _play(scene, seed, kills, say)]


def _play(scene: Scene, seed: int, kills: int, say: Say) -> list[Result]:
    """The results of its rows; where the stack breaks, those that were not played are lost."""
    if why := scene.not_here():
        return [_result(row, seed, 0.0, not_run=why) for row in scene.rows]
    results: list[Result] = []
    try:
        with tempfile.TemporaryDirectory(prefix="agentgauge-chaos-", ignore_cleanup_errors=True) as folder:
            layout = Layout(Ports.free(), Path(folder), SPEED)
            with scene.setting(layout) as setting:
                with saying(say, "starting a stack"):
                    stack = native.temporary(layout, lambda _line: None, pace=PACE, env=setting.env)
                    stack.__enter__()
                try:
                    with saying(say, "waiting until the agent works"):
                        story.wait_until_working(layout)
                    results += [_play_row(layout, setting, row, seed, kills, say) for row in scene.rows]
                finally:
                    stack.__exit__(None, None, None)
    except Exception as error:  # the results of the other stacks are not lost for it
        say(f"the stack BROKE OFF: {type(error).__name__}: {error}")
        why = f"the stack broke off: {error}"
        results += [_result(row, seed, 0.0, lost=(why,)) for row in scene.rows[len(results) :]]
    return results


def _play_row(layout: Layout, setting: Setting, row: Row, seed: int, kills: int, say: Say) -> Result:
    rng = Random(f"{seed} {row.name}")  # noqa: S311 - dice, not secrets
    witness = Witness(layout, row.name.replace(" ", "-").replace(":", ""), rng)
    began = time.monotonic()
    say(f"{row.name}: {row.what}")
    # Opened before anything breaks: what happens to the ledger's schema does not keep us from looking.
    with closing(Ledger.open(setting.url)) as ledger:
        stage = Stage(layout, setting, ledger, witness, rng, say, kills)
        _break(stage, row)
        _judge(stage, row)
    result = _result(row, seed, time.monotonic() - began, tuple(stage.seen), tuple(stage.lost))
    say(f"{row.name}: {result.verdict}")
    return result


def _break(stage: Stage, row: Row) -> None:
    """Let people work while the row's cause is there, and see whether they can again once it is gone."""
    stage.witness.start()
    try:
        stage.wait_until(lambda: all(stage.is_quiet(alert) for alert in row.quiet), "all is quiet")
        stage.began = now()
        with row.cause(stage):
            row.check(stage)
        stage.note(f"works again {stage.people_get_through():.0f} s after the cause was gone")
    except (LostError, RefusedError, requests.RequestException) as lost:
        stage.expect(False, f"{type(lost).__name__}: {lost}")
    finally:
        with saying(stage.say, "letting everybody hear what became of their request"):
            stage.witness.stop()


def _judge(stage: Stage, row: Row) -> None:
    deeds = stage.witness.deeds
    stage.note(_in_words(deeds))
    for deed in deeds:
        stage.expect(not deed.hung, f"{deed.user} had neither an answer nor a refusal")
        stage.expect(row.breaks or not deed.broken, f"the connection of {deed.user} broke: {deed.broken}")
        if deed.refused is not None:
            status, error = deed.refused
            stage.expect(status != 500, f"{deed.user} was refused with status {status}: {error}")

    def all_have_ended() -> bool:
        return not unfinished(deeds, stage.ledger, stage.layout)

    try:
        stage.wait_until(all_have_ended, "what was approved has an end", SETTLED_SECONDS)
    except LostError as lost:
        stage.expect(False, str(lost))
    for loss in losses(deeds, stage.ledger, stage.layout):
        stage.expect(False, loss)


def _in_words(deeds: Sequence[Deed]) -> str:
    """How many people got through, and why the others did not."""
    refusals = Counter(deed.refused for deed in deeds if deed.refused is not None)
    parts = [f"{len(deeds)} people", f"{sum(deed.rated for deed in deeds)} got through"]
    parts += [f'{times} read "{error}"' for (_status, error), times in refusals.most_common()]
    if broken := sum(bool(deed.broken) for deed in deeds):
        parts.append(f"{broken} lost the connection")
    return ", ".join(parts)


def _result(
    row: Row, seed: int, seconds: float, seen: tuple[str, ...] = (), lost: tuple[str, ...] = (), not_run: str = ""
) -> Result:
    on = datetime.now(UTC).date().isoformat()
    return Result(row.name, seen, lost, round(seconds), seed, on, machine(), not_run)
