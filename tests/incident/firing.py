"""A Prometheus on which alerts of support_bot fire, and the agent itself."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from agentgauge.ops.prometheus import Prometheus
from sample_agent.simulator import backfill, recording
from sample_agent.simulator.backfill import Programs
from stack import binaries
from stack.layout import Ports
from tests.incident.made_up import failing, model, refused, tasks, tool, versions

MODULE = """
from pathlib import Path
from agentgauge import AgentApp, Tool

here = Path(__file__).parent
tools = [Tool("search", risk="low"), Tool("fetch", risk="low")]
app = AgentApp("support_bot", ledger=f"sqlite:///{here / 'ledger.sqlite'}", state=here / "state", tools=tools)
"""
EVIL = "sea\x1b[31mrch\r\n; rm -rf /"
FIRE = 'ALERTS{alertstate="firing"}'
ALERTS = {
    "AgentToolSuccessRateLow": {"tool": "search"},
    "AgentLLMErrorsHigh": {"model": "large"},
    "AgentToolNewErrorType": {"tool": EVIL, "error_type": "new"},
    "AgentToolLatencyHigh": {"tool": "search"},
}
"""Alert → the labels with which it fires, beside the agent's."""

LINES = [
    *tool("search", success=3, error=1),
    *tool("fetch", success=4),
    *failing("SchemaMismatch"),
    *tasks(failed=3, completed=9),
    *versions("1.4.0"),
    *model("large", error=3),
    *refused("rate_limit_error"),
]


@dataclass(frozen=True)
class Firing:
    """A Prometheus on which alerts of support_bot fire until they are ended."""

    prometheus: Prometheus
    rules: Path

    @property
    def url(self) -> str:
        """Where it answers."""
        return self.prometheus.url

    def end(self, alert: str) -> None:
        """The alert no longer fires from the next evaluation on, within a second."""
        (self.rules / f"{alert}.yml").write_text("groups: []\n", encoding="utf-8")
        requests.post(f"{self.url}/-/reload", timeout=30).raise_for_status()


@contextmanager
def running(programs: dict[str, Path], folder: Path) -> Iterator[Firing]:
    """The real Prometheus in this folder: one of support_bot's tools fails, and four alerts fire."""
    data, rules = folder / "data", folder / "rules"
    data.mkdir()
    rules.mkdir()
    scraped = int(time.time())  # what is evaluated has to be newer
    samples = [one for line in LINES for one in line.samples("support_bot", scraped, minutes=40)]
    backfill.write_blocks(Programs(programs["prometheus"], programs["promtool"]), [samples], data)
    for alert, labels in ALERTS.items():
        rule = {
            "alert": alert,
            "expr": "vector(1)",
            "labels": {"agent": "support_bot", "severity": "critical", **labels},
        }
        group = {"name": alert, "interval": "1s", "rules": [rule]}
        (rules / f"{alert}.yml").write_text(json.dumps({"groups": [group]}), encoding="utf-8")
    config = folder / "prometheus.yml"
    config.write_text(json.dumps({"rule_files": [str(rules / "*.yml")]}), encoding="utf-8")
    address = f"127.0.0.1:{Ports.free().prometheus}"
    command = [
        str(programs["prometheus"]),
        f"--config.file={config}",
        f"--storage.tsdb.path={data}",
        f"--web.listen-address={address}",
        "--web.enable-lifecycle",
        "--storage.tsdb.retention.time=10y",
        "--log.level=error",
    ]
    with subprocess.Popen(command, cwd=binaries.working_folder(programs["prometheus"])) as process:
        try:
            asked = Prometheus(f"http://{address}")
            wait_until(lambda: asked.is_ready() and len(asked.instant(FIRE)) == len(ALERTS))
            yield Firing(asked, rules)
        finally:
            recording.end(process)


def wait_until(happened: Callable[[], bool]) -> None:
    """Return once it has happened; fails after a minute."""
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.1)
