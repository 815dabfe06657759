"""Workers of real servers, two of them killed: what was counted is exact, and what is shown is true."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Thread

import pytest
import requests

from tests.ports import free_port

pytestmark = pytest.mark.e2e

AGENT = """
import asyncio, os, sys, time
from pathlib import Path
from agentgauge import AgentGauge

gauge = AgentGauge("a", tools=["t"], ledger=os.environ["LEDGER"])
if os.environ["METRICS_PORT"]:
    gauge.serve(int(os.environ["METRICS_PORT"]))


def work(path):
    user, action = path.strip("/").split("/")
    with gauge.session(user) as session, session.task() as task, task.turn():
        with gauge.tool_call("t", cost_usd=0.25):
            pass
        if action == "hang":
            Path(os.environ["HANGING"], f"{os.getpid()}-{user}").touch()
            time.sleep(600)
    return str(os.getpid()).encode()


def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [work(environ["PATH_INFO"])]


async def asgi(scope, receive, send):
    if scope["type"] == "http":
        body = await asyncio.to_thread(work, scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": body})
"""

GUNICORN = ("gunicorn", "--workers", "8", "--bind", "127.0.0.1:{port}", "agent:wsgi")
# By default, a worker that is busy for five seconds is killed, and a busy machine does that to it.
PATIENT = ("--timeout-worker-healthcheck", "60")
UVICORN = ("uvicorn", *PATIENT, "--workers", "4", "--port", "{port}", "--lifespan", "off", "agent:asgi")
PRELOADED = ("gunicorn", "--preload", "--workers", "4", "--bind", "127.0.0.1:{port}", "agent:wsgi")
USERS = 12


def until(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Wait for it; fail with what did not come. What was asked of a process that is being killed is asked again."""
    end = time.monotonic() + seconds
    while True:
        with suppress(requests.ConnectionError):
            if condition():
                return
        assert time.monotonic() < end, f"no {what} within {seconds:.0f} s"
        time.sleep(0.1)


class Server:
    """A server of several workers, asked as its users and its Prometheus ask it."""

    def __init__(self, port: int, metrics_port: int, hanging: Path) -> None:
        self.port = port
        self.metrics_port = metrics_port
        self.hanging = hanging

    def call(self, user: int, action: str = "call") -> int:
        """One request; the process that answered it."""
        return int(requests.get(f"http://127.0.0.1:{self.port}/rep-{user}/{action}", timeout=60).text)

    def calls(self, count: int) -> set[int]:
        """So many requests, four at a time; the processes that answered them."""
        with ThreadPoolExecutor(4) as pool:
            return set(pool.map(self.call, (number % USERS for number in range(count))))

    def scrape(self) -> str:
        """What the next scrape says; one that meets a worker as it is killed is refused, and the next one counts."""
        while True:
            with suppress(requests.ConnectionError):
                return requests.get(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=30).text

    def value(self, series: str) -> float:
        """The one sample of this series in the next scrape; -1 if it is not there."""
        samples = re.findall(rf"^{re.escape(series)} (\S+)$", self.scrape(), re.M)
        return float(samples[0]) if len(samples) == 1 else -1.0

    def hang(self, processes: int) -> dict[int, int]:
        """Requests that do not come back, until so many processes work on one; how many each has."""
        working: Counter[int] = Counter()
        while len(working) < processes:
            asked = working.total() + 1
            Thread(target=self._ask_in_vain, args=(asked,), daemon=True).start()
            until(partial(self._hang, asked), "request that hangs")
            working = Counter(int(path.name.partition("-")[0]) for path in self.hanging.iterdir())
        return working

    def _hang(self, count: int) -> bool:
        return len(list(self.hanging.iterdir())) == count

    def _ask_in_vain(self, user: int) -> None:
        with suppress(requests.RequestException):
            self.call(user, "hang")

    def answers(self) -> bool:
        """Whether it can be asked."""
        return self.call(0) > 0


@contextmanager
def running(command: tuple[str, ...], folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], Server]]:
    """The server as the documentation starts it, in a folder of its own."""
    for name in ("shared", "hanging"):
        (folder / name).mkdir()
    (folder / "agent.py").write_text(AGENT, encoding="utf-8")
    server = Server(free_port(), free_port(), folder / "hanging")
    environment = os.environ | {
        "PROMETHEUS_MULTIPROC_DIR": str(folder / "shared"),
        "HANGING": str(server.hanging),
        "LEDGER": f"sqlite:///{folder / 'ledger.sqlite'}",
        "METRICS_PORT": str(server.metrics_port),
    }
    arguments = [part.format(port=server.port) for part in command]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments], cwd=folder, env=environment, stdout=log, stderr=log, process_group=0
        )
        try:
            yield process, server
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.mark.parametrize("command", [GUNICORN, PRELOADED, UVICORN], ids=["gunicorn", "gunicorn preloaded", "uvicorn"])
def test_of_many_workers_two_are_killed_and_all_are_replaced(command: tuple[str, ...], tmp_path: Path) -> None:
    """No call is lost or counted twice, no session of the dead stays open, and the ledger's gauges are the ledger's."""
    calls = 'agent_tool_calls_total{agent="a",outcome="success",tool="t"}'
    active, users = 'agent_sessions_active{agent="a"}', 'agent_active_users{agent="a",window="1d"}'
    with running(command, tmp_path) as (process, server):
        until(server.answers, "answer")
        before = server.value(calls)
        first = server.calls(200)
        assert server.value(calls) == before + 200
        until(lambda: server.value(users) == USERS, "users")  # a second of them is lost with a worker that is killed
        hanging = server.hang(2)
        asked = sum(hanging.values())
        assert server.value(active) == asked
        for pid in hanging:
            os.kill(pid, signal.SIGKILL)
        until(lambda: server.value(active) == 0, "end of the dead workers' sessions")
        assert server.value('agent_turn_oldest_in_flight_seconds{agent="a"}') == 0
        assert server.value(calls) == before + 200 + asked
        process.send_signal(signal.SIGHUP)  # every worker is replaced
        until(lambda: server.call(0) not in first, "new worker")
        until(lambda: server.value(users) == USERS, "users")
        before = server.value(calls)
        server.calls(100)
        assert server.value(calls) == before + 100
        assert server.value(active) == 0
        assert len(re.findall(r"^agent_user_cost_usd{", server.scrape(), re.M)) == 10


def test_workers_of_another_agent_do_not_share_the_port(tmp_path: Path) -> None:
    """Half of the scrapes would show the one, half the other."""
    serve = "import sys; from agentgauge import AgentGauge; url = AgentGauge('a').serve(int(sys.argv[1])).url"
    port = str(free_port())

    def worker(folder: str, then: str) -> subprocess.Popen[str]:
        (tmp_path / folder).mkdir(exist_ok=True)
        environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / folder)}
        command = [sys.executable, "-c", f"{serve}; {then}", port]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True)

    first = worker("ours", "print(url, flush=True); sys.stdin.read()")
    assert first.stdout is not None
    assert first.stdout.readline().strip().endswith(f":{port}/metrics")
    _, complaint = worker("theirs", "pass").communicate(timeout=60)
    assert f"port {port} for /metrics is in use" in complaint
    second = worker("ours", "print(url, flush=True); sys.stdin.read()")
    assert second.stdout is not None
    assert second.stdout.readline().strip().endswith(f":{port}/metrics")
    first.communicate(timeout=60)
    assert requests.get(f"http://127.0.0.1:{port}/metrics", timeout=30).status_code == 200
    second.communicate(timeout=60)
