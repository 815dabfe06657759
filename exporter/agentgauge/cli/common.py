"""What the commands share: the agent they are about, where they print, and how they end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console

from agentgauge.app_loading import find_app, named_app
from agentgauge.incident.terminal import printable_lines

if TYPE_CHECKING:
    from agentgauge.agent_app import AgentApp
    from agentgauge.ledger import Ledger

GROUPS = {
    "init": "Set AgentGauge up in the repository of an agent: show what to add, and write it after a yes.",
    "approvals": "What waits for a decision, and what has no known end: list, show, approve, edit, reject, settle.",
    "autonomy": "What the agent may do on its own: show, explain, change, audit.",
    "prompts": "Versions of the prompts: list, read, compare, activate, roll back.",
    "feedback": "What people decided, what it points at, and what can be made of it.",
    "eval": "Evaluate the agent: run a suite, read what happened, see the trend.",
    "ops": "Operate the running agent: what the runbooks ask for.",
    "transcripts": "Conversations that went wrong: list them, read them, see the data behind an answer, delete one.",
    "ledger": "The ledger as a whole: back it up into a file, while agents work, and restore it.",
    "check": "Say what is missing between the agent's calls and the page that they should bring.",
    "incident": "From a page to its end: who is affected, what the runbook finds, its command, until it is over.",
    "truth": "Say what the alerts can find at your volume of traffic, and what they cannot.",
    "gateway": "Receive the spans of agents in any language, and show their metrics.",
    "bundle": "Write rules, dashboards and runbooks for your agents, ready to load.",
}
"""The groups of commands, in the order of the help, and what each is for."""

AGENT_URL = "http://127.0.0.1:8030"

AgentUrl = Annotated[str, typer.Option("--agent", envvar="AGENTGAUGE_AGENT", help="URL of the running agent.")]


def _known(by: str) -> str:
    """Who does it: as given, or else the user that this process runs as; containers often set no USER."""
    if by != "unknown":
        return by
    import getpass

    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):  # a user id without a name
        return by


By = Annotated[str, typer.Option(envvar="USER", callback=_known, help="Who does it; kept with the change.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

REFUSED = 1
"""The exit status when the command ran and the answer is no."""
COULD_NOT_RUN = 2

out = Console(highlight=False)
problems = Console(stderr=True, highlight=False)

_selected: list[str | None] = [None]


def group(name: str) -> typer.Typer:
    """A group of commands, still without any."""
    return typer.Typer(no_args_is_help=True, add_completion=False, help=GROUPS[name])


def select_app(spec: str | None) -> None:
    """Set which agent ``--app`` names for the commands of this process; None leaves it to the environment."""
    _selected[0] = spec


def selected_app() -> str | None:
    """What ``--app`` said, which a command of this command has to say again."""
    return _selected[0]


def agent() -> AgentApp:
    """The agent that the command is about; raises AppError if none can be found."""
    return find_app(_selected[0])


def agent_if_named() -> AgentApp | None:
    """The same, but None if nothing names an agent."""
    return named_app(_selected[0])


def say(*lines: str, style: str | None = None) -> None:
    """Print lines as they are: nothing in them is taken for markup, none is broken, and no terminal obeys them."""
    for line in lines:
        out.print(printable_lines(line), style=style, markup=False, soft_wrap=True)


def warn(message: str) -> None:
    """Print a line on stderr."""
    problems.print(printable_lines(message), markup=False, soft_wrap=True)


def stop(message: str, status: int = COULD_NOT_RUN) -> NoReturn:
    """End the command with a line on stderr that says what was wrong and what to do."""
    warn(f"error: {message}")
    raise typer.Exit(status)


def refuse(message: str) -> NoReturn:
    """End the command because the answer is no: with a line on stderr and the status 1."""
    stop(message, REFUSED)


@contextlib.contextmanager
def opened_ledger(app: AgentApp) -> Iterator[Ledger]:
    """The agent's ledger, closed at the end; raises LedgerError if it cannot be opened."""
    with contextlib.closing(app.open_ledger()) as ledger:
        yield ledger


def secret_in(path: Path) -> str:
    """A password or token from a file: on the command line, every user of the machine could read it."""
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        stop(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}")
    if not secret:
        stop(f"{path} is empty; write the secret into it")
    return secret
