"""The bot on trial: the same bot and model, with a ledger of its own, and no refund is paid."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import replace

import tools
from bot import SupportBot
from local_model import NAME, PRICES, local_model
from openai import AsyncOpenAI, DefaultAsyncHttpxClient

from agentgauge import AgentApp
from agentgauge.agent_app import Candidate
from agentgauge.autonomy import ToolRequests
from agentgauge.evals import Version
from agentgauge.trials import ScenarioPlayer, trial_gauge


def _model(candidate: Candidate) -> AbstractContextManager[str]:
    """The URL of the model, which a replay does not need."""
    return nullcontext("http://recorded.invalid/v1") if candidate.replays else local_model()


def _http_client(candidate: Candidate) -> DefaultAsyncHttpxClient | None:
    """What records or replays the answers, if that is asked for."""
    recording = candidate.recording
    return None if recording is None else DefaultAsyncHttpxClient(transport=recording.transport())


@asynccontextmanager
async def on_trial(app: AgentApp, candidate: Candidate) -> AsyncIterator[ScenarioPlayer]:
    """A version of the bot, ready for its scenarios."""
    prompts = candidate.prompts or app.prompt_library().load()
    with _model(candidate) as url, trial_gauge(app, models=[NAME], prices=PRICES) as gauge:
        async with AsyncOpenAI(base_url=url, api_key="not needed", http_client=_http_client(candidate)) as client:

            def start(requests: ToolRequests) -> SupportBot:
                return SupportBot(app, gauge, client, NAME, requests, lambda _version=None: prompts)

            version = Version(candidate.agent_version, prompts.version, NAME)
            yield ScenarioPlayer(replace(app, run_tool=tools.pretend_tool), version, gauge, start)
