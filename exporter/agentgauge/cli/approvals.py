"""What waits for a decision, decided from a terminal; and the link to the page that does the same."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Annotated, Any
from urllib.parse import urlencode

import typer
from rich.text import Text

from agentgauge.agent_app import AgentApp
from agentgauge.autonomy.action import Action, AlreadyDecidedError, NotUnresolvedError, UnknownActionError
from agentgauge.autonomy.approvals import (
    Approvals,
    InvalidEditError,
    NotPermittedError,
    NotShownError,
    Person,
    RiskRaisedError,
)
from agentgauge.autonomy.decisions import Head
from agentgauge.autonomy.edits import FieldError, edited, text_of
from agentgauge.autonomy.parts import Autonomy
from agentgauge.autonomy.showing import NO_PREVIEW, ago, decided_by, gist, too_late, until, visible
from agentgauge.cli import people
from agentgauge.cli.common import AGENT_URL, AgentUrl, AsJson, agent, group, opened_ledger, out, refuse, say, stop
from agentgauge.cli.deciding import me, people_of
from agentgauge.cli.editing import edit_in_editor, show_changes
from agentgauge.cli.tables import Column, Row, print_json, print_rows

app = group("approvals")
app.add_typer(people.app, name="people")

Id = Annotated[str, typer.Argument(metavar="ID", help="As `approvals list` shows it.")]

COLUMNS = [
    Column("id", "id"),
    Column("tool", "tool"),
    Column("risk", "risk"),
    Column("proposed_at", "age", ago, right=True),
    Column("expires_at", "expires in", until, right=True),
    Column("shown", "what", lambda shown: visible(gist(shown)), cut=True),
]


BEGUN = [
    Column("id", "id"),
    Column("tool", "tool"),
    Column("risk", "risk"),
    Column("started_at", "begun", lambda at: f"{ago(at)} ago", right=True),
    Column("decided_by", "approved by"),
    Column("arguments", "what", lambda arguments: visible(gist(arguments)), cut=True),
]

NOTHING_WAITS = "nothing waits for a decision; `agentgauge autonomy show` says what has to, and what runs unasked"
ALL_KNOWN = "the end of everything that was begun is known; `agentgauge approvals list` shows what was not begun yet"


@app.command("list")
def list_all(as_json: AsJson = False) -> None:
    """List what waits, oldest first."""
    app = agent()
    with _autonomy(app) as autonomy:
        waiting, audits = autonomy.approvals.waiting(), len(autonomy.actions.to_audit())
        begun = sum(autonomy.actions.unresolved_by_tool().values())
        stage = autonomy.standings.now(autonomy.policy()).stage
    if not as_json:
        say(f"the stage is {stage}")
    print_rows(COLUMNS, map(row_of, waiting), as_json=as_json, nothing=NOTHING_WAITS)
    if audits and not as_json:
        say(f"{audits} ran unasked and wait for an audit: `agentgauge autonomy audits` lists them")
    if begun and not as_json:
        say(f"{begun} were begun, and nobody knows whether they happened: `agentgauge approvals unresolved` lists them")


@app.command()
def show(action_id: Id, as_json: AsJson = False) -> None:
    """Show one action: its arguments in full, and what became of it."""
    with _approvals(agent()) as approvals:
        action = approvals.get(action_id)
    if as_json:
        print_json({**row_of(action), **_decision_of(action)})
    else:
        _show(action)


@app.command()
def approve(action_id: Id) -> None:
    """Let it happen as proposed."""
    app = agent()
    with _approvals(app) as approvals:
        person, action = me(app), approvals.get(action_id)
        _show_effect(action)
        _say(approvals.approve(action_id, person, seen=action.seal))


@app.command()
def edit(
    action_id: Id,
    to_set: Annotated[
        list[str] | None, typer.Option("--set", help="FIELD=VALUE, as often as needed; default: opens $EDITOR.")
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Why; the next prompt learns from it.")] = None,
) -> None:
    """Let it happen with other arguments."""
    app = agent()
    by = me(app)
    with _approvals(app) as approvals:
        action = approvals.get(action_id)
        if action.decision is not None:
            raise AlreadyDecidedError(action)
        try:
            if to_set:
                _edit(app, approvals, action, dict(_assignment(one) for one in to_set), by, reason)
            else:
                _edit_in_editor(app, approvals, action, by, reason)
        except (FieldError, InvalidEditError, RiskRaisedError) as error:
            refuse(str(error))


@app.command()
def reject(action_id: Id, reason: Annotated[str, typer.Option(help="Why; the agent reads it.")]) -> None:
    """Keep it from happening."""
    if not reason.strip():
        stop("say why: --reason")
    app = agent()
    with _approvals(app) as approvals:
        _say(approvals.reject(action_id, me(app), reason))


@app.command()
def unresolved(as_json: AsJson = False) -> None:
    """List what was begun and has no end, oldest first: nobody knows whether it happened."""
    with _autonomy(agent()) as autonomy:
        begun = autonomy.actions.unresolved()
    print_rows(BEGUN, map(_begun, begun), as_json=as_json, nothing=ALL_KNOWN)
    if begun and not as_json:
        say("look into the system that each acts on, then say what you found: `agentgauge approvals settle ID …`")


@app.command()
def settle(
    action_id: Annotated[str, typer.Argument(metavar="ID", help="As `approvals unresolved` shows it.")],
    happened: Annotated[
        bool, typer.Option("--happened/--did-not-happen", help="What you found in the system that it acts on.")
    ],
    why: Annotated[str, typer.Option("--why", "--reason", help="How you know it; kept with the outcome.")],
) -> None:
    """Say whether an unresolved action happened. It is not done again, whatever you say."""
    if not why.strip():
        stop("say how you know it: --why")
    app = agent()
    with opened_ledger(app) as ledger:
        try:
            action = app.autonomy(ledger).actions.settle(action_id, happened, me(app).name, why)
        except (NotUnresolvedError, UnknownActionError) as error:
            refuse(f"{visible(str(error))}; `agentgauge approvals unresolved` shows those to settle")
    _say_settled(action)


@app.command()
def verify(
    head: Annotated[str | None, typer.Option(help="NUMBER:HASH that an earlier run printed, and you kept.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check the log of decisions: that none was changed or taken out, and that every action fits it."""
    app = agent()
    kept = None if head is None else _head(head)
    with _autonomy(app) as autonomy:
        verified = autonomy.decisions.verify(kept)
    if as_json:
        print_json({"rows": verified.rows, "head": str(verified.head or ""), "problems": list(verified.problems)})
    else:
        say(*(visible(problem) for problem in verified.problems))
    if verified.problems:
        refuse(
            f"the log of decisions does not hold together; rows: {verified.rows}, problems: {len(verified.problems)}"
        )
    if not as_json:
        say(f"the log of decisions holds together; rows: {verified.rows}")
        say(f"keep this elsewhere, for --head: {verified.head or 'nothing yet'}")


