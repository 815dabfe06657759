"""How the Sales Companion is put together: its instrumentation, its model client, its CRM."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from anthropic import AsyncAnthropic, Timeout
from starlette.applications import Starlette

from agentgauge import AgentGauge
from agentgauge.autonomy.access import Door
from agentgauge.autonomy.parts import Autonomy
from agentgauge.autonomy.people import People
from agentgauge.autonomy.supervisor import Supervisor
from agentgauge.autonomy.tool_requests import ToolRequests
from agentgauge.autonomy.web import approvals_app
from agentgauge.cost import cache
from agentgauge.cost.batching import Batcher
from agentgauge.cost.cache import ToolCache
from agentgauge.cost.redis_store import RedisStore
from agentgauge.cost.store import MemoryStore
from agentgauge.cost.tiers import Models
from agentgauge.files.yaml_file import YamlFileError
from agentgauge.http_guard import LOOPBACK
from agentgauge.ledger import Ledger
from agentgauge.ops.switches import FollowedSwitches
from sample_agent import settings
from sample_agent.app import app
from sample_agent.faults import FaultFile
from sample_agent.sales import crm
from sample_agent.sales.companion import SalesCompanion
from sample_agent.sales.crm_copy import CrmCopy
from sample_agent.sales.levers import Levers
from sample_agent.sales.model_calls import ModelCalls
from sample_agent.sales.toolbox import Toolbox
from sample_agent.sales.tools import SALES_TOOLS, TOOLS_BY_NAME

FAKE_API_URL = "http://127.0.0.1:8040"
SILENT_SECONDS, CONNECT_SECONDS = 30.0, 5.0
"""So long the provider may be silent within a stream, or before a short answer. The SDK's ten minutes, three times, are
more than anybody waits for."""


def build_gauge(state: Path) -> AgentGauge:
    """The Sales Companion's instrumentation: every tool and model is known from the start.

    Raises LedgerError when the ledger cannot be opened, YamlFileError when the file of the models cannot be used, and
    PriceError when that of AGENTGAUGE_PRICES, which holds prices of one's own, cannot.
    """
    return AgentGauge(
        settings.AGENT,
        tools=[tool.name for tool in SALES_TOOLS],
        models=[tier.model for tier in app().tier_policy().tiers.values()],
        version=settings.VERSION,
        ledger=settings.ledger_url(state),
        prices=os.environ.get("AGENTGAUGE_PRICES") or None,
    )


def build_client(gauge: AgentGauge) -> AsyncAnthropic:
    """The real service when ANTHROPIC_API_KEY is set, else the local server that speaks the same protocol."""
    timeout = Timeout(SILENT_SECONDS, connect=CONNECT_SECONDS)
    if os.environ.get("ANTHROPIC_API_KEY"):
        return AsyncAnthropic(timeout=timeout, middleware=[gauge.anthropic()])
    url = os.environ.get("AGENTGAUGE_FAKE_API", FAKE_API_URL)
    return AsyncAnthropic(api_key="fake-local", base_url=url, timeout=timeout, middleware=[gauge.anthropic()])


def build_cache(gauge: AgentGauge) -> ToolCache:
    """The cache of tool results: in this process, or in the Redis at AGENTGAUGE_CACHE, which replicas share.

    Raises YamlFileError if its file or that address cannot be used; a Redis that does not answer is not an error.
    """
    policy = cache.load(settings.CACHE, list(TOOLS_BY_NAME))
    url = os.environ.get("AGENTGAUGE_CACHE")
    try:
        store = RedisStore(url, f"agentgauge:{gauge.agent}:{settings.TENANT}") if url else MemoryStore(policy.most)
    except ValueError as error:
        raise YamlFileError(f"AGENTGAUGE_CACHE: expected redis://host:port/0, or nothing ({error})") from None
    return ToolCache(policy, store, gauge, settings.TENANT)


def build_autonomy(
    ledger: Ledger, agent: str = settings.AGENT, state: Path | None = None, gauge: AgentGauge | None = None
) -> Autonomy:
    """What the Sales Companion may do on its own, and the decisions of people on the rest.

    ``state`` is the folder of the CRM that people are shown, by default the one that the environment names. With a
    ``gauge``, that shows when the policy cannot be used any more.
    """
    return replace(app(state), name=agent).autonomy(ledger, gauge)


def allowed_hosts() -> list[str]:
    """The names under which the agent may be reached: those of loopback, or AGENTGAUGE_HOSTS, separated by commas."""
    hosts = os.environ.get("AGENTGAUGE_HOSTS")
    return list(LOOPBACK) if not hosts else [name.strip() for name in hosts.split(",")]


def build_door(state: Path) -> Door:
    """What says who decides; the owner of the state folder can from the start.

    Raises TokenError if the file of people, or the owner's token, cannot be used.
    """
    people = People.of(state)
    if people.owner_file is not None:
        people.owner()
    return Door.of(people)


def build_approvals_page(autonomy: Autonomy, door: Door) -> Starlette:
    """The page on which people decide, to be mounted at /approvals."""
    return approvals_app(autonomy, app().argument_schemas(), door, settings.AGENT, hosts=allowed_hosts())


def build_supervisor(gauge: AgentGauge, toolbox: Toolbox, state: Path) -> Supervisor:
    """What runs the tools under the policy; a gauge without a ledger is given the one of the state folder for it."""
    autonomy = build_autonomy(gauge.ledger or Ledger.open(settings.ledger_url(state)), gauge.agent, state, gauge)
    return Supervisor(gauge, autonomy, toolbox.call, toolbox.refuse, settings.VERSION)


def build_companion(
    gauge: AgentGauge, client: AsyncAnthropic, state: Path, levers: Levers | None = None
) -> SalesCompanion:
    """The agent on its CRM, which is made in the state folder at first use; all levers on cost are on by default.

    Raises YamlFileError if a file of them cannot be used.
    """
    levers = levers or Levers()
    database = state / "crm.sqlite"
    crm.build(database)
    switches = FollowedSwitches(gauge)
    policy = app().tier_policy()
    models = Models(policy if levers.tiers else policy.untiered(), switches)
    budgets = app().budgets_in_force(gauge)
    model = ModelCalls(client, models, budgets, prompt_caching=levers.prompt_caching)
    toolbox = Toolbox(
        gauge,
        crm.Crm(database),
        FaultFile(state),
        switches,
        build_cache(gauge) if levers.cache else None,
        Batcher() if levers.batching else Batcher(window_seconds=0, most=1),
        CrmCopy(state / "crm-copy.sqlite"),
    )
    requests = ToolRequests(build_supervisor(gauge, toolbox, state))
    return SalesCompanion(model, toolbox, app().prompts_in_force(gauge), requests, budgets)
