"""``python -m bundle DIR --agent NAME …``, which ``agentgauge bundle`` runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import typer

from alerts.deployment import DEMO, Deployment
from bundle.compose import compose_files, in_compose, steps_in_compose

app = typer.Typer(no_args_is_help=True, add_completion=False)

PAGER = "http://127.0.0.1:8010"
EDITED = (
    "prometheus.yml",
    "alertmanager.yml",
    "targets/agents.yml",
    "kubernetes/alertmanager-config.yaml",
    "kubernetes/service-monitor.yaml",
)
"""Files of the bundle that people put their receivers and targets into."""

NAME = re.compile(r"[A-Za-z0-9_.-]+")
APP = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
IMAGE = re.compile(r"[a-z0-9][\w./:@-]*")
LABEL = re.compile(r"([a-z0-9.-]+/)?[A-Za-z0-9][\w.-]{0,62}=[A-Za-z0-9][\w.-]{0,62}")
TARGET = re.compile(r"[\w.-]+:\d+|\[[0-9a-fA-F:]+\]:\d+")


@app.command()
def bundle(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to write into; made if it is missing.")],
    agent: Annotated[
        list[str] | None, typer.Option(help="Name of an agent, as in AgentGauge(agent=…); once for each.")
    ] = None,
    job: Annotated[str, typer.Option(help="Scrape job of the agents.")] = DEMO.job,
    target: Annotated[
        list[str] | None, typer.Option(help="HOST:PORT of an agent's /metrics; once for each replica.")
    ] = None,
    app_: Annotated[
        list[str] | None,
        typer.Option(
            "--app",
            help="What `agentgauge --app` takes on the runbooks: MODULE:NAME for all, or AGENT=MODULE:NAME for one.",
        ),
    ] = None,
    grafana_url: Annotated[str, typer.Option(help="Where people open Grafana.")] = DEMO.grafana,
    runbooks_url: Annotated[str, typer.Option(help="Where the runbook site will be served.")] = DEMO.runbooks,
    prometheus_url: Annotated[str, typer.Option(help="Where people and tools reach Prometheus.")] = DEMO.prometheus,
    alertmanager_url: Annotated[
        str, typer.Option(help="Where Prometheus, people and tools reach Alertmanager.")
    ] = DEMO.alertmanager,
    pager_url: Annotated[
        str, typer.Option(help="Webhook that gets every alert at /alerts and the heartbeat at /heartbeat.")
    ] = PAGER,
    incidents_url: Annotated[
        str, typer.Option(help="Where people open the pager of AgentGauge's repository, if it is that webhook.")
    ] = "",
    remote_write_url: Annotated[
        str,
        typer.Option(
            help="Where Prometheus writes to, for rules that are judged there: VictoriaMetrics, Mimir, Thanos Receive."
        ),
    ] = "",
    tenant: Annotated[str, typer.Option(help="The tenant there, sent as X-Scope-OrgID.")] = "",
    thresholds: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="YAML file with the numbers that differ.")
    ] = None,
    format_: Annotated[
        Literal["files", "kubernetes", "grafana", "compose"],
        typer.Option(
            "--format",
            help="Files to load, for the Prometheus operator, for Grafana to judge, or for our Compose file.",
        ),
    ] = "files",
    label: Annotated[
        list[str] | None,
        typer.Option(help="KEY=VALUE that your operator selects manifests by, such as release=kube-prometheus-stack."),
    ] = None,
    image: Annotated[
        list[str] | None,
        typer.Option(
            help="With --format kubernetes, run the agents there, too: IMAGE for all, or AGENT=IMAGE for one of them."
        ),
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where an agent of --image answers its users.")] = 8080,
    site: Annotated[bool, typer.Option(help="Build the runbooks as a static site as well.")] = True,
    overwrite: Annotated[
        bool, typer.Option(help="Also replace files that people edit, such as alertmanager.yml with its receivers.")
    ] = False,
    demo: Annotated[
        bool, typer.Option(help="For the Sales Companion of AgentGauge's repository, with its URLs.")
    ] = False,
) -> None:
    """Write rules, dashboards, runbooks and configuration for your agents into DIR, ready to load.

    Example: agentgauge bundle monitoring --agent support_bot --agent billing_bot --job my-agents
    --target 10.0.0.5:9464 --runbooks-url https://runbooks.example.com
    """
    agents = tuple(dict.fromkeys(agent or ()))
    if demo:
        if agents or target or app_:
            raise typer.BadParameter(
                "is for the Sales Companion alone: no --agent, --target or --app", param_hint="--demo"
            )
        deployment = DEMO
    elif not agents:
        raise typer.BadParameter("name at least one agent", param_hint="--agent")
    else:
        deployment = Deployment(
            agents=_all(agents, NAME, "--agent", "letters, digits, '_', '-' and '.'"),
            job=_all((job,), NAME, "--job", "letters, digits, '_', '-' and '.'")[0],
            grafana=_url(grafana_url, "--grafana-url"),
            runbooks=_url(runbooks_url, "--runbooks-url"),
            prometheus=_url(prometheus_url, "--prometheus-url"),
            alertmanager=_url(alertmanager_url, "--alertmanager-url"),
            pager=_url(pager_url, "--pager-url"),
            incidents=_url(incidents_url, "--incidents-url") if incidents_url else "",
            remote_write=_url(remote_write_url, "--remote-write-url") if remote_write_url else "",
            tenant=_all((tenant,), NAME, "--tenant", "letters, digits, '_', '-' and '.'")[0] if tenant else "",
            targets=_all(tuple(target or ["127.0.0.1:9464"]), TARGET, "--target", "HOST:PORT"),
            apps=_for_agents(agents, app_ or [], "--app", APP, "MODULE:NAME"),
        )
    if image and format_ != "kubernetes":
        raise typer.BadParameter("is for --format kubernetes alone", param_hint="--image")
    images = _for_agents(
        deployment.agents, image or [], "--image", IMAGE, "an image such as registry.example.com/bot:1.2"
    )
    if format_ == "compose":
        targets, deployment = deployment.targets, in_compose(deployment)
    from alerts.thresholds import load  # after the options are read, so that help and slips answer at once
    from bundle.errors import PROBLEMS
    from bundle.files import bundle_files

    try:
        numbers = load(overrides=thresholds)
        files = bundle_files(deployment, numbers)
        pages = {name: text for name, text in files.items() if name.startswith("runbooks/")}
        if format_ == "grafana":
            from bundle.grafana import grafana_files

            files = grafana_files(deployment, numbers) | pages
        elif format_ == "kubernetes":
            from bundle.kubernetes import manifests

            files = manifests(deployment, numbers, _labels(label or []), images, port) | pages
        elif format_ == "compose":
            files |= compose_files(targets, folder.absolute())
        _write(folder, files, overwrite)
        if site:
            _write_site(deployment, thresholds, folder / "site")
    except PROBLEMS as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    except OSError as error:
        typer.echo(f"error: {error.filename or folder} cannot be written: {error.strerror or error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(_summary(folder, files, site))
    next_steps = {
        "files": _steps,
        "kubernetes": _steps_in_kubernetes,
        "grafana": _steps_in_grafana,
        "compose": steps_in_compose,
    }
    steps = next_steps[format_](deployment, folder)
    typer.echo("\n".join(["next:", *(f"  {number}. {step}" for number, step in enumerate(steps, 1))]))


def _write(folder: Path, files: dict[str, str], overwrite: bool) -> None:
    """Write the files; where people may have edited one, the new text goes beside it and they are told."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name in EDITED and not overwrite and path.exists() and path.read_text(encoding="utf-8") != text:
            typer.echo(f"kept {path}, which differs; the new text is in {path.name}.new (--overwrite replaces it)")
            path = path.with_name(f"{path.name}.new")
        path.write_text(text, encoding="utf-8")


