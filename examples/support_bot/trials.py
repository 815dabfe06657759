"""The bot on trial: the same bot and model, with a ledger of its own, and no refund is paid."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import tools
from bot import SupportBot
from local_model import NAME, PRICES, local_model
from openai import AsyncOpenAI

from agentgauge import AgentApp
from agentgauge.agent_app import Candidate
from agentgauge.autonomy import ToolRequests
from agentgauge.evals import Version
from agentgauge.trials import ScenarioPlayer, trial_gauge


@asynccontextmanager
async def on_trial(app: AgentApp, candidate: Candidate) -> AsyncIterator[ScenarioPlayer]:
    """A version of the bot, ready for its scenarios."""
    prompts = candidate.prompts or app.prompt_library().load()
    with local_model() as url, trial_gauge(app, models=[NAME], prices=PRICES) as gauge:
        async with AsyncOpenAI(base_url=url, api_key="not needed") as client:

            def start(requests: ToolRequests) -> SupportBot:
                return SupportBot(app, gauge, client, NAME, requests, lambda _version=None: prompts)

            version = Version(candidate.agent_version, prompts.version, NAME)
            yield ScenarioPlayer(replace(app, run_tool=tools.pretend_tool), version, gauge, start)
