"""The manifests against the published types and schemas of Kubernetes and of the Prometheus operator."""

from __future__ import annotations

import copy
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from alerts import thresholds
from bundle.kubernetes import manifests
from tests import npm
from tests.runbooks.pages import STRANGERS

FILES = manifests(
    STRANGERS, thresholds.load(), images=dict.fromkeys(STRANGERS.agents, "registry.example.com/bot:1.2"), port=8000
)
OBJECTS: dict[str, dict[str, Any]] = {
    Path(name).stem: yaml.safe_load(text) for name, text in FILES.items() if not name.endswith("kustomization.yaml")
}
PACKAGES = {"monitoring.coreos.com": "@kubernetes-models/prometheus-operator/monitoring.coreos.com"}
"""Where a group's types are, if not in Kubernetes' own package; it leaves ``.k8s.io`` in the names of its groups."""

VALIDATE = """
import { text } from "node:stream/consumers";
const refused = {};
for (const [name, module, kind, content] of JSON.parse(await text(process.stdin))) {
  const model = (await import(module))[kind];
  try { new model(content).validate(); } catch (error) { refused[name] = error.message; }
}
console.log(JSON.stringify(refused));
"""

Break = Callable[[dict[str, Any]], object]
UNKNOWN_FIELDS: dict[str, tuple[str, Break]] = {
    "a rule": ("PrometheusRule", lambda one: one["spec"]["groups"][0]["rules"][0].update(keepFiringFor="5m")),
    "a route": ("AlertmanagerConfig", lambda one: one["spec"]["route"].update(group_by=["agent"])),
    "a container": ("Deployment", lambda one: _container(one).update(readyProbe={})),
    "an autoscaler": ("HorizontalPodAutoscaler", lambda one: one["spec"].update(minimumReplicas=2)),
}
"""What the types must refuse, so that they are known to look: kind, and what is put into it."""
BAD_VALUES: dict[str, tuple[str, Break]] = {
    "a duration": ("PrometheusRule", lambda one: one["spec"]["groups"][0]["rules"][-1].update({"for": "soon"})),
    "a type of match": (
        "AlertmanagerConfig",
        lambda one: one["spec"]["inhibitRules"][0]["sourceMatch"][0].update(matchType="~"),
    ),
    "a number of replicas": ("HorizontalPodAutoscaler", lambda one: one["spec"].update(maxReplicas="many")),
    "a pod without containers": ("Deployment", lambda one: one["spec"]["template"]["spec"].pop("containers")),
}
"""What the schemas must refuse."""


def _container(deployment: dict[str, Any]) -> dict[str, Any]:
    container: dict[str, Any] = deployment["spec"]["template"]["spec"]["containers"][0]
    return container


def model_of(content: dict[str, Any]) -> tuple[str, str]:
    """The module that has the kind of a manifest, and its name there."""
    group, _, version = content["apiVersion"].rpartition("/")
    package = PACKAGES.get(group, f"kubernetes-models/{group}" if group else "kubernetes-models")
    return f"{package}/{version}", content["kind"]


def broken(breaks: dict[str, tuple[str, Break]]) -> dict[str, dict[str, Any]]:
    """What is wrong → a manifest in which it is."""
    made = {}
    for what, (kind, break_) in breaks.items():
        made[what] = copy.deepcopy(next(one for one in OBJECTS.values() if one["kind"] == kind))
        break_(made[what])
    return made


@pytest.fixture(scope="module")
def project() -> Path:
    """A folder with the models of Kubernetes and of the operator, and a compiler."""
    return npm.installed(Path(__file__).with_name("models"), "kubernetes-models")


def test_no_manifest_has_a_field_that_its_kind_does_not_know(project: Path) -> None:
    """The API server would drop it without a word. One run of the compiler, over broken ones as well."""
    source = ""
    for number, content in enumerate(OBJECTS.values()):
        module, kind = model_of(content)
        source += f'import type {{ I{kind} as T{number} }} from "{module}";\n'
        source += f"export const c{number}: T{number} = {json.dumps(content, indent=1)};\n"
    for number, (what, content) in enumerate(broken(UNKNOWN_FIELDS).items(), len(OBJECTS)):
        module, kind = model_of(content)
        source += f'import type {{ I{kind} as T{number} }} from "{module}";\n'
        source += f"// @ts-expect-error {what}\nexport const c{number}: T{number} = {json.dumps(content)};\n"
    (project / "manifests.ts").write_text(source, encoding="utf-8")
    compiler = project / "node_modules" / "typescript" / "bin" / "tsc"
    result = subprocess.run(["node", compiler, "-p", project], capture_output=True, text=True, check=False)
    unused = re.findall(r"manifests\.ts\((\d+),\d+\): error TS2578", result.stdout)
    assert [source.splitlines()[int(number) - 1] for number in unused] == [], "the types do not find this"
    assert result.returncode == 0, result.stdout


def test_every_manifest_fits_the_schema_of_its_kind(project: Path) -> None:
    """Types, patterns, what is required; broken ones are refused."""
    wanted = [*OBJECTS.items(), *broken(BAD_VALUES).items()]
    (project / "validate.mjs").write_text(VALIDATE, encoding="utf-8")
    documents = json.dumps([(name, *model_of(content), content) for name, content in wanted])
    result = subprocess.run(
        ["node", project / "validate.mjs"], input=documents, capture_output=True, text=True, check=False, cwd=project
    )
    assert result.returncode == 0, result.stderr
    refused = json.loads(result.stdout)
    assert {name: why for name, why in refused.items() if name not in BAD_VALUES} == {}
    assert refused.keys() == BAD_VALUES.keys()
