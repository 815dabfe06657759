"""What can go wrong, and how it is put right: the faults of the demo, and what befalls the stack around the agent."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml
from sqlalchemy import update

from agentgauge.evals.history import EvalHistory, Trial, Version, VersionStanding
from agentgauge.ledger import Ledger, Usage
from agentgauge.ledger.schema import EVAL_RUNS
from agentgauge.ops import switches
from agentgauge.prompts.activations import PromptActivations
from sample_agent import faults
from sample_agent.settings import AGENT
from stack.errors import StackError
from stack.layout import ROOT, STATE_FILE, Layout, Ports
from stack.services import environment

Cause = Callable[[Layout], AbstractContextManager[None]]
"""Something that is wrong for as long as the block runs."""

BY = "the drill"
UNPRICED_MODEL = "claude-mythos-preview"
MISSING_PROMPTS = "v99"
SPENDER = "rep-1"
SUITE = "sales"
EVALUATED_SECONDS = 420.0


def fault(name: str, tool: str | None = None) -> Cause:
    """One of the demo's faults is in force."""

    @contextmanager
    def in_force(layout: Layout) -> Iterator[None]:
        faults.inject(layout.state, faults.Fault(name, tool))
        try:
            yield
        finally:
            faults.clear(layout.state, name)

    return in_force


@contextmanager
def nothing(layout: Layout) -> Iterator[None]:
    """Nothing needs to happen: it lies in the past of the stack, or always is."""
    yield


@contextmanager
def unpriced_model(layout: Layout) -> Iterator[None]:
    """The agent plans with a model that has no price."""
    with _ledger(layout) as ledger:
        before = switches.in_force(ledger, AGENT).model
        switches.change(ledger, AGENT, lambda now: now.with_model(UNPRICED_MODEL), BY, "to see the page")
    try:
        yield
    finally:
        with _ledger(layout) as ledger:
            switches.change(ledger, AGENT, lambda now: now.with_model(before), BY, "the page was seen")


def switch_back(layout: Layout) -> None:
    """Undo what a runbook switched, so that the next drill finds the agent as it was."""
    with _ledger(layout) as ledger:
        switches.change(ledger, AGENT, lambda _now: switches.Switches(), BY, "the drill is over")


@contextmanager
def frozen_agent(layout: Layout) -> Iterator[None]:
    """The agent's process hangs: it keeps its ports and answers nothing."""
    with _frozen(layout, "agent"):
        yield


@contextmanager
def frozen_alertmanager(layout: Layout) -> Iterator[None]:
    """Alertmanager hangs: it keeps its port and takes no alert."""
    with _frozen(layout, "alertmanager"):
        yield


@contextmanager
def frozen_pager(layout: Layout) -> Iterator[None]:
    """The pager hangs: it keeps its port and reads no page."""
    with _frozen(layout, "pager"):
        yield


@contextmanager
def failing_rule(layout: Layout) -> Iterator[None]:
    """Somebody wrote a rule into a file that can be read and fails whenever it is evaluated: many series match many."""
    rule = {"record": "drill:up:squared", "expr": "up * on () up"}

    def with_rule(text: str) -> str:
        groups = yaml.safe_load(text)["groups"]
        return yaml.safe_dump({"groups": [*groups, {"name": "drill", "rules": [rule]}]})

    with _configured(layout, "prometheus", with_rule, "rules/stack.yml"):
        yield


@contextmanager
def bad_prometheus_config(layout: Layout) -> Iterator[None]:
    """Somebody wrote a word into prometheus.yml that it does not know, and let it be read."""
    with _configured(layout, "prometheus", lambda text: f"{text}\nscrape_confgis: []\n"):
        yield


@contextmanager
def bad_alertmanager_config(layout: Layout) -> Iterator[None]:
    """Somebody wrote a word into alertmanager.yml that it does not know, and let it be read."""
    with _configured(layout, "alertmanager", lambda text: f"{text}\nreciever: page\n"):
        yield


@contextmanager
def refusing_pager(layout: Layout) -> Iterator[None]:
    """Alertmanager has an address for the pages at which nobody listens."""
    nobody = f"http://127.0.0.1:{Ports.free().pager}"
    with _configured(layout, "alertmanager", lambda text: text.replace(layout.pager, nobody)):
        yield


@contextmanager
def _configured(layout: Layout, service: str, change: Callable[[str], str], name: str = "") -> Iterator[None]:
    """The service runs with a changed file of its configuration, or has refused it."""
    file = layout.etc / (name or f"{service}.yml")
    before = file.read_text(encoding="utf-8")
    file.write_text(change(before), encoding="utf-8")
    _reload(layout, service)
    try:
        yield
    finally:
        file.write_text(before, encoding="utf-8")
        _reload(layout, service)


def _reload(layout: Layout, service: str) -> None:
    os.kill(_pid(layout, service), signal.SIGHUP)


@contextmanager
def _frozen(layout: Layout, service: str) -> Iterator[None]:
    pid = _pid(layout, service)
    os.killpg(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):  # killed meanwhile
            os.killpg(pid, signal.SIGCONT)