@app.command()
def link(
    url: AgentUrl = AGENT_URL,
    person: Annotated[str | None, typer.Option("--for", help="Whom it logs in; default: you.")] = None,
) -> None:
    """Print a link that logs somebody in to the approvals page, once, within ten minutes."""
    app = agent()
    name = person or me(app).name
    with opened_ledger(app) as ledger:
        if name not in people_of(app):
            refuse(f"{visible(name)} cannot log in; `agentgauge approvals people add NAME` makes a token")
        code = app.autonomy(ledger).logins.link(name)
    say(f"{url}/approvals/login?{urlencode({'code': code})}")


def _head(text: str) -> Head:
    number, _, digest = text.partition(":")
    if not number.isdigit() or not digest:
        stop("--head: expected NUMBER:HASH, as `agentgauge approvals verify` prints it")
    return Head(int(number), digest)


def row_of(action: Action) -> Row:
    """An action as tables and JSON show it, without its user and conversation."""
    proposal = action.proposal
    return {
        "id": action.id,
        "tool": proposal.tool,
        "risk": proposal.risk,
        "proposed_at": action.at,
        "expires_at": action.expires_at,
        "arguments": proposal.arguments,
        "effect": proposal.effect,
        "shown": action.shown,
    }


def _begun(action: Action) -> Row:
    return {
        **row_of(action),
        "arguments": action.final_arguments,
        "started_at": action.started_at,
        "decided_by": None if action.decision is None else decided_by(action),
        "version": action.proposal.version,
    }


