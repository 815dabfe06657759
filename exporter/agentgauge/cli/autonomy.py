"""What the Sales Companion may do on its own, shown, explained and changed; and what people did instead of it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from typing import Annotated

import typer
from rich.table import Column, Table
from rich.text import Text

from agentgauge.autonomy import promotion, shadow
from agentgauge.autonomy.actions import Action, AlreadyDecidedError, UnknownActionError
from agentgauge.autonomy.changes import StateChange
from agentgauge.autonomy.parts import Autonomy
from agentgauge.autonomy.policy import Policy
from agentgauge.autonomy.showing import ago, gist, visible
from agentgauge.autonomy.standing import POLICY, TOOL, Explanation, NotEarnedError
from agentgauge.cli.common import known_tool, open_ledger, out, stop
from agentgauge.files.yaml_file import YamlFileError
from agentgauge.vocabulary import AuditVerdict, Stage
from sample_agent import assembly

app = typer.Typer(no_args_is_help=True, help="What the agent may do on its own: show, explain, change, audit.")

By = Annotated[str, typer.Option(envvar="USER", help="Who changes it.")]
Reason = Annotated[str, typer.Option(prompt="Why", help="Why; kept with the change.")]

CHANGES_SHOWN = 10
MODES = {
    "suggest": "only suggests",
    "approve": "waits for approval",
    "auto": "runs unasked",
}


@app.command()
def show() -> None:
    """Show the stage, what each tool may do, and the last changes."""
    with _autonomy() as autonomy:
        policy = autonomy.policy()
        explained = [autonomy.standings.explain(policy, tool) for tool in policy.tools]
        changes = autonomy.changes.history()
        waiting, audits = autonomy.actions.waiting_count(), len(autonomy.actions.to_audit())
        suggestions = len(autonomy.actions.to_compare())
    out.print(f"the stage is {explained[0].stage}", highlight=False)
    table = Table(
        Column("tool", no_wrap=True), "risk", "mode", "decided", "approved", "edited", "rejected", pad_edge=False
    )
    for one in explained:
        record = one.record
        counts = (str(number) for number in (record.decisions, record.approved, record.edited, record.rejected))
        table.add_row(one.tool, policy.tools[one.tool].risk, one.mode, *counts)
    out.print(table)
    out.print(
        f"{waiting} wait for approval (`approvals list`), {audits} for an audit (`autonomy audits`), "
        f"{suggestions} suggestions to be compared (`autonomy suggestions`)",
        highlight=False,
    )
    if changes:
        out.print(_changes_table(changes[: -CHANGES_SHOWN - 1 : -1]))


@app.command()
def explain(tool: str) -> None:
    """Print why a tool may do what it may, its figures, and what is missing for more."""
    known_tool(tool)
    with _autonomy() as autonomy:
        policy = autonomy.policy()
        explained = autonomy.standings.explain(policy, tool)
    for line in _explanation(policy, explained):
        out.print(Text(visible(line)), soft_wrap=True)


@app.command()
def stage(stage: Stage, reason: Reason, by: By = "unknown") -> None:
    """Put the agent in a stage: shadow, approval_required, semi_autonomous or autonomous."""
    with _autonomy() as autonomy:
        autonomy.standings.set_stage(autonomy.policy(), stage, by, reason)
    out.print(f"the stage is {stage} from the next call on", highlight=False)


@app.command()
def promote(tool: str, reason: Annotated[str, typer.Option(help="Why now.")] = "earned", by: By = "unknown") -> None:
    """Let a tool that has earned it run unasked."""
    known_tool(tool)
    with _autonomy() as autonomy:
        try:
            autonomy.standings.promote(autonomy.policy(), tool, by, reason)
        except NotEarnedError as error:
            stop(str(error))
    out.print(f"{tool} is promoted; it runs unasked in the stage semi_autonomous", highlight=False)


@app.command()
def demote(tool: str, reason: Reason, by: By = "unknown") -> None:
    """Let every call of a tool wait for approval, until it has earned its freedom anew."""
    known_tool(tool)
    with _autonomy() as autonomy:
        autonomy.standings.demote(tool, by, reason)
    out.print(f"{tool} waits for approval from the next call on", highlight=False)


@app.command()
def audits() -> None:
    """List what ran unasked and was chosen for an audit, oldest first."""
    with _autonomy() as autonomy:
        _list(autonomy.actions.to_audit(), "`approvals show ID` shows one, `autonomy audit ID --verdict ok` judges it")


@app.command()
def audit(
    action_id: Annotated[str, typer.Argument(metavar="ID", help="As `autonomy audits` shows it.")],
    verdict: Annotated[AuditVerdict, typer.Option(help="Whether it was right to do that.")],
    by: By = "unknown",
) -> None:
    """Judge an action that ran unasked; a problem demotes its tool."""
    with _autonomy() as autonomy:
        tool = autonomy.approvals.audit(action_id, verdict, by).proposal.tool
    out.print(f"{tool} {action_id}: {verdict}", highlight=False)


@app.command()
def suggestions() -> None:
    """List what the agent only suggested, and nobody said yet what was done instead."""
    with _autonomy() as autonomy:
        _list(autonomy.actions.to_compare(), "`autonomy did ID --as-suggested`, or `--arguments`, or `--otherwise`")


@app.command()
def did(
    action_id: Annotated[str, typer.Argument(metavar="ID", help="As `autonomy suggestions` shows it.")],
    arguments: Annotated[str | None, typer.Option(help="What you did: the tool's arguments, as JSON.")] = None,
    as_suggested: Annotated[bool, typer.Option("--as-suggested", help="You did just that.")] = False,
    otherwise: Annotated[bool, typer.Option("--otherwise", help="You did something else, or nothing.")] = False,
    by: By = "unknown",
) -> None:
    """Say what you did instead of a suggestion; it is compared field by field."""
    if (arguments is not None) + as_suggested + otherwise != 1:
        stop("say what you did: --as-suggested, --arguments '{…}' or --otherwise")
    with _autonomy() as autonomy:
        done = None if arguments is None else _arguments(arguments)
        if as_suggested:
            done = dict(autonomy.actions.get(action_id).proposal.arguments)
        action, differing = shadow.record(autonomy.actions, autonomy.policy(), action_id, done, by)
    where = f", in {', '.join(differing)}" if differing else ""
    out.print(f"{action.proposal.tool} {action_id}: {action.shadow_match}{where}", highlight=False)


@contextlib.contextmanager
def _autonomy() -> Iterator[Autonomy]:
    """The Sales Companion's; stops the command with one line if it cannot do what was asked."""
    with open_ledger() as ledger:
        try:
            yield assembly.build_autonomy(ledger)
        except (YamlFileError, AlreadyDecidedError, UnknownActionError) as error:
            stop(str(error))


