"""The real kustomize, in kubectl, builds the folder of ``--format kubernetes``, and what people build upon it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from bundle.__main__ import app
from stack import debian
from stack.layout import HOME

OWN = """\
resources: [monitoring/kubernetes]
namespace: support
patches:
- target: {kind: Deployment, name: support-bot}
  patch: |-
    - {op: replace, path: /spec/template/spec/terminationGracePeriodSeconds, value: 7}
"""
"""What docs/operate.md tells people to write: a kustomization of their own with a patch."""


class Loader(yaml.SafeLoader):
    """As YAML 1.2 reads it: kustomize writes ``matchType: =``, which PyYAML takes for something that it cannot make."""


Loader.add_constructor("tag:yaml.org,2002:value", lambda _loader, node: node.value)


@pytest.fixture(scope="module")
def kubectl() -> Path:
    """From PATH, or unpacked from Debian's package."""
    on_path = shutil.which("kubectl")
    if on_path:
        return Path(on_path)
    unpacked = HOME / "debian" / "usr" / "bin" / "kubectl"
    with debian.one_at_a_time(HOME):
        if not unpacked.exists():
            debian.unpack(["kubernetes-client"], HOME, lambda _text: None, instead="install kubectl")
    return unpacked


def build(kubectl: Path, folder: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Kind and name → what would be applied."""
    done = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    documents = list(yaml.load_all(done.stdout, Loader))
    made = {(one["kind"], one["metadata"]["name"]): one for one in documents}
    assert len(made) == len(documents)
    return made


def test_kustomize_builds_what_was_rendered_and_a_patch_of_ones_own(kubectl: Path, tmp_path: Path) -> None:
    """Each manifest as it is in its file; with a kustomization above it, in its namespace and patched."""
    folder = tmp_path / "monitoring"
    command = [str(folder), "--agent", "support_bot", "--job", "support-bot", "--format", "kubernetes", "--no-site"]
    result = CliRunner().invoke(app, [*command, "--image", "registry.example.com/bot:1.2", "--port", "8000"])
    assert result.exit_code == 0, result.output
    files = [file for file in (folder / "kubernetes").glob("*.yaml") if file.name != "kustomization.yaml"]
    written = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in files]
    made = build(kubectl, folder / "kubernetes")
    assert made == {(one["kind"], one["metadata"]["name"]): one for one in written}

    (tmp_path / "kustomization.yaml").write_text(OWN, encoding="utf-8")
    patched = build(kubectl, tmp_path)
    assert patched.keys() == made.keys()
    assert {one["metadata"]["namespace"] for one in patched.values()} == {"support"}
    (deployment,) = (one for (kind, _), one in patched.items() if kind == "Deployment")
    assert deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 7
