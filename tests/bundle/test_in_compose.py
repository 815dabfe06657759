"""``--format compose``: a bundle that the profile `monitoring` of docker-compose.yml mounts as it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from alerts.deployment import DEMO
from bundle.__main__ import app
from stack.layout import ROOT


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle for two replicas of somebody's agent."""
    made = tmp_path_factory.mktemp("bundle")
    targets = ["--target", "10.0.0.5:9464", "--target", "10.0.0.6:9464"]
    command = [str(made), "--agent", "support_bot", "--job", "bots", "--format", "compose", "--no-site", *targets]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert f"docker compose --env-file {made / 'compose.env'} up --detach --build" in result.output
    return made


def settings(folder: Path) -> dict[str, str]:
    """The variables that the bundle sets for Compose."""
    lines = (folder / "compose.env").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines)


def test_prometheus_is_told_where_the_agents_and_the_containers_are(folder: Path) -> None:
    """The agents are those of the command; the containers have the names of the demo's."""
    read = {path.stem: yaml.safe_load(path.read_text("utf-8")) for path in (folder / "targets").iterdir()}
    ours = {
        path.stem: yaml.safe_load(path.read_text("utf-8")) for path in (ROOT / "stack/docker/targets").glob("*.yml")
    }
    assert read == {**ours, "agents": [{"targets": ["10.0.0.5:9464", "10.0.0.6:9464"]}]}
    named = re.findall(r"targets/(\w+)\.yml", (folder / "prometheus.yml").read_text(encoding="utf-8"))
    assert set(named) == set(read)
    assert "job_name: bots" in (folder / "prometheus.yml").read_text(encoding="utf-8")


def test_alertmanager_sends_to_the_pager_by_its_name_there(folder: Path) -> None:
    """From inside a container, loopback is the container itself."""
    webhooks = set(re.findall(r"url: (http://[^/]+)/", (folder / "alertmanager.yml").read_text(encoding="utf-8")))
    assert webhooks == {DEMO.pager}


def test_every_setting_is_one_that_the_compose_file_reads(folder: Path) -> None:
    """The profile is Compose's own; each of the others stands in docker-compose.yml."""
    file = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    ours = {name for name in settings(folder) if name != "COMPOSE_PROFILES"}
    assert ours <= set(re.findall(r"\$\{(\w+)", file))
    assert settings(folder)["COMPOSE_PROFILES"] == "monitoring"


def test_every_file_of_the_bundle_that_is_mounted_is_there(folder: Path) -> None:
    """Docker would make a folder in the place of a file that is missing."""
    mounted = re.findall(
        r"- (\$\{AGENTGAUGE_(?:ALERTS|TARGETS|DASHBOARDS):-[^}]*\}[^:]*):",
        (ROOT / "docker-compose.yml").read_text("utf-8"),
    )
    assert len(mounted) >= 6
    for source in mounted:
        name = re.sub(r"\$\{(\w+):-[^}]*\}", lambda match: settings(folder)[match[1]], source)
        assert Path(name).exists(), source
