"""Two processes of one agent and a third one that operates them, on one SQLite file and on one PostgreSQL."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from time import monotonic

import pytest

from agentgauge.ledger import Ledger
from agentgauge.ops import log, switches
from agentgauge.ops.asking import ask_each, merged
from agentgauge.ops.replicas import Replicas

AGENT = Path(__file__).with_name("agent.py")

SECONDS = 5.0
"""Within which every process of an agent follows."""

OPERATE = """
import sys
from agentgauge.ledger import Ledger
from agentgauge.ops import switches
from agentgauge.ops.operations import Operations
ledger, what = Ledger.open(sys.argv[1]), sys.argv[2]
if what == "end_session":
    Operations(ledger, "a").add("end_session", {"session": sys.argv[3]}, "ann", "it loops")
elif what == "cache_drop":
    Operations(ledger, "a").add("cache_drop", {"tool": None}, "ann", "stale")
else:
    switches.change(ledger, "a", lambda now: now.without(sys.argv[3]), "ann", "it lies")
ledger.close()
"""


class Running:
    """A process of the agent; what it says comes line by line."""

    def __init__(self, url: str) -> None:
        command = [sys.executable, "-W", "error", str(AGENT), url]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def says(self, seconds: float = 60.0) -> str:
        """The next line, waited for; queue.Empty if there is none within so many seconds."""
        return self._lines.get(timeout=max(0.01, seconds))

    def do(self, what: str) -> str:
        """Send a line; returns what it answers."""
        assert self.process.stdin is not None
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        return self.says()

    def end(self) -> None:
        """Let it end as it should, if it still runs."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        if self.process.poll() is None:
            self.process.stdin.write("end\n")
            self.process.stdin.close()
            self.process.wait(timeout=30)
            self._reader.join(timeout=10)
            self.process.stdout.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))


@pytest.fixture
def agents(url: str) -> Iterator[list[Running]]:
    """Two processes of agent ``a`` that have started."""
    Ledger.open(url).close()
    with ExitStack() as stack:
        running = [Running(url) for _ in range(2)]
        for one in running:
            stack.callback(one.process.kill)
            stack.callback(one.end)
        assert all(one.says().startswith("ready") for one in running)
        yield running


def operate(url: str, *arguments: str) -> None:
    """What the on-call does, in a process of its own."""
    subprocess.run([sys.executable, "-c", OPERATE, url, *arguments], check=True, timeout=60)


def all_say(agents: list[Running], expected: str) -> None:
    """Await a line from each agent, all within the promised time from now."""
    until = monotonic() + SECONDS
    assert [one.says(until - monotonic()) for one in agents] == [expected] * len(agents)


def test_a_switch_reaches_both_in_time_and_stays_for_those_who_start_later(agents: list[Running], url: str) -> None:
    """With who and why."""
    operate(url, "disable", "get_deals")
    all_say(agents, f"switched: {switches.Switches(disabled_tools=('get_deals',))}")
    late = Running(url)
    assert late.says() == f"ready {switches.Switches(disabled_tools=('get_deals',))}"
    late.end()
    with closing(Ledger.open(url)) as ledger:
        (entry,) = log.entries(ledger, "a")
        assert (entry.by, entry.why) == ("ann", "it lies")
        assert entry.what.startswith("tools off: get_deals;")


def test_a_session_is_ended_by_the_process_that_has_it(agents: list[Running], url: str) -> None:
    """Wherever that is: whoever ends it sees the sessions of both."""
    assert agents[0].do("session fine") == "opened fine"
    assert agents[1].do("session looping") == "opened looping"
    with closing(Ledger.open(url)) as ledger:
        replicas = Replicas(ledger, "a")
        rows = {row["id"]: row["replica"] for row in merged(ask_each(replicas, "sessions"))}
        assert rows.keys() == {"fine", "looping"}
        assert len(set(rows.values())) == 2
        operate(url, "end_session", "looping")
        all_say(agents[1:], "ended: looping True")
        assert [row["id"] for row in merged(ask_each(replicas, "sessions"))] == ["fine"]


def test_a_cache_in_each_process_is_dropped(agents: list[Running], url: str) -> None:
    """The next look-up asks the source."""
    for one in agents:
        assert [one.do("look-up"), one.do("look-up")] == ["executed", "from the cache"]
    with closing(Ledger.open(url)) as ledger:
        rows = merged(ask_each(Replicas(ledger, "a"), "cache"))
    assert [(row["tool"], row["entries"], row["hit_ratio"]) for row in rows] == [("get_deals", 1, 0.5)] * 2
    operate(url, "cache_drop")
    all_say(agents, "dropped: None")
    assert [one.do("look-up") for one in agents] == ["executed"] * 2


def test_a_process_that_ends_leaves_no_address_behind(agents: list[Running], url: str) -> None:
    """The other one is still found."""
    with closing(Ledger.open(url)) as ledger:
        replicas = Replicas(ledger, "a")
        assert len(replicas.live()) == 2
        agents[0].end()
        assert len(replicas.live()) == 1
