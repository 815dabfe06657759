"""What finished spans add to the metrics and the sessions of an agent, each figure against one worked out by hand."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from agentgauge import AgentGauge
from agentgauge.adapters._shared import MOST_TOOLS
from agentgauge.otel.reading import FinishedSpan, Owner, owner_of
from agentgauge.otel.recording import Conversations, SpanRecorder
from tests.frameworks.bills import OPUS, OPUS_KINDS, OPUS_USD, check
from tests.frameworks.figures import shown, total
from tests.otel import spans
from tests.otel.spans import span

TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "find_order", "gen_ai.conversation.id": "c-1"}
RUN = {"gen_ai.operation.name": "invoke_agent", "gen_ai.conversation.id": "c-1"}


@pytest.fixture
def conversations(gauge: AgentGauge) -> Conversations:
    """Two at most, so that a third is one too many."""
    return Conversations(gauge, most=2)


@pytest.fixture
def recorder(gauge: AgentGauge, conversations: Conversations) -> SpanRecorder:
    """What the processor and the gateway count with."""
    return SpanRecorder(gauge, conversations)


def record(recorder: SpanRecorder, *ended: FinishedSpan) -> list[bool]:
    """Record spans in the order in which they ended; which of them were counted."""
    return [recorder.record(one, owner_of(one.attributes)) for one in ended]


def test_a_call_has_its_tokens_its_cost_and_its_time(gauge: AgentGauge, recorder: SpanRecorder) -> None:
    """By the price list, as with the middleware."""
    record(recorder, span(spans.CURRENT | {"gen_ai.response.time_to_first_chunk": 0.5}))
    check(gauge.registry, OPUS_KINDS, OPUS_USD)
    assert shown(gauge.registry, "agent_llm_duration_seconds_sum") == {(OPUS,): 1.5}
    assert shown(gauge.registry, "agent_llm_time_to_first_token_seconds_sum") == {(OPUS,): 0.5}


def test_a_call_that_failed_has_a_type_and_no_cost(gauge: AgentGauge, recorder: SpanRecorder) -> None:
    """No usage is missing: nothing was answered."""
    asked = {name: value for name, value in spans.CURRENT.items() if "usage" not in name and "response" not in name}
    record(recorder, span(asked | {"error.type": "overloaded_error"}, failed=True))
    assert shown(gauge.registry, "agent_llm_calls_total") == {(OPUS, "error"): 1}
    assert shown(gauge.registry, "agent_llm_errors_total") == {(OPUS, "overloaded_error"): 1}
    assert total(gauge.registry, "agent_llm_cost_usd_total") == 0
    assert total(gauge.registry, "agent_llm_usage_unknown_total") == 0


def test_a_call_whose_tokens_nobody_told_is_never_silently_free(gauge: AgentGauge, recorder: SpanRecorder) -> None:
    """It counts as unknown, and a model without a price as unpriced."""
    told = {name: value for name, value in spans.CURRENT.items() if "usage" not in name}
    record(recorder, span(told))
    assert shown(gauge.registry, "agent_llm_usage_unknown_total") == {(OPUS,): 1}
    own = spans.CURRENT | {"gen_ai.request.model": "own-1", "gen_ai.response.model": "own-1"}
    record(recorder, span(own, id=2))
    assert shown(gauge.registry, "agent_llm_unpriced_tokens_total") == {("other",): spans.PROMPT + spans.OUTPUT}


def test_what_was_inferred_to_compact_the_context_is_billed_too(gauge: AgentGauge, recorder: SpanRecorder) -> None:
    """The usage of the call leaves it out: 1 000 tokens at $4 a million, 100 at $20."""
    more = {"anthropic.usage.compaction.input_tokens": 1_000, "anthropic.usage.compaction.output_tokens": 100}
    record(recorder, span(spans.CURRENT | more))
    assert total(gauge.registry, "agent_llm_cost_usd_total") == pytest.approx(OPUS_USD + 0.004 + 0.002)


def test_the_tools_of_a_conversation_count_against_its_limit(
    gauge: AgentGauge, recorder: SpanRecorder, conversations: Conversations
) -> None:
    """As in a session that is opened by hand: the 16th of the 15 that it may make, and its cost."""
    record(recorder, *(span(TOOL, id=number) for number in range(16)))
    assert shown(gauge.registry, "agent_tool_calls_total") == {("find_order", "success"): 16}
    assert shown(gauge.registry, "agent_sessions_over_limit_total") == {("tool_calls",): 1}
    record(recorder, *(span(spans.CURRENT, id=100 + number) for number in range(17)))  # 17 × $0.0302 is over $0.50
    assert shown(gauge.registry, "agent_sessions_over_limit_total") == {("tool_calls",): 1, ("cost",): 1}
    conversations.close()
    assert total(gauge.registry, "agent_sessions_opened_total") == 1
    assert total(gauge.registry, "agent_session_tool_calls_sum") == 16
    assert total(gauge.registry, "agent_session_cost_usd_sum") == pytest.approx(17 * OPUS_USD)


def test_the_run_of_an_agent_is_a_task_and_a_turn(
    gauge: AgentGauge, recorder: SpanRecorder, conversations: Conversations
) -> None:
    """It failed if its span did."""
    record(recorder, span(RUN, milliseconds=3000), span(RUN, id=2, failed=True))
    assert shown(gauge.registry, "agent_tasks_total") == {("completed",): 1, ("failed",): 1}
    assert total(gauge.registry, "agent_turn_duration_seconds_sum") == 4.5
    conversations.close()
    assert total(gauge.registry, "agent_session_turns_sum") == 2


def test_where_the_agent_says_itself_what_its_tasks_are_spans_add_none(
    gauge: AgentGauge, recorder: SpanRecorder
) -> None:
    """And its session is the one that the calls belong to."""
    with gauge.session() as session, session.task() as task, task.turn():
        record(recorder, span(spans.CURRENT), span(RUN, id=2))
    assert session.cost_usd == pytest.approx(OPUS_USD)
    assert task.model_turns == 1
    assert total(gauge.registry, "agent_tasks_total") == 1
    assert total(gauge.registry, "agent_sessions_opened_total") == 1


def test_a_conversation_is_over_when_nothing_was_heard_of_it(gauge: AgentGauge) -> None:
    """Spans do not say when one is."""
    conversations = Conversations(gauge, idle_seconds=0)
    first = conversations.session(Owner("c-1"))
    assert conversations.session(Owner(None)) is None
    assert total(gauge.registry, "agent_session_cost_usd_count") == 1
    assert conversations.session(Owner("c-1")) is not first


def test_there_are_never_more_conversations_than_allowed(gauge: AgentGauge, conversations: Conversations) -> None:
    """The one that was silent for longest is closed."""
    kept, silent = conversations.session(Owner("c-1")), conversations.session(Owner("c-2"))
    assert conversations.session(Owner("c-1")) is kept
    conversations.session(Owner("c-3"))
    assert total(gauge.registry, "agent_sessions_active") == 2
    assert conversations.session(Owner("c-1")) is kept
    assert conversations.session(Owner("c-2")) is not silent


def test_a_call_that_two_instrumentations_report_counts_once(gauge: AgentGauge, recorder: SpanRecorder) -> None:
    """One inside the other, with something else between them: the innermost is the call."""
    inner, between = span(spans.CURRENT, id=3, parent=2), span({"http.request.method": "POST"}, id=2, parent=1)
    outer, run = span(spans.OPENINFERENCE, id=1, parent=9), span(RUN, id=9)
    assert record(recorder, inner, between, outer, run) == [True, False, False, True]
    check(gauge.registry, OPUS_KINDS, OPUS_USD)


def test_calls_of_one_run_are_not_taken_for_one_another(gauge: AgentGauge, recorder: SpanRecorder) -> None:
    """Neither beside each other, nor in a tool that a model's span holds."""
    in_tool, tool = span(spans.CURRENT, id=3, parent=2), span(TOOL, id=2, parent=1)
    assert (
        record(recorder, in_tool, tool, span(spans.CURRENT, id=1, parent=9), span(spans.CURRENT, id=4, parent=9))
        == [True] * 4
    )
    check_calls = shown(gauge.registry, "agent_llm_calls_total")
    assert check_calls == {(OPUS, "success"): 3}


