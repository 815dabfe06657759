"""A PostgreSQL and a Redis that are restarted, and cut off: each in a network of its own, whose way back is lost."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from agentgauge import metrics
from stack import postgresql, redis_server
from stack.chaos.stage import Setting, Stage
from stack.layout import HOME, Layout

RESTARTS = 3
RESTART_PAUSE_SECONDS = 5.0


@dataclass(frozen=True)
class Island:
    """A network namespace with one server in it. Needs root and ip(8)."""

    name: str
    number: int

    @property
    def address(self) -> str:
        """Where its server listens."""
        return f"10.213.{self.number}.2"

    @property
    def within(self) -> tuple[str, ...]:
        """The command before a command that runs in it."""
        return ("ip", "netns", "exec", self.name)

    @contextmanager
    def there(self) -> Iterator[None]:
        """Make it for as long as the block runs; what runs in it has to end before."""
        here, inside = f"ag{self.number}h", f"ag{self.number}i"
        _ip("netns", "add", self.name)
        try:
            _ip("link", "add", here, "type", "veth", "peer", "name", inside, "netns", self.name)
            _ip("address", "add", f"10.213.{self.number}.1/30", "dev", here)
            _ip("link", "set", here, "up")
            self._ip("address", "add", f"{self.address}/30", "dev", inside)
            self._ip("link", "set", inside, "up")
            self._ip("link", "set", "lo", "up")
            yield
        finally:
            _ip("netns", "delete", self.name)

    @contextmanager
    def cut_off(self) -> Iterator[None]:
        """It has no way back: what is sent there is lost, and nothing and nobody answers, not even with a refusal."""
        network = f"10.213.{self.number}.0/30"
        self._ip("route", "delete", network)
        try:
            yield
        finally:
            self._ip("route", "add", network, "dev", f"ag{self.number}i", "src", self.address)

    def _ip(self, *arguments: str) -> None:
        _ip("-netns", self.name, *arguments)


POSTGRESQL, REDIS = (Island(f"agentgauge-{os.getpid()}-{number}", number) for number in (1, 2))


def needs_network() -> str:
    """Why no network can be made here; empty if one can."""
    if os.geteuid() != 0 or not shutil.which("ip"):
        return "a network of its own takes root and ip(8)"
    return ""


@contextmanager
def databases(layout: Layout) -> Iterator[Setting]:
    """The ledger is in a PostgreSQL, the cache in a Redis, each on an island."""
    with (
        POSTGRESQL.there(),
        REDIS.there(),
        postgresql.started(HOME, address=POSTGRESQL.address, within=POSTGRESQL.within) as database,
        redis_server.running(HOME, REDIS.address, REDIS.within) as cache,
    ):
        url = f"{database.url}postgres"
        yield Setting({"AGENTGAUGE_LEDGER": url, "AGENTGAUGE_CACHE": cache.url}, url, database, cache)


@contextmanager
def postgresql_restarts(stage: Stage) -> Iterator[None]:
    """PostgreSQL crashes and is started again, some times."""
    assert stage.setting.postgresql is not None  # noqa: S101 - the scene has one
    for number in range(RESTARTS):
        stage.setting.postgresql.restart()
        stage.pass_time(RESTART_PAUSE_SECONDS, f"PostgreSQL was restarted {number + 1} times")
    yield


@contextmanager
def postgresql_freezes(stage: Stage) -> Iterator[None]:
    """PostgreSQL keeps its connections, takes new ones, and answers nothing, as on a machine that swaps."""
    assert stage.setting.postgresql is not None  # noqa: S101 - the scene has one
    stage.setting.postgresql.freeze()
    try:
        yield
    finally:
        stage.setting.postgresql.freeze(thaw=True)


@contextmanager
def redis_restarts(stage: Stage) -> Iterator[None]:
    """Redis is killed and started again, some times; it forgets everything."""
    assert stage.setting.redis is not None  # noqa: S101 - the scene has one
    for number in range(RESTARTS):
        stage.setting.redis.stop()
        stage.pass_time(RESTART_PAUSE_SECONDS, f"Redis is down ({number + 1})")
        stage.setting.redis.start()
    yield


def is_cut_off(island: Island) -> Callable[[Stage], AbstractContextManager[None]]:
    """Nothing that is sent to the island is answered."""

    @contextmanager
    def cut(_stage: Stage) -> Iterator[None]:
        with island.cut_off():
            yield

    return cut


def tools_run_without_cache(stage: Stage) -> None:
    """People get through, and it shows that nothing was cached."""
    stage.people_get_through()
    bypassed = f'sum(increase({metrics.CACHE_REQUESTS.name}{{result="bypass"}}[1m]))'
    stage.wait_until(lambda: (stage.value(bypassed) or 0) > 0, f"{bypassed} is more than 0")
    stage.note(f'seen in `{metrics.CACHE_REQUESTS.name}{{result="bypass"}}`')


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)
