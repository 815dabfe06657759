"""docker-compose.yml run for real, by ``make up``: what a page needs works, nobody has more rights than needed, and
whatever is restarted, nothing is lost.

On an engine that was brought for this, stand-ins for the vendors' images run, under the pinned names but for Grafana's.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from agentgauge import metrics
from agentgauge.ledger.schema import DECISIONS, USAGE
from agentgauge.ops.prometheus import Prometheus
from alerts import thresholds
from alerts.deployment import DEMO
from alerts.rules import render
from bundle.files import config_files
from stack import compose, story
from stack.layout import ROOT, STATE_FILE, Layout, Ports
from tests.containers import engine
from tests.containers.waiting import PATIENCE_SECONDS, said, wait_until

pytestmark = [pytest.mark.compose, pytest.mark.timeout(3000)]

SPEED = float(os.environ.get("AGENTGAUGE_SPEED", "1"))
FAULT = "crm-outage"
SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]


@pytest.fixture(scope="module")
def layout(docker: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Layout]:
    """The demo, started by `python -m stack up` and ended as by Ctrl-C; its rules are as fast as SPEED says."""
    if compose.statuses():
        pytest.fail("a stack runs in containers already; `make down` ends it")
    made = Layout(Ports(), tmp_path_factory.mktemp("stack"))
    rules = tmp_path_factory.mktemp("rules")
    faster = replace(DEMO, speed=SPEED)
    for name, text in config_files(faster, render(thresholds.load(), faster)).items():
        (rules / name).parent.mkdir(parents=True, exist_ok=True)
        (rules / name).write_text(text, encoding="utf-8")
    rules.chmod(0o755)
    command = [sys.executable, "-m", "stack", "up", "--folder", str(made.folder), "--pace", str(max(SPEED, 4))]
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | {"AGENTGAUGE_ALERTS": str(rules)}) as process:
        try:
            while not (made.folder / STATE_FILE).exists():
                assert process.poll() is None, "the stack did not start; see above"
                time.sleep(0.2)
            story.wait_until_working(made)
            yield made
        finally:
            process.terminate()
            process.wait(timeout=PATIENCE_SECONDS)


def inspected(service: str) -> dict[str, Any]:
    """What the engine says of a service's container."""
    (found,) = json.loads(said("docker", "inspect", said(*compose.program(), "ps", "--quiet", service)))
    return dict(found)


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_is_not_root_and_has_no_rights(layout: Layout, service: str) -> None:
    """As the kernel sees it: not root, no capability, none to be gained, nothing to write but its own folders."""
    container = inspected(service)
    status = Path(f"/proc/{container['State']['Pid']}/status").read_text(encoding="utf-8")
    seen = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert "0" not in seen["Uid"].split()
    assert {seen[name] for name in ("CapPrm", "CapEff", "CapBnd")} == {"0" * 16}
    assert seen["NoNewPrivs"] == "1"
    host = container["HostConfig"]
    assert host["ReadonlyRootfs"]
    assert min(host["Memory"], host["NanoCpus"], host["PidsLimit"]) > 0


def test_the_administrator_of_grafana_has_a_password_made_here(layout: Layout) -> None:
    """It is long, only Grafana's user can read it, and the variables of the container do not hold it."""
    variables = dict(pair.split("=", 1) for pair in inspected("dashboards")["Config"]["Env"])
    path = variables["GF_SECURITY_ADMIN_PASSWORD__FILE"]
    program = [*compose.program(), "exec", "--no-TTY", "dashboards"]
    password = said(*program, "cat", path)
    assert len(password) >= 32
    assert said(*program, "stat", "-c", "%a", path) == "600"
    assert password not in variables.values()


def test_a_fault_pages_its_links_work_and_its_end_is_told(
    layout: Layout, record_property: Callable[[str, object], None]
) -> None:
    """The whole story on containers: fault, page, runbook, panel, mended, resolved."""
    outcome = story.tell(layout, FAULT, lambda line: engine.say(f"  {line}"))
    assert outcome.page["alert"] == story.ALERT_OF_FAULT[FAULT]
    assert outcome.runbook_status == 200
    for what, seconds in (("paged in", outcome.seconds_to_page), ("resolved in", outcome.seconds_to_resolved)):
        record_property(what, f"{seconds:.0f} s")
        engine.say(f"  {what} {seconds:.0f} s")


@dataclass(frozen=True)
class Kept:
    """What there is to lose: each count and moment can only stay or grow."""

    sessions: int
    decisions: int
    pages: int
    silences: frozenset[str]
    first_sample: float

    @classmethod
    def of(cls, layout: Layout) -> Kept:
        """Ask each service for what it keeps."""
        with closing(sqlite3.connect(f"file:{layout.ledger}?mode=ro", uri=True)) as ledger:
            (sessions,) = ledger.execute(f"SELECT sum(sessions) FROM {USAGE.name}").fetchone()  # noqa: S608 - our name
            (decisions,) = ledger.execute(f"SELECT count(*) FROM {DECISIONS.name}").fetchone()  # noqa: S608 - our name
        pages = requests.get(f"{layout.pager}/pages", timeout=30).json()
        silences = requests.get(f"{layout.alertmanager}/api/v2/silences", timeout=30).json()
        oldest = f"min(min_over_time(timestamp(up{{job='{DEMO.job}'}})[1d:10s]))"
        samples = Prometheus(layout.prometheus).instant(oldest)
        assert samples, "Prometheus has no samples of the agent"
        active = frozenset(one["id"] for one in silences if one["status"]["state"] == "active")
        return cls(sessions, decisions, len(pages), active, samples[0].points[0][1])


def silence(layout: Layout) -> str:
    """Silence an alert that does not exist, for an hour; the silence's id."""
    now = datetime.now(UTC)
    matcher = {"name": "alertname", "value": "Nothing", "isRegex": False, "isEqual": True}
    body = {
        "matchers": [matcher],
        "startsAt": now.isoformat(),
        "endsAt": (now + timedelta(hours=1)).isoformat(),
        "createdBy": "ann",
        "comment": "a test",
    }
    answer = requests.post(f"{layout.alertmanager}/api/v2/silences", json=body, timeout=30)
    answer.raise_for_status()
    return str(answer.json()["silenceID"])


@pytest.fixture(scope="module")
def before(layout: Layout) -> Kept:
    """What is kept before anything is restarted, a silence among it."""
    silenced = silence(layout)
    kept = Kept.of(layout)
    assert kept.sessions > 0
    assert kept.pages > 0
    assert silenced in kept.silences
    return kept


@pytest.mark.parametrize("service", SERVICES)
def test_a_restart_loses_nothing(layout: Layout, before: Kept, service: str) -> None:
    """The service is healthy again; sessions, pages, silences and samples from before are still there."""
    started = inspected(service)["State"]["StartedAt"]
    said(*compose.program(), "restart", service)
    wait_until(lambda: "(healthy)" in compose.statuses()[service], f"health of {service}")
    assert inspected(service)["State"]["StartedAt"] != started
    after = Kept.of(layout)
    assert after.sessions >= before.sessions
    assert after.decisions >= before.decisions
    assert after.pages >= before.pages
    assert after.silences >= before.silences
    assert after.first_sample <= before.first_sample


def test_work_goes_on_after_the_restarts(layout: Layout, before: Kept) -> None:
    """The agent serves, the simulator asks it, and Prometheus scrapes it: sessions of now are counted."""
    query = f'sum(increase({metrics.TASKS}{{outcome="completed"}}[1m])) > 0'
    wait_until(lambda: Prometheus(layout.prometheus).instant(query), "completed task after the restarts")