def test_a_tool_that_two_instrumentations_report_counts_once(gauge: AgentGauge, recorder: SpanRecorder) -> None:
    """By its name: a tool that runs another one is two."""
    other = TOOL | {"gen_ai.tool.name": "find_customer"}
    assert record(recorder, span(TOOL, id=2, parent=1), span(TOOL, id=1)) == [True, False]
    assert record(recorder, span(other, id=4, parent=3), span(TOOL, id=3)) == [True, True]
    assert shown(gauge.registry, "agent_tool_calls_total") == {
        ("find_order", "success"): 2,
        ("find_customer", "success"): 1,
    }


def test_the_names_of_tools_are_bounded(gauge: AgentGauge, recorder: SpanRecorder) -> None:
    """A model may make them up, or write a text."""
    numbers = count()
    record(recorder, span(TOOL | {"gen_ai.tool.name": "Dear Ms Miller, thank you!"}, id=next(numbers)))
    for number in range(MOST_TOOLS + 10):
        record(recorder, span(TOOL | {"gen_ai.tool.name": f"made_up_{number}"}, id=next(numbers)))
    names = {tool for tool, _outcome in shown(gauge.registry, "agent_tool_calls_total")}
    assert len(names) == MOST_TOOLS + 1
    assert {"unknown", "other"} <= names


