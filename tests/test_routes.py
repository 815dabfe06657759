"""Who may call what: every route of our servers has a rule here, and whoever the rule does not name is refused.

A new route without a rule fails. What a rule lets people do is tested where its page is; here it is who they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from anthropic import AsyncAnthropic
from httpx2 import Response
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from agentgauge import AgentGauge
from agentgauge.autonomy.action import Action, Proposal
from agentgauge.autonomy.parts import Autonomy
from agentgauge.autonomy.people import FILE_VARIABLE, People
from agentgauge.evals.history import EvalHistory
from agentgauge.evals.view import view_app
from agentgauge.incident.place import Place
from agentgauge.ledger import Ledger
from agentgauge.ops.prometheus import Prometheus
from agentgauge.otel.agents import Agents
from agentgauge.otel.gateway import Inbox, gateway
from alerts.pager import create_app
from alerts.pager.app import Following
from sample_agent.assembly import build_approvals_page, build_companion, build_door
from sample_agent.sales.tools import SALES_TOOLS
from sample_agent.service import Service
from sample_agent.settings import AGENT, POLICY, ledger_url

ORIGIN = "http://127.0.0.1:8030"
SECRET = "a secret of this test, and long enough"
NOBODYS = "somebody's guess at a token"

Who = Literal["anybody", "a browser's own form", "who is logged in", "an approver", "who has the token", "its session"]
"""``its session`` is whoever knows the session's id, which only the one who opened it was told."""
Rules = Mapping[tuple[str, str], Who]

ACTION = "/approvals/actions/{id}"
SERVICE: Rules = {
    ("GET", "/health"): "anybody",
    ("POST", "/sessions"): "who has the token",
    ("DELETE", "/sessions/{id}"): "its session",
    ("POST", "/sessions/{id}/messages"): "its session",
    ("GET", "/sessions/{id}/answer"): "its session",
    ("GET", "/sessions/{id}/approvals"): "its session",
    ("POST", "/sessions/{id}/approvals/{action}"): "who has the token",
    ("POST", "/sessions/{id}/feedback"): "its session",
    ("GET", "/approvals/"): "who is logged in",
    ("GET", "/approvals/login"): "anybody",
    ("POST", "/approvals/login"): "a browser's own form",
    ("POST", "/approvals/logout"): "who is logged in",
    ("GET", ACTION): "who is logged in",
    ("POST", f"{ACTION}/preview"): "who is logged in",
    ("POST", f"{ACTION}/approve"): "an approver",
    ("POST", f"{ACTION}/edit"): "an approver",
    ("POST", f"{ACTION}/reject"): "who is logged in",
    ("POST", f"{ACTION}/audit"): "who is logged in",
    ("POST", f"{ACTION}/settle"): "who is logged in",
    ("GET", "/approvals/static/*"): "anybody",
}
PAGER: Rules = {
    ("GET", "/"): "anybody",
    ("GET", "/open"): "anybody",
    ("POST", "/acknowledge"): "who is logged in",
    ("POST", "/silence"): "who is logged in",
    ("POST", "/alerts"): "anybody",  # Alertmanager, which brings nothing; loopback and the Compose network reach it
    ("POST", "/heartbeat"): "anybody",
    ("GET", "/incidents"): "anybody",
    ("GET", "/pages"): "anybody",
    ("GET", "/pages/wait"): "anybody",
    ("GET", "/health"): "anybody",
    ("GET", "/static/*"): "anybody",
    ("GET", "/incident/{alert}/"): "anybody",
    ("GET", "/incident/{alert}/now"): "anybody",
    ("POST", "/incident/{alert}/mend"): "who is logged in",
    ("GET", "/incident/{alert}/post-mortem.md"): "who is logged in",
    ("GET", "/login"): "anybody",
    ("POST", "/login"): "a browser's own form",
    ("POST", "/logout"): "who is logged in",
}
EVAL_VIEW: Rules = {
    ("GET", "/"): "who has the token",
    ("GET", "/run"): "who has the token",
    ("GET", "/trial"): "who has the token",
    ("GET", "/diff"): "who has the token",
    ("GET", "/static/*"): "anybody",
}
GATEWAY: Rules = {
    ("POST", "/v1/traces"): "who has the token",
    ("GET", "/metrics"): "who has the token",
    ("GET", "/health"): "anybody",
}
RULES: Mapping[str, Rules] = {"service": SERVICE, "pager": PAGER, "eval view": EVAL_VIEW, "gateway": GATEWAY}

