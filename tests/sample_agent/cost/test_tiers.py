"""Which model a step runs on: as configured, as switched, and past a model that is overloaded."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from anthropic import APIStatusError, AsyncAnthropic, BadRequestError, OverloadedError
from anthropic.types import Message, MessageParam
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from agentgauge import AgentGauge
from agentgauge.cost.tiers import Models, TierPolicy, load
from agentgauge.files.yaml_file import YamlFileError
from agentgauge.ops.switches import Switches
from agentgauge.vocabulary import STEPS
from sample_agent import assembly
from sample_agent import faults as fault_file
from sample_agent.app import app
from sample_agent.fake_api import app as fake_app
from sample_agent.faults import Fault, FaultFile
from sample_agent.sales.companion import PROVIDER_DOWN, Conversation
from sample_agent.sales.levers import Levers
from sample_agent.sales.model_calls import ModelCalls
from sample_agent.sales.tools import SALES_TOOLS
from sample_agent.serving import serving
from tests.exporter.cost.conftest import Clock, counted

LARGE, MEDIUM, SMALL = "claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5"
"""The models that ship."""


@pytest.fixture
def policy() -> TierPolicy:
    """The shipped policy."""
    return app().tier_policy()


def test_the_shipped_models_are_known_to_the_price_table(policy: TierPolicy, gauge: AgentGauge) -> None:
    """Current ones, each priced, the smaller the cheaper; each step on the tier that the spec gives it."""
    assert [policy.model_of(step) for step in STEPS] == [LARGE, MEDIUM, LARGE, SMALL]
    assert [gauge.prices.canonical_name(tier.model) for tier in policy.tiers.values()] == [LARGE, MEDIUM, SMALL]


def test_a_switch_takes_effect_at_the_next_call(policy: TierPolicy) -> None:
    """A tier for one step; a model for planning and answering; and back."""
    switched = Switches()
    models = Models(policy, lambda: switched)
    assert models.models("planning") == [LARGE, MEDIUM, SMALL]
    switched = Switches().with_tier("planning", "small")
    assert models.models("planning") == [SMALL, MEDIUM]
    assert models.models("synthesis") == [LARGE, MEDIUM, SMALL]
    switched = Switches(model="claude-fable-5-2")
    assert models.models("synthesis")[:2] == ["claude-fable-5-2", LARGE]
    assert models.models("classification")[0] == SMALL
    switched = Switches().with_tier("planning", "small").with_tier("planning", None)
    assert models.tier("planning") == "large"


def test_a_tier_that_the_file_no_longer_has_is_as_if_never_switched(policy: TierPolicy) -> None:
    """Switches outlive a deploy."""
    assert Models(policy, lambda: Switches(tiers={"planning": "huge"})).models("planning")[0] == LARGE


@dataclass
class Provider:
    """A fake API some of whose models answer with an error status; ``calls`` are the models it was asked for."""

    url: str = ""
    refuses: dict[str, int] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    async def __call__(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        """Refuse a call, or pass it on."""
        model = (await request.json())["model"]
        self.calls.append(model)
        if model not in self.refuses:
            return await call_next(request)
        status = self.refuses[model]
        error = {"type": ERROR_TYPES[status], "message": "not now"}
        return JSONResponse({"type": "error", "error": error}, status)


ERROR_TYPES = {400: "invalid_request_error", 429: "rate_limit_error", 529: "overloaded_error"}


@pytest.fixture
def provider(faults: FaultFile) -> Iterator[Provider]:
    """A provider that refuses nothing yet."""
    provider = Provider()
    app = fake_app.create_app(faults, latency=0)
    app.add_middleware(BaseHTTPMiddleware, dispatch=provider)
    with serving(app) as url:
        provider.url = url
        yield provider


@pytest.fixture
async def client(provider: Provider, gauge: AgentGauge) -> AsyncIterator[AsyncAnthropic]:
    """The SDK on that provider, without retries."""
    options = {"api_key": "fake-key", "base_url": provider.url, "max_retries": 0}
    async with AsyncAnthropic(**options, middleware=[gauge.anthropic()]) as client:  # type: ignore[arg-type]
        yield client


@pytest.mark.parametrize("status", [429, 529])
async def test_an_overloaded_tier_falls_back_and_the_user_notices_nothing(
    provider: Provider, client: AsyncAnthropic, gauge: AgentGauge, tmp_path: Path, status: int
) -> None:
    """The same answer with the same tools; the fallback's cost is of the same step, the failure is counted."""
    provider.refuses[LARGE] = status
    companion = assembly.build_companion(gauge, client, tmp_path)
    answer = await companion.answer(Conversation(gauge.session("rep-1")), "Tell me about the Globex account")
    assert "ARR of $264,000" in answer.text
    assert set(answer.tools) == {"search_crm_contacts", "get_deal_history"}
    # The second call leaves the large model alone: it was just overloaded.
    assert provider.calls == [SMALL, LARGE, MEDIUM, MEDIUM]
    assert counted(gauge, "agent_tasks_total", outcome="completed") == 1
    assert counted(gauge, "agent_llm_errors_total", model=LARGE, error_type=ERROR_TYPES[status]) == 1
    for step in ("planning", "synthesis"):
        assert counted(gauge, "agent_llm_cost_usd_total", model=MEDIUM, step=step) > 0
        assert counted(gauge, "agent_llm_cost_usd_total", model=LARGE, step=step) == 0


