"""What waits for a decision, decided from a terminal; and the link to the page that does the same."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Annotated, Any
from urllib.parse import urlencode

import typer
from rich.table import Table
from rich.text import Text

from agentgauge.autonomy.access import TokenError, token_in
from agentgauge.autonomy.actions import Action, AlreadyDecidedError, UnknownActionError
from agentgauge.autonomy.approvals import Approvals, InvalidEditError, RiskRaisedError
from agentgauge.autonomy.edits import FieldError, edited, text_of
from agentgauge.autonomy.parts import Autonomy
from agentgauge.autonomy.showing import ago, decided_by, gist, too_late, until, visible
from agentgauge.cli.common import AGENT_URL, AgentUrl, open_ledger, out, stop
from agentgauge.cli.editing import edit_in_editor, show_changes
from agentgauge.files.watched_file import state_directory
from agentgauge.files.yaml_file import YamlFileError
from sample_agent import assembly

app = typer.Typer(no_args_is_help=True, help="What waits for a decision: list, show, approve, edit, reject.")

Id = Annotated[str, typer.Argument(help="As `approvals list` shows it.")]
By = Annotated[str, typer.Option(envvar="USER", help="Who decides.")]


@app.command("list")
def list_all() -> None:
    """List what waits, oldest first."""
    with _autonomy() as autonomy:
        waiting, audits = autonomy.approvals.waiting(), len(autonomy.actions.to_audit())
        stage = autonomy.standings.now(autonomy.policy()).stage
    out.print(f"the stage is {stage}", highlight=False)
    if not waiting:
        out.print("nothing waits for a decision")
    if waiting:
        out.print(_table(waiting, "waiting for a decision"))
    if audits:
        out.print(f"{audits} ran unasked and wait for an audit: `autonomy audits` lists them")


@app.command()
def show(action_id: Id) -> None:
    """Show one action: its arguments in full, and what became of it."""
    with _approvals() as approvals:
        _show(approvals.get(action_id))


@app.command()
def approve(action_id: Id, by: By = "unknown") -> None:
    """Let it happen as proposed."""
    with _approvals() as approvals:
        _say(approvals.approve(action_id, by))


@app.command()
def edit(
    action_id: Id,
    to_set: Annotated[
        list[str] | None, typer.Option("--set", help="FIELD=VALUE, as often as needed; default: opens $EDITOR.")
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Why; the next prompt learns from it.")] = None,
    by: By = "unknown",
) -> None:
    """Let it happen with other arguments."""
    with _approvals() as approvals:
        action = approvals.get(action_id)
        if action.decision is not None:
            raise AlreadyDecidedError(action)
        try:
            if to_set:
                _edit(approvals, action, dict(_assignment(one) for one in to_set), by, reason)
            else:
                _edit_in_editor(approvals, action, by, reason)
        except (FieldError, InvalidEditError, RiskRaisedError) as error:
            stop(str(error))


@app.command()
def reject(
    action_id: Id, reason: Annotated[str, typer.Option(help="Why; the agent is told.")], by: By = "unknown"
) -> None:
    """Keep it from happening."""
    if not reason.strip():
        stop("say why: --reason")
    with _approvals() as approvals:
        _say(approvals.reject(action_id, by, reason))


@app.command()
def link(url: AgentUrl = AGENT_URL) -> None:
    """Print the link that logs in to the approvals page; who has it can decide."""
    try:
        token = token_in(state_directory())
    except TokenError as error:
        stop(str(error))
    out.print(f"{url}/approvals/login?{urlencode({'token': token})}", markup=False, highlight=False, soft_wrap=True)


@contextlib.contextmanager
def _autonomy() -> Iterator[Autonomy]:
    """The Sales Companion's; stops the command if there is no such action, or somebody was faster."""
    with open_ledger() as ledger:
        try:
            yield assembly.build_autonomy(ledger)
        except YamlFileError as error:
            stop(str(error))
        except AlreadyDecidedError as late:
            stop(too_late(late.action))
        except UnknownActionError as error:
            stop(f"{error}; `approvals list` shows what there is")


@contextlib.contextmanager
def _approvals() -> Iterator[Approvals]:
    with _autonomy() as autonomy:
        yield autonomy.approvals


def _edit(approvals: Approvals, action: Action, texts: dict[str, str], by: str, reason: str | None) -> None:
    arguments = edited(action.proposal.arguments, texts, _schema(action))
    decided = approvals.edit(action.id, arguments, by, reason)
    show_changes(action.proposal.arguments, arguments)
    _say(decided)


def _edit_in_editor(approvals: Approvals, action: Action, by: str, reason: str | None) -> None:
    def decide(arguments: dict[str, Any]) -> None:
        _say(approvals.edit(action.id, arguments, by, reason))

    if not edit_in_editor(action.proposal.tool, action.proposal.arguments, _schema(action), decide):
        stop("nothing was decided")


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise FieldError(text, "expected FIELD=VALUE")
    return name, value


def _schema(action: Action) -> Mapping[str, Any]:
    return assembly.argument_schemas().get(action.proposal.tool, {})


def _table(actions: list[Action], title: str) -> Table:
    table = Table("id", "tool", "risk", "age", "expires in", "what", title=title, title_justify="left")
    table.columns[0].no_wrap = True
    for action in actions:
        proposal = action.proposal
        table.add_row(
            action.id,
            proposal.tool,
            proposal.risk,
            ago(action.at),
            until(action.expires_at),
            Text(gist(proposal.arguments), no_wrap=True, overflow="ellipsis"),
        )
    return table


def _show(action: Action) -> None:
    proposal = action.proposal
    out.print(f"{action.id}  {proposal.tool}  {proposal.risk} risk  proposed {ago(action.at)} ago", highlight=False)
    if action.expires_at is not None and action.decision is None:
        out.print(f"expires in {until(action.expires_at)}", highlight=False)
    why = proposal.context.get("why")
    if why and action.decision is None:
        out.print(f"it waits because {why}", markup=False, highlight=False, soft_wrap=True)
    out.print(f"version {proposal.version}, prompt {proposal.prompt_version}, {proposal.model}", highlight=False)
    for name, value in proposal.arguments.items():
        out.print(Text(f"\n{name}", "bold"))
        out.print(Text(visible(text_of(value))), soft_wrap=True)
    if action.decision is not None:
        out.print()
        _say(action)
    if action.reason:
        out.print(Text(f"reason: {visible(action.reason)}"), soft_wrap=True)
    show_changes(action.proposal.arguments, action.final_arguments)


def _say(action: Action) -> None:
    by = f" by {decided_by(action)}" if action.decision not in (None, "expired") else ""
    out.print(Text(visible(f"{action.proposal.tool} {action.id}: {action.decision}{by}")), soft_wrap=True)
