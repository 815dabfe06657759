"""What the agent and its monitoring stand on: the model provider, scrapes, Prometheus's disk, the clock."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agentgauge import metrics
from agentgauge.ledger.store import RETENTION_DAYS
from stack import causes, debian
from stack.chaos import agents
from stack.chaos.ledgers import filled
from stack.chaos.stage import Stage
from stack.layout import HOME

BLIND = "AgentExporterDown"
"""What pages when Prometheus cannot scrape the agent."""
NO_AGENT = ("AgentExporterDown", "AgentExporterAbsent", "AgentGone")
"""One of these pages when Prometheus cannot keep what it scrapes."""
MODEL_FAILS = ("AgentLLMErrorsHigh", "AgentTaskCompletionLow", "AgentHung", "AgentLatencySpike")
"""One of these pages when the provider does not answer."""
HANGS_SECONDS = 60.0
"""How long the provider hangs at least."""
JUMPS_SECONDS = (7200, -7200)
AHEAD_SECONDS = 3600
FAR_SECONDS = 4 * RETENTION_DAYS * 86_400


@contextmanager
def scrapes_time_out(stage: Stage) -> Iterator[None]:
    """What Prometheus scrapes takes its connections and never answers; the agent itself goes on."""
    with (
        socket.create_server(("127.0.0.1", 0), backlog=64) as silent,
        causes.scraping(stage.layout, silent.getsockname()[1]),
    ):
        yield


def blindness_pages(stage: Stage) -> None:
    """Somebody is paged, and meanwhile people get through."""
    stage.wait_for_page(BLIND, stage.began)
    stage.people_get_through()


@contextmanager
def provider_hangs(stage: Stage) -> Iterator[None]:
    """The provider stops in the middle of its streams: connections stay open, and nothing comes."""
    pid = stage.pid("fake-api")
    os.killpg(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(pid, signal.SIGCONT)


def hanging_pages(stage: Stage) -> None:
    """Whoever asks is told that the model cannot be reached, and somebody is paged."""
    stage.pass_time(HANGS_SECONDS, "the provider hangs")
    stage.wait_for_one_of(MODEL_FAILS, stage.began)


@contextmanager
def full_prometheus_disk(stage: Stage) -> Iterator[None]:
    """Not a byte is left on the disk of Prometheus, for some time."""
    with filled(stage.layout.folder / "prometheus"):
        yield
    known = metrics.BUILD_INFO.name
    stage.wait_until(lambda: stage.value(known) is not None, "Prometheus keeps again what it scrapes")


def blindness_pages_without_disk(stage: Stage) -> None:
    """Prometheus goes on to evaluate its rules, so somebody is paged that it has nothing fresh to evaluate."""
    stage.wait_for_one_of(NO_AGENT, stage.began)
    stage.people_get_through()


@contextmanager
def clock_jumps(stage: Stage) -> Iterator[None]:
    """The clock of an agent jumps two hours ahead and back again, and one of its replicas is an hour ahead."""
    ahead = stage.layout.folder / "ahead"
    jumping = stage.layout.folder / "jumping"
    _set_clock(jumping, 0)
    _set_clock(ahead, AHEAD_SECONDS)
    with (
        agents.replica(stage, "jumping-clock", env=_faked(jumping)) as one,
        agents.replica(stage, "clock-ahead", env=_faked(ahead)) as other,
        agents.talking_to(stage, lambda: stage.rng.choice((one.url, other.url))),
    ):
        for seconds in (*JUMPS_SECONDS, 0):
            _set_clock(jumping, seconds)
            took = stage.people_get_through()
            stage.note(f"people get through {took:.0f} s after a jump to {seconds:+} s")
        yield


@contextmanager
def clock_far_ahead(stage: Stage) -> Iterator[None]:
    """A replica starts with a clock for which all that people ever decided has expired."""
    far = stage.layout.folder / "far"
    _set_clock(far, FAR_SECONDS)
    with agents.replica(stage, "clock-far-ahead", env=_faked(far)):
        yield


def nothing_expires(stage: Stage) -> None:
    """It says why it deletes nothing; that the decisions are there is checked of every row."""
    log = stage.layout.logs / "clock-far-ahead.log"
    said = "nothing is deleted from the ledger"
    stage.wait_until(lambda: said in log.read_text(encoding="utf-8"), "the replica says that its clock is in doubt")
    stage.note(f'its log says "{said}", and why')


def leases_hold(stage: Stage) -> None:
    """What one replica carries out for some seconds is not carried out by the one whose clock says that it is over."""
    with causes.fault("slow-tool", agents.WRITER)(stage.layout):
        stage.people_get_through()


def _faked(file: Path) -> dict[str, str]:
    """The environment of a process whose clock is as the file says; its monotonic clock is the real one."""
    return {
        "LD_PRELOAD": str(_library()),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }


def _set_clock(file: Path, seconds: int) -> None:
    new = file.with_suffix(".new")
    new.write_text(f"{seconds:+}\n", encoding="utf-8")
    new.replace(file)


def _library() -> Path:
    """libfaketime, unpacked from the distribution's package. StackError if it cannot be had."""
    folder = HOME / "debian" / "usr" / "lib"
    with debian.one_at_a_time(HOME):
        if not (there := list(folder.glob("*/faketime/libfaketimeMT.so.1"))):
            debian.unpack(["libfaketime"], HOME, lambda _text: None, instead="put libfaketime there")
            there = list(folder.glob("*/faketime/libfaketimeMT.so.1"))
    return there[0]
