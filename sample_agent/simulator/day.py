"""A working day of a sales floor, the same as often as it is lived through, on a clock that nobody waits for.

The Sales Companion, the SDK and the local Messages API are the real ones; the day's hours, and how long a model or a
tool takes, only move the clock. So caches expire as they would, and a day takes seconds.
"""

from __future__ import annotations

import contextlib
import random
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anthropic import AsyncAnthropic, DefaultAsyncHttpxClient, Middleware
from httpx2 import ASGITransport
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette

from agentgauge import AgentGauge, metrics
from agentgauge.autonomy.supervisor import Supervisor
from agentgauge.autonomy.tool_requests import ToolRequests
from agentgauge.cost import cache
from agentgauge.cost.batching import Batcher
from agentgauge.cost.budgets import Budgets
from agentgauge.cost.cache import ToolCache
from agentgauge.cost.store import MemoryStore
from agentgauge.cost.tiers import Models
from agentgauge.ledger import Ledger
from agentgauge.ops.switches import Switches
from sample_agent import assembly
from sample_agent.app import app
from sample_agent.fake_api.app import create_app
from sample_agent.faults import FaultFile
from sample_agent.sales import crm
from sample_agent.sales.companion import Conversation, SalesCompanion
from sample_agent.sales.levers import Levers
from sample_agent.sales.model_calls import ModelCalls
from sample_agent.sales.toolbox import Toolbox
from sample_agent.sales.tools import TOOLS_BY_NAME
from sample_agent.settings import AGENT, CACHE, TENANT, VERSION
from sample_agent.simulator.floor import SECONDS_OF_THOUGHT, questions
from sample_agent.simulator.reviewers import review
from sample_agent.simulator.savings import Figures
from sample_agent.simulator.workload import PEOPLE, SECONDS_OF_WORK

if TYPE_CHECKING:
    from anthropic import AsyncAPIResponse
    from anthropic._middleware import AsyncCallNext
    from anthropic._request import APIRequest

REVIEWER = "a simulated rep"


@dataclass(frozen=True)
class Pace:
    """How fast a model is taken to be: seconds to its first token, and output tokens a second from there."""

    first_token: float
    tokens_per_second: float


PACES = {
    "claude-opus-5-5": Pace(1.5, 60),
    "claude-sonnet-5-5": Pace(1.0, 80),
    "claude-haiku-5-5": Pace(0.5, 150),
}
"""Assumed, in the proportions that models of these sizes are known for; not measured."""

SECONDS_PER_PROMPT_TOKEN = 1 / 10_000
"""Assumed, for tokens that do not come from the prompt cache."""

SECONDS_OF_TOOLS = 0.4
"""Assumed, for the tools that a model calls at once; what a cache answers takes no time."""


ASSUMPTIONS = (
    "Dollars are the list's. The time of a turn is modelled: "
    + "; ".join(
        f"{model}: {pace.first_token:g} s to the first token, then {pace.tokens_per_second:g} a second"
        for model, pace in PACES.items()
    )
    + f"; {SECONDS_PER_PROMPT_TOKEN * 1000:g} s for 1000 tokens of prompt that are not cached; {SECONDS_OF_TOOLS:g} s "
    "where tools run."
)


@dataclass(frozen=True)
class Visit:
    """A conversation that a rep comes for: seconds since the morning, and what is asked."""

    at: float
    user: str
    questions: tuple[str, ...]


def visits(number: int, seed: int) -> list[Visit]:
    """So many visits in the order in which they begin, at random over the day; the same for the same seed."""
    rng = random.Random(seed)  # noqa: S311 - a simulation, not a secret
    times = sorted(rng.uniform(0, SECONDS_OF_WORK) for _ in range(number))
    return [Visit(at, f"rep-{rng.randint(1, PEOPLE)}", tuple(questions(rng))) for at in times]


async def live_through(day: Sequence[Visit], levers: Levers, after_visit: Callable[[], object]) -> Figures:
    """Have the Sales Companion serve the day with these levers, from an empty state; returns what it came to."""
    clock = Clock()
    seconds: list[float] = []
    async with _agent(levers, clock) as (gauge, companion, stopwatch):
        for visit in day:
            clock.at = visit.at
            with gauge.session(visit.user) as session:
                conversation = Conversation(session)
                for question in visit.questions:
                    began = clock.at
                    await _answered(companion, conversation, question)
                    stopwatch.catch_up()
                    seconds.append(clock.at - began)
                    clock.at += SECONDS_OF_THOUGHT
            after_visit()
        return Figures.of(gauge, seconds)


