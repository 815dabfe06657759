"""The Sales Companion on trial: each scenario is answered by a new one, which shares nothing with the running agent.

A trial has its own CRM, cache, faults and conversation. All trials share a ledger in a temporary folder, a registry
that nobody scrapes, and the model client. The policy is the one in force, but in the stage approval_required: so a
suite asks the same of an agent, whatever it has earned. The models are pinned: there is no fallback to another.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from anthropic import AsyncAnthropic, DefaultAsyncHttpxClient
from prometheus_client import CollectorRegistry

from agentgauge import AgentGauge, Session
from agentgauge.agent_app import AgentApp, Candidate
from agentgauge.autonomy.parts import Autonomy
from agentgauge.autonomy.policy import Policy
from agentgauge.autonomy.supervisor import Supervisor
from agentgauge.autonomy.tool_requests import Resumed, ToolRequests
from agentgauge.cost import cache
from agentgauge.cost.budgets import BudgetPolicy, Budgets
from agentgauge.cost.cache import ToolCache
from agentgauge.cost.store import MemoryStore
from agentgauge.cost.tiers import Models, Steps, Tier, TierPolicy
from agentgauge.evals.history import Version, played
from agentgauge.evals.scenario import Scenario
from agentgauge.evals.transcript import TrialTranscript
from agentgauge.ledger import Ledger
from agentgauge.ops.switches import Switches
from agentgauge.prompts.library import Prompts
from agentgauge.trials import play
from agentgauge.vocabulary import STEPS
from sample_agent import faults, settings
from sample_agent.fake_api.app import create_app
from sample_agent.fake_api.instructions import unread
from sample_agent.faults import Fault, FaultFile
from sample_agent.sales import crm
from sample_agent.sales.companion import KEY_REFUSED, PROVIDER_DOWN, Conversation, SalesCompanion
from sample_agent.sales.model_calls import ModelCalls, text_of
from sample_agent.sales.toolbox import Toolbox
from sample_agent.sales.tools import TOOLS_BY_NAME, check
from sample_agent.serving import serving

RETRIES = 5
"""More than the running agent's: nobody waits for an answer, and one trial that fails would end the whole run."""

LONGEST_JUDGEMENT = 300


class ProviderFailedError(Exception):
    """The model provider did not answer, which says nothing about the agent."""


@dataclass(frozen=True)
class Setup:
    """What is put on trial, under which version; each step runs on one model, under a policy that lets actions wait."""

    version: Version
    prompts: Prompts
    models: TierPolicy
    policy: Policy
    budgets: BudgetPolicy

    @classmethod
    def of(cls, app: AgentApp, candidate: Candidate) -> Self:
        """The Sales Companion as the candidate says; without prompts, with the newest.

        Raises YamlFileError if the file of the models or the policy cannot be used.
        """
        prompts = candidate.prompts or app.prompt_library().load()
        models = _pinned(app.tier_policy(), Switches(model=candidate.model, tiers=candidate.tiers))
        planning, synthesis = models.model_of("planning"), models.model_of("synthesis")
        model = planning if planning == synthesis else f"{planning}/{synthesis}"
        model = model if candidate.replays or _has_key() else played(model)
        policy = app.policy_source()().model_copy(update={"stage": "approval_required"})
        return cls(
            Version(candidate.agent_version, prompts.version, model), prompts, models, policy, app.budget_policy()
        )


def _pinned(configured: TierPolicy, switches: Switches) -> TierPolicy:
    """Each step on its model and no other: a trial that fell back to another model would test another version."""
    in_force = Models(configured, lambda: switches)
    tiers = {step: Tier(model=in_force.models(step)[0]) for step in STEPS}
    return configured.model_copy(update={"tiers": tiers, "steps": Steps(**{step: step for step in STEPS})})


@contextlib.asynccontextmanager
async def on_trial(app: AgentApp, candidate: Candidate) -> AsyncIterator[Trials]:
    """A candidate ready for its trials: on the real API if there is a key, else on a fake one in this process."""
    setup = Setup.of(app, candidate)
    gauge = AgentGauge(settings.AGENT, tools=list(TOOLS_BY_NAME), registry=CollectorRegistry())
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="agentgauge-evals-")))
        provider = stack.enter_context(_provider(folder, candidate))
        ledger = stack.enter_context(contextlib.closing(Ledger.open(f"sqlite:///{folder / 'ledger.sqlite'}")))
        crm.build(folder / "crm.sqlite")
        async with AsyncAnthropic(middleware=[gauge.anthropic()], max_retries=RETRIES, **provider) as client:
            yield Trials(setup, gauge, client, ledger, folder)


