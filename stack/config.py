"""Configuration, dashboards and the runbook site for one layout, rendered as any bundle is."""

from __future__ import annotations

from dataclasses import replace

import yaml

from alerts import thresholds
from alerts.deployment import DEMO, Deployment
from alerts.rules import render
from bundle.files import config_files, dashboard_files
from bundle.site import build_site
from stack.layout import ROOT, Layout, Ports

READERS = ("prometheus", "alertmanager")
"""The services that read their configuration again on SIGHUP."""


def deployment(layout: Layout) -> Deployment:
    """The demo with the ports and the speed of a layout."""
    return replace(
        DEMO,
        grafana=layout.dashboards,
        runbooks=layout.runbooks,
        prometheus=layout.prometheus,
        alertmanager=layout.alertmanager,
        pager=layout.pager,
        incidents=layout.pager,
        secrets=str(ROOT / "alerts" / "secrets"),
        speed=layout.speed,
    )


def write(layout: Layout) -> None:
    """Write what Prometheus, Alertmanager and Grafana or its preview read into the folder."""
    for folder in (layout.state, layout.logs):
        folder.mkdir(parents=True, exist_ok=True)
    here = deployment(layout)
    numbers = thresholds.load()
    files = config_files(here, render(numbers, here))
    files |= {f"dashboards/{name}": text for name, text in dashboard_files(here, numbers).items()}
    for job, port in _targets(layout.ports).items():
        files[f"targets/{job}.yml"] = yaml.safe_dump([{"targets": [f"127.0.0.1:{port}"]}])
    for name, text in files.items():
        path = layout.etc / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def write_site(layout: Layout) -> None:
    """Build the runbook site into the folder; raises SiteError if a page is broken."""
    here = deployment(layout)
    build_site(here, render(thresholds.load(), here), layout.folder / "site")


def _targets(ports: Ports) -> dict[str, int]:
    return {"agents": ports.metrics, "prometheus": ports.prometheus, "alertmanager": ports.alertmanager}