def _explanation(policy: Policy, one: Explanation) -> Iterator[str]:
    rule = policy.promotion
    yield f"{one.tool} is of {policy.tools[one.tool].risk} risk; the stage is {one.stage}: it {MODES[one.mode]}"
    yield f"since {one.since:%Y-%m-%d}: {promotion.figures(one.record)}"
    if one.last_change is not None:
        last = one.last_change
        yield f"{last.after} on {last.at:%Y-%m-%d} by {last.changed_by}: {last.reason}"
    if one.mode == "auto":
        return
    yield (
        f"to run unasked a tool needs, over {rule.days} days, {rule.decisions} decisions, {rule.approved:.0%} of them "
        f"approved, and no more than {rule.rejected} rejected"
    )
    for lack in one.missing:
        yield f"  missing: {lack}"
    if not one.missing:
        how = "as soon as the stage is semi_autonomous"
        if rule.apply == "on_confirmation":
            how = f"when somebody confirms it: autonomy promote {one.tool}"
        yield f"  nothing is missing: it is promoted {how}"


def _changes_table(changes: Sequence[StateChange]) -> Table:
    table = Table("when", "what", "to", "by", "why", title="last changes", title_justify="left")
    for change in changes:
        what = change.subject.removeprefix(TOOL)
        after = "a new version" if what == POLICY else change.after
        table.add_row(f"{ago(change.at)} ago", what, after, Text(change.changed_by), Text(visible(change.reason)))
    return table


def _list(actions: Sequence[Action], what_next: str) -> None:
    if not actions:
        out.print("there is none")
        return
    table = Table("id", "tool", "risk", "age", "what")
    table.columns[0].no_wrap = True
    for action in actions:
        proposal = action.proposal
        table.add_row(action.id, proposal.tool, proposal.risk, ago(action.at), Text(gist(proposal.arguments)))
    out.print(table)
    out.print(what_next, highlight=False)


def _arguments(text: str) -> dict[str, object]:
    try:
        arguments = json.loads(text)
    except ValueError as error:
        stop(f"--arguments is not JSON: {error}")
    if not isinstance(arguments, dict):
        stop("--arguments: expected an object with the tool's arguments")
    return arguments