def _has_key() -> bool:
    return bool(os.environ.get("ANTHROPIC_API_KEY"))


@contextlib.contextmanager
def _provider(folder: Path, candidate: Candidate) -> Iterator[Mapping[str, Any]]:
    """Where the SDK finds the model provider, or a recording of it."""
    options: dict[str, Any] = {}
    if candidate.recording is not None:
        options["http_client"] = DefaultAsyncHttpxClient(transport=candidate.recording.transport())
    if candidate.replays:
        yield {**options, "api_key": "recorded"}
    elif _has_key():
        yield options
    else:
        with serving(create_app(FaultFile(folder), latency=0)) as url:
            yield {**options, "api_key": "fake-local", "base_url": url}


class Trials:
    """Answers scenarios, any number at a time. Made by ``on_trial``."""

    def __init__(self, setup: Setup, gauge: AgentGauge, client: AsyncAnthropic, ledger: Ledger, folder: Path) -> None:
        self._setup = setup
        self._gauge = gauge
        self._client = client
        self._folder = folder
        self._caching = cache.load(settings.CACHE, list(TOOLS_BY_NAME))
        self._budgets = Budgets(setup.budgets, gauge)
        self._model = ModelCalls(client, Models(setup.models, Switches), self._budgets)
        self._autonomy = Autonomy.on(
            ledger, settings.AGENT, lambda: setup.policy, lambda tool, it: check(TOOLS_BY_NAME[tool], it)
        )

    @property
    def version(self) -> Version:
        """What is on trial."""
        return self._setup.version

    @property
    def remarks(self) -> Sequence[str]:
        """What a reader of the results must know: what the script that played the model did not read."""
        if not self._setup.version.is_played:
            return ()
        ignored = [title for text in self._setup.prompts.texts.values() for title in unread(text)]
        return [f"the script that plays the model does not read these parts of the prompts: {'; '.join(ignored)}"]

    async def answer(self, scenario: Scenario) -> TrialTranscript:
        """Have a new agent do what a scenario says. Raises ProviderFailedError."""
        with tempfile.TemporaryDirectory(dir=self._folder) as name:
            folder = Path(name)
            if scenario.fault is not None:
                faults.inject(folder, Fault(scenario.fault))
            shutil.copy(self._folder / "crm.sqlite", folder)
            with contextlib.closing(crm.Crm(folder / "crm.sqlite")) as database:
                return await self._play(scenario, folder, database)

    async def judge(self, model: str, prompt: str) -> tuple[str, float]:
        """Ask a model; returns its answer and what that cost in USD."""
        with self._gauge.session() as session:
            message = await self._client.messages.create(
                model=model, max_tokens=LONGEST_JUDGEMENT, messages=[{"role": "user", "content": prompt}]
            )
        return text_of(message), session.cost_usd

    async def _play(self, scenario: Scenario, folder: Path, database: crm.Crm) -> TrialTranscript:
        kept = ToolCache(self._caching, MemoryStore(self._caching.most), self._gauge, settings.TENANT)
        toolbox = Toolbox(self._gauge, database, FaultFile(folder), Switches, kept)
        version, prompts = self._setup.version, self._setup.prompts
        supervisor = Supervisor(self._gauge, self._autonomy, toolbox.call, toolbox.refuse, version.agent)

        def start(requests: ToolRequests) -> _OnTrial:
            return _OnTrial(
                SalesCompanion(self._model, toolbox, lambda _version=None: prompts, requests, self._budgets)
            )

        return await play(scenario, supervisor, start)


class _OnTrial:
    """A new Sales Companion in one conversation."""

    def __init__(self, companion: SalesCompanion) -> None:
        self._companion = companion
        self._conversation: Conversation | None = None

    async def answer(self, session: Session, text: str) -> str:
        """Its answer to a message. Raises ProviderFailedError."""
        conversation = self._conversation = self._conversation or Conversation(session)
        return _checked((await self._companion.answer(conversation, text)).text)

    async def go_on(self, resumed: Resumed) -> str:
        """Its answer once people have decided; empty if it waits again. Raises ProviderFailedError."""
        answer = await self._companion.go_on(resumed)
        if answer is None:
            return ""
        if self._conversation is not None:
            self._conversation.messages, self._conversation.suspension = answer["messages"], None
        return _checked(answer["text"])


def _checked(text: str) -> str:
    if text in (PROVIDER_DOWN, KEY_REFUSED):
        raise ProviderFailedError(text)
    return text
