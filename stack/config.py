"""Configuration of Prometheus and Alertmanager for one layout, from the committed files."""

from __future__ import annotations

import re
import shutil

import yaml

from alerts import thresholds
from alerts.rules import render, rule_files
from alerts.thresholds import Links
from stack.layout import ROOT, Layout, Ports

FAST_SCRAPE = "1s"
"""Scrape and evaluation interval where the clock is shortened: the least that Prometheus is at ease with."""


def write(layout: Layout) -> None:
    """Write ``prometheus.yml`` with rules and targets, and ``alertmanager.yml`` with templates, into the folder."""
    etc = layout.etc
    for folder in (etc / "rules", etc / "targets", layout.state, layout.logs):
        folder.mkdir(parents=True, exist_ok=True)
    links = Links(layout.runbooks, layout.dashboards)
    rendered = render(thresholds.load(), links_to=links, speed=layout.speed)
    for name, text in rule_files(rendered, layout.speed).items():
        (etc / "rules" / name).write_text(text, encoding="utf-8")
    for job, port in _targets(layout.ports).items():
        text = yaml.safe_dump([{"targets": [f"127.0.0.1:{port}"]}])
        (etc / "targets" / f"{job}.yml").write_text(text, encoding="utf-8")
    (etc / "prometheus.yml").write_text(_prometheus(layout), encoding="utf-8")
    (etc / "alertmanager.yml").write_text(_alertmanager(layout), encoding="utf-8")
    shutil.copytree(ROOT / "alerts" / "templates", etc / "templates", dirs_exist_ok=True)


def _targets(ports: Ports) -> dict[str, int]:
    return {"agents": ports.metrics, "prometheus": ports.prometheus, "alertmanager": ports.alertmanager}


def _prometheus(layout: Layout) -> str:
    text = (ROOT / "alerts" / "prometheus.yml").read_text(encoding="utf-8")
    if layout.speed != 1:
        text = re.sub(r"(scrape_interval|evaluation_interval): \S+", rf"\1: {FAST_SCRAPE}", text)
    return text


def _alertmanager(layout: Layout) -> str:
    text = (ROOT / "alerts" / "alertmanager.yml").read_text(encoding="utf-8")
    text = text.replace(f"http://pager:{Ports().pager}", layout.pager)  # in containers, services go by their names
    text = text.replace("/etc/alertmanager/secrets", str(ROOT / "alerts" / "secrets"))  # and folders by their mounts
    if layout.speed != 1:
        text = re.sub(r"(group_wait|group_interval): \S+", rf"\1: {FAST_SCRAPE}", text)
    return text