def _pid(layout: Layout, service: str) -> int:
    return int(json.loads((layout.folder / STATE_FILE).read_text(encoding="utf-8"))["services"][service])


@contextmanager
def no_targets(layout: Layout) -> Iterator[None]:
    """A deploy left Prometheus without any agent to scrape."""
    with scraping(layout):
        yield


@contextmanager
def lost_agent(layout: Layout) -> Iterator[None]:
    """A deploy took the agent out of its job; something else in the job goes on, here Prometheus itself."""
    with scraping(layout, layout.ports.prometheus):
        yield


@contextmanager
def crash_loop(layout: Layout) -> Iterator[None]:
    """Beside the agent, a replica of it dies two seconds after each start."""
    port = Ports.free().metrics
    ended = threading.Event()

    def start_again_and_again() -> None:
        while not ended.is_set():
            with _replica(port, "time.sleep(2)") as replica:
                replica.wait()

    starter = threading.Thread(target=start_again_and_again)
    starter.start()
    try:
        with scraping(layout, layout.ports.metrics, port):
            yield
    finally:
        ended.set()
        starter.join()


@contextmanager
def hung_turn(layout: Layout) -> Iterator[None]:
    """Beside the agent, a replica of it has a turn that does not end."""
    port = Ports.free().metrics
    turn = "with gauge.session() as session, session.task() as task, task.turn(): time.sleep(3600)"
    with _replica(port, turn), scraping(layout, layout.ports.metrics, port):
        yield


@contextmanager
def old_prices(layout: Layout) -> Iterator[None]:
    """Beside the agent, a replica of it has a price file that nobody has looked at since last year."""
    port = Ports.free().metrics
    file = layout.folder / "old-prices.yml"
    file.write_text(f"as_of: {datetime.now(UTC).year - 1}-01-01\nmodels: {{}}\n", encoding="utf-8")
    with _replica(port, "time.sleep(3600)", prices=str(file)), scraping(layout, layout.ports.metrics, port):
        yield


MCP_CLIENT = """
import itertools, socket
def ask(method, fails=False):
    try:
        with gauge.mcp_operation("orders", method):
            socket.create_connection(("127.0.0.1", {server}), timeout=1).close()
            if fails:
                raise TimeoutError
    except OSError:
        pass
for number in itertools.count():
    ask("ping")
    if {asks}:
        ask("tools/call", fails=number % 4 == 0)
    time.sleep(0.1)
"""
"""A client that asks a stand-in for an MCP server, which speaks no MCP: it is there, or it is not."""


@contextmanager
def dead_mcp_server(layout: Layout) -> Iterator[None]:
    """Beside the agent, an idle replica of it pings a server that has gone away; mended when that replica is gone."""
    port, server = Ports.free().metrics, Ports.free().pager
    client = MCP_CLIENT.format(server=server, asks=False)
    with _replica(port, client), scraping(layout, layout.ports.metrics, port):
        yield


@contextmanager
def failing_mcp_server(layout: Layout) -> Iterator[None]:
    """Beside the agent, a replica of it asks a server that is there, and fails one request in four."""
    port = Ports.free().metrics
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        taker = threading.Thread(target=_take_connections, args=(server,), daemon=True)
        taker.start()
        client = MCP_CLIENT.format(server=server.getsockname()[1], asks=True)
        with _replica(port, client), scraping(layout, layout.ports.metrics, port):
            yield


def _take_connections(server: socket.socket) -> None:
    with suppress(OSError):  # closed at the end
        while True:
            server.accept()[0].close()


