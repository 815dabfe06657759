"""docker-compose.yml promises what the native stack does: loopback only, no password by default, one configuration.

What only an engine can tell, tests/containers asks one.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from stack import compose
from stack.layout import ROOT, Layout, Ports
from stack.services import grafana_environment, services

IMAGE = re.compile(r"[a-z]+/[a-z]+:v?\d+\.\d+\.\d+")
NATIVE = Layout(Ports(), ROOT / ".stack")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The Compose file; YAML anchors are merged by the parser."""
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    return loaded


@pytest.fixture(scope="module")
def containers(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Service → its definition."""
    found: dict[str, dict[str, Any]] = document["services"]
    return found


def mounts(container: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Path in the container → (what is mounted there, its mode or nothing)."""
    parsed = [re.fullmatch(r"(?P<source>\$\{[^}]*\}[^:]*|[^:]+):(?P<path>[^:]+)(:(?P<mode>\w+))?", volume)
              for volume in container.get("volumes", [])]  # fmt: skip  # the pattern and what it reads, side by side
    assert all(parsed)
    return {match["path"]: (by_default(match["source"]), match["mode"] or "") for match in parsed if match}


def by_default(text: str) -> str:
    """A value of the file where none of its variables is set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def test_the_services_are_those_of_the_native_stack(containers: dict[str, dict[str, Any]]) -> None:
    """Names in runbooks, `pause` and `status` mean the same in both."""
    programs = {name: Path(name) for name in ("prometheus", "alertmanager")}
    assert set(containers) == {service.name for service in services(NATIVE, programs)} | {"fake-api"}


def test_each_port_is_published_once_on_loopback_under_its_native_number(
    containers: dict[str, dict[str, Any]],
) -> None:
    """Nothing listens beyond this machine, and links in pages lead to the same places."""
    published = [port for container in containers.values() for port in container.get("ports", [])]
    assert sorted(published) == sorted(f"127.0.0.1:{port}:{port}" for port in vars(Ports()).values())


def test_the_stack_finds_its_containers_by_the_projects_name(document: dict[str, Any]) -> None:
    """`status` asks Docker for the containers of this project, whatever the folder is called."""
    assert document["name"] == compose.PROJECT


def test_no_service_is_reachable_around_the_published_ports(containers: dict[str, dict[str, Any]]) -> None:
    """Host networking would put every listener on all of the machine's addresses."""
    assert all(container.get("network_mode", "default") != "host" for container in containers.values())


def test_images_are_pinned_to_an_exact_version(containers: dict[str, dict[str, Any]]) -> None:
    """All but our own, which is built here: by one service, used by the others."""
    foreign = {container["image"] for container in containers.values()} - {"agentgauge:local"}
    assert len(foreign) == 3
    assert all(IMAGE.fullmatch(image) for image in foreign)
    assert [name for name, container in containers.items() if "build" in container] == ["runbooks"]


def test_every_service_has_a_health_check_and_comes_back_after_a_crash(
    containers: dict[str, dict[str, Any]],
) -> None:
    """A container that runs and does not answer is seen."""
    for name, container in containers.items():
        assert container["healthcheck"]["test"][0] == "CMD", name
        assert container["restart"] == "unless-stopped", name


def test_no_service_may_more_than_it_needs(containers: dict[str, dict[str, Any]]) -> None:
    """Whatever variables are unset, none is root, has a capability, may gain one, or can write into its image."""
    for name, container in containers.items():
        user, _, _ = by_default(container["user"]).partition(":")
        assert int(user) > 0, name
        assert container["cap_drop"] == ["ALL"], name
        assert "cap_add" not in container, name
        assert container["security_opt"] == ["no-new-privileges:true"], name
        assert "privileged" not in container, name
        assert container["read_only"], name


def test_no_service_can_starve_the_others(containers: dict[str, dict[str, Any]]) -> None:
    """Each has a bound on memory, processors and processes."""
    for name, container in containers.items():
        assert {"mem_limit", "cpus", "pids_limit"} <= container.keys(), name


def test_each_profile_has_all_that_its_services_wait_for(containers: dict[str, dict[str, Any]]) -> None:
    """`demo` is everything; `monitoring` is what watches agents of your own."""
    profiles = {name: set(container["profiles"]) for name, container in containers.items()}
    assert all("demo" in of for of in profiles.values())
    monitoring = {name for name, of in profiles.items() if "monitoring" in of}
    assert monitoring == {"prometheus", "alertmanager", "pager", "dashboards", "runbooks"}
    for name, container in containers.items():
        for needed in container.get("depends_on", {}):
            assert profiles[name] <= profiles[needed], name


def test_services_start_after_those_they_need_are_healthy(containers: dict[str, dict[str, Any]]) -> None:
    """Each dependency is waited for, and each service waited for exists."""
    for name, container in containers.items():
        for needed, how in container.get("depends_on", {}).items():
            assert needed in containers, name
            assert how == {"condition": "service_healthy"}, name


def test_a_secret_is_a_file(document: dict[str, Any], containers: dict[str, dict[str, Any]]) -> None:
    """No variable holds one, where `docker inspect` shows it; a file that nobody named is empty."""
    settings = {
        key: value for container in containers.values() for key, value in container.get("environment", {}).items()
    }
    secret = {key: value for key, value in settings.items() if re.search("PASSWORD|SECRET|TOKEN|KEY", key)}
    assert secret.keys() == {"GF_SECURITY_ADMIN_PASSWORD__FILE"}
    assert {name: by_default(secret["file"]) for name, secret in document["secrets"].items()} == {
        "anthropic_api_key": os.devnull,
        "people": os.devnull,
        "pip_config": os.devnull,
    }


@pytest.mark.parametrize("service", ["agent", "pager"])
def test_the_people_of_an_installation_reach_who_asks_for_them(
    containers: dict[str, dict[str, Any]], service: str
) -> None:
    """The file that AGENTGAUGE_PEOPLE names on the host; without one, the variable is empty."""
    assert "people" in containers[service]["secrets"]
    assert containers[service]["environment"]["AGENTGAUGE_PEOPLE"] == "${AGENTGAUGE_PEOPLE:+/run/secrets/people}"


def test_grafana_lets_in_the_same_people_as_the_native_one(containers: dict[str, dict[str, Any]]) -> None:
    """Everything but addresses, paths and the administrator is equal."""
    native = grafana_environment(NATIVE)
    elsewhere = re.compile(r"GF_SERVER_|GF_PATHS_|PROMETHEUS_URL|TRACE_URL|.*_PATH$")
    ours = containers["dashboards"]["environment"]
    admin = {"GF_AUTH_BASIC_ENABLED", "GF_AUTH_DISABLE_LOGIN_FORM", "GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"}
    same = {key: value for key, value in native.items() if not elsewhere.match(key) and key not in admin}
    assert same.items() <= ours.items()
    assert not admin & ours.keys(), "in containers there is an administrator, whose password is made at the first start"
    assert same["GF_AUTH_ANONYMOUS_ENABLED"] == "true"


@pytest.mark.parametrize(
    ("service", "path", "source"),
    [
        ("prometheus", "/etc/prometheus/prometheus.yml", "./alerts/prometheus.yml"),
        ("prometheus", "/etc/prometheus/rules", "./alerts/rules"),
        ("prometheus", "/etc/prometheus/targets", "./stack/docker/targets"),
        ("alertmanager", "/etc/alertmanager/alertmanager.yml", "./alerts/alertmanager.yml"),
        ("alertmanager", "/etc/alertmanager/templates", "./alerts/templates"),
        ("alertmanager", "/etc/alertmanager/secrets", "./alerts/secrets"),
        ("dashboards", "/etc/grafana/provisioning", "./dashboards/provisioning"),
        ("dashboards", "/etc/grafana/dashboards", "./dashboards/generated"),
    ],
)
def test_committed_files_are_mounted_as_they_are(
    containers: dict[str, dict[str, Any]], service: str, path: str, source: str
) -> None:
    """One configuration for both ways to run, and no container can change it."""
    assert mounts(containers[service])[path] == (source, "ro")
    assert (ROOT / source).exists()


def test_grafana_is_provisioned_from_where_the_files_are_mounted(containers: dict[str, dict[str, Any]]) -> None:
    """The variables that the provisioning files name are set, and the home dashboard is there."""
    grafana = containers["dashboards"]
    named = {
        name
        for path in (ROOT / "dashboards" / "provisioning").rglob("*.yml")
        for name in re.findall(r"\$\{(\w+)\}", path.read_text(encoding="utf-8"))
    }
    assert named == {"DASHBOARDS_PATH", "PROMETHEUS_URL", "TRACE_URL"}
    assert named <= grafana["environment"].keys()
    folder = grafana["environment"]["DASHBOARDS_PATH"]
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home.startswith(f"{folder}/")
    assert (ROOT / mounts(grafana)[folder][0] / home.removeprefix(f"{folder}/")).exists()


def test_each_target_names_a_service_that_publishes_that_port(containers: dict[str, dict[str, Any]]) -> None:
    """The target files are the ones that prometheus.yml reads, and each leads to a listener."""
    folder = ROOT / "stack" / "docker" / "targets"
    read = re.findall(r"targets/(\w+)\.yml", (ROOT / "alerts" / "prometheus.yml").read_text(encoding="utf-8"))
    assert {path.stem for path in folder.glob("*.yml")} == set(read)
    for path in folder.glob("*.yml"):
        for group in yaml.safe_load(path.read_text(encoding="utf-8")):
            for target in group["targets"]:
                name, port = target.split(":")
                assert f"127.0.0.1:{port}:{port}" in containers[name]["ports"]


def test_alertmanager_sends_to_the_pager(containers: dict[str, dict[str, Any]]) -> None:
    """alertmanager.yml is mounted as it is, so the webhooks name the service and the port it listens on."""
    webhooks = re.findall(
        r"url: http://(\w+):(\d+)/", (ROOT / "alerts" / "alertmanager.yml").read_text(encoding="utf-8")
    )
    assert set(webhooks) == {("pager", str(Ports().pager))}
    assert f"127.0.0.1:{Ports().pager}:{Ports().pager}" in containers["pager"]["ports"]


def test_the_image_holds_what_its_runbook_site_is_built_from(
    tmp_path: Path, containers: dict[str, dict[str, Any]]
) -> None:
    """The Dockerfile's own command, on the files that .dockerignore lets through, writes what is served."""
    image = tmp_path / "app"
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        path = ROOT / line.removeprefix("!")
        if line.startswith("!") and path.is_dir():
            shutil.copytree(path, image / line[1:], ignore=shutil.ignore_patterns("__pycache__", "secrets", "pictures"))
    (command,) = re.findall(r"python -m (bundle /app/\S+ --demo)", (ROOT / "stack" / "Dockerfile").read_text("utf-8"))
    words = command.replace("/app/", f"{image}/").split()
    environment = {**os.environ, "PYTHONPATH": f"{image}:{image / 'exporter'}"}
    result = subprocess.run(
        [sys.executable, "-P", "-m", *words], cwd=image, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    (served,) = [by_default(word) for word in containers["runbooks"]["command"] if word.startswith("--directory=")]
    assert (image / served.partition("=")[2] / "AgentLatencySpike" / "index.html").exists()


def test_compose_accepts_the_file() -> None:
    """The real program reads it, where there is one."""
    program = compose.program()
    if not program:
        pytest.skip("there is no Docker Compose v2 on this machine")
    command = [*program, "--file", "docker-compose.yml", "config", "--quiet"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
