"""The control endpoint: who is answered and who is not, what is told, and that each process is found."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.routing import Mount

from agentgauge import AgentGauge
from agentgauge.ledger import Ledger
from agentgauge.ops.asking import ask_each, merged
from agentgauge.ops.control import MOST_AT_ONCE, Control
from agentgauge.ops.operations import Operations
from agentgauge.ops.replicas import Replica, Replicas
from sample_agent.serving import serving


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A ledger in a file: what is tested here does not depend on the database."""
    return f"sqlite:///{tmp_path / 'ledger.sqlite'}"


@pytest.fixture
def gauge(registry: CollectorRegistry, ledger: Ledger) -> Iterator[AgentGauge]:
    """An agent whose usage is kept in the ledger."""
    with closing(AgentGauge("a", tools=["t"], version="1.7", registry=registry, ledger=ledger)) as made:
        yield made


@pytest.fixture
def base(gauge: AgentGauge) -> Iterator[str]:
    """Where it serves."""
    with closing(gauge.serve(port=0)) as server:
        yield server.url.removesuffix("/metrics")


@pytest.fixture
def replicas(ledger: Ledger) -> Replicas:
    """Those of agent ``a``, as the people who operate it see them."""
    return Replicas(ledger, "a")


def bearer(replicas: Replicas) -> dict[str, str]:
    """The header that the only replica asks for."""
    (replica,) = replicas.live()
    return {"Authorization": f"Bearer {replicas.token(replica.id)}"}


def test_a_process_that_serves_is_found_in_the_ledger_until_it_closes(
    gauge: AgentGauge, base: str, replicas: Replicas
) -> None:
    """With its address and version; no port or host has to be known."""
    (replica,) = replicas.live()
    assert (replica.address, replica.version) == (base, "1.7")
    gauge.close()
    assert replicas.live() == []


def test_closing_the_server_takes_the_address_out_of_the_ledger(gauge: AgentGauge, replicas: Replicas) -> None:
    """The agent may go on without it."""
    gauge.serve(port=0).close()
    assert replicas.live() == []


@pytest.mark.parametrize("path", ["sessions", "cache", "nothing"])
@pytest.mark.parametrize(
    "authorization", [None, "Bearer ", "Bearer None", "Bearer 00", "Basic cHJvbTpwdw==", "Bearer ü"]
)
def test_without_the_token_of_the_ledger_nothing_is_told(base: str, path: str, authorization: str | None) -> None:
    """Not even whether there is such a page."""
    headers = {} if authorization is None else {"Authorization": authorization.encode()}
    answer = requests.get(f"{base}/control/{path}", headers=headers, timeout=5)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, 'Bearer realm="control"')
    assert "token" in answer.json()["error"]


def test_the_token_of_another_replica_is_refused(base: str, replicas: Replicas) -> None:
    """A port that another process took over gets nothing that is of use anywhere else."""
    headers = {"Authorization": f"Bearer {replicas.token('another')}"}
    assert requests.get(f"{base}/control/sessions", headers=headers, timeout=5).status_code == 401


def test_a_request_under_a_foreign_host_name_is_refused(base: str, replicas: Replicas) -> None:
    """A website whose name leads to loopback reads nothing, whatever it sends."""
    headers = bearer(replicas) | {"Host": "evil.example"}
    assert requests.get(f"{base}/control/sessions", headers=headers, timeout=5).status_code == 421


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_it_only_reads(base: str, replicas: Replicas, method: str) -> None:
    """What people change goes through the ledger."""
    answer = requests.request(method, f"{base}/control/sessions", headers=bearer(replicas), timeout=5)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET")


def test_metrics_are_served_beside_it_as_before(gauge: AgentGauge, base: str) -> None:
    """The token is for control alone, the password for metrics."""
    assert "agent_sessions_active" in requests.get(f"{base}/metrics", timeout=5).text
    with closing(gauge.serve(port=0, password="s3cret")) as server:
        assert requests.get(server.url, timeout=5).status_code == 401
        assert ask_each(Replicas(gauge.ledger, "a"), "sessions")[0].body == []  # type: ignore[arg-type]  # it has one


def test_an_agent_without_a_ledger_tells_nothing(registry: CollectorRegistry) -> None:
    """There is no secret that its people share with it."""
    gauge = AgentGauge("a", registry=registry)
    with closing(gauge.serve(port=0)) as server:
        path = server.url.replace("/metrics", "/control/sessions")
        assert requests.get(path, timeout=5).text.startswith("# HELP")  # any path gives the metrics
    with pytest.raises(ValueError, match="the control endpoint needs a ledger"):
        gauge.mount_control("http://127.0.0.1:8030")