def _write_site(deployment: Deployment, overrides: Path | None, target: Path) -> None:
    from alerts.rules import render
    from alerts.thresholds import load
    from bundle.site import build_site

    build_site(deployment, render(load(overrides=overrides), deployment), target)


def _summary(folder: Path, files: dict[str, str], site: bool) -> str:
    parts: dict[str, int] = {}
    for name in files:
        part, slash, _ = name.partition("/")
        parts[part + slash] = parts.get(part + slash, 0) + 1
    lines = [f"wrote {folder}:"]
    lines += [f"  {part:18}{count} file(s)" if part.endswith("/") else f"  {part}" for part, count in parts.items()]
    if site:
        lines.append(f"  {'site/':18}the runbooks as a static site")
    return "\n".join(lines)


def _steps(deployment: Deployment, folder: Path) -> list[str]:
    start = f"start Prometheus: prometheus --config.file={folder / 'prometheus.yml'} --storage.tsdb.retention.time=30d"
    if deployment.remote_write:
        start += (
            f"; it only writes. Have {folder / 'rules'} judged over there: vmalert -rule='{folder / 'rules'}/*.yml', "
            f"mimirtool rules load {folder / 'rules'}/*.yml, or Thanos Rule"
        )
    return [
        f"put receivers that reach people into {folder / 'alertmanager.yml'}: until then every alert goes to "
        f"{deployment.pager} only. Start Alertmanager on it: alertmanager --config.file={folder / 'alertmanager.yml'} "
        f"--web.external-url={deployment.alertmanager}",
        start,
        f"serve {folder / 'site'} at {deployment.runbooks}, and give {folder / 'dashboards'} to Grafana at "
        f"{deployment.grafana} (a file provider, or import)",
    ]


