"""Sessions, tasks and turns: each ends one way, and limits are counted the moment they are crossed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry

from agentgauge import AgentGauge, SessionLimits, TokenUsage, llm_step, metrics
from agentgauge.session import Task, current_scope


@pytest.fixture
def gauge(registry: CollectorRegistry) -> AgentGauge:
    """An agent with one registered tool."""
    return AgentGauge("a", tools=["t"], registry=registry)


def value(gauge: AgentGauge, name: str, **labels: str) -> float | None:
    """The sample of agent ``a`` with these labels."""
    return gauge.registry.get_sample_value(name, {"agent": "a", **labels})


def test_a_session_counts_its_turns_calls_and_cost_at_its_close(gauge: AgentGauge) -> None:
    """One observation in each histogram, and the gauge of open sessions goes back to 0."""
    with gauge.session("rep-7") as session:
        assert value(gauge, "agent_sessions_active") == 1
        for _ in range(2):
            with session.task() as task, task.turn(), gauge.tool_call("t", cost_usd=0.1):
                pass
        assert value(gauge, "agent_session_turns_count") == 0
    assert value(gauge, "agent_sessions_active") == 0
    assert value(gauge, "agent_sessions_opened_total") == 1
    assert value(gauge, "agent_session_turns_bucket", le="2.0") == 1
    assert value(gauge, "agent_session_tool_calls_sum") == 2
    assert value(gauge, "agent_session_cost_usd_sum") == pytest.approx(0.2)


def test_a_session_without_a_turn_counts_zero(gauge: AgentGauge) -> None:
    """An abandoned session must be visible in the lowest bucket."""
    with gauge.session():
        pass
    assert value(gauge, "agent_session_turns_bucket", le="0.0") == 1


def test_closing_twice_counts_once(gauge: AgentGauge) -> None:
    """A service may close a session that its `with` closes again."""
    with gauge.session() as session:
        session.close()
    assert value(gauge, "agent_session_turns_count") == 1
    assert value(gauge, "agent_sessions_active") == 0


def test_the_sixteenth_tool_call_is_over_the_limit_at_once_and_once(gauge: AgentGauge) -> None:
    """A looping session is seen while it loops, not when it ends."""
    with gauge.session():
        for _ in range(15):
            with gauge.tool_call("t"):
                pass
        assert value(gauge, "agent_sessions_over_limit_total", limit="tool_calls") == 0
        for _ in range(5):
            with gauge.tool_call("t"):
                pass
        assert value(gauge, "agent_sessions_over_limit_total", limit="tool_calls") == 1


def test_a_session_in_which_requests_fail_is_counted_at_the_first_and_once(gauge: AgentGauge) -> None:
    """By an exception or said so; one that was given up or could not be helped has not failed."""
    with gauge.session() as session:
        for say in (Task.fallback, Task.abandoned):
            with session.task() as task:
                say(task)
        assert value(gauge, "agent_sessions_failing_total") == 0
        with session.task() as task:
            task.failed()
        assert value(gauge, "agent_sessions_failing_total") == 1
        with pytest.raises(ZeroDivisionError), session.task():
            raise ZeroDivisionError
    assert value(gauge, "agent_sessions_failing_total") == 1


def test_cost_over_the_limit_is_counted_at_once_and_once(registry: CollectorRegistry) -> None:
    """Exactly the limit is not over it."""
    gauge = AgentGauge("a", tools=["t"], registry=registry, limits=SessionLimits(cost_usd=0.5))
    with gauge.session():
        for cost, over in ((0.5, 0), (0.01, 1), (0.5, 1)):
            with gauge.tool_call("t", cost_usd=cost):
                pass
            assert value(gauge, "agent_sessions_over_limit_total", limit="cost") == over


def test_a_runaway_is_counted_the_moment_it_crosses_and_once(registry: CollectorRegistry) -> None:
    """One call can pass both limits; a session that goes on is still one runaway."""
    gauge = AgentGauge("a", tools=["t"], registry=registry, limits=SessionLimits(cost_usd=0.5, runaway_cost_usd=5))
    with gauge.session():
        for cost, over, runaway in ((0.25, 0, 0), (4.75, 1, 0), (0.25, 1, 1), (9, 1, 1)):
            with gauge.tool_call("t", cost_usd=cost):
                pass
            assert value(gauge, "agent_sessions_over_limit_total", limit="cost") == over
            assert value(gauge, "agent_sessions_over_limit_total", limit="cost_runaway") == runaway


def test_the_limits_in_force_are_exported(registry: CollectorRegistry) -> None:
    """Alerts and panels read there what the agent counts against."""
    gauge = AgentGauge("a", registry=registry, limits=SessionLimits(tool_calls=20, cost_usd=1.5, runaway_cost_usd=9))
    assert value(gauge, "agent_session_limit", limit="tool_calls") == 20
    assert value(gauge, "agent_session_limit", limit="cost") == 1.5
    assert value(gauge, "agent_session_limit", limit="cost_runaway") == 9


def test_the_default_limits_are_bucket_boundaries() -> None:
    """So the histograms of closed sessions tell exactly how many passed them."""
    assert SessionLimits().tool_calls in metrics.SESSION_TOOL_CALLS.buckets
    assert SessionLimits().cost_usd in metrics.SESSION_COST.buckets
    assert SessionLimits().runaway_cost_usd in metrics.SESSION_COST.buckets


def test_a_task_is_completed_unless_something_else_is_said(gauge: AgentGauge) -> None:
    """Each of the four ends, once each."""
    with gauge.session() as session:
        with session.task():
            pass
        with session.task() as task:
            task.fallback()
        with pytest.raises(RuntimeError), session.task():
            raise RuntimeError
        with pytest.raises(asyncio.CancelledError), session.task():
            raise asyncio.CancelledError
    for outcome in ("completed", "fallback", "failed", "abandoned"):
        assert value(gauge, "agent_tasks_total", outcome=outcome) == 1


def test_what_the_agent_says_of_its_task_wins_over_the_exception(gauge: AgentGauge) -> None:
    """A fallback that then raises is a fallback, counted once."""

    def declines_and_breaks() -> None:
        with gauge.session() as session, session.task() as task:
            task.fallback()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        declines_and_breaks()
    assert value(gauge, "agent_tasks_total", outcome="fallback") == 1
    assert value(gauge, "agent_tasks_total", outcome="failed") == 0


def test_model_turns_leave_out_classification_tool_arguments_and_failed_attempts(gauge: AgentGauge) -> None:
    """Only calls that plan or answer are turns, and only of completed tasks."""
    with gauge.session() as session, session.task():
        for step in ("classification", "planning", "tool_arguments", "synthesis"):
            with llm_step(step):
                gauge.llm_call("claude-opus-5-5").fail("overloaded_error")
                gauge.llm_call("claude-opus-5-5").finish(TokenUsage(input=10, output=1))
    assert value(gauge, "agent_task_turns_sum") == 2
    assert value(gauge, "agent_task_turns_count") == 1


def test_a_suspended_task_is_counted_when_it_ends_with_the_turns_of_both_parts(gauge: AgentGauge) -> None:
    """A request that waits for an approval is one request, whichever process finishes it."""
    session = gauge.session()
    with session.task() as first:
        gauge.llm_call("claude-opus-5-5").finish(TokenUsage(input=1))
        first.suspended()
    assert value(gauge, "agent_tasks_total", outcome="completed") == 0
    with session.task(model_turns=first.model_turns):
        gauge.llm_call("claude-opus-5-5").finish(TokenUsage(input=1))
    assert value(gauge, "agent_tasks_total", outcome="completed") == 1
    assert value(gauge, "agent_task_turns_sum") == 2


def test_a_turn_that_fails_is_timed_too(gauge: AgentGauge) -> None:
    """The slow failures are the ones that matter."""
    with gauge.session() as session, pytest.raises(TimeoutError), session.task() as task, task.turn():
        raise TimeoutError
    assert value(gauge, "agent_turn_duration_seconds_count") == 1
    assert session.turns == 1


def test_an_attached_session_stays_open_for_the_next_request(gauge: AgentGauge) -> None:
    """A service keeps a session between requests and closes it itself."""
    session = gauge.session()
    for _ in range(2):
        with session.attach(), gauge.tool_call("t"):
            pass
    assert current_scope().session is None
    assert (session.tool_calls, value(gauge, "agent_sessions_active")) == (2, 1)
    session.close()


def test_a_call_of_another_agent_does_not_count_for_the_session(gauge: AgentGauge) -> None:
    """Two agents in one process, one calling the other inside its session."""
    other = AgentGauge("b", tools=["t"], registry=gauge.registry)
    with gauge.session() as session, other.tool_call("t", cost_usd=1):
        pass
    assert (session.tool_calls, session.cost_usd) == (0, 0)


async def test_a_session_left_in_another_context_does_not_raise(gauge: AgentGauge) -> None:
    """An async generator may be closed in a context other than the one it was started in."""

    async def chat() -> AsyncIterator[int]:
        with gauge.session():
            yield 1
            yield 2

    running = chat()
    await asyncio.create_task(anext(running))  # type: ignore[arg-type]  # an awaitable, and create_task takes it
    await running.aclose()  # type: ignore[attr-defined]  # AsyncIterator is what its author declared
    assert value(gauge, "agent_sessions_active") == 0


def test_feedback_is_counted_with_its_reason(gauge: AgentGauge) -> None:
    """A reason that is not on the list is other, never a new series."""
    with gauge.session() as session:
        session.feedback("up")
        session.feedback("down", "wrong_answer")
        session.feedback("down", "the rep's own words")  # type: ignore[arg-type]  # what untyped callers do
    assert value(gauge, "agent_feedback_total", rating="up", reason="none") == 1
    assert value(gauge, "agent_feedback_total", rating="down", reason="wrong_answer") == 1
    assert value(gauge, "agent_feedback_total", rating="down", reason="other") == 1