REFUSAL: Mapping[tuple[str, Who], int] = {
    ("service", "a browser's own form"): 403,
    ("service", "who is logged in"): 303,  # to the login
    ("service", "an approver"): 303,
    ("service", "who has the token"): 401,
    ("service", "its session"): 404,
    ("pager", "a browser's own form"): 403,
    ("pager", "who is logged in"): 403,
    ("eval view", "who has the token"): 403,
    ("gateway", "who has the token"): 401,
}
"""What a server answers to those whom a rule does not name."""

GUARDED = [
    (server, method, path, who)
    for server, rules in RULES.items()
    for (method, path), who in rules.items()
    if who != "anybody"
]


@dataclass(frozen=True)
class Servers:
    """All of them, on one state folder, and an action of high risk that waits for the agent's people."""

    apps: Mapping[str, Starlette]
    people: People
    autonomy: Autonomy
    waiting: Action

    def client(self, server: str) -> TestClient:
        """Somebody at one of them."""
        return TestClient(self.apps[server], base_url=ORIGIN, follow_redirects=False)

    def path(self, pattern: str) -> str:
        """A path of that pattern: of the action that waits, and of its session."""
        ids = {"{alert}": "AgentHung", "{action}": self.waiting.id, "/*": "/approvals.css"}
        ids["{id}"] = self.waiting.id if pattern.startswith(ACTION) else "a-session-that-nobody-opened"
        return re.sub(r"\{\w+\}|/\*", lambda found: ids[found[0]], pattern)


