"""What the commands share: where they print, how they stop, and what they work on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Annotated, Any, NoReturn

import httpx2
import typer
from rich.console import Console

from agentgauge.files.watched_file import state_directory
from agentgauge.ledger import Ledger, LedgerError
from sample_agent import assembly
from sample_agent.sales.tools import TOOLS_BY_NAME

AGENT_URL = "http://127.0.0.1:8030"

AgentUrl = Annotated[str, typer.Option("--agent", envvar="AGENTGAUGE_AGENT", help="URL of the running agent.")]

out = Console()
problems = Console(stderr=True)


def stop(message: str, status: int = 1) -> NoReturn:
    """End the command with a line on stderr that says what was wrong and what to do."""
    problems.print(f"error: {message}", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(status)


@contextlib.contextmanager
def open_ledger(status: int = 1) -> Iterator[Ledger]:
    """The Sales Companion's ledger, closed at the end; stops the command with ``status`` if it cannot be opened."""
    try:
        ledger = Ledger.open(assembly.ledger_url(state_directory()))
    except LedgerError as error:
        stop(str(error), status)
    with contextlib.closing(ledger):
        yield ledger


def ask_agent(method: str, url: str, path: str, json: Any = None) -> httpx2.Response:
    """Ask the running agent; stops the command if none answers."""
    try:
        return httpx2.request(method, url + path, json=json, timeout=10)
    except httpx2.ConnectError:
        stop(f"no agent answers at {url}; start it with `make up` or `python -m sample_agent serve`")


def known_tool(name: str) -> str:
    """The name itself; stops the command if there is no such tool."""
    if name not in TOOLS_BY_NAME:
        stop(f"there is no tool {name!r}; the tools are {', '.join(TOOLS_BY_NAME)}")
    return name
