"""What the agent may do on its own, shown, explained and changed; and what people did instead of it."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Annotated

import typer

from agentgauge.agent_app import AgentApp
from agentgauge.autonomy import promotion, shadow
from agentgauge.autonomy.action import Action, AlreadyDecidedError, UnknownActionError
from agentgauge.autonomy.changes import StateChange
from agentgauge.autonomy.parts import Autonomy
from agentgauge.autonomy.policy import Policy
from agentgauge.autonomy.showing import ago, gist, visible
from agentgauge.autonomy.standing import POLICY, TOOL, Explanation, NotEarnedError
from agentgauge.cli.approvals import row_of
from agentgauge.cli.common import AsJson, agent, group, opened_ledger, refuse, say, stop
from agentgauge.cli.deciding import me
from agentgauge.cli.tables import Column, Row, print_json, print_rows
from agentgauge.vocabulary import AuditVerdict, Stage

app = group("autonomy")

Reason = Annotated[str, typer.Option("--reason", "--why", prompt="Why", help="Why; kept with the change.")]

CHANGES_SHOWN = 10
NOTHING_TO_AUDIT = "nothing waits for an audit; `agentgauge autonomy show` says what runs unasked"
NOTHING_SUGGESTED = "no suggestion waits for comparison; `agentgauge autonomy show` says which tools only suggest"
NOTHING_COMPARED = (
    "no suggestion was compared in the last {:g} days; `agentgauge autonomy suggestions` lists those that wait for it"
)
MODES = {
    "suggest": "only suggests",
    "approve": "waits for approval",
    "auto": "runs unasked",
}


TOOL_COLUMNS = [
    Column("tool", "tool"),
    Column("risk", "risk"),
    Column("mode", "mode"),
    *(Column(key, key, right=True) for key in ("decided", "approved", "edited", "rejected")),
]
CHANGE_COLUMNS = [
    Column("at", "when", lambda at: f"{ago(at)} ago", right=True),
    Column("subject", "what"),
    Column("after", "to"),
    Column("by", "by"),
    Column("reason", "why", wraps=True),
]
ACTION_COLUMNS = [
    Column("id", "id"),
    Column("tool", "tool"),
    Column("risk", "risk"),
    Column("proposed_at", "age", ago, right=True),
    Column("shown", "what", lambda shown: visible(gist(shown)), cut=True),
]

COMPARISON_COLUMNS = [
    Column("id", "id"),
    Column("tool", "tool"),
    Column("match", "match"),
    Column("difference", "difference", lambda kind: (kind or "").replace("_", " ")),
    Column("differing", "in", ", ".join),
    Column("record", "record"),
    Column("suggested", "suggested", lambda shown: visible(gist(shown)), cut=True),
    Column("done", "done", lambda done: "nothing" if done is None else visible(gist(done)), cut=True),
]


@app.command()
def show(as_json: AsJson = False) -> None:
    """Show the stage, what each tool may do, and the last changes."""
    with _autonomy(agent()) as autonomy:
        policy = autonomy.policy()
        stage = autonomy.standings.now(policy).stage
        explained = [autonomy.standings.explain(policy, tool) for tool in policy.tools]
        changes = autonomy.changes.history()
        waiting, audits = autonomy.actions.queue().length, len(autonomy.actions.to_audit())
        suggestions = len(autonomy.actions.to_compare())
    tools = [_tool_row(policy, one) for one in explained]
    latest = [_change_row(change) for change in changes[: -CHANGES_SHOWN - 1 : -1]]
    if as_json:
        queues = {"waiting": waiting, "audits": audits, "suggestions": suggestions}
        print_json({"stage": stage, "tools": tools, **queues, "changes": latest})
        return
    say(f"the stage is {stage}")
    print_rows(TOOL_COLUMNS, tools, as_json=False, nothing="the policy names no tools")
    say(
        "",
        f"{waiting} wait for approval: `agentgauge approvals list`",
        f"{audits} wait for an audit: `agentgauge autonomy audits`",
        f"{suggestions} suggestions wait for comparison: `agentgauge autonomy suggestions`",
    )
    if latest:
        say("")
        print_rows(CHANGE_COLUMNS, latest, as_json=False, nothing="", title="last changes")


@app.command()
def explain(tool: str, as_json: AsJson = False) -> None:
    """Print why a tool may do what it may, its figures, and what is missing for more."""
    app = agent()
    with _autonomy(app) as autonomy:
        policy = autonomy.policy()
        explained = autonomy.standings.explain(policy, app.tool(tool).name)
    if as_json:
        print_json({**_tool_row(policy, explained), "since": explained.since, "missing": list(explained.missing)})
    else:
        say(*(visible(line) for line in _explanation(policy, explained)))


@app.command()
def stage(stage: Stage, reason: Reason) -> None:
    """Put the agent in a stage: shadow, approval_required, semi_autonomous or autonomous."""
    app = agent()
    with _autonomy(app) as autonomy:
        autonomy.standings.set_stage(autonomy.policy(), stage, me(app).name, reason)
    say(f"the stage is {stage} from the next call on")


@app.command()
def promote(tool: str, reason: Annotated[str, typer.Option(help="Why now.")] = "earned") -> None:
    """Let a tool that has earned it run unasked."""
    app = agent()
    app.tool(tool)
    with _autonomy(app) as autonomy:
        try:
            autonomy.standings.promote(autonomy.policy(), tool, me(app).name, reason)
        except NotEarnedError as error:
            refuse(str(error))
        canary = autonomy.policy().promotion.canary
    say(
        f"{tool} is promoted: in the stage semi_autonomous, {canary.share:.0%} of its calls run unasked at first, "
        f"and all of them in {canary.days:g} days"
    )


@app.command()
def demote(tool: str, reason: Reason) -> None:
    """Let every call of a tool wait for approval, until it has earned its freedom again."""
    app = agent()
    app.tool(tool)
    with _autonomy(app) as autonomy:
        autonomy.standings.demote(tool, me(app).name, reason)
    say(f"{tool} waits for approval from the next call on")


@app.command()
def audits(as_json: AsJson = False) -> None:
    """List what ran unasked and was chosen for an audit, oldest first."""
    with _autonomy(agent()) as autonomy:
        actions = autonomy.actions.to_audit()
    _list(actions, as_json, NOTHING_TO_AUDIT, "`agentgauge autonomy audit ID --verdict ok` judges one")


@app.command()
def audit(
    action_id: Annotated[str, typer.Argument(metavar="ID", help="As `autonomy audits` shows it.")],
    verdict: Annotated[AuditVerdict, typer.Option(help="Whether it was right to do that.")],
) -> None:
    """Judge an action that ran unasked; a problem demotes its tool."""
    app = agent()
    with _autonomy(app) as autonomy:
        tool = autonomy.approvals.audit(action_id, verdict, me(app)).proposal.tool
    say(f"{tool} {action_id}: {verdict}")


@app.command()
def suggestions(as_json: AsJson = False) -> None:
    """List what the agent only suggested, and nobody said yet what was done instead."""
    with _autonomy(agent()) as autonomy:
        actions = autonomy.actions.to_compare()
    if autonomy.real_actions is None:
        what_next = "`agentgauge autonomy did ID` with --as-suggested, --arguments or --otherwise says what was done"
        _list(actions, as_json, NOTHING_SUGGESTED, what_next)
        return
    # Whoever reads a suggestion could do it for that reason.
    rows = [{name: row_of(action)[name] for name in ("id", "tool", "risk", "proposed_at")} for action in actions]
    print_rows(ACTION_COLUMNS[:-1], rows, as_json=as_json, nothing=NOTHING_SUGGESTED)
    if actions and not as_json:
        say("what they say is shown once it is known what people did: `agentgauge autonomy comparisons`")


@app.command()
def compare() -> None:
    """Compare suggestions with what people did, as the system of record has it; a running agent does so by itself."""
    app = agent()
    with _autonomy(app) as autonomy:
        if autonomy.real_actions is None:
            stop(
                f"{app.name} does not say where to read what people did: add real_actions=… to its AgentApp, "
                "or say it with `agentgauge autonomy did ID`"
            )
        compared, left = shadow.compare_with_records(autonomy), len(autonomy.actions.to_compare())
    say(f"compared: {compared}; waiting until somebody has done something about it: {left}")


@app.command()
def comparisons(
    days: Annotated[float, typer.Option(help="How far to look back.", min=0)] = 30, as_json: AsJson = False
) -> None:
    """List suggestions beside what people did, newest first, and how the two differ."""
    with _autonomy(agent()) as autonomy:
        since = autonomy.actions.now() - timedelta(days=days)
        actions = autonomy.actions.compared_since(since)[::-1]
        rows = [_comparison_row(action, shadow.differing(autonomy, action)) for action in actions]
    print_rows(COMPARISON_COLUMNS, rows, as_json=as_json, nothing=NOTHING_COMPARED.format(days))
    if rows and not as_json:
        for tool in dict.fromkeys(str(row["tool"]) for row in rows):
            of_tool = [row for row in rows if row["tool"] == tool]
            aligned = sum(row["match"] == "aligned" for row in of_tool)
            kinds = Counter(str(row["difference"]) for row in of_tool if row["difference"] not in (None, "none"))
            counted = "".join(f", {number} × {kind}" for kind, number in kinds.most_common())
            say(f"{tool}: {aligned} of {len(of_tool)} aligned{counted}")


@app.command()
def did(
    action_id: Annotated[str, typer.Argument(metavar="ID", help="As `autonomy suggestions` shows it.")],
    arguments: Annotated[str | None, typer.Option(help="What you did: the tool's arguments, as JSON.")] = None,
    as_suggested: Annotated[bool, typer.Option("--as-suggested", help="You did just that.")] = False,
    otherwise: Annotated[bool, typer.Option("--otherwise", help="You did something else, or nothing.")] = False,
) -> None:
    """Say what you did instead of a suggestion; it is compared field by field."""
    if (arguments is not None) + as_suggested + otherwise != 1:
        stop("say what you did: --as-suggested, --arguments '{…}' or --otherwise")
    app = agent()
    with _autonomy(app) as autonomy:
        done = None if arguments is None else _arguments(arguments)
        if as_suggested:
            done = dict(autonomy.actions.get(action_id).proposal.arguments)
        action, differing = shadow.record(autonomy, action_id, done, me(app).name)
    where = f", in {', '.join(differing)}" if differing else ""
    say(f"{action.proposal.tool} {action_id}: {action.shadow_match}{where}")


@contextlib.contextmanager
def _autonomy(app: AgentApp) -> Iterator[Autonomy]:
    """The agent's; ends the command if there is no such action, or somebody else was faster."""
    with opened_ledger(app) as ledger:
        try:
            yield app.autonomy(ledger)
        except (AlreadyDecidedError, UnknownActionError, shadow.ReadFromRecordsError) as error:
            refuse(str(error))


