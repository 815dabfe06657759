"""`feedback watch`: whether the version of the prompts that is in force helped."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from agentgauge.autonomy.actions import Actions
from agentgauge.cli.common import AsJson, agent, opened_ledger, refuse, say
from agentgauge.cli.tables import Column, print_rows
from agentgauge.evals.report import points
from agentgauge.feedback.effect import LiveEffect, live_effects
from agentgauge.prompts.activations import NothingBeforeError, PromptActivations

if TYPE_CHECKING:
    from agentgauge.agent_app import AgentApp
    from agentgauge.autonomy.action import Action
    from agentgauge.ledger import Ledger

Days = Annotated[int, typer.Option(min=1, help="Look so far back.")]


def watch(days: Days = 30, as_json: AsJson = False) -> None:
    """Say whether the prompts in force helped: what people decide now, beside the version before, with intervals."""
    app = agent()
    with opened_ledger(app) as ledger:
        activations = PromptActivations(ledger, app.name)
        try:
            before = activations.before()
        except NothingBeforeError as error:
            refuse(f"{error}; there is nothing to compare with")
        in_force = activations.history()[-1]
        effects = live_effects(decided_in(app, ledger, days), before, in_force.version)
    if not as_json:
        since = f"{in_force.at:%Y-%m-%d %H:%M} UTC"
        say(f"prompts {in_force.version} since {since}: {in_force.reason or 'no reason given'}")
    rows = [
        {
            "tool": one.tool,
            "before": {"approved": round(one.before.passed), "of": round(one.before.trials)},
            "after": {"approved": round(one.after.passed), "of": round(one.after.trials)},
            "difference": one.difference,
            "verdict": one.verdict,
        }
        for one in effects
    ]
    columns = [
        Column("tool", "tool"),
        Column("before", f"approved unchanged, {before}", lambda one: f"{one['approved']} of {one['of']}"),
        Column("after", in_force.version, lambda one: f"{one['approved']} of {one['of']}"),
        Column("difference", "difference (95 %)", points),
        Column("verdict", "did it help?"),
    ]
    nothing = f"people have not decided yet on any tool under both {before} and {in_force.version}"
    print_rows(columns, rows, as_json=as_json, nothing=nothing)


def decided_in(app: AgentApp, ledger: Ledger, days: int) -> list[Action]:
    """What was decided in the last days, oldest first."""
    return Actions(ledger, app.name).decided_since(ledger.now() - timedelta(days=days))


def effects_so_far(decided: list[Action], activations: PromptActivations, in_force: str) -> list[str]:
    """Whether the version in force helped, a line for each tool; none if there was no version before it."""
    try:
        before = activations.before()
    except NothingBeforeError:
        return []
    return [f"{in_force} after {before}, {_in_words(one)}" for one in live_effects(decided, before, in_force)]


def _in_words(one: LiveEffect) -> str:
    return f"{one.tool}: {one.verdict}; approved unchanged {points(one.difference)}"
