"""Worked examples of what a call costs, each with its sum written out, and prices of one's own."""

from __future__ import annotations

import gc
import subprocess
import sys
import tracemalloc
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace as Api

import pytest
from genai_prices.types import (
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
)
from prometheus_client import CollectorRegistry

from agentgauge import AgentGauge, TokenUsage
from agentgauge.anthropic_middleware import usage_of
from agentgauge.own_prices import PriceError
from agentgauge.price_list import PriceList, newest_change
from agentgauge.pricing import PriceTable

OPUS = "claude-opus-5-5"  # $4 in, $20 out, cache: $0.20 read, $5 and $8 written
HAIKU = "claude-haiku-5-5"  # $0.10 in, $0.50 out; beyond 100 000 tokens of prompt $0.50 and $2.50
PROMPT = TokenUsage(input=1000)
BOTH = TokenUsage(input=1000, output=1000)
BATCH = TokenUsage(input=1000, terms="batch")
LONG = TokenUsage(input=200_000)
OURS = "ours: {input: 1, output: 2}"


@pytest.fixture(scope="module")
def prices() -> PriceTable:
    """The list's prices."""
    return PriceTable()


@pytest.mark.parametrize(
    ("model", "usage", "usd"),
    [
        pytest.param(OPUS, TokenUsage(input=1000, output=200), 0.004 + 0.004, id="uncached and output"),
        pytest.param(OPUS, TokenUsage(cache_read=10_000), 0.002, id="cache read"),
        pytest.param(OPUS, TokenUsage(cache_write_5m=10_000), 0.05, id="5-minute write"),
        pytest.param(OPUS, TokenUsage(cache_write_1h=10_000), 0.08, id="1-hour write"),
        pytest.param(HAIKU, TokenUsage(input=100_000, output=1000), 0.01 + 0.0005, id="prompt at the tier's edge"),
        pytest.param(HAIKU, TokenUsage(input=100_001, output=1000), 0.0500005 + 0.0025, id="prompt beyond it"),
        pytest.param(
            HAIKU, TokenUsage(input=1, cache_read=99_999, cache_write_5m=1), 0.0000005 + 0.00499995 + 0.000000625,
            id="the cached part counts for the tier",
        ),
        pytest.param(OPUS, TokenUsage(input=1000, output=200, terms="batch"), 0.004, id="batch"),
        pytest.param(
            OPUS, TokenUsage(cache_read=10_000, cache_write_1h=1000, terms="batch"), 0.001 + 0.004, id="cached batch"
        ),
        pytest.param(HAIKU, TokenUsage(input=200_000, terms="batch"), 0.05, id="batch beyond the tier"),
        pytest.param(OPUS, TokenUsage(input=1000, output=200, terms="fast"), 0.016, id="fast mode"),
        pytest.param("claude-sonnet-5-5", TokenUsage(input=1000, terms="fast"), 0.002, id="no fast mode on the list"),
        pytest.param(OPUS, TokenUsage(input=1000, web_searches=3), 0.004 + 0.03, id="web search"),
        pytest.param(OPUS, TokenUsage(input=1000, web_searches=3, terms="batch"), 0.002 + 0.03, id="search in a batch"),
        pytest.param(f"{HAIKU}-20261007", TokenUsage(input=1000), 0.0001, id="dated alias"),
        pytest.param("claude-opus-4-8", TokenUsage(input=500_000), 2.5, id="long prompt at one price"),
    ],
)  # fmt: skip  # one example reads better on one line
def test_a_call_costs_what_the_list_says(prices: PriceTable, model: str, usage: TokenUsage, usd: float) -> None:
    """USD, from the provider's list."""
    assert prices.cost_usd(model, usage) == pytest.approx(usd, rel=1e-12)


def test_an_unknown_model_has_no_price(prices: PriceTable) -> None:
    """None, which is not $0."""
    assert prices.cost_usd("gibberish-model", TokenUsage(input=1000)) is None