def test_live_sessions_are_told_with_what_the_on_call_needs(gauge: AgentGauge, base: str, replicas: Replicas) -> None:
    """Most tool calls first, from open to close; not who the users are."""
    with gauge.session("rep-1", session_id="calm"), gauge.session("rep-2", session_id="busy") as busy:
        for _ in range(gauge.limits.tool_calls + 1):
            busy.add_tool_call()
        rows = requests.get(f"{base}/control/sessions", headers=bearer(replicas), timeout=5).json()
        shown = [(row["id"], row["tool_calls"], row["is_over_tool_calls"]) for row in rows]
        assert shown == [("busy", gauge.limits.tool_calls + 1, True), ("calm", 0, False)]
        assert rows[0].keys() == {"id", "age_seconds", "turns", "tool_calls", "cost_usd", "is_over_tool_calls"}
    assert requests.get(f"{base}/control/sessions", headers=bearer(replicas), timeout=5).json() == []


def test_a_session_that_people_end_is_closed_and_the_agent_is_told(gauge: AgentGauge, ledger: Ledger) -> None:
    """Only that one; the agent can tell its user why."""
    ended: list[str] = []
    gauge.on_session_ended(lambda session: ended.append(session.id))
    with gauge.session(session_id="looping") as looping, gauge.session(session_id="fine") as fine:
        Operations(ledger, "a").add("end_session", {"session": "looping"}, "ann", "it loops")
        gauge.refresh_from_ledger()
        assert (looping.ended_by_operator, fine.ended_by_operator, ended) == (True, False, ["looping"])
        assert gauge.live.all() == [fine]
    labels = {"agent": "a"}
    assert gauge.registry.get_sample_value("agent_sessions_active", labels) == 0
    assert gauge.registry.get_sample_value("agent_session_turns_count", labels) == 2


def test_the_cache_is_told_by_the_agents_own_function(gauge: AgentGauge, base: str, replicas: Replicas) -> None:
    """An agent without one says so, and one whose cache is down, too."""
    (answer,) = ask_each(replicas, "cache")
    assert (answer.status, answer.problem) == (404, "this agent runs without a cache of tool results")
    gauge.control.cache = lambda: [{"tool": "get_deals", "entries": 3}]
    assert merged(ask_each(replicas, "cache")) == [{"tool": "get_deals", "entries": 3, "replica": base}]

    def down() -> Any:
        raise ConnectionError("Redis does not answer")

    gauge.control.cache = down
    (answer,) = ask_each(replicas, "cache")
    assert (answer.status, answer.problem) == (503, "the cache cannot be reached: Redis does not answer")


def test_replicas_are_merged_and_one_that_does_not_answer_is_said(
    gauge: AgentGauge, base: str, replicas: Replicas, ledger: Ledger
) -> None:
    """It may have just died; the others are shown all the same."""
    replicas.renew(Replica("gone", "http://127.0.0.1:9", "1.6", ledger.now()))
    other = AgentGauge("a", registry=CollectorRegistry(), ledger=ledger)
    with closing(other), closing(other.serve(port=0)) as server:
        there = server.url.removesuffix("/metrics")
        with gauge.session(session_id="s-1"), other.session(session_id="s-2"):
            answers = ask_each(replicas, "sessions")
    assert {row["id"]: row["replica"] for row in merged(answers)} == {"s-1": base, "s-2": there}
    problems = {answer.replica.address: answer.problem for answer in answers if answer.problem}
    assert problems.keys() == {"http://127.0.0.1:9"}
    assert "does not answer" in str(problems["http://127.0.0.1:9"])


def test_what_is_not_an_agent_is_said(replicas: Replicas, ledger: Ledger, registry: CollectorRegistry) -> None:
    """Another program may have taken the port."""
    with closing(AgentGauge("without a ledger", registry=registry).serve(port=0)) as server:
        replicas.renew(Replica("r", server.url.removesuffix("/metrics"), "1", ledger.now()))
        assert "something else may listen there" in str(ask_each(replicas, "sessions")[0].problem)


def test_it_is_asked_over_https_with_the_certificate_that_the_ledger_holds(
    gauge: AgentGauge, replicas: Replicas, tmp_path: Path
) -> None:
    """Signed by nobody that this host knows: the token is sent to this very server or not at all."""
    certificate, key = _certificate(tmp_path, "one")
    other, _ = _certificate(tmp_path, "other")
    with closing(gauge.serve(port=0, certificate=certificate, key=key)):
        (replica,) = replicas.live()
        assert replica.address.startswith("https://")
        assert ask_each(replicas, "sessions")[0].body == []
        pem = Path(other).read_text(encoding="ascii")
        replicas.renew(Replica(replica.id, replica.address, "1", replica.started_at, pem))
        assert "CERTIFICATE_VERIFY_FAILED" in str(ask_each(replicas, "sessions")[0].problem)


