"""``--image``: the pods of an agent, locked down, reached by those who should, as many as its conversations need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from agentgauge import metrics
from alerts import thresholds
from bundle.__main__ import app
from bundle.holes import TemplateError
from bundle.kubernetes import manifests
from bundle.workload import LEAST_REPLICAS, workload
from tests.runbooks.pages import STRANGERS

MADE = workload("support_bot", "my-agents", "registry.example.com/bot:1.2", 8000)
OF_KIND: dict[str, dict[str, Any]] = {content["kind"]: content for content in MADE.values()}
POD: dict[str, Any] = OF_KIND["Deployment"]["spec"]["template"]


def test_pods_meet_the_standard_restricted() -> None:
    """As Kubernetes describes it, and beyond: nothing to write to but /tmp, no token of the API server."""
    spec, (container,) = POD["spec"], POD["spec"]["containers"]
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["securityContext"]["runAsUser"] != 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert all(volume.keys() == {"name", "emptyDir"} for volume in spec["volumes"])
    assert not spec.keys() & {"hostNetwork", "hostPID", "hostIPC"}
    assert not any("hostPort" in port for port in container["ports"])
    assert spec["automountServiceAccountToken"] is False


def test_everything_is_about_the_pods_of_the_deployment() -> None:
    """Service, network policy, disruption budget and the spread over nodes select what the deployment makes."""
    selectors = [
        OF_KIND["Deployment"]["spec"]["selector"]["matchLabels"],
        OF_KIND["Service"]["spec"]["selector"],
        OF_KIND["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
        OF_KIND["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        POD["spec"]["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"],
    ]
    for selector in selectors:
        assert selector.items() <= POD["metadata"]["labels"].items()
    assert (
        OF_KIND["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"]
        == (OF_KIND["Deployment"]["metadata"]["name"])
    )


def test_the_service_is_what_the_service_monitor_looks_for() -> None:
    """By label and by the name of its port, which is one of the container's."""
    (monitor,) = (
        one
        for one in map(yaml.safe_load, manifests(STRANGERS, thresholds.load()).values())
        if one["kind"] == "ServiceMonitor"
    )
    service, (container,) = OF_KIND["Service"], POD["spec"]["containers"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    targets = {port["name"]: port["targetPort"] for port in service["spec"]["ports"]}
    assert targets[monitor["spec"]["endpoints"][0]["port"]] in {port["name"] for port in container["ports"]}


def test_there_are_two_replicas_at_least_and_more_by_open_conversations() -> None:
    """The deployment names no number: each apply would end replicas that have conversations."""
    scaling = OF_KIND["HorizontalPodAutoscaler"]["spec"]
    assert "replicas" not in OF_KIND["Deployment"]["spec"]
    assert scaling["minReplicas"] == LEAST_REPLICAS == 2
    (metric,) = scaling["metrics"]
    assert metric["pods"]["metric"] == {
        "name": str(metrics.SESSIONS_ACTIVE), "selector": {"matchLabels": {"agent": "support_bot"}},
    }  # fmt: skip


def test_metrics_and_controls_are_not_for_everybody() -> None:
    """The rule that lets all of the cluster in is for the agent's own port alone."""
    rules = OF_KIND["NetworkPolicy"]["spec"]["ingress"]
    open_ports = [port["port"] for rule in rules if {"namespaceSelector": {}} in rule["from"] for port in rule["ports"]]
    assert open_ports == ["http"]


def test_agents_of_an_image_are_in_the_bundle(tmp_path: Path) -> None:
    """One image for all, or one for an agent; without an image an agent runs elsewhere."""
    command = [str(tmp_path), "--agent", "a", "--agent", "b_b", "--no-site"]
    for_one = [*command, "--format", "kubernetes", "--image", "b_b=registry.example.com/b:2", "--port", "8000"]
    result = CliRunner().invoke(app, for_one)
    assert result.exit_code == 0, result.output
    (deployment,) = (tmp_path / "kubernetes").glob("*-deployment.yaml")
    (container,) = yaml.safe_load(deployment.read_text(encoding="utf-8"))["spec"]["template"]["spec"]["containers"]
    assert (deployment.name, container["image"]) == ("agent-b-b-deployment.yaml", "registry.example.com/b:2")
    assert container["ports"][0]["containerPort"] == 8000
    refused = CliRunner().invoke(app, [*command, "--image", "b"], env={"COLUMNS": "200"})
    assert refused.exit_code == 2
    assert "is for --format kubernetes alone" in refused.output


def test_an_agent_whose_name_is_no_name_in_kubernetes_is_refused() -> None:
    """And so are two that would be one there."""
    with pytest.raises(TemplateError, match="'2nd' gives no name for a Service"):
        workload("2nd", "j", "i", 1)
    with pytest.raises(TemplateError, match="'a-b' has the name of another one"):
        manifests(STRANGERS, thresholds.load(), images={"a_b": "i", "a-b": "i"})
