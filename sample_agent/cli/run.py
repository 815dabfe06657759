"""Run the Sales Companion, talk to it, drive it."""

from __future__ import annotations

from typing import Annotated

import typer

from agentgauge.cli.common import AGENT_URL, AgentUrl, out, say, stop, warn
from sample_agent.settings import ledger_url, state_directory
from sample_agent.simulator.workload import PEOPLE

Host = Annotated[str, typer.Option(help="Address to listen on.")]


def serve(
    port: Annotated[int, typer.Option(help="Port of the HTTP API.")] = 8030,
    metrics_port: Annotated[int, typer.Option(help="Port of /metrics.")] = 9464,
    host: Host = "127.0.0.1",
    advertise: Annotated[
        str | None,
        typer.Option(envvar="AGENTGAUGE_ADVERTISE", help="URL under which other hosts reach the port of /metrics."),
    ] = None,
) -> None:
    """Run the Sales Companion as a service, with /metrics beside it."""
    import asyncio
    import logging

    from anthropic import APIError, AuthenticationError

    from agentgauge import http_server
    from agentgauge.autonomy.people import TokenError
    from agentgauge.files.yaml_file import YamlFileError
    from agentgauge.ledger import LedgerError
    from agentgauge.own_prices import PriceError
    from agentgauge.prompts.library import PromptError
    from sample_agent import assembly, service
    from sample_agent.app import app
    from sample_agent.sales.model_calls import check_access

    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # it logs each request
    try:
        gauge = assembly.build_gauge(state_directory())
        companion = assembly.build_companion(gauge, assembly.build_client(gauge), state_directory())
        door = assembly.build_door(state_directory())
        page = assembly.build_approvals_page(companion.supervisor.autonomy, door)
    except (LedgerError, PriceError, PromptError, TokenError, YamlFileError) as error:
        stop(str(error))
    try:
        asyncio.run(check_access(assembly.build_client(gauge), app().tier_policy().model_of("classification")))
    except AuthenticationError:
        stop(
            "the model provider refused the API key (401); check ANTHROPIC_API_KEY, or unset it to use the local server"
        )
    except APIError as error:
        warn(f"warning: the model provider does not answer yet ({type(error).__name__}); starting without it")
    try:
        gauge.serve(metrics_port, host, advertise=advertise)
    except OSError as error:
        stop(str(error.strerror or error))
    except ValueError as error:
        stop(str(error))
    web = service.Service(gauge, companion, door, approvals_page=page).app()
    http_server.run(web, host, port)


def fake_api(
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8040,
    host: Host = "127.0.0.1",
    latency: Annotated[float, typer.Option(help="1 answers at a model's pace, 0 at once.")] = 1.0,
) -> None:
    """Run the local server that speaks the Messages API, for use without an API key."""
    from agentgauge import http_server
    from sample_agent import faults
    from sample_agent.fake_api.app import create_app

    http_server.run(create_app(faults.FaultFile(state_directory()), latency=latency), host, port)


def simulate(
    reps: Annotated[int, typer.Option(min=1, help="People on the floor.")] = PEOPLE,
    pace: Annotated[float, typer.Option(min=0.01, help="2 is twice as busy as usual.")] = 1.0,
    seconds: Annotated[float | None, typer.Option(help="Stop after so long; default: until Ctrl-C.")] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same floor.")] = 1,
    url: AgentUrl = AGENT_URL,
) -> None:
    """Drive the running agent like a sales floor: arrivals, think time, people who leave, thumbs."""
    import asyncio
    import contextlib
    import random
    from datetime import timedelta
    from functools import partial

    from rich.live import Live

    from agentgauge.ledger import Ledger
    from sample_agent import assembly, faults
    from sample_agent.me import my_token
    from sample_agent.simulator.by_hand import do_by_hand
    from sample_agent.simulator.floor import SECONDS_LEFT_WAITING, Floor, Tally
    from sample_agent.simulator.reviewers import review

    def take_over() -> None:
        with contextlib.closing(Ledger.open(ledger_url(state_directory()))) as ledger:
            left_at = ledger.now() - timedelta(seconds=SECONDS_LEFT_WAITING)
            review(assembly.build_autonomy(ledger).approvals, "a colleague", left_at)

    tally = Tally()
    rng = random.Random(seed)  # noqa: S311 - a simulation, not a secret
    by_hand = partial(do_by_hand, state_directory() / "crm.sqlite")
    in_force = faults.FaultFile(state_directory())
    floor = Floor(url, reps, pace, rng, tally, in_force, take_over, by_hand, token=my_token())
    with contextlib.suppress(KeyboardInterrupt), Live(console=out, get_renderable=lambda: str(tally), transient=True):
        asyncio.run(floor.run(seconds))
    say(str(tally))