SDK: dict[str, Any] = {"scope": "com.anthropic.sdk.python"}
FRAMEWORK: dict[str, Any] = {"scope": "openinference.instrumentation.langchain"}
THIRD: dict[str, Any] = {"scope": "opentelemetry.instrumentation.anthropic"}


def test_a_call_that_two_instrumentations_report_beside_each_other_counts_once(
    gauge: AgentGauge, recorder: SpanRecorder
) -> None:
    """Some frameworks do not make their span the current one: the SDK's is its neighbour, or a root of its own."""
    sdk, framework = span(spans.CURRENT, id=1, **SDK), span(spans.OPENINFERENCE, id=2, milliseconds=1600, **FRAMEWORK)
    third = span(spans.TRACELOOP, id=3, **THIRD)
    assert record(recorder, sdk, framework, third) == [True, False, False]
    check(gauge.registry, OPUS_KINDS, OPUS_USD)


@pytest.mark.parametrize(
    ("attributes", "more"),
    [
        (spans.OPENINFERENCE | {"llm.token_count.completion": spans.OUTPUT + 1}, FRAMEWORK),
        (spans.OPENINFERENCE | {"llm.model_name": "claude-haiku-4-5"}, FRAMEWORK),
        (spans.OPENINFERENCE, FRAMEWORK | {"failed": True}),
        (spans.OPENINFERENCE, FRAMEWORK | {"later": 1501}),
        (spans.CURRENT | {"gen_ai.response.id": "msg_2"}, FRAMEWORK),
        (spans.CURRENT, SDK),
    ],
    ids=["other tokens", "another model", "it failed", "after it", "another answer", "the same instrumentation"],
)
def test_calls_that_differ_are_two(
    gauge: AgentGauge, recorder: SpanRecorder, attributes: spans.Attributes, more: dict[str, Any]
) -> None:
    """Whatever else they have in common."""
    first = span(spans.CURRENT | {"gen_ai.response.id": "msg_1"}, id=1, **SDK)
    assert record(recorder, first, span(attributes, id=2, **more)) == [True, True]


def test_an_answer_of_the_same_id_is_the_same_call(gauge: AgentGauge, recorder: SpanRecorder) -> None:
    """However its tokens were counted."""
    said = spans.CURRENT | {"gen_ai.response.id": "msg_1"}
    counted_otherwise = said | {"gen_ai.usage.output_tokens": spans.OUTPUT + 1}
    assert record(recorder, span(said, id=1, **SDK), span(counted_otherwise, id=2, **FRAMEWORK)) == [True, False]


def test_of_calls_that_run_at_once_as_many_count_as_there_were(gauge: AgentGauge, recorder: SpanRecorder) -> None:
    """Three of the same, each reported twice, in any order."""
    both = [
        span(spans.CURRENT if scope is SDK else spans.OPENINFERENCE, id=id, **scope)
        for id, scope in enumerate([SDK, SDK, FRAMEWORK, SDK, FRAMEWORK, FRAMEWORK])
    ]
    assert sum(record(recorder, *both)) == 3


def test_a_tool_that_is_reported_beside_another_report_counts_once(gauge: AgentGauge, recorder: SpanRecorder) -> None:
    """By its name and its time."""
    again = span({"openinference.span.kind": "TOOL", "tool.name": "find_order"}, id=2, **FRAMEWORK)
    later = span({"openinference.span.kind": "TOOL", "tool.name": "find_order"}, id=3, later=2000, **FRAMEWORK)
    assert record(recorder, span(TOOL, id=1, **SDK), again, later) == [True, False, True]
