"""The agent itself in Kubernetes: its pods, how they are reached, who may reach them, and how many there are.

Written to pass the pod security standard "restricted". What differs for you is a patch in a kustomization of your own
on top of these files: they are rendered again with each version of the bundle.
"""

from __future__ import annotations

import re
from typing import Any

from agentgauge import metrics
from bundle.holes import TemplateError
from bundle.manifest import LABELS, kubernetes_name, manifest

METRICS_PORT = 9464
LEAST_REPLICAS = 2
MOST_REPLICAS = 10
SESSIONS_EACH = 50
"""Open conversations a replica has before another one is started."""
MONITORING = "monitoring"
"""The namespace that Prometheus scrapes from."""
USER = 10001
"""A user id that no host has a name for."""
SECONDS_TO_END = 60
"""Time for the turns that are under way when a pod is told to end."""
SECONDS_BEFORE_FEWER = 900
"""How long fewer replicas must be enough before one ends: conversations come back after a pause."""
SERVICE_NAME = re.compile(r"[a-z]([a-z0-9-]{0,48}[a-z0-9])?")
"""A name of a Service, short enough for what is added to it."""


def workload(agent: str, job: str, image: str, port: int) -> dict[str, dict[str, Any]]:
    """Name of the file → manifest, for one agent that answers at ``port``; TemplateError if its name cannot be used."""
    name = kubernetes_name(agent)
    if not SERVICE_NAME.fullmatch(name):
        raise TemplateError(
            f"the agent {agent!r} gives no name for a Service: "
            f"{name!r} has to begin with a letter and be at most 50 long"
        )
    pods = {"app.kubernetes.io/name": name}
    objects = {
        "service-account": _service_account(name),
        "deployment": _deployment(name, pods, image, port),
        "service": _service(name, pods, job, port),
        "network-policy": _network_policy(name, pods),
        "disruption-budget": _disruption_budget(name, pods),
        "autoscaler": _autoscaler(name, agent),
    }
    for content in objects.values():
        content["metadata"]["labels"] |= pods
    return {f"agent-{name}-{part}": content for part, content in objects.items()}


def _service_account(name: str) -> dict[str, Any]:
    """One of its own, that may do nothing: agents do not talk to the API server."""
    return manifest("v1", "ServiceAccount", name) | {"automountServiceAccountToken": False}


def _deployment(name: str, pods: dict[str, str], image: str, port: int) -> dict[str, Any]:
    """It says no number of replicas: that is the autoscaler's, and each apply would set it back."""
    spec = {
        "selector": {"matchLabels": pods},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "template": {"metadata": {"labels": LABELS | pods}, "spec": _pod(name, pods, image, port)},
    }
    return manifest("apps/v1", "Deployment", name) | {"spec": spec}


def _pod(name: str, pods: dict[str, str], image: str, port: int) -> dict[str, Any]:
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": pods},
    }
    return {
        "serviceAccountName": name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": SECONDS_TO_END,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": [spread],
        "containers": [_container(name, image, port)],
        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "256Mi"}}],
    }


def _container(name: str, image: str, port: int) -> dict[str, Any]:
    def answers(port: str, **timing: int) -> dict[str, Any]:
        return {"tcpSocket": {"port": port}, **timing}

    secret = {"secretKeyRef": {"name": f"{name}-ledger", "key": "url", "optional": True}}
    return {
        "name": "agent",
        "image": image,
        "ports": [{"name": "http", "containerPort": port}, {"name": "metrics", "containerPort": METRICS_PORT}],
        "env": [
            {"name": "AGENTGAUGE_LEDGER", "valueFrom": secret},
            {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        ],
        "startupProbe": answers("http", periodSeconds=2, failureThreshold=60),
        "readinessProbe": answers("http", periodSeconds=5, failureThreshold=3),
        "livenessProbe": answers("metrics", periodSeconds=20, failureThreshold=6),
        "resources": {
            "requests": {"cpu": "100m", "memory": "256Mi", "ephemeral-storage": "64Mi"},
            "limits": {"memory": "512Mi", "ephemeral-storage": "512Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 – the container's own, and all it can write
    }


def _service(name: str, pods: dict[str, str], job: str, port: int) -> dict[str, Any]:
    """With the label and the port that the ServiceMonitor looks for."""
    ports = [
        {"name": "http", "port": port, "targetPort": "http"},
        {"name": "metrics", "port": METRICS_PORT, "targetPort": "metrics"},
    ]
    content = manifest("v1", "Service", name) | {"spec": {"selector": pods, "ports": ports}}
    content["metadata"]["labels"]["agentgauge/job"] = job
    return content


def _network_policy(name: str, pods: dict[str, str]) -> dict[str, Any]:
    """Anybody in the cluster may ask the agent; its metrics and controls are for Prometheus and AgentGauge's own pods.

    Out go names, HTTPS, PostgreSQL and Redis. A tool that calls something else needs a NetworkPolicy more.
    """
    scrapers = [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": MONITORING}}},
        {"podSelector": {"matchLabels": LABELS}},
    ]
    spec = {
        "podSelector": {"matchLabels": pods},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [
            {"from": [{"namespaceSelector": {}}], "ports": [{"port": "http"}]},
            {"from": scrapers, "ports": [{"port": "metrics"}]},
        ],
        "egress": [
            {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]},
            {"ports": [{"port": 443}, {"port": 5432}, {"port": 6379}]},
            {"to": [{"podSelector": {"matchLabels": LABELS}}]},
        ],
    }
    return manifest("networking.k8s.io/v1", "NetworkPolicy", name) | {"spec": spec}


def _disruption_budget(name: str, pods: dict[str, str]) -> dict[str, Any]:
    """Nodes are drained one replica at a time."""
    spec = {"maxUnavailable": 1, "selector": {"matchLabels": pods}}
    return manifest("policy/v1", "PodDisruptionBudget", name) | {"spec": spec}


def _autoscaler(name: str, agent: str) -> dict[str, Any]:
    """By open conversations, which an adapter of custom metrics reads from Prometheus; without one, the least."""
    metric = {"name": metrics.SESSIONS_ACTIVE.name, "selector": {"matchLabels": {"agent": agent}}}
    target = {"type": "AverageValue", "averageValue": str(SESSIONS_EACH)}
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
        "minReplicas": LEAST_REPLICAS,
        "maxReplicas": MOST_REPLICAS,
        "metrics": [{"type": "Pods", "pods": {"metric": metric, "target": target}}],
        "behavior": {
            "scaleDown": {
                "stabilizationWindowSeconds": SECONDS_BEFORE_FEWER,
                "policies": [{"type": "Pods", "value": 1, "periodSeconds": 300}],
            }
        },
    }
    return manifest("autoscaling/v2", "HorizontalPodAutoscaler", name) | {"spec": spec}
