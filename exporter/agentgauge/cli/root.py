"""The root of `agentgauge`: it finds the agent, loads the one command that was asked for, and says what went wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from agentgauge.agent_app import AppError
from agentgauge.cli.common import GROUPS, select_app, stop

EXTRAS = {"bundle": "bundle", "gateway": "gateway"}
"""Group → the extra that it needs, where that is not ``cli``."""


MODULES = {"eval": "evals"}
"""Group → the module that holds it, where they differ."""


class Commands(TyperGroup):
    """The groups of commands. One is imported when it is run or asked for its help, not to be listed."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names, in the order of the help."""
        return list(GROUPS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The line in the help."""
        return TyperCommand(cmd_name, help=GROUPS[cmd_name]) if cmd_name in GROUPS else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command itself."""
        name, command, rest = super().resolve_command(ctx, args)
        if name in GROUPS:
            with problems_in_one_line(lambda: name):
                command = typer.main.get_command(import_module(f"agentgauge.cli.{MODULES.get(name, name)}").app)
        return name, command, rest

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        with problems_in_one_line(lambda: ctx.invoked_subcommand):
            return super().invoke(ctx)


@contextmanager
def problems_in_one_line(command: Callable[[], str | None]) -> Iterator[None]:
    """End the command with one line, status 2, for what its user can put right; everything else passes through.

    ``command`` tells its name, which is known only while it runs.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "agentgauge":
            raise
        extra = EXTRAS.get(command() or "", "cli")
        stop(f'this command needs {error.name}; run: pip install "agentgauge[{extra}]"')
    except Exception as error:
        if isinstance(error, AppError) or (type(error).__module__.startswith("agentgauge.") and _is_for_people(error)):
            stop(str(error))
        database = sys.modules.get("sqlalchemy.exc")
        if database is not None and isinstance(error, database.SQLAlchemyError):
            stop(f"the ledger cannot be used: {getattr(error, 'orig', None) or error}")
        raise


def _is_for_people(error: Exception) -> bool:
    """Whether the message says what is wrong with a file or the ledger; loaded only once there is an error."""
    from agentgauge.evals.scenario import ScenarioError
    from agentgauge.files.yaml_file import YamlFileError
    from agentgauge.ledger import LedgerError
    from agentgauge.prompts.library import PromptError

    return isinstance(error, LedgerError | PromptError | ScenarioError | YamlFileError)


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Operate, evaluate and supervise an LLM agent, and render its alerts, dashboards and runbooks.",
    epilog="Exit status: 0 done; 1 the answer is no, or something failed; 2 the command could not run.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # it loads the parser of e-mails

        typer.echo(f"agentgauge {version('agentgauge')}")
        raise typer.Exit


@app.callback()
def _root(
    spec: Annotated[
        str | None,
        typer.Option("--app", metavar="MODULE:NAME", help="The agent; default: AGENTGAUGE_APP, or pyproject.toml."),
    ] = None,
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    select_app(spec)