def _explanation(policy: Policy, one: Explanation) -> Iterator[str]:
    rule = policy.promotion
    yield f"{one.tool} is of {policy.tools[one.tool].risk} risk; the stage is {one.stage}: it {MODES[one.mode]}"
    yield f"since {one.since:%Y-%m-%d}: {promotion.figures(one.record)}"
    if one.last_change is not None:
        last = one.last_change
        yield f"{last.after} on {last.at:%Y-%m-%d} by {last.changed_by}: {last.reason}"
    if one.mode == "auto":
        if one.share < 1:
            yield f"it is newly promoted: {one.share:.0%} of its calls run unasked so far, the others wait"
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
            how = f"when somebody confirms it: `agentgauge autonomy promote {one.tool}`"
        yield f"  nothing is missing: it is promoted {how}"


def _tool_row(policy: Policy, one: Explanation) -> Row:
    record = one.record
    return {
        "tool": one.tool,
        "risk": policy.tools[one.tool].risk,
        "mode": one.mode,
        "decided": record.decisions,
        "approved": record.approved,
        "edited": record.edited,
        "rejected": record.rejected,
    }


def _change_row(change: StateChange) -> Row:
    subject = change.subject.removeprefix(TOOL)
    return {
        "at": change.at,
        "subject": subject,
        "after": "a new version" if subject == POLICY else change.after,
        "by": visible(change.changed_by),
        "reason": visible(change.reason),
    }


def _comparison_row(action: Action, differing: Sequence[str]) -> Row:
    real = action.real
    return {
        "id": action.id,
        "tool": action.proposal.tool,
        "match": action.shadow_match,
        "difference": action.difference,
        "differing": [] if action.shadow_match == "aligned" else list(differing),
        "suggested": action.proposal.arguments if real is None else action.shown,
        "done": action.decided_arguments if real is None else real.effect,
        "by": None if action.decided_by is None else visible(action.decided_by),
        "record": None if real is None else visible(real.id),
        "done_at": None if real is None else real.at,
    }


def _list(actions: Sequence[Action], as_json: bool, nothing: str, what_next: str) -> None:
    print_rows(ACTION_COLUMNS, map(row_of, actions), as_json=as_json, nothing=nothing)
    if actions and not as_json:
        say(what_next)


def _arguments(text: str) -> dict[str, object]:
    try:
        arguments = json.loads(text)
    except ValueError as error:
        stop(f"--arguments is not JSON: {error}")
    if not isinstance(arguments, dict):
        stop("--arguments: expected an object with the tool's arguments")
    return arguments
