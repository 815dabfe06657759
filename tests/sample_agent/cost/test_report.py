"""What the levers save: measured on the same day each time, on a clock of its own, and shown beside each other."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from typer.testing import CliRunner

from agentgauge import AgentGauge, TokenUsage
from sample_agent.cli import app
from sample_agent.sales.levers import Levers
from sample_agent.simulator import day
from sample_agent.simulator import savings as report
from sample_agent.simulator.day import PACES, Clock, Stopwatch, Visit, live_through, visits
from sample_agent.simulator.savings import CASES, NONE, Figures

OPUS = "claude-opus-5-5"
LOOK_UP = "Tell me about the Globex account"


def lived(*planned: Visit, levers: Levers = NONE) -> Figures:
    """What a day came to."""
    return asyncio.run(live_through(planned, levers, lambda: None))


def test_the_figures_are_those_of_the_gauge(registry: CollectorRegistry) -> None:
    """Of this agent: another one on the same registry has its own."""
    gauge = AgentGauge("a", tools=["look_up"], models=[OPUS], registry=registry)
    AgentGauge("b", registry=registry).llm_call(OPUS).finish(TokenUsage(input=999))
    gauge.llm_call(OPUS).finish(TokenUsage(input=1000, cache_read=10_000, output=200))
    gauge.llm_call(OPUS).fail("overloaded_error")
    with gauge.tool_call("look_up", cost_usd=0.5):
        pass
    figures = Figures.of(gauge, [1.0, 9.0, 2.0])
    assert figures.usd == pytest.approx(0.51)
    assert figures == Figures(
        llm_usd=figures.llm_usd,
        tool_usd=0.5,
        llm_calls=2,
        tool_calls=1,
        tokens=11_200,
        cached_tokens=10_000,
        turn_seconds=2.0,
    )


async def test_the_work_is_done_once_with_each_lever_alone() -> None:
    """With none first, which the others are compared with, and with all last."""
    asked: list[Levers] = []

    async def work(levers: Levers) -> Figures:
        asked.append(levers)
        return Figures(2.0 / len(asked), 0.0, 1, 1, 100, 78, 3.0)

    rows = await report.compare(work)
    on = [[name for name, pulled in vars(levers).items() if pulled] for levers in asked]
    assert on == [[], ["tiers"], ["cache"], ["batching"], ["prompt_caching"], list(vars(NONE))]
    table = report.as_markdown(rows).splitlines()
    assert table[2] == "| none | $2.00 | $0.00 | – | 1 | 1 | 0.00 M | 78.0 % | 3.0 s |"
    assert [line.split(" | ")[3] for line in table[3:]] == ["50.0 %", "66.7 %", "75.0 %", "80.0 %", "83.3 %"]
    assert report.as_table(rows).row_count == len(CASES)


def test_the_same_seed_is_the_same_day() -> None:
    """So what differs between two cases is what the levers did."""
    assert visits(20, seed=1) == visits(20, seed=1) != visits(20, seed=2)
    planned = visits(4, seed=1)
    assert lived(*planned, levers=Levers()) == lived(*planned, levers=Levers())


def test_the_levers_change_what_it_costs_and_not_what_is_said() -> None:
    """All of them together: fewer dollars and executions; the model is asked the same, as often."""
    planned = visits(6, seed=3)
    none, everything = lived(*planned), lived(*planned, levers=Levers())
    assert everything.usd < none.usd / 2
    assert everything.tool_calls < none.tool_calls
    assert everything.turn_seconds < none.turn_seconds
    assert (everything.llm_calls, everything.tokens) == (none.llm_calls, none.tokens)
    assert none.cached_tokens == 0 < everything.cached_tokens


@pytest.mark.parametrize(("minutes", "executions"), [(4, 2), (6, 3), (16, 4)])
def test_what_is_cached_expires_by_the_hours_of_the_day(minutes: int, executions: int) -> None:
    """Contacts after five minutes, deals after a quarter of an hour, although the test takes no second."""
    again = Visit(minutes * 60.0, "rep-2", (LOOK_UP,))
    lived_through = lived(Visit(0.0, "rep-1", (LOOK_UP,)), again, levers=Levers(False, True, False, False))
    assert lived_through.tool_calls == executions


def test_the_prompt_cache_expires_by_the_hours_of_the_day() -> None:
    """It is kept for five minutes since it was last read."""

    def cached(seconds: float) -> int:
        planned = Visit(0.0, "rep-1", (LOOK_UP,)), Visit(seconds, "rep-2", (LOOK_UP,))
        return lived(*planned, levers=Levers(False, False, False, True)).cached_tokens

    assert cached(200) > cached(400) > 0


def test_a_turn_takes_what_its_models_and_tools_are_taken_to_need(registry: CollectorRegistry) -> None:
    """Tools that ran at once take the time of one; what came from the prompt cache takes none."""
    gauge = AgentGauge("a", tools=["one", "two"], models=[OPUS], registry=registry)
    clock = Clock()
    stopwatch = Stopwatch(gauge, clock)
    gauge.llm_call(OPUS).finish(TokenUsage(input=9000, cache_read=50_000, cache_write_5m=1000, output=120))
    stopwatch.catch_up()
    assert clock.at == pytest.approx(1.5 + 1.0 + 2.0)
    for tool in ("one", "two"):
        with gauge.tool_call(tool):
            pass
    stopwatch.catch_up()
    assert clock.at == pytest.approx(4.5 + 0.4)
    stopwatch.catch_up()
    assert clock.at == pytest.approx(4.9)


def test_every_model_of_the_tiers_has_a_pace() -> None:
    """A model that was put into models.yml needs one here, too."""
    from sample_agent.app import app as sales_companion

    assert {tier.model for tier in sales_companion().tier_policy().tiers.values()} <= PACES.keys()


@pytest.mark.parametrize("option", [[], ["--markdown"]])
def test_the_command_prints_the_table_and_touches_nothing_of_the_running_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: list[str]
) -> None:
    """Its state, its ledger and its cache may be another machine's; the API key is not used either."""
    monkeypatch.setenv("AGENTGAUGE_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("AGENTGAUGE_LEDGER", "postgresql+psycopg://nobody@127.0.0.1:9/none")
    monkeypatch.setenv("AGENTGAUGE_CACHE", "redis://127.0.0.1:9/0")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a real one")
    result = CliRunner().invoke(app, ["cost", "report", "--conversations", "1", *option])
    assert result.exit_code == 0, result.output
    assert [name for name, _ in CASES if name not in result.stdout] == []
    assert day.ASSUMPTIONS in result.stdout
    assert not (tmp_path / "state").exists()
