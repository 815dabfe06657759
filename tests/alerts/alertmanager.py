"""The real Alertmanager as the native stack starts it, and the alerts of the catalog as Prometheus sends them."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import requests

from alerts import thresholds
from alerts.rules import RenderedAlert, render
from stack import native
from stack.layout import Layout
from stack.services import services

RENDERED = {item.alert.name: item for item in render(thresholds.load())}
READY_SECONDS = 120.0

SAMPLES = {
    "agent": "sales_companion",
    "server": "orders",
    "tool": "get_deal_history",
    "error_type": "TimeoutError",
    "model": "claude-sonnet-4-5",
    "user": "3f2a9c01b7de",
    "suite": "sales",
    "job": "agents",
    "instance": "127.0.0.1:9464",
    "rule_group": "/etc/prometheus/rules/tools.yml;agentgauge-tools",
    "integration": "webhook",
    "file": "policy.yml",
}
"""A value of each label that an alert can carry."""

NONE_CHANGED: Mapping[str, str] = {}

_INNERMOST = re.compile(r"\{\{ (?:with|range|if) (?:(?!\{\{ (?:with|range|if) ).)*?\{\{ end \}\}")
"""A block of a template that holds no other."""


@contextmanager
def running(layout: Layout, programs: dict[str, Path]) -> Iterator[str]:
    """Alertmanager on the configuration in the layout's folder, for as long as the block runs; yields its URL."""
    service = next(service for service in services(layout, programs) if service.name == "alertmanager")
    log = layout.logs / "alertmanager.log"
    with (
        log.open("w", encoding="utf-8") as output,
        subprocess.Popen(service.command, cwd=service.folder, stdout=output, stderr=subprocess.STDOUT) as process,
    ):
        try:
            deadline = time.monotonic() + READY_SECONDS
            while not native.answers(service):
                assert process.poll() is None, log.read_text(encoding="utf-8")
                assert time.monotonic() < deadline, log.read_text(encoding="utf-8")
                time.sleep(0.05)
            yield layout.alertmanager
        finally:
            process.terminate()


def labels_of(item: RenderedAlert, changed: Mapping[str, str] = NONE_CHANGED) -> dict[str, str]:
    """All labels of an alert as it fires: samples, but for those that are ``changed``."""
    own = {label: changed.get(label, SAMPLES[label]) for label in item.alert.labels}
    return {"alertname": item.alert.name, "severity": item.numbers.severity, **own}


def alert(item: RenderedAlert, changed: Mapping[str, str] = NONE_CHANGED, *, resolved: bool = False) -> dict[str, Any]:
    """An alert as Prometheus posts it, its value 42."""
    all_labels = labels_of(item, changed)
    now = datetime.now(UTC)
    return {
        "labels": all_labels,
        "annotations": {name: _expanded(text, all_labels) for name, text in item.annotations.items()},
        "startsAt": now.isoformat(),
        "endsAt": (now if resolved else now + timedelta(hours=1)).isoformat(),
    }


def post(url: str, alerts: list[dict[str, Any]]) -> None:
    """Send alerts as Prometheus does."""
    requests.post(f"{url}/api/v2/alerts", json=alerts, timeout=10).raise_for_status()


def states(url: str) -> dict[frozenset[tuple[str, str]], str]:
    """Labels → active or suppressed, of each alert that Alertmanager holds."""
    alerts = requests.get(f"{url}/api/v2/alerts", timeout=10).json()
    return {frozenset(found["labels"].items()): found["status"]["state"] for found in alerts}


def _expanded(text: str, labels: dict[str, str]) -> str:
    # A number that the page asks Prometheus for is 7 here; tests/alerts/scenarios have the real template expanded.
    while _INNERMOST.search(text):
        text = _INNERMOST.sub("7", text)
    text = re.sub(r"\{\{ \$labels\.(\w+) \| urlquery \}\}", lambda found: quote_plus(labels[found[1]]), text)
    text = re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda found: labels[found[1]], text)
    return re.sub(r"\{\{ \$value[^}]*\}\}", "42", text)