@pytest.mark.parametrize(
    ("model", "provider", "usd"),
    [
        # 200 000 tokens in at $4 a million, 10 000 out at $20: $1.00; a region of Bedrock costs a tenth more.
        pytest.param(OPUS, None, 1.00, id="the vendor itself"),
        pytest.param(f"us.anthropic.{OPUS}", None, 1.10, id="a region of Bedrock, by its name"),
        pytest.param(f"global.anthropic.{OPUS}", None, 1.00, id="Bedrock, wherever there is room"),
        pytest.param(f"anthropic.{OPUS}", "aws.bedrock", 1.10, id="Bedrock, as OpenTelemetry calls it"),
        pytest.param(f"bedrock/us.anthropic.{OPUS}", None, 1.10, id="Bedrock, as LiteLLM calls it"),
        pytest.param(f"bedrock/converse/eu.anthropic.{OPUS}", None, 1.10, id="its converse API"),
        pytest.param(
            f"arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.{OPUS}", None, 1.10, id="an inference profile"
        ),
        pytest.param(f"vertex_ai/{OPUS}", None, 1.00, id="Vertex, as LiteLLM calls it"),
        pytest.param(OPUS, "google_vertexai", 1.00, id="Vertex, as LangChain calls it"),
        # $2.50 and $10
        pytest.param("gpt-4o", None, 0.60, id="OpenAI"),
        pytest.param("openai/gpt-4o", None, 0.60, id="OpenAI, as LiteLLM calls it"),
        pytest.param("azure/eu/gpt-4o", None, 0.60, id="Azure with a region"),
        pytest.param("gpt-4o-2024-08-06", "azure.ai.openai", 0.60, id="Azure, as OpenTelemetry calls it"),
        pytest.param("litellm_proxy/gpt-4o", None, 0.60, id="behind a proxy of LiteLLM"),
        # $0.59 and $0.79
        pytest.param("groq/llama-3.3-70b-versatile", None, 0.1259, id="Groq, by the name"),
        pytest.param("llama-3.3-70b-versatile", "groq", 0.1259, id="Groq"),
        pytest.param("llama-3.3-70b-versatile", None, None, id="who serves it, nobody says"),
        pytest.param("ollama/deepseek-r1", None, None, id="a model that another vendor sells, at home"),
        pytest.param(OPUS, "ollama", None, id="a provider without prices"),
        pytest.param("gpt-4o" + "-" * 300, None, None, id="too long to be a name"),
    ],
)
def test_the_same_model_costs_what_its_provider_asks(
    prices: PriceTable, model: str, provider: str | None, usd: float | None
) -> None:
    """The name may carry the provider, and each framework spells it in its own way."""
    cost = prices.cost_usd(model, TokenUsage(input=200_000, output=10_000), provider)
    assert cost == (None if usd is None else pytest.approx(usd, rel=1e-12))


@pytest.mark.parametrize(
    ("asked", "answered", "provider", "label", "usd"),
    [
        pytest.param(OPUS, f"{OPUS}-20260901", None, OPUS, 0.8, id="an alias"),
        pytest.param(f"global.anthropic.{OPUS}", OPUS, "bedrock", f"global.anthropic.{OPUS}", 0.8, id="Bedrock"),
        pytest.param(f"us.anthropic.{OPUS}", OPUS, None, f"regional.anthropic.{OPUS}", 0.88, id="its region"),
        pytest.param("azure/chat-prod", "gpt-4o-2024-08-06", None, "gpt-4o", 0.5, id="a deployment"),
        pytest.param("groq/llama-3.3-70b-versatile", "llama-3.3-70b-versatile", None, "llama-3.3-70b-versatile", 0.118,
                     id="the answer leaves the provider out"),
        pytest.param("configured", "gpt-4o", "azure", "configured", 0.5, id="a deployment that was configured"),
        pytest.param("gpt-4o", "no-such-name", None, "gpt-4o", 0.5, id="the answer's name has no price"),
    ],
)  # fmt: skip  # one example reads better on one line
def test_a_call_is_billed_by_the_name_that_says_most(
    registry: CollectorRegistry, asked: str, answered: str, provider: str | None, label: str, usd: float
) -> None:
    """The one that answered, except on Bedrock, where only the one asked for says which region's price it is."""
    gauge = AgentGauge("a", registry=registry, models=["configured"])
    gauge.llm_call(asked, provider=provider).finish(TokenUsage(input=200_000), answered)
    labels = {"agent": "a", "model": label, "step": "other"}
    assert registry.get_sample_value("agent_llm_cost_usd_total", labels) == pytest.approx(usd)


