"""Processes that die: every one of the stack, and what pages go through while an alert fires."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import chain

from agentgauge import metrics
from stack import binaries, causes, native
from stack.chaos.stage import Stage
from stack.layout import HOME
from stack.services import services

OUTAGE = "AgentAllToolCallsFailing"
"""What pages when every tool fails."""
LONGEST_PAUSE_SECONDS = 3.0
"""Between two kills: some hit what has just come back, some what has run for a while."""


@contextmanager
def killed_at_random(stage: Stage) -> Iterator[None]:
    """kill -9, again and again: of each process once, the agent's included, and then of those that the dice choose."""
    killed: Counter[str] = Counter()
    names = sorted(stage.pids())
    order = chain(stage.rng.sample(names, len(names)), iter(lambda: stage.rng.choice(names), None))
    while killed.total() < stage.kills:
        service = next(order)
        with suppress(KeyError, ProcessLookupError):  # it died before, and waits to be started again
            os.kill(stage.pids()[service], signal.SIGKILL)
            killed[service] += 1
        stage.pass_time(stage.rng.uniform(0, LONGEST_PAUSE_SECONDS), f"{killed.total()} of {stage.kills} kills")
    stage.note(f"{killed.total()} kills: {', '.join(f'{name} {times}' for name, times in sorted(killed.items()))}")
    yield


def all_come_back(stage: Stage) -> None:
    """Every service answers again, and it shows that the agent was started again."""
    for service in services(stage.layout, binaries.ensure(HOME)):
        stage.wait_until(partial(native.answers, service), f"{service.name} answers again")
    starts = f"sum(changes({metrics.PROCESS_START.name}[1h]))"
    stage.wait_until(lambda: (stage.value(starts) or 0) > 0, f"{starts} is more than 0")
    stage.note(f"seen in `{metrics.PROCESS_START.name}`")


@contextmanager
def alertmanager_dies_while_an_alert_fires(stage: Stage) -> Iterator[None]:
    """Every tool fails; Alertmanager is killed, and hangs once it is started again."""
    with causes.fault("crm-outage")(stage.layout):
        stage.kill("alertmanager")
        with causes.frozen_alertmanager(stage.layout):
            stage.wait_until(lambda: stage.is_firing(OUTAGE), f"{OUTAGE} fires while Alertmanager hangs")
        yield


@contextmanager
def pager_dies_while_an_alert_fires(stage: Stage) -> Iterator[None]:
    """The pager hangs while every tool fails, and is killed before it has read what waits for it."""
    with causes.fault("crm-outage")(stage.layout):
        with causes.frozen_pager(stage.layout):
            stage.wait_until(lambda: stage.is_firing(OUTAGE), f"{OUTAGE} fires while the pager hangs")
            stage.pass_time(10, "Alertmanager has something to say, and the pager hangs")
            os.kill(stage.pid("pager"), signal.SIGKILL)
        yield


def pages_late(stage: Stage) -> None:
    """The page comes once its way is free again; no kill of the pager takes it back."""
    stage.wait_for_page(OUTAGE, stage.began)
    stage.kill("pager")
    stage.wait_until(lambda: bool(stage.pages(stage.began)), "the pager answers after another kill")
    stage.expect(OUTAGE in stage.pages(stage.began), f"the pager has forgotten the page of {OUTAGE}")
