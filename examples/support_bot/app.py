"""What AgentGauge knows of the support bot: ``agentgauge --app app:app …``, in this folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import tools

from agentgauge import AgentApp, Tool
from agentgauge.agent_app import Candidate, PromptFolder, TrialRunner

HERE = Path(__file__).parent
ORDER = {"type": "string", "pattern": "^A-[0-9]{4}$"}


def arguments(**properties: Mapping[str, object]) -> dict[str, object]:
    """The schema of a tool that needs all of its arguments."""
    return {"properties": properties, "required": list(properties), "additionalProperties": False}


def on_trial(candidate: Candidate) -> AbstractAsyncContextManager[TrialRunner]:
    """A version of the bot, ready for its scenarios."""
    from trials import on_trial  # loads the OpenAI SDK and the model, which no other command needs

    return on_trial(app, candidate)


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
    trials=on_trial,
)
