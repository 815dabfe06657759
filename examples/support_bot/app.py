"""What AgentGauge knows of the support bot: ``agentgauge --app app:app …``, in this folder."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tools

from agentgauge import AgentApp, Tool
from agentgauge.agent_app import Candidate, PromptFolder, TrialRunner

if TYPE_CHECKING:
    from agentgauge.autonomy import Action, RealAction, Simulated, SimulatedStep

HERE = Path(__file__).parent
ORDER = {"type": "string", "pattern": "^A-[0-9]{4}$"}


def arguments(**properties: Mapping[str, object]) -> dict[str, object]:
    """The schema of a tool that needs all of its arguments."""
    return {"properties": properties, "required": list(properties), "additionalProperties": False}


def on_trial(candidate: Candidate) -> AbstractAsyncContextManager[TrialRunner]:
    """A version of the bot, ready for its scenarios."""
    from trials import on_trial  # loads the OpenAI SDK and the model, which no other command needs

    return on_trial(app, candidate)


def refunds_by_people(suggestion: Action) -> list[RealAction]:
    """In the stage shadow: the refunds that one of us made for the order of a suggestion, since a day before it."""
    from agentgauge.autonomy import RealAction

    earliest = suggestion.at.timestamp() - 24 * 3600
    return [
        RealAction(
            id=f"line {number}",
            by=refund["by"],
            at=datetime.fromtimestamp(refund["at"], UTC),
            effect={"order": refund["order"], "usd": refund["usd"]},
        )
        for number, refund in enumerate(tools.refunds(), start=1)
        if refund["by"] != tools.BOT
        and refund["order"] == suggestion.proposal.arguments["order"]
        and refund["at"] >= earliest
    ]


def simulate(tool: str, arguments: Mapping[str, Any], earlier: Sequence[SimulatedStep]) -> Simulated:
    """In the stage shadow: what a call would have come to, so that the bot goes on as if it had been made."""
    from agentgauge.autonomy import Simulated

    return Simulated(tools.pretend_tool(tool, arguments))


app = AgentApp(
    name="support_bot",
    version="1.0",
    ledger=os.environ.get("SUPPORT_BOT_LEDGER", "sqlite:///support_bot.sqlite"),
    tools=[
        Tool("look_up_order", arguments(order=ORDER), risk="low", side_effect=False),
        Tool("search_help", arguments(question={"type": "string"}), risk="low", side_effect=False),
        Tool("refund_order", arguments(order=ORDER, usd={"type": "integer", "minimum": 1}), risk="high"),
    ],
    policy=HERE / "policy.yml",
    prompts=PromptFolder(HERE / "prompts", texts=("triage", "answer")),
    budgets=HERE / "budgets.yml",
    suites={"tickets": HERE / "scenarios"},
    run_tool=tools.run_tool,
    real_actions=refunds_by_people,
    simulate=simulate,
    trials=on_trial,
)
