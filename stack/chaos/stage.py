"""The stack on which rows are played: what a row does to it, waits for, and finds."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random

import requests

from agentgauge.ledger import Ledger
from agentgauge.ops.prometheus import Prometheus, PrometheusError
from stack.chaos.witness import Witness
from stack.layout import STATE_FILE, Layout
from stack.postgresql import PostgresServer
from stack.redis_server import RedisServer

PATIENCE_SECONDS = 600.0
"""How long to wait for anything: the machine may be busy, and a slow one loses nothing."""
SAID_EVERY_SECONDS = 8.0
ERRANDS = 3
"""So many people have to get through where the agent works."""

Say = Callable[[str], None]


class LostError(Exception):
    """What a row expects did not happen; the message says what."""


@dataclass(frozen=True)
class Setting:
    """What is there before a stack starts: variables of its services' environment, the ledger's URL, and servers."""

    env: Mapping[str, str]
    url: str
    postgresql: PostgresServer | None = None
    redis: RedisServer | None = None


@dataclass
class Stage:
    """A running stack, and what the row that is played on it since ``began`` has seen.

    ``kills`` is how many processes a row kills that kills at random.
    """

    layout: Layout
    setting: Setting
    ledger: Ledger
    witness: Witness
    rng: Random
    say: Say
    kills: int
    began: str = ""
    seen: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """That of the ledger."""
        return self.setting.url

    def note(self, text: str) -> None:
        """Say what was seen, and keep it for the table."""
        self.say(f"    {text}")
        self.seen.append(text)

    def expect(self, holds: bool, otherwise: str) -> None:
        """Note a loss unless it holds."""
        if not holds:
            self.say(f"    LOST: {otherwise}")
            self.lost.append(otherwise)

    def wait_until(self, is_so: Callable[[], bool], what: str, seconds: float = PATIENCE_SECONDS) -> float:
        """Wait, saying so every few seconds; returns the seconds it took. Raises LostError if it takes too long."""
        began = said = time.monotonic()
        while not is_so():
            now = time.monotonic()
            if now - began > seconds:
                raise LostError(f"{what}: not within {seconds:.0f} s")
            if now - said > SAID_EVERY_SECONDS:
                self.say(f"    {now - began:3.0f} s: waiting until {what}")
                said = now
            time.sleep(0.2)
        return time.monotonic() - began

    def people_get_through(self) -> float:
        """Wait until some have, from the question to the rating; returns the seconds it took. LostError if none do."""
        since = time.monotonic()
        return self.wait_until(
            lambda: sum(deed.rated for deed in self.witness.since(since)) >= ERRANDS, "people get through"
        )

    def pass_time(self, seconds: float, what: str) -> None:
        """Let something go on for a while, saying so."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.say(f"    {left:3.0f} s more: {what}")
            time.sleep(min(left, SAID_EVERY_SECONDS))

    def wait_for_page(self, alert: str, since: str, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until the alert has reached the pager since then, and note after how long; LostError if it does not."""
        took = self.wait_until(lambda: alert in self.pages(since), f"{alert} pages", seconds)
        self.note(f"`{alert}` paged after {took:.0f} s")

    def wait_for_one_of(self, alerts: Collection[str], since: str) -> None:
        """The same of one of several alerts."""
        took = self.wait_until(lambda: bool(self.pages(since) & set(alerts)), f"one of {', '.join(alerts)} pages")
        paged = ", ".join(f"`{alert}`" for alert in sorted(self.pages(since) & set(alerts)))
        self.note(f"{paged} paged after {took:.0f} s")

    def pages(self, since: str) -> frozenset[str]:
        """The alerts that reached the pager since then; none while it does not answer."""
        try:
            answer = requests.get(f"{self.layout.pager}/pages", timeout=10)
            answer.raise_for_status()
        except requests.RequestException:
            return frozenset()
        fresh = (page for page in answer.json() if page["status"] == "firing" and page["received_at"] >= since)
        return frozenset(str(page["alert"]) for page in fresh)

    def is_quiet(self, alert: str) -> bool:
        """Whether neither Prometheus nor the pager knows the alert: one that is known there does not page again."""
        try:
            incidents = requests.get(f"{self.layout.pager}/incidents", timeout=10).json()
        except requests.RequestException:
            return False
        known = {alarm["page"]["alert"] for incident in incidents for alarm in incident["alarms"]}
        return alert not in known and self.state(alert) == "quiet"

    def is_firing(self, alert: str) -> bool:
        """Whether Prometheus says that the alert fires; False while it does not answer."""
        return self.state(alert) == "firing"

    def state(self, alert: str) -> str:
        """``firing``, ``pending`` or ``quiet``, as Prometheus says; ``unknown`` while it does not answer."""
        try:
            alerts = Prometheus(self.layout.prometheus).alerts()
        except PrometheusError:
            return "unknown"
        states = {one["state"] for one in alerts if one["labels"]["alertname"] == alert}
        return "firing" if "firing" in states else "pending" if states else "quiet"

    def value(self, query: str) -> float | None:
        """The sum of what Prometheus answers; None if it has nothing, or does not answer."""
        try:
            samples = Prometheus(self.layout.prometheus).instant(query)
        except PrometheusError:
            return None
        return sum(sample.points[-1][1] for sample in samples) if samples else None

    def pid(self, service: str) -> int:
        """The pid of a service of this stack."""
        return self.pids()[service]

    def pids(self) -> dict[str, int]:
        """Service → pid of its latest process."""
        state = json.loads((self.layout.folder / STATE_FILE).read_text(encoding="utf-8"))
        return dict(state["services"])

    def kill(self, service: str) -> None:
        """kill -9, and wait until it is started again under another pid."""
        before = self.pid(service)
        os.kill(before, signal.SIGKILL)
        self.wait_until(lambda: self.pid(service) != before, f"{service} is started again")


def now() -> str:
    """The time as the pager writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@contextmanager
def saying(say: Say, what: str) -> Iterator[None]:
    """Say every few seconds that something is under way, as long as the block runs."""
    ended = threading.Event()

    def keep_saying() -> None:
        began = time.monotonic()
        while not ended.wait(SAID_EVERY_SECONDS):
            say(f"    {time.monotonic() - began:3.0f} s: {what}")

    thread = threading.Thread(target=keep_saying, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
