"""The Sales Companion's command line: run it, talk to it, break it, operate it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
from collections.abc import Iterator
from typing import Annotated, Any, NoReturn

import httpx2
import typer
import uvicorn
from anthropic import APIError, AuthenticationError
from rich.console import Console
from rich.live import Live
from rich.table import Table

from agentgauge.ledger import Ledger, LedgerError
from sample_agent import faults, service, switches
from sample_agent.fake_api.app import create_app
from sample_agent.local import agent_url
from sample_agent.sales.companion import check_access
from sample_agent.sales.tools import TOOLS_BY_NAME
from sample_agent.simulator.floor import Floor, Tally
from sample_agent.state_file import state_directory

app = typer.Typer(no_args_is_help=True, add_completion=False, help="The Sales Companion: run, talk, break, operate.")
ops = typer.Typer(no_args_is_help=True, help="What the runbooks do to the running agent.")
app.add_typer(ops, name="ops")

out = Console()
problems = Console(stderr=True)

Host = Annotated[str, typer.Option(help="Address to listen on.")]
AgentUrl = Annotated[str, typer.Option("--agent", envvar="AGENTGAUGE_AGENT", help="URL of the running agent.")]
AGENT_URL = "http://127.0.0.1:8030"


@app.command()
def serve(
    port: Annotated[int, typer.Option(help="Port of the HTTP API.")] = 8030,
    metrics_port: Annotated[int, typer.Option(help="Port of /metrics.")] = 9464,
    host: Host = "127.0.0.1",
) -> None:
    """Run the Sales Companion as a service, with /metrics beside it."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # it logs each request
    try:
        gauge = service.build_gauge(state_directory())
    except LedgerError as error:
        _stop(str(error))
    try:
        asyncio.run(check_access(service.build_client(gauge)))
    except AuthenticationError:
        _stop(
            "the model provider refused the API key (401); check ANTHROPIC_API_KEY, or unset it to use the local server"
        )
    except APIError as error:
        problems.print(f"warning: the model provider does not answer yet ({type(error).__name__}); going on")
    try:
        gauge.serve(metrics_port, host)
    except OSError as error:
        _stop(str(error.strerror or error))
    companion = service.build_companion(gauge, service.build_client(gauge), state_directory())
    uvicorn.run(service.Service(gauge, companion).app(), host=host, port=port, log_level="warning")


@app.command("fake-api")
def fake_api(
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8040,
    host: Host = "127.0.0.1",
    latency: Annotated[float, typer.Option(help="1 answers at a model's pace, 0 at once.")] = 1.0,
) -> None:
    """Run the local server that speaks the Messages API, for use without an API key."""
    uvicorn.run(
        create_app(faults.FaultFile(state_directory()), latency=latency), host=host, port=port, log_level="warning"
    )


@app.command()
def chat(url: AgentUrl = AGENT_URL) -> None:
    """Talk to the Sales Companion; starts one in this process if none is running."""
    with agent_url(url) as base, httpx2.Client(base_url=base, timeout=180) as client:
        session = client.post("/sessions", json={"user_id": os.environ.get("USER", "you")}).json()["session_id"]
        out.print('[bold]Sales Companion[/bold]. Try "Tell me about the Globex account". An empty line ends it.')
        try:
            while text := out.input("[bold cyan]you[/bold cyan] ").strip():
                with out.status("thinking"):
                    reply = client.post(f"/sessions/{session}/messages", json={"text": text}).json()
                out.print(_said(reply))
        except (EOFError, KeyboardInterrupt):
            out.print()
        finally:
            client.delete(f"/sessions/{session}")


@app.command()
def simulate(
    reps: Annotated[int, typer.Option(min=1, help="People on the floor.")] = 50,
    pace: Annotated[float, typer.Option(min=0.01, help="2 is twice as busy.")] = 1.0,
    seconds: Annotated[float | None, typer.Option(help="Stop after so long; default: until Ctrl-C.")] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same floor.")] = 1,
    url: AgentUrl = AGENT_URL,
) -> None:
    """Drive the running agent like a sales floor: arrivals, think time, people who leave, thumbs."""
    tally = Tally()
    floor = Floor(url, reps, pace, random.Random(seed), tally)  # noqa: S311 - a simulation, not a secret
    with contextlib.suppress(KeyboardInterrupt), Live(console=out, get_renderable=lambda: str(tally), transient=True):
        asyncio.run(floor.run(seconds))
    out.print(str(tally))


@app.command()
def fault(
    name: Annotated[str, typer.Argument(help="A fault, or: list, clear.")],
    what: Annotated[str | None, typer.Argument(help="With clear: only this fault.")] = None,
    tool: Annotated[str | None, typer.Option(help="Only this tool (faults of tools).")] = None,
) -> None:
    """Break the running agent on purpose: list, clear, or one of the faults."""
    directory = state_directory()
    if tool is not None:
        _known_tool(tool)
    try:
        if name == "clear":
            faults.clear(directory, what)
        elif name != "list":
            faults.inject(directory, faults.Fault(name, tool))
    except ValueError as error:
        _stop(str(error))
    in_force = faults.FaultFile(directory).active()
    if name == "list":
        table = Table("fault", "what it does", "in force")
        for known, kind in faults.FAULTS.items():
            active = [one.tool or "yes" for one in in_force if one.name == known]
            table.add_row(known, kind.description, ", ".join(active))
        out.print(table)
    else:
        now = ", ".join(f"{one.name} ({one.tool})" if one.tool else one.name for one in in_force)
        out.print(f"faults in force: {now or 'none'}")


