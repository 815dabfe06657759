"""``--format kubernetes``: manifests that the Prometheus operator and Grafana's sidecar take."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from alerts import thresholds
from bundle import kubernetes
from bundle.__main__ import app
from bundle.files import bundle_files
from bundle.holes import TemplateError
from bundle.kubernetes import manifests
from tests.runbooks.pages import STRANGERS

FILES = manifests(STRANGERS, thresholds.load())
KUSTOMIZATION = "kubernetes/kustomization.yaml"
OBJECTS: dict[str, dict[str, Any]] = {
    name: yaml.safe_load(text) for name, text in FILES.items() if name != KUSTOMIZATION
}
PLAIN = bundle_files(STRANGERS, thresholds.load())


def of_kind(kind: str) -> list[dict[str, Any]]:
    """The manifests of a kind."""
    return [content for content in OBJECTS.values() if content["kind"] == kind]


@pytest.mark.parametrize("name", OBJECTS)
def test_every_manifest_has_a_version_a_kind_and_a_name_that_kubernetes_takes(name: str) -> None:
    """A name is a DNS label; a label's value has at most 63 characters."""
    content = OBJECTS[name]
    versions = {
        "PrometheusRule": "monitoring.coreos.com/v1",
        "ServiceMonitor": "monitoring.coreos.com/v1",
        "AlertmanagerConfig": "monitoring.coreos.com/v1alpha1",
        "ConfigMap": "v1",
    }
    assert content["apiVersion"] == versions[content["kind"]]
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", content["metadata"]["name"])
    for value in content["metadata"]["labels"].values():
        assert re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?", value)


def test_names_are_unique_within_a_kind() -> None:
    """One manifest must not replace another."""
    names = [(content["kind"], content["metadata"]["name"]) for content in OBJECTS.values()]
    assert len(names) == len(set(names))


def test_rules_are_those_of_the_files(tmp_path: Path, programs: dict[str, Path]) -> None:
    """A spec of a PrometheusRule is a rule file; promtool reads it as one."""
    files = {name: yaml.safe_load(text) for name, text in PLAIN.items() if name.startswith("rules/")}
    assert [rule["spec"] for rule in of_kind("PrometheusRule")] == list(files.values())
    for rule in of_kind("PrometheusRule"):
        for group in rule["spec"]["groups"]:
            assert group.keys() <= {"name", "rules", "interval"}
            for one in group["rules"]:
                assert one.keys() <= {"alert", "record", "expr", "for", "keep_firing_for", "labels", "annotations"}
        path = tmp_path / "rules.yml"
        path.write_text(yaml.safe_dump(rule["spec"]), encoding="utf-8")
        result = subprocess.run([programs["promtool"], "check", "rules", path], capture_output=True, check=False)
        assert result.returncode == 0, result.stderr


def test_the_service_monitor_gives_the_targets_the_job_that_rules_and_pages_name() -> None:
    """By itself the operator would call the job by the name of the Service."""
    (monitor,) = of_kind("ServiceMonitor")
    assert monitor["spec"]["selector"]["matchLabels"] == {"agentgauge/job": "my-agents"}
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["port"] == "metrics"
    assert {"targetLabel": "job", "replacement": "my-agents", "action": "replace"} in endpoint["relabelings"]


def test_the_alertmanager_config_has_routes_receivers_and_inhibition_of_the_file() -> None:
    """In the operator's words: every receiver that a route names exists, every matcher is name, type and value."""
    (config,) = of_kind("AlertmanagerConfig")
    plain = yaml.safe_load(PLAIN["alertmanager.yml"])
    route, receivers = config["spec"]["route"], config["spec"]["receivers"]
    named = {route["receiver"], *(one["receiver"] for one in route["routes"])}
    assert named == {one["name"] for one in receivers}
    assert route["groupBy"] == plain["route"]["group_by"]
    assert [one["receiver"] for one in route["routes"]] == [one["receiver"] for one in plain["route"]["routes"]]
    for one in route["routes"]:
        assert one.keys() <= {"receiver", "matchers", "repeatInterval", "activeTimeIntervals"}
    intervals = {name for one in route["routes"] for name in one.get("activeTimeIntervals", ())}
    assert intervals == {one["name"] for one in config["spec"]["muteTimeIntervals"]}
    rules = config["spec"]["inhibitRules"]
    assert len(rules) == len(plain["inhibit_rules"])
    matchers = [matcher for one in route["routes"] for matcher in one["matchers"]]
    matchers += [matcher for rule in rules for side in ("sourceMatch", "targetMatch") for matcher in rule[side]]
    for matcher in matchers:
        assert matcher.keys() == {"name", "matchType", "value"}
        assert matcher["matchType"] in ("=", "!=", "=~", "!~")
    hooks = {one["name"]: one.get("webhookConfigs") for one in receivers}
    assert hooks["page"] == [{"url": "https://pager.example.com/alerts", "sendResolved": True}]


def test_dashboards_are_config_maps_that_the_sidecar_finds() -> None:
    """One each, whole, below what a ConfigMap takes."""
    boards = [one for one in of_kind("ConfigMap") if one["metadata"]["labels"].get("grafana_dashboard") == "1"]
    data = {name: text for one in boards for name, text in one["data"].items()}
    assert {f"dashboards/{name}": text for name, text in data.items()} == {
        name: text for name, text in PLAIN.items() if name.startswith("dashboards/")
    }
    for text in data.values():
        assert json.loads(text)["uid"]
    for content in FILES.values():
        assert len(content.encode()) < kubernetes.CONFIG_MAP_LIMIT


def test_a_config_map_that_would_be_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here, rather than by the API server after half of the manifests were applied."""
    monkeypatch.setattr(kubernetes, "CONFIG_MAP_LIMIT", 20_000)
    with pytest.raises(
        TemplateError, match=r"agentgauge-dashboard-\w+ has \d+ bytes; a ConfigMap takes less than 20000"
    ):
        manifests(STRANGERS, thresholds.load())


def test_every_manifest_has_the_labels_that_an_operator_selects_by(tmp_path: Path) -> None:
    """Without its release's label an operator from a chart passes rules and monitors by."""
    arguments = [str(tmp_path), "--agent", "a", "--format", "kubernetes", "--no-site"]
    result = CliRunner().invoke(app, [*arguments, "--label", "release=kube-prometheus-stack"])
    assert result.exit_code == 0, result.output
    written = list((tmp_path / "kubernetes").glob("*.yaml"))
    assert written
    for path in written:
        if path.name == "kustomization.yaml":
            continue
        labels = yaml.safe_load(path.read_text(encoding="utf-8"))["metadata"]["labels"]
        assert labels["release"] == "kube-prometheus-stack"
        assert labels["app.kubernetes.io/part-of"] == "agentgauge"
    refused = CliRunner().invoke(app, [*arguments, "--label", "release"], env={"COLUMNS": "200"})
    assert refused.exit_code == 2
    assert "expected KEY=VALUE" in refused.output


def test_the_kustomization_names_every_manifest() -> None:
    """So that one command applies them, and people lay patches of their own over them."""
    named = yaml.safe_load(FILES[KUSTOMIZATION])["resources"]
    assert sorted(f"kubernetes/{name}" for name in named) == sorted(OBJECTS)


def test_any_job_gives_a_name() -> None:
    """Upper case, dots and underscores are not allowed in names."""
    files = manifests(replace(STRANGERS, job="My_agents.v2"), thresholds.load())
    assert yaml.safe_load(files["kubernetes/service-monitor.yaml"])["metadata"]["name"] == "agentgauge-my-agents-v2"