def _steps_in_kubernetes(deployment: Deployment, folder: Path) -> list[str]:
    return [
        f"give the Services of agents that run elsewhere the label agentgauge/job={deployment.job} and a port named "
        "metrics; those of --image have them",
        f"kubectl apply --server-side --namespace NAMESPACE --kustomize {folder / 'kubernetes'} (and add receivers "
        f"that reach people to alertmanager-config.yaml: until then every alert goes to {deployment.pager} only)",
        f"serve {folder / 'site'} at {deployment.runbooks}; Grafana's sidecar finds the dashboards by their label",
    ]


def _steps_in_grafana(deployment: Deployment, folder: Path) -> list[str]:
    return [
        f"load {folder / 'rules'} in Prometheus, started with --web.enable-remote-write-receiver, and have Grafana "
        "write down there which alerts fire ([unified_alerting.state_history], backend = prometheus)",
        f"copy {folder / 'alerting'} to provisioning/alerting of Grafana, whose data source has the uid prometheus. "
        f"policies.yaml replaces the policies that there are; until you add contact points, every alert goes to "
        f"{deployment.pager} only",
        f"serve {folder / 'site'} at {deployment.runbooks}, and give {folder / 'dashboards'} to Grafana at "
        f"{deployment.grafana} (a file provider, or import)",
    ]


def _labels(written: list[str]) -> dict[str, str]:
    _all(tuple(written), LABEL, "--label", "KEY=VALUE as Kubernetes takes it")
    return dict(one.split("=", 1) for one in written)


def _all(values: tuple[str, ...], allowed: re.Pattern[str], option: str, words: str) -> tuple[str, ...]:
    for value in values:
        if not allowed.fullmatch(value):
            raise typer.BadParameter(f"{value!r}: expected {words}", param_hint=option)
    return values


def _url(url: str, option: str) -> str:
    parts = urlsplit(url)
    try:
        usable = parts.scheme in ("http", "https") and parts.hostname and not (parts.query or parts.fragment)
        _ = parts.port  # raises ValueError for one that is not a number
    except ValueError:
        usable = False
    if not usable or re.search(r"[\s'\"<>]", url):
        raise typer.BadParameter(f"{url!r}: expected a URL such as https://example.com", param_hint=option)
    if parts.username or parts.password:
        raise typer.BadParameter("the URL holds a password, and it would stand on every page", param_hint=option)
    return url.rstrip("/")


def _for_agents(
    agents: tuple[str, ...], written: list[str], option: str, allowed: re.Pattern[str], words: str
) -> dict[str, str]:
    """Agent → value, from ``VALUE`` for all and ``AGENT=VALUE`` for one."""
    for_all = [one for one in written if "=" not in one]
    if len(for_all) > 1:
        raise typer.BadParameter(f"given twice; say AGENT={words.split()[0]} for each agent", param_hint=option)
    values = dict.fromkeys(agents, for_all[0]) if for_all else {}
    for one in written:
        if "=" in one:
            name, _, value = one.partition("=")
            if name not in agents:
                raise typer.BadParameter(f"{name!r} is not one of the agents: {', '.join(agents)}", param_hint=option)
            values[name] = value
    _all(tuple(values.values()), allowed, option, words)
    return values


if __name__ == "__main__":
    app(prog_name="agentgauge bundle")