class Clock:
    """Seconds since the morning; moved by hand."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        """The time it shows."""
        return self.at


class Stopwatch(Middleware):
    """Moves the clock by what models and tools are taken to need, from what the gauge counted of them."""

    def __init__(self, gauge: AgentGauge, clock: Clock) -> None:
        names = [metrics.LLM_CALLS.name, metrics.LLM_TOKENS.name, metrics.TOOL_CALLS.name]
        self._counts = gauge.registry.restricted_registry(names)
        self._clock = clock
        self._before: dict[tuple[str, ...], float] = {}

    async def handle_async(self, request: APIRequest, call_next: AsyncCallNext) -> AsyncAPIResponse[Any]:
        """Note what happened up to here, then let the call be made."""
        self.catch_up()
        return await call_next(request)

    def catch_up(self) -> None:
        """Move the clock by what was counted since the last time: a call of a model, and the tools it asked for."""
        tools_ran = False
        for metric in self._counts.collect():
            for sample in metric.samples:
                key = (sample.name, *sample.labels.values())
                new = sample.value - self._before.get(key, 0.0)
                self._before[key] = sample.value
                if not new:
                    continue
                if sample.name == metrics.TOOL_CALLS.name:
                    tools_ran = True
                elif sample.name == metrics.LLM_CALLS.name:
                    self._clock.at += new * PACES[sample.labels["model"]].first_token
                elif sample.labels["kind"] == "output":
                    self._clock.at += new / PACES[sample.labels["model"]].tokens_per_second
                elif sample.labels["kind"] != "cache_read":
                    self._clock.at += new * SECONDS_PER_PROMPT_TOKEN
        if tools_ran:
            self._clock.at += SECONDS_OF_TOOLS


async def _answered(companion: SalesCompanion, conversation: Conversation, question: str) -> None:
    """Ask, and decide as reps do on what the agent wants to do."""
    answer = await companion.answer(conversation, question)
    while answer.waiting:
        review(companion.supervisor.autonomy.approvals, REVIEWER)
        resumed = await companion.resume(conversation)
        if resumed is None:
            raise RuntimeError("all was decided, and the request does not go on")
        answer = resumed


@contextlib.asynccontextmanager
async def _agent(levers: Levers, clock: Clock) -> AsyncIterator[tuple[AgentGauge, SalesCompanion, Stopwatch]]:
    """A Sales Companion with nothing of the running one's: its own registry, ledger, CRM, cache and Messages API."""
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        crm.build(state / "crm.sqlite")
        ledger = Ledger.open(f"sqlite:///{state / 'ledger.sqlite'}")
        models = [tier.model for tier in app().tier_policy().tiers.values()]
        gauge = AgentGauge(AGENT, tools=list(TOOLS_BY_NAME), models=models, registry=CollectorRegistry(), ledger=ledger)
        with closing(gauge), closing(crm.Crm(state / "crm.sqlite")) as database:
            stopwatch = Stopwatch(gauge, clock)
            api = create_app(FaultFile(state), latency=0, clock=clock)
            toolbox = _toolbox(gauge, database, state, levers, clock)
            autonomy = assembly.build_autonomy(ledger, state=state)
            supervisor = Supervisor(gauge, autonomy, toolbox.call, toolbox.refuse, VERSION)
            budgets = Budgets(app().budget_policy(), gauge)
            companion = SalesCompanion(
                _model_calls(api, [stopwatch, gauge.anthropic()], levers, budgets),
                toolbox,
                app().prompt_library().load,
                ToolRequests(supervisor),
                budgets,
            )
            try:
                yield gauge, companion, stopwatch
            finally:
                await companion.close()


def _model_calls(api: Starlette, middleware: Sequence[Middleware], levers: Levers, budgets: Budgets) -> ModelCalls:
    http = DefaultAsyncHttpxClient(transport=ASGITransport(api))
    client = AsyncAnthropic(api_key="fake-local", base_url="http://127.0.0.1", http_client=http, middleware=middleware)
    policy = app().tier_policy()
    models = Models(policy if levers.tiers else policy.untiered(), Switches)
    return ModelCalls(client, models, budgets, prompt_caching=levers.prompt_caching)


def _toolbox(gauge: AgentGauge, database: crm.Crm, state: Path, levers: Levers, clock: Clock) -> Toolbox:
    policy = cache.load(CACHE, list(TOOLS_BY_NAME))
    kept = ToolCache(policy, MemoryStore(policy.most), gauge, TENANT, clock) if levers.cache else None
    batcher = Batcher() if levers.batching else Batcher(window_seconds=0, most=1)
    return Toolbox(gauge, database, FaultFile(state), Switches, kept, batcher)