def _decision_of(action: Action) -> Row:
    proposal = action.proposal
    return {
        "why": proposal.context.get("why"),
        "version": proposal.version,
        "prompt_version": proposal.prompt_version,
        "model": proposal.model,
        "decision": action.decision,
        "decided_by": None if action.decision is None else decided_by(action),
        "reason": action.reason,
        "final_arguments": action.final_arguments,
        "started_at": action.started_at,
        "finished_at": action.finished_at,
        "settlement": action.settlement,
    }


@contextlib.contextmanager
def _autonomy(app: AgentApp) -> Iterator[Autonomy]:
    """The agent's; ends the command if there is no such action, or somebody else decided it before."""
    with opened_ledger(app) as ledger:
        try:
            yield app.autonomy(ledger)
        except AlreadyDecidedError as late:
            refuse(too_late(late.action))
        except UnknownActionError as error:
            refuse(f"{error}; `agentgauge approvals list` shows those that wait")
        except NotPermittedError as error:
            refuse(str(error))


@contextlib.contextmanager
def _approvals(app: AgentApp) -> Iterator[Approvals]:
    with _autonomy(app) as autonomy:
        yield autonomy.approvals


def _edit(
    app: AgentApp, approvals: Approvals, action: Action, texts: dict[str, str], by: Person, reason: str | None
) -> None:
    arguments = edited(action.proposal.arguments, texts, app.tool(action.proposal.tool).arguments)
    decided = _edit_what_is_shown(approvals, action, arguments, by, reason)
    show_changes(action.proposal.arguments, arguments)
    _say(decided)


def _edit_in_editor(app: AgentApp, approvals: Approvals, action: Action, by: Person, reason: str | None) -> None:
    def decide(arguments: dict[str, Any]) -> None:
        _say(_edit_what_is_shown(approvals, action, arguments, by, reason))

    if not edit_in_editor(
        action.proposal.tool, action.proposal.arguments, app.tool(action.proposal.tool).arguments, decide
    ):
        refuse("nothing was decided")


def _edit_what_is_shown(
    approvals: Approvals, action: Action, arguments: dict[str, Any], by: Person, reason: str | None
) -> Action:
    """The edit, once the person has seen what it does where the arguments do not say it all."""
    try:
        return approvals.edit(action.id, arguments, by, reason)
    except NotShownError as unseen:
        say("with these arguments it would do this:")
        show_changes(action.proposal.effect or {}, unseen.effect or {})
        if not typer.confirm("approve that?"):
            refuse("nothing was decided")
        return approvals.edit(action.id, arguments, by, reason, unseen.seal)


def _show_effect(action: Action) -> None:
    """What it would do, where the arguments do not say it all."""
    for name, value in (action.proposal.effect or {}).items():
        out.print(Text(name, "bold"))
        say(visible(text_of(value)))


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise FieldError(text, "expected FIELD=VALUE")
    return name, value


def _show(action: Action) -> None:
    proposal = action.proposal
    say(f"{action.id}  {proposal.tool}  {proposal.risk} risk  proposed {ago(action.at)} ago")
    if action.expires_at is not None and action.decision is None:
        say(f"expires in {until(action.expires_at)}")
    why = proposal.context.get("why")
    if why and action.decision is None:
        say(f"it waits because {why}")
    say(f"version {proposal.version}, prompt {proposal.prompt_version}, {proposal.model}")
    for name, value in action.shown.items():
        out.print(Text(f"\n{name}", "bold"))
        say(visible(text_of(value)))
    if proposal.effect is not None:
        say(f"\nthe call itself: {gist(proposal.arguments)}")
    elif action.decision is None and proposal.disposition == "approval":
        say(f"\n{NO_PREVIEW}")
    if action.decision is not None:
        out.print()
        _say(action)
    if action.settlement is not None:
        _say_settled(action)
        say(f"they know because: {visible(action.settlement.why)}")
    if action.reason:
        say(f"reason: {visible(action.reason)}")
    show_changes(action.proposal.arguments, action.final_arguments)


def _say(action: Action) -> None:
    if action.decision is None:
        say(f"{action.proposal.tool} {action.id}: your approval is kept, and one more person has to give theirs")
        return
    by = f" by {decided_by(action)}" if action.decision not in (None, "expired") else ""
    say(visible(f"{action.proposal.tool} {action.id}: {action.decision}{by}"))


def _say_settled(action: Action) -> None:
    if action.settlement is not None:
        found = "happened" if action.settlement.happened else "did not happen, and is not done again"
        say(visible(f"{action.proposal.tool} {action.id}: {found}, says {action.settlement.by}"))
