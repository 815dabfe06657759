"""The bundle for the profile `monitoring` of docker-compose.yml: the services' names there, and where the files are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from alerts.deployment import DEMO, Deployment

ADDRESSES = {"prometheus": "prometheus:9090", "alertmanager": "alertmanager:9093"}
"""Scrape job → where the containers reach it."""


def in_compose(deployment: Deployment) -> Deployment:
    """The same with the pager of docker-compose.yml, and targets that Prometheus reads from files."""
    return replace(deployment, targets=(), pager=DEMO.pager, incidents=DEMO.incidents)


def compose_files(targets: Sequence[str], folder: Path) -> dict[str, str]:
    """What the containers need beside the bundle in ``folder``, an absolute path: path below it → text."""
    listed = {"agents": targets, **{job: [address] for job, address in ADDRESSES.items()}}
    files = {
        f"targets/{job}.yml": "".join(["- targets:\n", *(f'    - "{target}"\n' for target in of)])
        for job, of in listed.items()
    }
    settings = {
        "COMPOSE_PROFILES": "monitoring",
        "AGENTGAUGE_ALERTS": folder,
        "AGENTGAUGE_ALERT_SECRETS": folder / "secrets",
        "AGENTGAUGE_TARGETS": folder / "targets",
        "AGENTGAUGE_DASHBOARDS": folder / "dashboards",
        "AGENTGAUGE_SITE": "/monitoring/site",
        "AGENTGAUGE_PAGER_APP": "",
    }
    files["compose.env"] = "".join(f"{name}={value}\n" for name, value in settings.items())
    return files


def steps_in_compose(deployment: Deployment, folder: Path) -> list[str]:
    """What to do next with the bundle in ``folder``."""
    return [
        f"put receivers that reach people into {folder / 'alertmanager.yml'}, and their secrets into "
        f"{folder / 'secrets'}: until then every alert goes to {deployment.incidents} only",
        "in a checkout of the repository: docker compose --env-file "
        f"{folder.absolute() / 'compose.env'} up --detach --build",
    ]
