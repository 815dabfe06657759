"""Two processes of one agent and a third one that operates them, on one SQLite file and on one PostgreSQL."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

import pytest

from agentgauge.ledger import Ledger
from agentgauge.ops import switches
from agentgauge.ops.replicas import Replicas

pytestmark = pytest.mark.e2e

AGENT = Path(__file__).with_name("agent.py")

SECONDS = 5.0
"""Within which every process of an agent follows."""


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
        with contextlib.suppress(OSError, ValueError):  # it was killed, or has ended already
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


def ops(url: str, *arguments: str, status: int = 0, **variables: str) -> str:
    """What `agentgauge ops …` prints for the on-call, in a process of its own and anywhere but where the agent runs."""
    return agentgauge(url, "ops", *arguments, status=status, **variables)


def agentgauge(url: str, *arguments: str, status: int = 0, **variables: str) -> str:
    """What any command prints there."""
    command = [sys.executable, "-m", "agentgauge", "--app", "operated_app:app", *arguments]
    with TemporaryDirectory() as state:
        env = os.environ | {"OPERATED_LEDGER": url, "OPERATED_STATE": state, "USER": "ann"} | variables
        ran = subprocess.run(
            command, env=env, cwd=AGENT.parent, capture_output=True, text=True, timeout=60, check=False
        )
    assert ran.returncode == status, ran.stderr
    return ran.stdout + ran.stderr


def all_say(agents: list[Running], expected: str) -> None:
    """Await a line from each agent, all within the promised time from now."""
    until = monotonic() + SECONDS
    assert [one.says(until - monotonic()) for one in agents] == [expected] * len(agents)


def test_a_switch_reaches_both_in_time_and_stays_for_those_who_start_later(agents: list[Running], url: str) -> None:
    """With who and why."""
    ops(url, "disable-tool", "get_deals", "--why", "it lies")
    all_say(agents, f"switched: {switches.Switches(disabled_tools=('get_deals',))}")
    late = Running(url)
    assert late.says() == f"ready {switches.Switches(disabled_tools=('get_deals',))}"
    late.end()
    (entry,) = json.loads(ops(url, "log", "--json"))
    assert (entry["by"], entry["why"]) == ("ann", "it lies")
    assert entry["what"].startswith("tools off: get_deals;")


def test_a_session_is_ended_by_the_process_that_has_it(agents: list[Running], url: str) -> None:
    """Wherever that is: whoever ends it sees the sessions of both."""
    assert agents[0].do("session fine") == "opened fine"
    assert agents[1].do("session looping") == "opened looping"
    rows = {row["id"]: row["replica"] for row in json.loads(ops(url, "sessions", "--json"))}
    assert rows.keys() == {"fine", "looping"}
    assert len(set(rows.values())) == 2
    assert all(replica in ops(url, "sessions") for replica in rows.values())
    ops(url, "end-session", "looping", "--reason", "it loops")
    all_say(agents[1:], "ended: looping True")
    assert [row["id"] for row in json.loads(ops(url, "sessions", "--json"))] == ["fine"]
    assert "there is no live session 'looping'" in ops(url, "end-session", "looping", status=1)


def test_a_cache_in_each_process_is_dropped(agents: list[Running], url: str) -> None:
    """The next look-up asks the source."""
    for one in agents:
        assert [one.do("look-up"), one.do("look-up")] == ["executed", "from the cache"]
    rows = json.loads(ops(url, "cache", "show", "--json"))
    assert [(row["tool"], row["entries"], row["hit_ratio"]) for row in rows] == [("get_deals", 1, 0.5)] * 2
    ops(url, "cache", "drop", "--tool", "get_deals")
    all_say(agents, "dropped: get_deals")
    assert [one.do("look-up") for one in agents] == ["executed"] * 2


def test_a_transcript_is_read_from_the_ledger_whichever_process_kept_it(agents: list[Running], url: str) -> None:
    """Also once that process is gone; live sessions over the limit are listed with it."""
    agents[0].do("session looping")
    assert agents[0].do("loop looping") == "kept looping"
    (row,) = json.loads(ops(url, "looping", "--json"))
    assert (row["id"], row["live"], "messages" in row) == ("looping", True, False)
    agents[0].process.kill()
    agents[0].process.wait(timeout=30)
    assert "looping" in ops(url, "looping")
    assert "user: hello\n" in agentgauge(url, "transcripts", "show", "looping")


def test_one_that_does_not_answer_is_said_and_the_others_are_shown(agents: list[Running], url: str) -> None:
    """It was killed a moment ago: the ledger still has its address."""
    agents[0].do("session lost")
    agents[1].do("session fine")
    agents[0].process.kill()
    agents[0].process.wait(timeout=30)
    shown = ops(url, "sessions")
    assert "does not answer" in shown
    assert "fine" in shown
    assert "lost" not in shown


def test_an_agent_that_does_not_run_is_said_with_what_to_do(url: str) -> None:
    """Switches can be set all the same: it starts with them."""
    assert "no process of a is registered in its ledger" in ops(url, "sessions", status=1)
    ops(url, "use-model", "small", "--why", "cheaper", USER="")
    (entry,) = json.loads(ops(url, "log", "--json"))
    assert entry["by"] not in ("", "unknown")  # a container often sets no USER
    late = Running(url)
    assert "model: small" in late.says()
    late.end()


def test_a_process_that_ends_leaves_no_address_behind(agents: list[Running], url: str) -> None:
    """The other one is still found."""
    with closing(Ledger.open(url)) as ledger:
        replicas = Replicas(ledger, "a")
        assert len(replicas.live()) == 2
        agents[0].end()
        assert len(replicas.live()) == 1