def test_names_that_a_model_invents_do_not_fill_the_memory() -> None:
    """Neither those without a price, nor the endless aliases of a model that has one."""

    def memory(names: Iterable[str]) -> int:
        gauge = AgentGauge("a", registry=CollectorRegistry())
        tracemalloc.start()
        for name in names:
            gauge.llm_call(name).finish(TokenUsage(input=1))
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return held

    def names(count: int) -> Iterator[str]:
        yield from (f"claude-{'x' * 200}-{n}" for n in range(count))
        yield from (f"{HAIKU}-{20000000 + n}" for n in range(count))

    memory(names(10))  # what is loaded once
    assert memory(names(3000)) - memory(names(600)) < 100_000


def test_a_price_follows_its_date(prices: PriceTable, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long prompts of Opus 4.6 cost twice as much before 13 March 2026; a process that runs on sees the change."""
    asked = TokenUsage(input=300_000)
    costs = []
    for unix_time in (1773359999, 1773360000):  # the last second of 12 March, UTC, and the first of the 13th
        monkeypatch.setattr("agentgauge.pricing.time", lambda at=unix_time: at)
        costs.append(prices.cost_usd("claude-opus-4-6", asked))
    assert costs == [pytest.approx(3.0), pytest.approx(1.5)]


@pytest.mark.parametrize(
    ("reported", "usage"),
    [
        pytest.param(
            Api(input_tokens=5, output_tokens=90, output_tokens_details=Api(thinking_tokens=80)),
            TokenUsage(input=5, output=90),
            id="thinking is part of the output",
        ),
        pytest.param(
            Api(input_tokens=5, output_tokens=9, service_tier="batch", speed=None),
            TokenUsage(input=5, output=9, terms="batch"),
            id="batch",
        ),
        pytest.param(
            Api(input_tokens=5, output_tokens=9, service_tier="standard", speed="fast"),
            TokenUsage(input=5, output=9, terms="fast"),
            id="fast mode",
        ),
        pytest.param(
            Api(input_tokens=5, output_tokens=9, service_tier="priority"),
            TokenUsage(input=5, output=9),
            id="priority tier",
        ),
        pytest.param(
            Api(
                input_tokens=5,
                output_tokens=9,
                cache_read_input_tokens=7,
                cache_creation_input_tokens=30,
                cache_creation=Api(ephemeral_5m_input_tokens=10, ephemeral_1h_input_tokens=20),
                server_tool_use=Api(web_search_requests=2, web_fetch_requests=4),
            ),
            TokenUsage(input=5, cache_read=7, cache_write_5m=10, cache_write_1h=20, output=9, web_searches=2),
            id="cache and server tools",
        ),
    ],
)
def test_the_usage_of_the_api_is_read_as_billed(reported: Api, usage: TokenUsage) -> None:
    """Page fetches are free, so they are not counted."""
    assert usage_of(reported) == usage


def own(tmp_path: Path, text: str) -> PriceTable:
    """The price table with this file of one's own."""
    path = tmp_path / "prices.yml"
    path.write_text(text, encoding="utf-8")
    return PriceTable(path)


@pytest.mark.parametrize(
    ("own_price", "model", "usage", "usd"),
    [
        pytest.param(f"{OPUS}: {{factor: 0.85}}", OPUS, BOTH, 0.0034 + 0.017, id="15 % off"),
        pytest.param(f"{HAIKU}: {{factor: 0.5}}", HAIKU, LONG, 0.05, id="off each tier"),
        pytest.param(f"{OPUS}: {{factor: 0.5}}", OPUS, BATCH, 0.001, id="off a batch"),
        pytest.param(f"{OPUS}: {{factor: 1.1}}", OPUS, BOTH, 0.0044 + 0.022, id="a surcharge"),
        pytest.param(f"{OPUS}: {{input: 3}}", OPUS, BOTH, 0.003 + 0.02, id="one kind"),
        pytest.param(f"{OPUS}: {{input: 3, factor: 0.5}}", OPUS, BOTH, 0.003 + 0.01, id="one kind, off the others"),
        pytest.param(f"{OPUS}: {{input: 3}}", OPUS, BATCH, 0.002, id="list price of a batch"),
        pytest.param(f"{OPUS}: {{web_searches: 5}}", OPUS, TokenUsage(web_searches=2), 0.01, id="searches"),
        pytest.param(f"{HAIKU}: {{input: 0.2}}", HAIKU, LONG, 0.04, id="one price for all sizes"),
        pytest.param(f"{HAIKU}-20261007: {{input: 1}}", HAIKU, PROMPT, 0.001, id="by an alias"),
        pytest.param(f"{HAIKU}: {{input: 1}}", f"{HAIKU}-20261007", PROMPT, 0.001, id="for an alias"),
        pytest.param(f"{OPUS}: {{input: 3}}", HAIKU, PROMPT, 0.0001, id="other models stay"),
        pytest.param("azure/gpt-4o: {input: 1}", "azure/gpt-4o", PROMPT, 0.001, id="at one provider"),
        pytest.param("azure/gpt-4o: {input: 1}", "openai/gpt-4o", PROMPT, 0.0025, id="not at another"),
        pytest.param("gpt-4o: {input: 1}", "azure/gpt-4o", PROMPT, 0.001, id="at all of them"),
        pytest.param(f"vertex_ai/{OPUS}: {{factor: 1.1}}", f"vertex_ai/{OPUS}", PROMPT, 0.0044, id="regions of Vertex"),
        pytest.param("ollama/mine: {input: 1, output: 2}", "ollama/mine", PROMPT, 0.001, id="on no list, by provider"),
        pytest.param(OURS, "ours", BOTH, 0.003, id="on no list"),
        pytest.param(OURS, "ours", TokenUsage(cache_read=1000), 0.001, id="cache of one on no list"),
        pytest.param(OURS, "ours", BATCH, 0.001, id="batch of one on no list"),
    ],
)
def test_a_price_of_ones_own_is_used(tmp_path: Path, own_price: str, model: str, usage: TokenUsage, usd: float) -> None:
    """What is given is used as it stands, the rest comes from the list, times the factor."""
    assert own(tmp_path, f"models:\n  {own_price}\n").cost_usd(model, usage) == pytest.approx(usd, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "prices.yml:1: the file: expected fields"),
        ("models:\n", "prices.yml:1: models: expected fields"),
        ("prices: {}", "prices.yml:1: prices: unknown field; the known ones are as_of, models"),
        ("models: {a: [}", "prices.yml:1: the file: is not valid YAML: "),
        ("models:\n  ours:\n    input: cheap", "prices.yml:3: models.ours.input: 'cheap' is not a number"),
        ("models:\n  ours:\n    input: [1]", "prices.yml:3: models.ours.input: expected a text"),
        ("models:\n  ours: {output: -1}", "prices.yml:2: models.ours.output: -1 is not a valid price"),
        ("models:\n  ours: {output: NaN}", "prices.yml:2: models.ours.output: NaN is not a number that can be used"),
        ("models:\n  ours:\n    thinking: 1", "prices.yml:3: models.ours.thinking: unknown field; the known ones"),
        ("models:\n  ours:\n    input: 1\n    input: 2", "prices.yml:4: models.ours.input: is given twice"),
        (
            f"models:\n  {HAIKU}: {{input: 1}}\n  {HAIKU}-20261007: {{input: 2}}",
            f"prices.yml:3: models.{HAIKU}-20261007: {HAIKU} is given twice, by two of its names",
        ),
        ("as_of: soon\nmodels: {}", "prices.yml:1: as_of: 'soon' is not a day; write it as in 2026-11-02"),
        (
            "models:\n  ours: {factor: 0.5}",
            "prices.yml:2: models.ours: this model is not on the price list, so there is",
        ),
        (
            "models:\n  ours: {input: 1}",
            "prices.yml:2: models.ours: this model is not on the price list: give its price for",
        ),
    ],
)
def test_a_slip_in_the_file_names_file_line_and_field(tmp_path: Path, text: str, says: str) -> None:
    """At start-up, where somebody reads it."""
    with pytest.raises(PriceError) as raised:
        own(tmp_path, text)
    assert str(raised.value).startswith(says)


