"""The bundle as manifests for the Prometheus operator and Grafana's sidecar.

The operator adds a matcher on the namespace to the routes and inhibition of an AlertmanagerConfig, unless its
Alertmanager says ``alertmanagerConfigMatcherStrategy: {type: None}``: alerts of another namespace do not reach it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from alerts.catalog import ALERTS
from alerts.deployment import Deployment
from alerts.rules import render, rule_files
from alerts.thresholds import Thresholds
from bundle.configuration import alertmanager_yml, parsed_matcher
from bundle.files import dashboard_files, message_files
from bundle.holes import TemplateError
from bundle.manifest import HEADER, kubernetes_name, manifest, to_yaml
from bundle.workload import workload

CONFIG_MAP_LIMIT = 1_048_576
"""Bytes that the API server takes in a ConfigMap."""


def manifests(
    deployment: Deployment,
    thresholds: Thresholds,
    labels: Mapping[str, str] | None = None,
    images: Mapping[str, str] | None = None,
    port: int = 8080,
) -> dict[str, str]:
    """Path below the bundle's folder → YAML of one manifest each, all with these further labels, and a kustomization.

    ``images`` is agent → image of those that are to run here as well; they answer at ``port``.
    """
    rendered = render(thresholds, deployment)
    objects = {
        **{
            f"rules-{name}": _rule(name, text)
            for name, text in (
                (file.removesuffix(".yml").replace("_", "-"), text)  # as Kubernetes takes names
                for file, text in rule_files(rendered, deployment).items()
            )
        },
        "alertmanager-config": _alertmanager_config(deployment),
        "alertmanager-templates": _config_map("agentgauge-alertmanager-templates", _messages()),
        "service-monitor": _service_monitor(deployment),
        **{
            f"dashboard-{name.removesuffix('.json')}": _config_map(
                f"agentgauge-dashboard-{name.removesuffix('.json')}", {name: text}, {"grafana_dashboard": "1"}
            )
            for name, text in dashboard_files(deployment, thresholds).items()
        },
    }
    for agent, image in (images or {}).items():
        pods = workload(agent, deployment.job, image, port)
        if objects.keys() & pods.keys():
            raise TemplateError(f"the agent {agent!r} has the name of another one in Kubernetes; rename one of them")
        objects |= pods
    for content in objects.values():
        content["metadata"]["labels"] |= labels or {}
    files = {f"{name}.yaml": content for name, content in objects.items()}
    files["kustomization.yaml"] = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": sorted(files),
    }
    return {f"kubernetes/{name}": HEADER + to_yaml(content) for name, content in files.items()}


def _rule(name: str, text: str) -> dict[str, Any]:
    spec = yaml.safe_load(text)
    return manifest("monitoring.coreos.com/v1", "PrometheusRule", f"agentgauge-{name}") | {"spec": spec}


def _service_monitor(deployment: Deployment) -> dict[str, Any]:
    """Scrapes Services that have the label ``agentgauge/job`` and a port named ``metrics``."""
    job = {"targetLabel": "job", "replacement": deployment.job, "action": "replace"}
    endpoint = {"port": "metrics", "path": "/metrics", "interval": "10s", "relabelings": [job]}
    spec = {"selector": {"matchLabels": {"agentgauge/job": deployment.job}}, "endpoints": [endpoint]}
    return manifest("monitoring.coreos.com/v1", "ServiceMonitor", f"agentgauge-{kubernetes_name(deployment.job)}") | {
        "spec": spec
    }


def _alertmanager_config(deployment: Deployment) -> dict[str, Any]:
    """The routes and the webhook of alertmanager.yml in the operator's words, and who mutes whom."""
    config = yaml.safe_load(alertmanager_yml(deployment))
    used = {config["route"]["receiver"], *(route["receiver"] for route in config["route"]["routes"])}
    spec = {
        "route": _route(config["route"]),
        "receivers": [_receiver(one) for one in config["receivers"] if one["name"] in used],
        "muteTimeIntervals": [_time_interval(one) for one in config["time_intervals"]],
        "inhibitRules": [
            {
                "sourceMatch": [_matcher("alertname", "=", alert.name)],
                "targetMatch": [_matcher("alertname", "=~", "|".join(alert.inhibits))],
                "equal": list(alert.inhibit_equal),
            }
            for alert in ALERTS
            if alert.inhibits
        ],
    }
    return manifest("monitoring.coreos.com/v1alpha1", "AlertmanagerConfig", "agentgauge") | {"spec": spec}


ROUTE_FIELDS = {
    "receiver": "receiver",
    "group_by": "groupBy",
    "group_wait": "groupWait",
    "group_interval": "groupInterval",
    "repeat_interval": "repeatInterval",
    "active_time_intervals": "activeTimeIntervals",
}


def _route(route: dict[str, Any]) -> dict[str, Any]:
    plain = {ours: route[theirs] for theirs, ours in ROUTE_FIELDS.items() if theirs in route}
    if "matchers" in route:
        plain["matchers"] = [_matcher(*parsed_matcher(text)) for text in route["matchers"]]
    if "routes" in route:
        plain["routes"] = [_route(one) for one in route["routes"]]
    return plain


def _time_interval(named: dict[str, Any]) -> dict[str, Any]:
    """A named interval in the operator's words; it keeps those that mute and those that are active in one list."""
    return {"name": named["name"], "timeIntervals": [{"weekdays": one["weekdays"]} for one in named["time_intervals"]]}


def _receiver(receiver: dict[str, Any]) -> dict[str, Any]:
    hooks = [{"url": one["url"], "sendResolved": one["send_resolved"]} for one in receiver.get("webhook_configs", ())]
    return {"name": receiver["name"]} | ({"webhookConfigs": hooks} if hooks else {})


def _matcher(name: str, match_type: str, value: str) -> dict[str, str]:
    return {"name": name, "matchType": match_type, "value": value}


def _messages() -> dict[str, str]:
    return {name.partition("/")[2]: text for name, text in message_files().items()}


def _config_map(name: str, data: dict[str, str], labels: dict[str, str] | None = None) -> dict[str, Any]:
    if (size := sum(len(text.encode()) for text in data.values())) >= CONFIG_MAP_LIMIT:
        raise TemplateError(f"{name} has {size} bytes; a ConfigMap takes less than {CONFIG_MAP_LIMIT}")
    content = manifest("v1", "ConfigMap", name)
    content["metadata"]["labels"] |= labels or {}
    return content | {"data": data}