@contextmanager
def _replica(port: int, does: str, prices: str | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """One more process of the agent, which shows its metrics there and runs this line."""
    program = (
        "import time\nfrom agentgauge import AgentGauge\n"
        f"gauge = AgentGauge({AGENT!r}, prices={prices!r}, mcp_servers=['orders'])\n"
        f"gauge.serve({port})\n{does}"
    )
    with subprocess.Popen([sys.executable, "-c", program]) as process:
        try:
            yield process
        finally:
            process.terminate()


@contextmanager
def scraping(layout: Layout, *ports: int) -> Iterator[None]:
    """Prometheus finds these ports of this machine, and no other, in the job of the agents."""
    targets = layout.etc / "targets" / "agents.yml"
    before = targets.read_text(encoding="utf-8")
    targets.write_text(json.dumps([{"targets": [f"127.0.0.1:{port}" for port in ports]}]) + "\n", encoding="utf-8")
    try:
        yield
    finally:
        targets.write_text(before, encoding="utf-8")


@contextmanager
def killed_agent(layout: Layout) -> Iterator[None]:
    """An agent is killed between a note in the CRM and its record; mended by looking there and saying so."""
    before = _notes(layout)
    program = [
        sys.executable,
        "-m",
        "stack.killed_agent",
        str(layout.state),
        f"http://127.0.0.1:{layout.ports.fake_api}",
    ]
    killed = subprocess.run(program, cwd=ROOT, env=environment(layout), capture_output=True, text=True, check=False)
    if killed.returncode != -signal.SIGKILL:
        raise RuntimeError(f"the agent was to be killed while it acts, and ended with {killed.stderr.strip()}")
    try:
        yield
    finally:
        for action in json.loads(_agentgauge(layout, "approvals", "unresolved", "--json")):
            found = "--happened" if _notes(layout) - before else "--did-not-happen"
            _agentgauge(layout, "approvals", "settle", action["id"], found, "--why", "looked for the note in the CRM")


def _notes(layout: Layout) -> Counter[tuple[str, str]]:
    """The notes of the CRM: of which account, and what they say."""
    with closing(sqlite3.connect(layout.state / "crm.sqlite")) as crm:
        return Counter(crm.execute("SELECT account_id, text FROM notes").fetchall())


def _agentgauge(layout: Layout, *arguments: str) -> str:
    """What a command prints that somebody on call gives."""
    command = [sys.executable, "-m", "agentgauge", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environment(layout) | {"USER": BY}, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


@contextmanager
def locked_ledger(layout: Layout) -> Iterator[None]:
    """Another program holds the ledger's lock, so that the agent cannot write what it measured."""
    with locked(layout.ledger):
        yield


@contextmanager
def locked(ledger: Path) -> Iterator[None]:
    """Another program holds the lock of a ledger in this file."""
    with closing(sqlite3.connect(ledger, isolation_level=None, timeout=30)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            connection.execute("ROLLBACK")


@contextmanager
def missing_prompts(layout: Layout) -> Iterator[None]:
    """Somebody put a version of the prompts in force that was never deployed."""
    with _ledger(layout) as ledger:
        PromptActivations(ledger, AGENT).activate(MISSING_PROMPTS, BY, "to see the page")
    try:
        yield
    finally:
        with _ledger(layout) as ledger:
            activations = PromptActivations(ledger, AGENT)
            in_force = activations.active()
            if in_force is not None and in_force.version == MISSING_PROMPTS:  # nobody followed the runbook
                activations.rollback(BY, "the page was seen")


@contextmanager
def costly_user(layout: Layout) -> Iterator[None]:
    """One user has spent six dollars today; mended by taking them off the account."""
    with _ledger(layout) as ledger:
        ledger.add_usage(AGENT, {(ledger.today(), SPENDER): Usage(cost_usd=6.0)})
    try:
        yield
    finally:
        with _ledger(layout) as ledger:
            ledger.add_usage(AGENT, {(ledger.today(), SPENDER): Usage(cost_usd=-6.0)})


@contextmanager
def disturbed_evaluation(layout: Layout) -> Iterator[None]:
    """The live version fails a scenario in two trials of three, by chance; mended by evaluating it again."""
    with _ledger(layout) as ledger:
        history = EvalHistory(ledger, AGENT)
        live = _evaluated(history)
        passed = dict.fromkeys(live.results, 3)
        _add_run(layout, Version("before", live.version.prompt, live.version.model), passed, days_ago=1)
        _add_run(layout, live.version, passed | {min(passed): 1})
    yield


@contextmanager
def forgotten_evaluations(layout: Layout) -> Iterator[None]:
    """The job that evaluates hangs, and its last run was eight days ago; mended by running the suite by hand."""
    with _ledger(layout) as ledger:
        _evaluated(EvalHistory(ledger, AGENT))
        with _frozen(layout, "evals"):
            ago = timedelta(days=8).total_seconds()
            at = {name: EVAL_RUNS.c[name] - ago for name in ("started_at", "finished_at")}
            with ledger.writing() as connection:
                connection.execute(update(EVAL_RUNS).values(at))
            yield


def _evaluated(history: EvalHistory) -> VersionStanding:
    """How the live version stands, once the nightly job has run for the first time."""
    deadline = time.monotonic() + EVALUATED_SECONDS
    while (standing := history.standing(SUITE)) is None:
        if time.monotonic() > deadline:
            raise StackError(f"the nightly evaluations did not finish within {EVALUATED_SECONDS:.0f} s")
        time.sleep(1)
    return standing


def _add_run(layout: Layout, version: Version, passed: dict[str, int], days_ago: float = 0) -> None:
    """A run of three trials each, of which so many passed."""
    then = datetime.now(UTC) - timedelta(days=days_ago)
    with closing(Ledger.open(f"sqlite:///{layout.ledger}", now=lambda: then)) as ledger:
        history = EvalHistory(ledger, AGENT)
        run = history.start(SUITE, version, "drill", live=True)
        for scenario, often in passed.items():
            for number in range(1, 4):
                fine = number <= often
                failures = () if fine else ("missing tool",)
                history.add(run, Trial(scenario, number, float(fine), fine, 2, 0.01, 0.0, 1.0, failures, {}))
        history.finish(run, "passed" if all(often == 3 for often in passed.values()) else "failed")


def _ledger(layout: Layout) -> closing[Ledger]:
    return closing(Ledger.open(f"sqlite:///{layout.ledger}"))
