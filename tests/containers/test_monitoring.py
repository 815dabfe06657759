"""The profile `monitoring`, started as docs/operate.md says, watches an agent that is not ours."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
import requests
import yaml

from agentgauge.ops.prometheus import Prometheus
from stack import compose
from stack.layout import ROOT, Layout, Ports
from tests.containers.waiting import said, wait_until

pytestmark = [pytest.mark.compose, pytest.mark.timeout(3000)]

AGENT = "support_bot"
SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
MONITORING = {name for name, service in SERVICES.items() if "monitoring" in service["profiles"]}


@pytest.fixture(scope="module")
def layout(docker: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Layout]:
    """Everything of the profile, healthy, for an agent whose port nobody listens on."""
    if compose.statuses():
        pytest.fail("a stack runs in containers already; `make down` ends it")
    folder = tmp_path_factory.mktemp("bundle") / "monitoring"
    bundle = [sys.executable, "-m", "agentgauge", "bundle", str(folder), "--format", "compose"]
    said(*bundle, "--agent", AGENT, "--job", AGENT, "--target", "host.docker.internal:9464")
    for place in (folder, *folder.parents[:2]):  # pytest's folders are closed to the containers' users
        place.chmod(0o755)
    settings = [*compose.program(), "--env-file", str(folder / "compose.env")]
    try:
        started = [*settings, "up", "--detach", "--build", "--wait", "--wait-timeout", "300"]
        subprocess.run(started, cwd=ROOT, check=True)
        yield Layout(Ports(), folder)
    finally:
        subprocess.run([*settings, "down", "--volumes"], cwd=ROOT, check=True)


def test_monitoring_has_all_of_its_services_and_nothing_of_the_demo(layout: Layout) -> None:
    """Each service is healthy, by the check that the file has for it."""
    statuses = compose.statuses()
    assert set(statuses) == MONITORING
    assert all("(healthy)" in status for status in statuses.values()), statuses


def test_an_agent_that_does_not_answer_pages(layout: Layout) -> None:
    """Prometheus judges the bundle's rules, Alertmanager has its routes, and the pager the page with its runbook."""
    wait_until(lambda: Prometheus(layout.prometheus).instant(f'up{{job="{AGENT}"}} == 0'), "scrape of the agent")
    page: dict[str, str] = {}

    def paged() -> bool:
        pages = requests.get(f"{layout.pager}/pages", timeout=30).json()
        page.update(next((one for one in pages if one["alert"] == "AgentExporterDown"), {}))
        return bool(page)

    wait_until(paged, "page of AgentExporterDown")
    assert requests.get(page["runbook_url"], timeout=30).ok