def test_a_file_that_is_missing_is_one_clear_line(tmp_path: Path) -> None:
    """With its path."""
    with pytest.raises(PriceError, match=r"/prices\.yml cannot be read: No such file"):
        PriceTable(tmp_path / "prices.yml")


def test_the_gauge_counts_at_ones_own_prices(tmp_path: Path, registry: CollectorRegistry) -> None:
    """A model of one's own has its name on the series, and no token of it is unpriced."""
    path = tmp_path / "prices.yml"
    path.write_text("models:\n  ours: {input: 1, output: 2}\n", encoding="utf-8")
    gauge = AgentGauge("a", registry=registry, prices=path)
    gauge.llm_call("ours").finish(TokenUsage(input=1000, output=1000))
    labels = {"agent": "a", "model": "ours"}
    assert registry.get_sample_value("agent_llm_cost_usd_total", labels | {"step": "other"}) == pytest.approx(0.003)
    assert registry.get_sample_value("agent_llm_unpriced_tokens_total", labels) == 0


def test_without_pyyaml_the_error_says_what_to_install(tmp_path: Path) -> None:
    """The wheel does not bring it; only a price file needs it."""
    code = "import sys; sys.modules['yaml'] = None; from agentgauge.pricing import PriceTable; PriceTable('p.yml')"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert 'p.yml needs PyYAML to be read, which is not installed: pip install "agentgauge[prices]"' in result.stderr