@ops.command()
def sessions(url: AgentUrl = AGENT_URL) -> None:
    """List the live sessions, most tool calls first."""
    table = Table("session", "age", "turns", "tool calls", "cost")
    for row in _agent("GET", url, "/sessions").json():
        age = f"{row['age_seconds']:.0f} s"
        table.add_row(row["id"], age, str(row["turns"]), str(row["tool_calls"]), f"${row['cost_usd']:.4f}")
    out.print(table)


@ops.command("end-session")
def end_session(
    session: Annotated[str, typer.Argument(help="Id, as `ops sessions` shows it.")], url: AgentUrl = AGENT_URL
) -> None:
    """Close one live session; its user is told to start anew."""
    answer = _agent("DELETE", url, f"/sessions/{session}")
    if answer.status_code != 204:
        _stop(answer.json()["error"])
    out.print(f"session {session} is closed")


@ops.command()
def tools() -> None:
    """List the tools and whether the model is offered them."""
    off = switches.switch_file(state_directory()).value().disabled_tools
    table = Table("tool", "risk", "state")
    for tool in TOOLS_BY_NAME.values():
        table.add_row(tool.name, tool.risk, "off" if tool.name in off else "on")
    out.print(table)


@ops.command("disable-tool")
def disable_tool(tool: str) -> None:
    """Stop offering a tool to the model; it tells users that the tool is off."""
    _known_tool(tool)
    _switch(switches.switch_file(state_directory()).value().without(tool))


@ops.command("enable-tool")
def enable_tool(tool: str) -> None:
    """Offer a tool to the model again."""
    _known_tool(tool)
    _switch(switches.switch_file(state_directory()).value().with_tool(tool))


@ops.command("use-model")
def use_model(
    model: Annotated[str | None, typer.Argument(help="For example claude-haiku-5-5.")] = None,
    default: Annotated[bool, typer.Option("--default", help="Back to the configured model.")] = False,
) -> None:
    """Plan and answer with another model from the next call on."""
    if (model is None) != default:
        _stop("name a model, or say --default")
    now = switches.switch_file(state_directory()).value()
    _switch(switches.Switches(now.disabled_tools, model))


@ops.command()
def spend(top: Annotated[int, typer.Option(min=1, help="Show so many users.")] = 20) -> None:
    """Show what users spent since 00:00 UTC, costliest first, by the pseudonym that pages and panels show."""
    table = Table("user", "spend today", "turns")
    with _ledger() as ledger:
        for user in ledger.top_spenders(service.AGENT, top):
            table.add_row(user.user, f"${user.cost_usd:.4f}", str(user.turns))
    out.print(table)


@ops.command()
def who(pseudonym: Annotated[str, typer.Argument(help="12 hex digits, as pages and `ops spend` show.")]) -> None:
    """Print the user id behind a pseudonym: for the on-call, not for logs or tickets."""
    with _ledger() as ledger:
        user_id = ledger.user_behind(pseudonym)
    if user_id is None:
        _stop(f"the ledger knows no user {pseudonym!r}; `ops spend` shows the pseudonyms of today")
    out.print(user_id, markup=False, highlight=False, soft_wrap=True)


@contextlib.contextmanager
def _ledger() -> Iterator[Ledger]:
    try:
        ledger = Ledger.open(service.ledger_url(state_directory()))
    except LedgerError as error:
        _stop(str(error))
    with contextlib.closing(ledger):
        yield ledger


def _switch(new: switches.Switches) -> None:
    switches.write(state_directory(), new)
    out.print(f"tools off: {', '.join(new.disabled_tools) or 'none'}; model: {new.model or 'the configured one'}")


def _known_tool(name: str) -> None:
    if name not in TOOLS_BY_NAME:
        _stop(f"there is no tool {name!r}; the tools are {', '.join(TOOLS_BY_NAME)}")


def _agent(method: str, url: str, path: str) -> httpx2.Response:
    try:
        return httpx2.request(method, url + path, timeout=10)
    except httpx2.ConnectError:
        _stop(f"no agent answers at {url}; start it with `make up` or `python -m sample_agent serve`")


def _said(reply: dict[str, Any]) -> str:
    if "error" in reply:
        return f"[red]{reply['error']}[/red]"
    used = f"  [dim]({', '.join(reply['tools'])})[/dim]" if reply["tools"] else ""
    return f"[bold green]companion[/bold green] {reply['text']}{used}"


def _stop(message: str) -> NoReturn:
    problems.print(f"error: {message}", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(1)