@pytest.fixture
def servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registry: CollectorRegistry) -> Iterator[Servers]:
    """None of them listens: they are called as a server would call them."""
    monkeypatch.setenv("AGENTGAUGE_STATE", str(tmp_path))
    for name in ("AGENTGAUGE_LEDGER", FILE_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    policy = POLICY.read_text(encoding="utf-8").replace("approvals:\n", "approvals:\n  high: { roles: [lead] }\n", 1)
    (tmp_path / "policy.yml").write_text(policy, encoding="utf-8")
    monkeypatch.setenv("AGENTGAUGE_POLICY", str(tmp_path / "policy.yml"))
    with ExitStack() as stack:
        tools = [tool.name for tool in SALES_TOOLS]
        gauge = AgentGauge(AGENT, tools=tools, registry=registry, ledger=ledger_url(tmp_path))
        stack.enter_context(closing(gauge))
        unreachable = AsyncAnthropic(api_key="none", base_url="http://127.0.0.1:9")
        companion = build_companion(gauge, unreachable, tmp_path)
        autonomy, door = companion.supervisor.autonomy, build_door(tmp_path)
        page = build_approvals_page(autonomy, door)
        proposal = Proposal("send_email", "high", "approval", {"draft_id": 6}, {}, "s", "rep-1")
        ledger = stack.enter_context(closing(Ledger.open(ledger_url(tmp_path))))
        agents = Agents(CollectorRegistry())
        apps = {
            "service": Service(gauge, companion, door, approvals_page=page).app(),
            "pager": create_app(
                lambda _text: None,
                following=Following(Place(Prometheus("http://127.0.0.1:9")), People(tmp_path / "pager.yml"), SECRET),
            ),
            "eval view": view_app(EvalHistory(ledger, AGENT), AGENT, SECRET, lambda _suite, _name: None),
            "gateway": gateway(agents, Inbox(agents), CollectorRegistry(), SECRET),
        }
        yield Servers(apps, door.people, autonomy, autonomy.actions.propose(proposal))


def endpoints(app: Starlette, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every method and path that an app answers; ``/*`` is a folder of files."""
    for route in app.routes:
        if isinstance(route, Mount):
            inner = getattr(route.app, "routes", None)
            if inner is None:
                yield "GET", f"{prefix}{route.path}/*"
            else:
                yield from endpoints(route.app, prefix + route.path)  # type: ignore[arg-type]  # what has routes is one
        else:
            assert isinstance(route, Route), route
            for method in (route.methods or set()) - {"HEAD"}:
                yield method, prefix + route.path


@pytest.mark.parametrize("server", RULES)
def test_every_route_has_a_rule(servers: Servers, server: str) -> None:
    """And no rule is about a route that is gone."""
    assert sorted(endpoints(servers.apps[server])) == sorted(RULES[server])


@pytest.mark.parametrize("brings", ["nothing", "a wrong token", "a wrong cookie"])
@pytest.mark.parametrize(("server", "method", "path", "who"), GUARDED)
def test_whom_a_rule_does_not_name_is_refused(
    servers: Servers, server: str, method: str, path: str, who: Who, brings: str
) -> None:
    """Whatever they bring instead; they read nothing of the action that waits, and it goes on waiting."""
    client = servers.client(server)
    if brings == "a wrong token":
        client.headers["authorization"] = f"Bearer {NOBODYS}"
    if brings == "a wrong cookie":
        client.headers["cookie"] = "; ".join(f"{name}={NOBODYS}" for name in ("approvals", "pager", "session"))
    answer = called(client, method, servers.path(path))
    assert answer.status_code == REFUSAL[server, who], answer.text
    if answer.status_code == 303:
        assert answer.headers["location"] == "/approvals/login"
    assert "draft_id" not in answer.text
    assert servers.autonomy.approvals.waiting() == [servers.waiting]


@pytest.mark.parametrize(("method", "path"), [key for key, who in SERVICE.items() if who == "an approver"])
def test_who_is_logged_in_and_has_not_the_role_does_not_decide(servers: Servers, method: str, path: str) -> None:
    """The policy gives calls of high risk to a lead; the page says so, and so does the agent's API."""
    client, token = logged_in(servers, "ann", ())
    seen = {"seen": servers.waiting.seal, "field.draft_id": "7"}
    answer = called(client, method, servers.path(path), **seen)
    assert (answer.status_code, "is approved by lead, and ann has no role" in answer.text) == (403, True)
    assert servers.autonomy.approvals.waiting() == [servers.waiting]
    session = servers.client("service").post("/sessions", json={}, headers=bearer(token)).json()["session_id"]
    own = Proposal("send_email", "high", "approval", {"draft_id": 6}, {}, session, "rep-1")
    waiting = servers.autonomy.actions.propose(own)
    decisions: dict[str, dict[str, Any]] = {
        "approve": {"decision": "approve"},
        "edit": {"decision": "edit", "arguments": {"draft_id": 7}},
    }
    over_http = servers.client("service").post(
        f"/sessions/{session}/approvals/{waiting.id}",
        json=decisions[path.rpartition("/")[2]] | {"seen": waiting.seal},
        headers=bearer(token),
    )
    assert (over_http.status_code, "is approved by lead" in over_http.json()["error"]) == (403, True)


@pytest.mark.parametrize(("method", "path"), [key for key, who in SERVICE.items() if who == "who is logged in"])
def test_who_is_logged_in_is_let_in(servers: Servers, method: str, path: str) -> None:
    """Or the test above would pass on a page that refuses everybody."""
    client, _ = logged_in(servers, "ann", ())
    answer = called(client, method, servers.path(path), reason="no", verdict="ok", happened="yes")
    assert answer.status_code not in (401, 403), answer.text
    assert path.endswith("logout") or answer.headers.get("location") != "/approvals/login"


def logged_in(servers: Servers, name: str, roles: tuple[str, ...]) -> tuple[TestClient, str]:
    """The browser of somebody on the approvals page, and their token."""
    token, client = servers.people.add(name, roles), servers.client("service")
    page = client.get("/approvals/login")
    entered = called(client, "POST", "/approvals/login", token=token, csrf=csrf_in(page))
    assert entered.status_code == 303, entered.text
    client.headers["x-csrf-of-the-page"] = csrf_in(client.get("/approvals/"))
    return client, token


def called(client: TestClient, method: str, path: str, **fields: str) -> Response:
    """Call a route: a page's as its own form would, the others with JSON."""
    if method in ("GET", "DELETE"):
        return client.request(method, path)
    if path.startswith(("/sessions", "/v1/")):
        return client.post(path, json={})
    form: dict[str, Any] = {"csrf": client.headers.get("x-csrf-of-the-page", ""), **fields}
    return client.post(path, data=form, headers={"origin": ORIGIN, "sec-fetch-site": "same-origin"})


def csrf_in(page: Response) -> str:
    """What the forms of a page send back."""
    found = re.search(r'name="csrf" value="(.+?)"', page.text)
    assert found, page.text
    return found[1]


def bearer(token: str) -> dict[str, str]:
    """The header of whoever has this token."""
    return {"Authorization": f"Bearer {token}"}
