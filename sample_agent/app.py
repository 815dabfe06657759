"""What the Sales Companion says of itself: `agentgauge` finds it here, as pyproject.toml says.

Importing this loads neither SQLAlchemy nor the model provider's SDK.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentgauge.agent_app import AgentApp, Candidate, PromptFolder, TrialRunner
from sample_agent import settings

if TYPE_CHECKING:
    from agentgauge.autonomy.action import Action
    from agentgauge.autonomy.effects import Simulated, SimulatedStep
    from agentgauge.autonomy.real_actions import RealAction


def app(state: Path | None = None) -> AgentApp:
    """The Sales Companion, with the ledger and policy that the environment names; so is the state folder by default."""
    from sample_agent.faults import FAULTS
    from sample_agent.sales.tools import DECLARED_TOOLS

    state = state or settings.state_directory()
    return AgentApp(
        settings.AGENT,
        settings.ledger_url(state),
        tools=DECLARED_TOOLS,
        version=settings.VERSION,
        state=state,
        policy=Path(os.environ.get("AGENTGAUGE_POLICY") or settings.POLICY),
        prompts=PromptFolder(settings.PROMPTS, ("system", "classify")),
        models=settings.MODELS,
        budgets=settings.BUDGETS,
        suites={"sales": settings.SCENARIOS},
        # A fault of the model provider would hit all trials at once.
        faults=[name for name, kind in FAULTS.items() if kind.acts_on == "tools"],
        check=_check,
        preview=partial(_preview, state / "crm.sqlite"),
        real_actions=partial(_real_actions, state / "crm.sqlite"),
        simulate=partial(_simulate, state / "crm.sqlite"),
        trials=_on_trial,
    )


def _check(tool: str, arguments: Mapping[str, Any]) -> object:
    from sample_agent.sales.tools import TOOLS_BY_NAME, check

    return check(TOOLS_BY_NAME[tool], arguments)


def _preview(database: Path, tool: str, arguments: Mapping[str, Any]) -> Mapping[str, Any] | None:
    from sample_agent.sales.previews import preview

    return preview(database, tool, arguments)


def _real_actions(database: Path, suggestion: Action) -> Sequence[RealAction]:
    from sample_agent.sales.by_hand import real_actions

    return real_actions(database, suggestion)


def _simulate(
    database: Path, tool: str, arguments: Mapping[str, Any], earlier: Sequence[SimulatedStep]
) -> Simulated | None:
    from sample_agent.sales.simulated import simulate

    return simulate(database, tool, arguments, earlier)


def _on_trial(candidate: Candidate) -> AbstractAsyncContextManager[TrialRunner]:
    from sample_agent.trials.trials import on_trial

    return on_trial(app(), candidate)
