"""The services of the native stack: what each one runs and how to tell that it is ready."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

from alerts.promql import Duration
from stack import binaries
from stack.layout import ROOT, Layout

APP = "sample_agent.app:app"
"""The agent of the stack, as `agentgauge --app` takes it."""

ESCALATE_AFTER = "15m"
"""How long nobody may acknowledge a page before the pager prints it again; docker-compose.yml has the same."""

GRAFANA_HOMES = ("/usr/share/grafana", "/usr/local/share/grafana", "/opt/homebrew/share/grafana")


@dataclass(frozen=True)
class StackService:
    """One process. ``url`` answers 2xx once it is ready; None means that there is nothing to wait for."""

    name: str
    command: list[str]
    port: int | None
    url: str | None
    env: dict[str, str] = field(default_factory=dict)
    folder: Path = ROOT


def services(
    layout: Layout, programs: dict[str, Path], reps: int = 50, pace: float = 1.0, *, snapshots: bool = False
) -> list[StackService]:
    """Every service of the stack, in the order to start them; with ``snapshots``, Prometheus can be told to make one.

    Whoever reaches its port, a page in a browser included, can delete series then.
    """
    ports, etc = layout.ports, layout.etc
    python = [sys.executable, "-m"]
    listen = "127.0.0.1"
    found = [
        StackService(
            "prometheus",
            [
                str(programs["prometheus"]),
                f"--config.file={etc / 'prometheus.yml'}",
                f"--storage.tsdb.path={layout.folder / 'prometheus'}",
                "--enable-feature=exemplar-storage",
                "--storage.tsdb.retention.time=30d",
                # A made-up past ends with alerts that have held for minutes; by default only ten and more are taken up.
                "--rules.alert.for-grace-period=1s",
                f"--rules.alert.resend-delay={Duration.parse('1m').faster(layout.speed)}",
                f"--web.listen-address={listen}:{ports.prometheus}",
                "--log.level=warn",
                *(["--web.enable-admin-api"] if snapshots else []),
            ],
            ports.prometheus,
            f"{layout.prometheus}/-/ready",
            folder=binaries.working_folder(programs["prometheus"]),
        ),
        StackService(
            "alertmanager",
            [
                str(programs["alertmanager"]),
                f"--config.file={etc / 'alertmanager.yml'}",
                f"--storage.path={layout.folder / 'alertmanager'}",
                f"--web.external-url={layout.alertmanager}",
                f"--web.listen-address={listen}:{ports.alertmanager}",
                "--cluster.listen-address=",
                "--log.level=warn",
            ],
            ports.alertmanager,
            f"{layout.alertmanager}/-/ready",
            folder=binaries.working_folder(programs["alertmanager"]),
        ),
        StackService(
            "pager",
            [
                *python,
                "alerts",
                "pager",
                f"--port={ports.pager}",
                f"--state={layout.pager_state}",
                f"--alertmanager={layout.alertmanager}",
                f"--prometheus={layout.prometheus}",
                f"--speed={layout.speed:g}",
                f"--escalate-after={ESCALATE_AFTER}",
            ],
            ports.pager,
            f"{layout.pager}/health",
        ),
        StackService(
            "runbooks",
            [*python, "http.server", "--bind", listen, "--directory", str(layout.folder / "site"), str(ports.runbooks)],
            ports.runbooks,
            f"{layout.runbooks}/",
        ),
        _dashboards(layout),
    ]
    if not os.environ.get("ANTHROPIC_API_KEY"):
        url = f"http://{listen}:{ports.fake_api}/health"
        found.append(
            StackService(
                "fake-api", [*python, "sample_agent", "fake-api", f"--port={ports.fake_api}"], ports.fake_api, url
            )
        )
    found += [
        StackService(
            "agent",
            [*python, "sample_agent", "serve", f"--port={ports.agent}", f"--metrics-port={ports.metrics}"],
            ports.agent,
            f"{layout.agent}/health",
        ),
        StackService(
            "simulator",
            [*python, "sample_agent", "simulate", f"--reps={reps}", f"--pace={pace}", f"--agent={layout.agent}"],
            None,
            None,
        ),
        StackService("evals", [*python, "agentgauge", "eval", "nightly"], None, None),
    ]
    return found


def environment(layout: Layout) -> dict[str, str]:
    """What all services share: which agent it is, where its state is, and where the fake API listens."""
    return {
        **os.environ,
        "AGENTGAUGE_APP": APP,
        "AGENTGAUGE_STATE": str(layout.state),
        "AGENTGAUGE_FAKE_API": f"http://127.0.0.1:{layout.ports.fake_api}",
        "PYTHONUNBUFFERED": "1",
    }


def grafana() -> str | None:
    """Grafana's server program, if it is installed."""
    return shutil.which("grafana") or shutil.which("grafana-server")


def _dashboards(layout: Layout) -> StackService:
    port, url = layout.ports.dashboards, f"{layout.dashboards}/health"
    program = grafana()
    if program is None:
        preview = ["stack", "preview", f"--port={port}", f"--prometheus={layout.prometheus}"]
        preview.append(f"--dashboards={layout.etc / 'dashboards'}")
        return StackService("dashboards", [sys.executable, "-m", *preview], port, url)
    home = next((home for home in GRAFANA_HOMES if Path(home).is_dir()), GRAFANA_HOMES[0])
    command = [program, "server"] if Path(program).name == "grafana" else [program]
    return StackService(
        "dashboards",
        [*command, f"--homepath={home}"],
        port,
        f"{layout.dashboards}/api/health",
        grafana_environment(layout),
    )


def grafana_environment(layout: Layout) -> dict[str, str]:
    """Grafana's settings: loopback, everybody may look, nobody logs in, so there is no password to have a default."""
    folder = layout.folder / "grafana"
    return {
        "GF_SERVER_HTTP_ADDR": "127.0.0.1",
        "GF_SERVER_HTTP_PORT": str(layout.ports.dashboards),
        "GF_PATHS_DATA": str(folder),
        "GF_PATHS_LOGS": str(folder / "log"),
        "GF_PATHS_PROVISIONING": str(ROOT / "dashboards" / "provisioning"),
        "GF_AUTH_ANONYMOUS_ENABLED": "true",
        "GF_AUTH_BASIC_ENABLED": "false",
        "GF_AUTH_DISABLE_LOGIN_FORM": "true",
        "GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION": "true",
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
        "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
        "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH": str(layout.etc / "dashboards" / "overview.json"),
        "PROMETHEUS_URL": layout.prometheus,
        "TRACE_URL": os.environ.get("TRACE_URL", ""),
        "DASHBOARDS_PATH": str(layout.etc / "dashboards"),
    }