def _certificate(folder: Path, name: str) -> tuple[str, str]:
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", f"/CN={name}"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    return str(certificate), str(key)


@pytest.mark.parametrize("advertise", ["10.0.0.5:9464", "ftp://10.0.0.5", "http://", "agent"])
def test_an_address_that_cannot_be_asked_is_refused_at_start_up(gauge: AgentGauge, advertise: str) -> None:
    """With an example."""
    with pytest.raises(ValueError, match=r"expected a URL like http://10\.0\.0\.5:9464"):
        gauge.serve(port=0, advertise=advertise)


def test_the_advertised_address_is_the_one_that_is_registered(gauge: AgentGauge, replicas: Replicas) -> None:
    """And its host is one under which the process may be asked."""
    with closing(gauge.serve(port=0, advertise="http://agent.internal:1234")) as server:
        assert [one.address for one in replicas.live()] == ["http://agent.internal:1234"]
        path = server.url.replace("/metrics", "/control/sessions")
        headers = bearer(replicas) | {"Host": "agent.internal:1234"}
        assert requests.get(path, headers=headers, timeout=5).json() == []


def test_only_a_few_requests_are_answered_at_a_time(gauge: AgentGauge, base: str, replicas: Replicas) -> None:
    """A flood of them takes neither all threads nor all memory of the agent."""
    begun, release = threading.Semaphore(0), threading.Event()

    def slow() -> Any:
        begun.release()
        release.wait(30)
        return []

    gauge.control.cache = slow
    askers = [threading.Thread(target=ask_each, args=(replicas, "cache")) for _ in range(MOST_AT_ONCE)]
    for asker in askers:
        asker.start()
    for _ in askers:
        assert begun.acquire(timeout=10)
    assert requests.get(f"{base}/control/sessions", headers=bearer(replicas), timeout=5).status_code == 503
    release.set()
    for asker in askers:
        asker.join()
    assert requests.get(f"{base}/control/sessions", headers=bearer(replicas), timeout=5).status_code == 200


def test_it_can_be_mounted_in_an_asgi_server(gauge: AgentGauge, replicas: Replicas) -> None:
    """Under any path, which is then part of the registered address."""
    app = Starlette(routes=[Mount("/agent", gauge.control.asgi)])
    with serving(app) as url:
        assert gauge.mount_control(f"{url}/agent/") is gauge.control
        with gauge.session(session_id="s-1"):
            (row,) = merged(ask_each(replicas, "sessions"))
        assert (row["id"], row["replica"]) == ("s-1", f"{url}/agent")
        assert requests.get(f"{url}/agent/control/sessions", timeout=5).status_code == 401


FORKING = """
import os, sys
from agentgauge import AgentGauge
gauge = AgentGauge("a", version="1.7", ledger=sys.argv[1])
server = gauge.serve(port=0)
def work(name):
    with gauge.session(session_id=name):
        sys.stdin.readline()
with gauge.session(session_id="parent"):
    children = []
    for number in range(2):
        child = os.fork()
        if child == 0:
            work(f"child-{number}")
            os._exit(0)
        children.append(child)
    print("forked", flush=True)
    for child in children:
        os.waitpid(child, 0)
"""


def test_forked_workers_register_themselves_each_with_its_own_sessions(url: str, replicas: Replicas) -> None:
    """A server that forks its workers need not do anything: the first session of a child starts it."""
    command = [sys.executable, "-c", FORKING, url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        assert parent.stdout.readline() == "forked\n"
        with closing(Ledger.open(url)) as ledger:  # on the real clock
            registered = Replicas(ledger, "a")
            wait_until(lambda: len(registered.live()) == 3)
            sessions = merged(ask_each(registered, "sessions"))
        parent.communicate("\n\n", timeout=30)
    assert sorted(row["id"] for row in sessions) == ["child-0", "child-1", "parent"]
    assert len({row["replica"] for row in sessions}) == 3


def wait_until(holds: Any, seconds: float = 20.0) -> None:
    """Look until something in another process is so."""
    pause = threading.Event()
    for _ in range(int(seconds / 0.05)):
        if holds():
            return
        pause.wait(0.05)
    pytest.fail(f"not so within {seconds:g} s")


def test_control_says_nothing_before_it_is_registered(gauge: AgentGauge) -> None:
    """No token is the token of nobody."""
    control = Control(gauge.live)
    assert (
        control.reply("GET", "/control/sessions", {"host": "localhost", "authorization": "Bearer None"}).status == 401
    )
