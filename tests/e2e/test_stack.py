"""The whole way: agent under load, scraped, broken on purpose, paged, links followed, mended, all-clear."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from agentgauge import metrics
from agentgauge.cli.root import app
from agentgauge.ledger import Ledger
from agentgauge.ops.asking import ask_each, merged
from agentgauge.ops.prometheus import Prometheus
from agentgauge.ops.replicas import Replicas
from alerts import catalog, promql, thresholds
from alerts.rules import render
from sample_agent import faults
from sample_agent.settings import AGENT
from stack import binaries, config, native, story
from stack.layout import HOME, ROOT, STATE_FILE, Layout
from stack.services import services
from stack.welcome import welcome
from tests.runbooks.pages import alert_pages, promql_blocks


def query(layout: Layout, path: str, **parameters: str) -> Any:
    """The data of an answer of Prometheus' API."""
    return Prometheus(layout.prometheus).get(path, parameters)


def wait_until(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Poll a condition that no server offers to wait for."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"no {what} within {seconds:g} s"
        time.sleep(0.2)


def panels() -> list[dict[str, Any]]:
    """Every panel of the generated dashboards."""
    boards = [json.loads(path.read_text(encoding="utf-8")) for path in (ROOT / "dashboards/generated").glob("*.json")]
    return [
        panel | {"dashboard": board["uid"]} for board in boards for panel in board["panels"] if panel.get("targets")
    ]


def alert_states(layout: Layout) -> dict[str, str]:
    """Alertmanager's alerts: active or suppressed."""
    alerts = requests.get(f"{layout.alertmanager}/api/v2/alerts", timeout=10).json()
    return {alert["labels"]["alertname"]: alert["status"]["state"] for alert in alerts}


def test_every_target_is_up(layout: Layout) -> None:
    """The agent, Prometheus and Alertmanager are scraped."""

    def all_up() -> bool:
        targets = query(layout, "targets")["activeTargets"]
        return {t["labels"]["job"] for t in targets if t["health"] == "up"} == {"agents", "prometheus", "alertmanager"}

    wait_until(all_up, 30, "scrape of every target")


def test_every_link_that_the_start_prints_shows_something(layout: Layout) -> None:
    """None of them is a page that the program of this machine lacks."""
    text = welcome(layout, "preview", 1)
    links = re.findall(r"^  .*?(http://\S+)", text, re.MULTILINE)
    assert len(links) == 7
    answers = {link: requests.get(link, timeout=60) for link in links}
    assert {link: answer.status_code for link, answer in answers.items() if not answer.ok} == {}
    assert [link for link, answer in answers.items() if len(answer.content) < 2] == []


def test_every_rule_is_evaluated_without_error(layout: Layout) -> None:
    """`health` is ok for every rule of every group, and every alert of the catalog is loaded."""

    def rules() -> list[dict[str, Any]]:
        return [rule for group in query(layout, "rules")["groups"] for rule in group["rules"]]

    wait_until(lambda: all(rule["health"] == "ok" for rule in rules()), 30, "healthy rules")
    loaded = {rule["name"] for rule in rules() if rule["type"] == "alerting"}
    assert loaded == {alert.name for alert in catalog.ALERTS}


def test_the_watchdog_reaches_the_pager(layout: Layout) -> None:
    """The dead-man switch proves the chain from rule to webhook."""
    health = f"{layout.pager}/health"
    # Fired before Prometheus had found Alertmanager, it is sent again after the resend delay of one minute.
    wait_until(lambda: requests.get(health, timeout=5).json()["last_heartbeat"], 90, "heartbeat at the pager")


def test_an_outage_pages_with_links_that_lead_somewhere_and_resolves(layout: Layout) -> None:
    """Fault → page within `for` + 1 min → runbook answers 200 → panel exists → clear → resolved page."""
    outcome = story.tell(layout, "crm-outage", lambda _line: None)
    rendered = render(thresholds.load(), config.deployment(layout))
    hold = next(item for item in rendered if item.alert.name == outcome.page["alert"])
    waits = hold.numbers.for_.seconds if hold.numbers.for_ else 0
    assert outcome.seconds_to_page < waits + 60
    assert outcome.runbook_status == 200
    assert outcome.panel_title == "Tool success, all tools"
    assert outcome.page["severity"] == "critical"
    assert "sales_companion: " in outcome.page["description"]
    assert "var-agent=sales_companion" in outcome.page["dashboard_url"]


def test_one_outage_is_one_page(layout: Layout) -> None:
    """AgentAllToolCallsFailing pages; what it causes does not, while it lasts or after it is mended."""
    since = datetime.now(UTC).isoformat(timespec="milliseconds")
    faults.inject(layout.state, faults.Fault("crm-outage"))
    try:
        wait_until(lambda: _firing_seconds(layout, "AgentAllToolCallsFailing") > 20, 120, "outage of 200 s and more")
    finally:
        faults.clear(layout.state)
    wait_until(lambda: set(alert_states(layout)) == {"AgentGaugeWatchdog"}, 180, "end of all alerts")
    pages = requests.get(f"{layout.pager}/pages", timeout=10).json()
    paged = {page["alert"] for page in pages if page["status"] == "firing" and page["received_at"] >= since}
    assert paged == {"AgentAllToolCallsFailing"}


def _firing_seconds(layout: Layout, alert: str) -> float:
    """For how long an alert has been firing; 0 if it is not."""
    for one in query(layout, "alerts")["alerts"]:
        if one["labels"]["alertname"] == alert and one["state"] == "firing":
            return (datetime.now(UTC) - datetime.fromisoformat(one["activeAt"][:19] + "+00:00")).total_seconds()
    return 0.0


def test_a_looping_model_pages_while_it_loops(layout: Layout) -> None:
    """No `for`: the page comes with the first session over the limit."""
    outcome = story.tell(layout, "looping", lambda _line: None)
    assert outcome.page["alert"] == "AgentSessionLooping"
    assert outcome.seconds_to_page < 60


def test_a_service_that_is_killed_comes_back_and_takes_nobody_along(layout: Layout) -> None:
    """The pager, and it still knows the pages of before; the others go on as the processes that they were."""

    def pids() -> dict[str, int]:
        state = json.loads((layout.folder / STATE_FILE).read_text(encoding="utf-8"))
        return dict(state["services"])

    pages, before = requests.get(f"{layout.pager}/pages", timeout=10).json(), pids()
    assert pages
    os.kill(before["pager"], signal.SIGKILL)
    wait_until(lambda: pids()["pager"] != before["pager"], 20, "another pager")
    pager = next(service for service in services(layout, binaries.ensure(HOME)) if service.name == "pager")
    wait_until(lambda: native.answers(pager), 30, "answer of the pager")
    assert requests.get(f"{layout.pager}/pages", timeout=10).json()[: len(pages)] == pages
    assert {name: pid for name, pid in pids().items() if name != "pager"} == {
        name: pid for name, pid in before.items() if name != "pager"
    }


@pytest.mark.parametrize("service", config.READERS)
def test_what_somebody_broke_in_the_configuration_is_taken_back_by_one_command(layout: Layout, service: str) -> None:
    """`stack reload`: the file is as it was generated, and the program goes on with it."""
    file, url = layout.etc / f"{service}.yml", {"prometheus": layout.prometheus, "alertmanager": layout.alertmanager}
    before = file.read_text(encoding="utf-8")
    of_here = os.environ | {"AGENTGAUGE_HOME": str(layout.folder)}

    def has_read_it() -> bool:
        shown = requests.get(f"{url[service]}/metrics", timeout=10).text
        return f"\n{service}_config_last_reload_successful 1\n" in shown

    file.write_text(f"{before}\nno_such_word: 1\n", encoding="utf-8")
    os.kill(json.loads((layout.folder / STATE_FILE).read_text(encoding="utf-8"))["services"][service], signal.SIGHUP)
    wait_until(lambda: not has_read_it(), 20, "refusal of the broken file")
    subprocess.run([sys.executable, "-m", "stack", "reload"], cwd=ROOT, env=of_here, check=True)
    assert file.read_text(encoding="utf-8") == before
    wait_until(has_read_it, 20, "reading of the file as it was generated")


def test_the_check_of_the_setup_misses_nothing(layout: Layout) -> None:
    """It asks what really runs; a looping model's calls of unknown tools are no gap in the setup of this agent."""
    url = f"http://127.0.0.1:{layout.ports.metrics}/metrics"
    servers = ["--prometheus", layout.prometheus, "--alertmanager", layout.alertmanager]
    done = CliRunner().invoke(app, ["check", url, *servers, "--json"])
    missing = {one["about"]: one["to_do"] for one in json.loads(done.stdout) if one["verdict"] == "missing"}
    assert not missing.keys() - {"every label value is known"}, missing


# From here on the agent has worked, failed and looped, so everything that can be emitted was.


def test_every_series_that_a_rule_or_panel_names_is_really_emitted(layout: Layout) -> None:
    """A renamed metric would be an empty panel or an alert that never fires."""
    scrape = requests.get(f"http://127.0.0.1:{layout.ports.metrics}/metrics", timeout=10).text
    emitted = {family.name for family in text_string_to_metric_families(scrape)}
    expressions = [item.expr for item in render(thresholds.load())]
    expressions += [record.expr.replace("<", "").replace(">", "") for record in catalog.RECORDS]
    expressions += [target["expr"] for panel in panels() for target in panel["targets"]]
    named = {spec.name for expression in expressions for spec in promql.metrics_named(expression)}
    assert len(named) > 15
    assert {name.removesuffix("_total") for name in named} <= emitted | {
        name.removesuffix("_total") for name in emitted
    }


def test_every_series_on_the_endpoint_is_a_declared_metric_with_its_labels(layout: Layout) -> None:
    """What is scraped is what the contract says, no more."""
    scrape = requests.get(f"http://127.0.0.1:{layout.ports.metrics}/metrics", timeout=10).text
    for family in text_string_to_metric_families(scrape):
        for sample in family.samples:
            if sample.name.startswith("agent_"):
                spec = metrics.by_name(sample.name)
                assert sample.labels.keys() - {"le"} == set(spec.label_names), sample.name


def test_no_user_id_or_session_id_is_exposed(layout: Layout) -> None:
    """Reps are named rep-1 …; sessions have 32 hexadecimal digits. Neither may be in metrics, pages or logs."""
    texts = [requests.get(f"http://127.0.0.1:{layout.ports.metrics}/metrics", timeout=10).text]
    texts.append(requests.get(f"{layout.pager}/pages", timeout=10).text)
    texts += [path.read_text(encoding="utf-8") for path in layout.logs.glob("*.log")]
    with closing(Ledger.open(f"sqlite:///{layout.ledger}")) as ledger:
        sessions = [row["id"] for row in merged(ask_each(Replicas(ledger, AGENT), "sessions"))]
    for text in texts:
        assert '"rep-' not in text
        assert "@" not in text
        assert not [session for session in sessions if session in text]


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: f"{panel['dashboard']} {panel['title']}")
def test_every_panel_is_answered_by_prometheus(layout: Layout, panel: dict[str, Any]) -> None:
    """The preview draws it from the live Prometheus without an error."""
    answer = requests.get(f"{layout.dashboards}/panel/{panel['dashboard']}/{panel['id']}", timeout=20)
    assert answer.status_code == 200
    assert not answer.json().get("error")


def test_every_promql_block_of_the_runbooks_runs(layout: Layout) -> None:
    """Pasted at 3 a.m., each must at least parse."""
    for page in alert_pages().values():
        for block in promql_blocks(page):
            query(layout, "query", query=block)
