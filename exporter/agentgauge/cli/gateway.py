"""`agentgauge gateway`: receives spans over OTLP/HTTP and shows metrics of the agents that sent them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from agentgauge.cli.common import say, secret_in, stop

app = typer.Typer(add_completion=False)


@app.command()
def gateway(
    host: Annotated[str, typer.Option(help="The address to listen on; beyond loopback, a token is needed.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port; 4318 is where exporters send to.")] = 4318,
    agent: Annotated[
        list[str] | None,
        typer.Option(metavar="SERVICE=AGENT", help="The agent of a service.name, if it has another name; repeatable."),
    ] = None,
    prices: Annotated[Path | None, typer.Option(help="A file of your own prices.")] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="File with the bearer token that exporters and Prometheus send; or set AGENTGAUGE_GATEWAY_TOKEN."
        ),
    ] = None,
) -> None:
    """Receive the spans of agents in any language at /v1/traces, and show their metrics at /metrics, until Ctrl-C."""
    from prometheus_client import CollectorRegistry

    from agentgauge import http_server
    from agentgauge.otel.agents import Agents
    from agentgauge.otel.gateway import GatewayError, Inbox, check_exposure
    from agentgauge.otel.gateway import gateway as make_gateway
    from agentgauge.own_prices import PriceError

    registry = CollectorRegistry()
    token = os.environ.get("AGENTGAUGE_GATEWAY_TOKEN") if token_file is None else secret_in(token_file)
    try:
        check_exposure(host, token)
        agents = Agents(registry, names=_names(agent or []), prices=prices)
    except (GatewayError, PriceError) as error:
        stop(str(error))
    served = make_gateway(agents, Inbox(agents), registry, token)
    at = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    say(f"spans go to {at}/v1/traces, metrics are at {at}/metrics")
    http_server.run(served, host, port)


def _names(pairs: list[str]) -> dict[str, str]:
    names = {}
    for pair in pairs:
        service, equals, name = pair.partition("=")
        if not (service and equals and name):
            stop(f"--agent {pair}: write it as SERVICE=AGENT, as in --agent checkout-bot=sales_companion")
        names[service] = name
    return names