@pytest.mark.parametrize("usage", [None, TokenUsage()])
def test_a_call_of_no_tokens_is_one_whose_usage_is_unknown(
    registry: CollectorRegistry, usage: TokenUsage | None
) -> None:
    """Never silently $0; what failed before it was answered is free."""
    gauge = AgentGauge("a", registry=registry)
    gauge.llm_call(OPUS).finish(usage)
    gauge.llm_call(OPUS).fail("overloaded_error", usage)
    assert registry.get_sample_value("agent_llm_usage_unknown_total", {"agent": "a", "model": OPUS}) == 1


def model_of_days(*days: date | None) -> ModelInfo:
    """A model whose price changed on these days; None is the price that it had at first."""
    prices = [
        ConditionalPrice(constraint=StartDateConstraint(day) if day else None, prices=ModelPrice()) for day in days
    ]
    return ModelInfo(id="m", match=ClauseEquals("m"), prices=prices)


def test_the_list_is_of_the_day_of_its_newest_change() -> None:
    """A change that was announced for later, before the list was installed, makes it no newer."""
    first, second, third = date(2026, 3, 1), date(2026, 5, 1), date(2027, 1, 1)
    flat = ModelInfo(id="flat", match=ClauseEquals("flat"), prices=ModelPrice())
    models = [model_of_days(None, first), model_of_days(second, third), flat]
    providers = [Provider(id="p", name="P", api_pattern="x", models=models)]
    assert newest_change(providers, before=date(2026, 12, 1)) == second
    assert newest_change(providers, before=second) == second
    assert newest_change(providers, before=date(2026, 4, 30)) == first
    assert newest_change(providers, before=date(2026, 1, 1)) is None


def test_the_list_that_comes_along_is_of_a_day() -> None:
    """Not one to come; else its age is not a figure."""
    day = PriceList().as_of
    assert day is not None
    assert date(2026, 10, 1) < day <= datetime.now(UTC).date()


@pytest.mark.parametrize(
    ("as_of", "shown"),
    [("as_of: 2024-02-29\n", date(2024, 2, 29)), ("as_of: 2999-01-01\n", None), ("", None)],
)
def test_the_gauge_shows_the_day_of_the_older_prices(
    tmp_path: Path, registry: CollectorRegistry, as_of: str, shown: date | None
) -> None:
    """The list's, where the file is newer or does not say."""
    path = tmp_path / "prices.yml"
    path.write_text(f"{as_of}models: {{}}\n", encoding="utf-8")
    AgentGauge("a", registry=registry, prices=path)
    day = shown or PriceList().as_of
    assert day is not None
    seconds = registry.get_sample_value("agent_llm_prices_timestamp_seconds", {"agent": "a"})
    assert seconds == datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
