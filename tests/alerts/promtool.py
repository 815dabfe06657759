"""Hand-written scenarios as unit tests of the real promtool."""

from __future__ import annotations

import functools
import json
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import yaml

from agentgauge.metrics import BUILD_INFO
from alerts import thresholds
from alerts.rules import RenderedAlert, render
from tests.alerts import notation

ROOT = Path(__file__).resolve().parent.parent.parent
RULES = sorted((ROOT / "alerts" / "rules").glob("*.yml"))
SCENARIOS = Path(__file__).parent / "scenarios"
RENDERED = {item.alert.name: item for item in render(thresholds.load())}


@dataclass(frozen=True)
class Scenario:
    """One file of scenarios holds many: series, and what the alert says at some moments.

    ``kinds`` are those that the verdicts do not show: noise, reset, absent.
    """

    alert: str
    it: str
    series: dict[str, str]
    verdicts: list[dict[str, Any]]
    interval: str
    kinds: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.alert} {self.it}"


@functools.cache
def scenarios() -> list[Scenario]:
    """All hand-written scenarios."""
    return [
        Scenario(
            path.stem,
            item["it"],
            item["series"],
            item["verdicts"],
            item.get("interval", "30s"),
            tuple(item.get("kinds", ())),
        )
        for path in sorted(SCENARIOS.glob("*.yml"))
        for item in yaml.safe_load(path.read_text(encoding="utf-8"))
    ]


def run(
    promtool: Path, rules: Iterable[Path], scenarios: list[Scenario], folder: Path, *, wording: bool = True
) -> subprocess.CompletedProcess[str]:
    """Judge the rules on the scenarios; without ``wording`` only on which alerts fire, whatever they say."""
    files = []
    for interval in sorted({scenario.interval for scenario in scenarios}):
        file = folder / f"scenarios-{interval}.yml"  # JSON is YAML, and quicker to write
        content = {
            "rule_files": [str(path) for path in rules],
            "evaluation_interval": interval,
            "tests": [unit_test(scenario, wording) for scenario in scenarios if scenario.interval == interval],
        }
        file.write_text(json.dumps(content), encoding="utf-8")
        files.append(file)
    return subprocess.run([promtool, "test", "rules", *files], capture_output=True, text=True, check=False)


def rules_of(alert: str) -> dict[str, Any]:
    """The committed group of an alert, with nothing in it but the alert and the records below it."""
    group = _group(RENDERED[alert].alert.area)
    needed: list[dict[str, Any]] = []
    text = ""
    for rule in reversed(group["rules"]):
        if rule.get("alert") == alert or ("record" in rule and names(text, rule["record"])):
            needed.insert(0, rule)
            text += "\n".join([rule["expr"], *rule.get("annotations", {}).values(), ""])
    return dict(group) | {"rules": needed}


@functools.cache
def _group(area: str) -> dict[str, Any]:
    """The one committed group of an area: reading it takes as long as to judge it on a short scenario."""
    (file,) = (path for path in RULES if path.stem == area)
    (group,) = yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
    return dict(group)


def names(text: str, record: str) -> bool:
    """Whether a query or a sentence names the record itself, not one whose name begins like it."""
    return re.search(rf"(?<![\w:]){re.escape(record)}(?![\w:])", text) is not None


def unit_test(scenario: Scenario, wording: bool = True) -> dict[str, Any]:
    """The scenario in promtool's words: the catalog fills in severity and annotations, nothing else."""
    rendered = RENDERED[scenario.alert]
    expressions, alerts = [], []
    for verdict in scenario.verdicts:
        firing = verdict.get("firing", [])
        expressions.append(
            {
                "expr": f'ALERTS{{alertname="{scenario.alert}", alertstate="firing"}}',
                "eval_time": verdict["at"],
                "exp_samples": [{"labels": _series(rendered, labels), "value": 1} for labels in firing],
            }
        )
        if wording and "says" in verdict:
            alerts.append(
                {
                    "alertname": scenario.alert,
                    "eval_time": verdict["at"],
                    "exp_alerts": [_alert(rendered, labels, verdict["says"]) for labels in firing],
                }
            )
    return {
        "interval": scenario.interval,
        "input_series": [{"series": name, "values": values} for name, values in with_builds(scenario).items()],
        "promql_expr_test": expressions,
        "alert_rule_test": alerts,
    }


def with_builds(scenario: Scenario) -> dict[str, str]:
    """The series of the scenario. An agent shows its build while it shows anything, unless the scenario says when."""
    every = [notation.series(name, values) for name, values in scenario.series.items() if not name.startswith("ALERTS")]
    says = {one.labels["agent"] for one in every if one.name == BUILD_INFO.name}
    added = {}
    for agent in sorted({one.labels["agent"] for one in every if "agent" in one.labels} - says):
        moments = zip_longest(*(one.values for one in every if one.labels.get("agent") == agent))
        shown = [None if all(value is None for value in moment) else 1.0 for moment in moments]
        added[f'{BUILD_INFO.name}{{agent="{agent}"}}'] = notation.written(shown)
    return dict(scenario.series) | added


def _series(rendered: RenderedAlert, labels: dict[str, str]) -> str:
    all_labels = {"alertname": rendered.alert.name, "alertstate": "firing", "severity": rendered.numbers.severity}
    return "ALERTS{" + ",".join(f'{name}="{value}"' for name, value in (all_labels | labels).items()) + "}"


def _alert(rendered: RenderedAlert, labels: dict[str, str], says: str) -> dict[str, Any]:
    urls = {"dashboard_url": rendered.dashboard_url, "runbook_url": rendered.runbook_url}
    urls["incident_url"] = rendered.incident_url
    for name, value in labels.items():
        says = says.replace(f"{{{{{name}}}}}", value)
        for which, url in urls.items():
            urls[which] = url.replace(f"{{{{ $labels.{name} | urlquery }}}}", quote_plus(value))
    annotations = rendered.annotations | {"description": says} | urls
    return {"exp_labels": {"severity": rendered.numbers.severity} | labels, "exp_annotations": annotations}
