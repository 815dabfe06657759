"""LangChain and LangGraph: model calls and tools of a run, through the callback handler that every run takes.

::

    agent.invoke(question, config={"callbacks": [callback_handler(gauge)]})

One handler serves any number of runs at once, sync and async.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from time import perf_counter
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage, ToolMessage
from langchain_core.outputs import LLMResult

from agentgauge.adapters._shared import Delegate, SeenTools, UnderWay, at_work, delegate, error_type_of
from agentgauge.calls import LLMCall, record_tool_call
from agentgauge.gauge import AgentGauge
from agentgauge.pricing import Terms, TokenUsage

__all__ = ["callback_handler", "usage_of"]

_TERMS: tuple[Terms, ...] = ("flex", "priority")

_UNNAMED_GRAPH = "LangGraph"


def callback_handler(gauge: AgentGauge, *, subagents: Collection[str] = ()) -> BaseCallbackHandler:
    """The handler for ``config={"callbacks": […]}`` or for a model's ``callbacks=[…]``; not for both.

    A graph that runs inside another one is a subagent, by its own name or by that of the node or tool that it is in.
    ``subagents`` are the names of nodes that are subagents though they are no graphs.
    """
    return _Handler(gauge, frozenset(subagents))


def usage_of(message: Any) -> TokenUsage | None:
    """The token kinds of a message's ``usage_metadata``, made disjoint; None if it has none.

    LangChain counts what is cached within the input, and renames the counts of OpenAI's tiers.
    """
    usage = getattr(message, "usage_metadata", None)
    if not usage:
        return None
    details = usage.get("input_token_details") or {}
    output_details = usage.get("output_token_details") or {}
    terms = next((tier for tier in _TERMS if tier in details or tier in output_details), None)

    def of(name: str) -> int:
        return (details.get(name) or 0) + (details.get(f"{terms}_{name}") or 0 if terms else 0)

    read, written_1h = of("cache_read"), of("ephemeral_1h_input_tokens")
    written_5m = of("cache_creation") + of("ephemeral_5m_input_tokens")
    return TokenUsage(
        input=max(0, usage["input_tokens"] - read - written_5m - written_1h),
        cache_read=read,
        cache_write_5m=written_5m,
        cache_write_1h=written_1h,
        output=usage["output_tokens"],
        audio_input=of("audio"),
        audio_output=output_details.get("audio") or 0,
        terms=terms or "standard",
    )


@dataclass
class _Run:
    """A run that is under way: of a graph, one of its nodes, a chain or a tool.

    ``inside`` is the node or tool that it is, or is inside of; None outside of all. ``subagent`` is whose work it is,
    ``as_graph`` whose it would be if it turns out to be a graph.
    """

    inside: str | None
    subagent: Delegate | None
    as_graph: Delegate | None = None


class _Handler(BaseCallbackHandler):
    run_inline = True  # in the task that works for the session, not on a thread beside it

    def __init__(self, gauge: AgentGauge, nodes: Collection[str]) -> None:
        self._gauge = gauge
        self._nodes = nodes
        self._tools = SeenTools(gauge)
        self._calls: UnderWay[LLMCall] = UnderWay()
        self._tool_calls: UnderWay[tuple[str, float]] = UnderWay()
        self._runs: UnderWay[_Run] = UnderWay()

    def on_chain_start(
        self, serialized: Any, inputs: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **more: Any
    ) -> None:
        with self._gauge.swallowing("llm"):
            name = str(more.get("name") or "unknown")
            around = self._runs.get(parent_run_id) or _Run(None, None)
            if any(tag.startswith("graph:step:") for tag in more.get("tags") or ()):
                # Its first node alone tells a graph from a chain; one that is inside another is a subagent.
                around.subagent = around.as_graph or around.subagent
                self._runs.begin(run_id, _Run(name, delegate(name) if name in self._nodes else around.subagent))
            else:
                inside = around.inside
                as_graph = None if inside is None else delegate(inside if name == _UNNAMED_GRAPH else name)
                self._runs.begin(run_id, _Run(inside, around.subagent, as_graph))

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **more: Any) -> None:
        self._runs.end(run_id)

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **more: Any) -> None:
        self._runs.end(run_id)

    def on_chat_model_start(self, serialized: Any, messages: Any, *, run_id: UUID, **more: Any) -> None:
        self._begin(run_id, more)

    def on_llm_start(self, serialized: Any, prompts: Any, *, run_id: UUID, **more: Any) -> None:
        self._begin(run_id, more)

    def _begin(self, run_id: UUID, more: dict[str, Any]) -> None:
        with self._gauge.swallowing("llm"):
            about = more.get("metadata") or {}
            asked = more.get("invocation_params") or {}
            model = about.get("ls_model_name") or asked.get("model") or asked.get("model_name") or "unknown"
            run = self._runs.get(more.get("parent_run_id"))
            with at_work(self._gauge, run.subagent if run is not None else None):
                self._calls.begin(run_id, LLMCall(self._gauge, str(model), about.get("ls_provider")))

    def on_llm_new_token(self, token: Any, *, run_id: UUID, **more: Any) -> None:
        call = self._calls.get(run_id)
        if call is not None:
            call.first_token()

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **more: Any) -> None:
        call = self._calls.end(run_id)
        if call is None:
            return
        with self._gauge.swallowing("llm"):
            messages = [
                message
                for generations in response.generations
                for generation in generations
                if isinstance(message := getattr(generation, "message", None), BaseMessage)
            ]
            # One answer of several says what they cost together.
            answer = next((message for message in messages if usage_of(message)), None)
            about = getattr(answer, "response_metadata", {})
            call.finish(usage_of(answer), about.get("model_name") or about.get("model"))

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **more: Any) -> None:
        call = self._calls.end(run_id)
        if call is not None:
            call.fail(error_type_of(error))

    def on_tool_start(self, serialized: Any, input_str: str, *, run_id: UUID, **more: Any) -> None:
        with self._gauge.swallowing("tool"):
            name = str(more.get("name") or (serialized or {}).get("name") or "unknown")
            self._tool_calls.begin(run_id, (self._tools.add(name), perf_counter()))
            around = self._runs.get(more.get("parent_run_id"))
            self._runs.begin(run_id, _Run(name, around.subagent if around is not None else None))

    def on_tool_end(self, output: Any, *, run_id: UUID, **more: Any) -> None:
        refused = isinstance(output, ToolMessage) and output.status == "error"
        self._end_tool(run_id, "ToolException" if refused else None)

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **more: Any) -> None:
        # An interrupt of LangGraph waits for a person; the tool is run again when the graph goes on.
        if any(kind.__name__ == "GraphBubbleUp" for kind in type(error).__mro__):
            self._tool_calls.end(run_id)
            self._runs.end(run_id)
        else:
            self._end_tool(run_id, type(error).__name__)

    def _end_tool(self, run_id: UUID, error_type: str | None) -> None:
        self._runs.end(run_id)
        begun = self._tool_calls.end(run_id)
        if begun is not None:
            name, started = begun
            record_tool_call(self._gauge, name, perf_counter() - started, error_type, 0.0)
