"""What all manifests for Kubernetes share: their head, the names that Kubernetes takes, and how they are written."""

from __future__ import annotations

import re
from typing import Any

import yaml

HEADER = "# Written by `agentgauge bundle --format kubernetes`; write it again rather than edit it.\n"
LABELS = {"app.kubernetes.io/part-of": "agentgauge"}


def manifest(version: str, kind: str, name: str) -> dict[str, Any]:
    """The head of a manifest; its labels are its own, to be added to."""
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "labels": dict(LABELS)}}


def kubernetes_name(text: str) -> str:
    """A name that Kubernetes takes, made of a job's or an agent's: lower case, hyphens for all that is not allowed."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def to_yaml(content: dict[str, Any]) -> str:
    """The text of a manifest."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, so that queries and dashboards can be read."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)
