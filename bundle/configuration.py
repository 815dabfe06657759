"""``prometheus.yml`` and ``alertmanager.yml`` for a deployment."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

from alerts.catalog import ALERTS
from alerts.deployment import Deployment
from alerts.promql import Duration
from bundle.holes import TemplateError, fill

TEMPLATES = Path(__file__).with_name("templates")

INTERVAL = "10s"
"""Scrapes and evaluations are this far apart."""
FAST = "1s"
"""Scrape, evaluation and first grouping where the clock is shortened: the least that Prometheus is at ease with."""
GROUP_INTERVAL = Duration(300)
"""What happens to a group that has been sent is told this often: an alert that ends and begins again is one page."""
HEARTBEAT_INTERVAL = Duration(300)
"""The dead-man switch hears this often that the way of the pages works."""


def prometheus_yml(deployment: Deployment) -> str:
    """Prometheus' configuration: what it scrapes, and its rule files and Alertmanager, or where it writes to."""
    holes = {
        "interval": INTERVAL if deployment.speed == 1 else FAST,
        "job": deployment.job,
        "targets": ", ".join(f"'{target}'" for target in deployment.targets),
        **_address("prometheus", deployment.prometheus),
        **_address("alertmanager", deployment.alertmanager),
    }
    conditions = {"demo": deployment.demo, "from_files": not deployment.targets}
    if deployment.remote_write:
        holes |= {"remote_write": deployment.remote_write, "tenant": deployment.tenant}
        return _filled("prometheus-remote.yml", holes, conditions | {"tenant": bool(deployment.tenant)})
    return _filled("prometheus.yml", holes, conditions)


def alertmanager_yml(deployment: Deployment) -> str:
    """Alertmanager's configuration: routes, receivers and who mutes whom."""
    holes = {
        "pager": deployment.pager,
        "secrets": deployment.secrets,
        "group_wait": "5s" if deployment.speed == 1 else FAST,
        "group_interval": str(GROUP_INTERVAL.faster(deployment.speed)),
        "heartbeat_interval": str(HEARTBEAT_INTERVAL.faster(deployment.speed)),
        "inhibit_rules": inhibit_rules(),
    }
    conditions = {"demo": deployment.demo, "incidents": bool(deployment.incidents)}
    return _filled("alertmanager.yml", holes, conditions)


def inhibit_rules() -> str:
    """Alertmanager's ``inhibit_rules``, as the catalog says."""
    lines = ["inhibit_rules:"]
    for alert in ALERTS:
        if alert.inhibits:
            lines += [
                f"  - source_matchers: ['alertname=\"{alert.name}\"']",
                f"    target_matchers: ['alertname=~\"{'|'.join(alert.inhibits)}\"']",
                f"    equal: [{', '.join(alert.inhibit_equal)}]",
            ]
    return "\n".join(lines)


def parsed_matcher(text: str) -> tuple[str, str, str]:
    """Label, operator and value of a matcher as alertmanager.yml has them; TemplateError if it has another form."""
    match = re.fullmatch(r'(\w+)(=~|!~|!=|=)"(.*)"', text)
    if match is None:
        raise TemplateError(
            f'bundle/templates/alertmanager.yml: the matcher {text!r} has another form than name="value"'
        )
    return match[1], match[2], match[3]


def _filled(name: str, holes: dict[str, str], conditions: dict[str, bool]) -> str:
    template = (TEMPLATES / name).read_text(encoding="utf-8")
    return fill(template, holes, conditions, where=f"bundle/templates/{name}")


def _address(program: str, url: str) -> dict[str, str]:
    """The parts of a URL as a scrape configuration writes them."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return {
        f"{program}_scheme": parts.scheme,
        f"{program}_address": f"'{parts.hostname}:{port}'",
        f"{program}_path": f"{parts.path.rstrip('/')}/",
    }