def hello(client: AsyncAnthropic) -> Callable[[str], Awaitable[Message]]:
    """A call that says hello to a model."""
    messages: list[MessageParam] = [{"role": "user", "content": "Hello"}]
    return lambda model: client.messages.create(model=model, max_tokens=50, messages=messages)


async def test_an_overloaded_tier_is_left_alone_for_a_while(
    provider: Provider, client: AsyncAnthropic, policy: TierPolicy, clock: Clock
) -> None:
    """Waiting for its retries at each call would make every turn slow."""
    models = Models(policy, Switches, clock)
    provider.refuses[LARGE] = 529
    await models.call("planning", hello(client))
    await models.call("planning", hello(client))
    assert provider.calls == [LARGE, MEDIUM, MEDIUM]
    del provider.refuses[LARGE]
    clock.forward(policy.rest_seconds)
    assert (await models.call("planning", hello(client))).model == LARGE


async def test_when_all_tiers_are_overloaded_the_error_comes_through(
    provider: Provider, client: AsyncAnthropic, policy: TierPolicy, clock: Clock
) -> None:
    """And while they rest, a call does not go through all of them again."""
    models = Models(policy, Switches, clock)
    provider.refuses.update({LARGE: 529, MEDIUM: 529, SMALL: 529})
    for _ in range(2):
        with pytest.raises(OverloadedError):
            await models.call("planning", hello(client))
    assert provider.calls == [LARGE, MEDIUM, SMALL, SMALL]
    with pytest.raises(OverloadedError):
        await models.call("classification", hello(client))
    assert provider.calls[4:] == [SMALL]


async def test_another_error_is_no_reason_to_ask_another_model(
    provider: Provider, client: AsyncAnthropic, policy: TierPolicy
) -> None:
    """A request that is wrong is wrong for all."""
    provider.refuses[LARGE] = 400
    with pytest.raises(BadRequestError):
        await Models(policy, Switches).call("planning", hello(client))
    assert provider.calls == [LARGE]


async def test_a_stream_that_breaks_off_falls_back_too(
    provider: Provider,
    client: AsyncAnthropic,
    gauge: AgentGauge,
    policy: TierPolicy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It began with 200, and nobody had seen anything of it. Here every stream breaks, down to the smallest model's."""
    monkeypatch.setattr(fake_app, "BROKEN_STREAM_SHARE", 1.0)
    fault_file.inject(tmp_path, Fault("overloaded"))
    model = ModelCalls(client, Models(policy, Switches), app().budgets_in_force(gauge))
    messages: list[MessageParam] = [{"role": "user", "content": "Hello"}]
    with pytest.raises(APIStatusError) as raised:
        await model.next_message("planning", app().prompt_library().load(), SALES_TOOLS, [], messages)
    assert (raised.value.status_code, raised.value.type) == (200, "overloaded_error")
    assert provider.calls == [LARGE, MEDIUM, SMALL]


async def test_without_the_lever_all_steps_run_on_the_planning_model(
    provider: Provider, client: AsyncAnthropic, gauge: AgentGauge, tmp_path: Path
) -> None:
    """And nothing falls back: what the tiers are compared with."""
    companion = assembly.build_companion(gauge, client, tmp_path, Levers(tiers=False))
    conversation = Conversation(gauge.session())
    await companion.answer(conversation, "Tell me about the Globex account")
    assert set(provider.calls) == {LARGE}
    provider.refuses[LARGE] = 529
    assert (await companion.answer(conversation, "Tell me about Initech")).text == PROVIDER_DOWN


FILE = """\
tiers:
  large: {model: claude-opus-5-5, fallback: small}
  small: {model: claude-haiku-5-5}
steps:
  planning: large
  tool_arguments: small
  synthesis: large
  classification: small
rest_seconds: 30
arguments_apart:
  - draft_email
"""


@pytest.mark.parametrize(
    ("written", "instead", "says"),
    [
        ("fallback: small", "fallback: tiny", "models.yml:2: tiers.large.fallback: there is no tier 'tiny'; the tiers"),
        ("planning: large", "planning: huge", "models.yml:5: steps.planning: there is no tier 'huge'; the tiers are"),
        ("  synthesis: large\n", "", "models.yml:4: steps.synthesis: is missing"),
        ("model: claude-haiku", "name: claude-haiku", "models.yml:3: tiers.small.model: is missing"),
        ("rest_seconds: 30", "rest_seconds: a while", "models.yml:9: rest_seconds: Input should be a valid number"),
        ("- draft_email", "- draft_mail", "models.yml:11: arguments_apart.0: there is no tool 'draft_mail'; the tools"),
    ],
)
def test_a_slip_in_the_file_is_told_with_line_and_field(tmp_path: Path, written: str, instead: str, says: str) -> None:
    """Before the agent starts."""
    path = tmp_path / "models.yml"
    path.write_text(FILE)
    assert load(path, ["draft_email"]).arguments_apart == ("draft_email",)
    path.write_text(FILE.replace(written, instead))
    with pytest.raises(YamlFileError) as raised:
        load(path, ["draft_email"])
    assert str(raised.value).startswith(says)
