"""An agent that calls the Messages API, with the instrumentation that is named, in the environment of that.

Nothing of this repository but AgentGauge is there, and that only in its own. It reads a line, ``plain 5`` or
``settle``, and answers with a line: the CPU seconds of the process over those five calls, or since its start, after
everything that waits was sent.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ASK: dict[str, Any] = json.loads(os.environ["ASK"])
MODEL_URL, OTLP_URL, LEDGER = os.environ["MODEL_URL"], os.environ["OTLP_URL"], os.environ["LEDGER"]
SEND_SECONDS = 0.2
"""How long what LiteLLM does behind the answer is given to end."""

Call = Callable[[], object]
AsyncCall = Callable[[], Coroutine[Any, Any, object]]


@dataclass(frozen=True)
class Calls:
    """One call each: read whole or as a stream, with the sync client or the async one; None for what it cannot."""

    plain: Call | None
    stream: Call | None
    async_plain: AsyncCall
    async_stream: AsyncCall
    send: Call = lambda: None
    """Sends what waits to be sent."""


def anthropic(*middleware: Any, send: Call = lambda: None) -> Calls:
    """The Anthropic SDK, as it is at this moment."""
    from anthropic import Anthropic, AsyncAnthropic

    options: dict[str, Any] = {"api_key": "fake-bench", "base_url": MODEL_URL, "max_retries": 0}
    if middleware:
        options["middleware"] = middleware
    client, async_client = Anthropic(**options), AsyncAnthropic(**options)

    def stream() -> None:
        for _ in client.messages.create(**ASK, stream=True):
            pass

    async def async_stream() -> None:
        async for _ in await async_client.messages.create(**ASK, stream=True):
            pass

    return Calls(
        lambda: client.messages.create(**ASK), stream, lambda: async_client.messages.create(**ASK), async_stream, send
    )


def empty_middleware() -> Calls:
    """A middleware of the SDK that only passes on."""
    from anthropic import Middleware

    class Nothing(Middleware):
        def handle(self, request: Any, call_next: Any) -> Any:
            return call_next(request)

        async def handle_async(self, request: Any, call_next: Any) -> Any:
            return await call_next(request)

    return anthropic(Nothing())


def agentgauge(ledger: str | None = None) -> Calls:
    """AgentGauge's middleware, with a session in force."""
    from agentgauge import AgentGauge, SessionLimits

    limits = SessionLimits(tool_calls=10**9, cost_usd=1e9)
    gauge = AgentGauge("bench", models=[ASK["model"]], limits=limits, ledger=ledger)
    gauge.session(user_id="rep-1" if ledger else None).__enter__()
    return anthropic(gauge.anthropic(), send=gauge.close)


def agentgauge_ledger() -> Calls:
    """The same, with the usage of users in a ledger in SQLite."""
    return agentgauge(f"sqlite:///{LEDGER}")


def openllmetry() -> Calls:
    """OpenLLMetry's instrumentation of the SDK, traces and metrics, by OTLP."""
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.anthropic import AnthropicInstrumentor
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    tracers = TracerProvider()
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{OTLP_URL}/v1/traces")))
    meters = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter(f"{OTLP_URL}/v1/metrics"))])
    AnthropicInstrumentor().instrument(tracer_provider=tracers, meter_provider=meters)
    return anthropic(send=lambda: (tracers.force_flush(), meters.force_flush()))


def traceloop() -> Calls:
    """The Traceloop SDK, as its README begins."""
    from traceloop.sdk import Traceloop

    Traceloop.init(app_name="bench", api_endpoint=OTLP_URL)
    return anthropic(send=_flush)


def openlit() -> Calls:
    """OpenLIT, as its README begins."""
    import openlit as tool

    tool.init(otlp_endpoint=OTLP_URL)
    return anthropic(send=_flush)


def _flush() -> None:
    from opentelemetry import metrics, trace

    providers: list[Any] = [trace.get_tracer_provider(), metrics.get_meter_provider()]
    for one in providers:
        one.force_flush()


def agento11y() -> Calls:
    """agento11y's wrapper of the SDK, as its README begins."""
    from agento11y import Client, ClientConfig
    from agento11y_anthropic import AnthropicOptions, AnthropicStreamSummary, messages
    from anthropic import Anthropic, AsyncAnthropic

    options: dict[str, Any] = {"api_key": "fake-bench", "base_url": MODEL_URL, "max_retries": 0}
    client, async_client = Anthropic(**options), AsyncAnthropic(**options)
    tool, named = Client(ClientConfig()), AnthropicOptions(agent_name="bench")

    def stream(asked: Any) -> Any:
        return AnthropicStreamSummary(events=list(client.messages.create(**asked, stream=True)))

    async def async_stream(asked: Any) -> Any:
        events = await async_client.messages.create(**asked, stream=True)
        return AnthropicStreamSummary(events=[event async for event in events])

    return Calls(
        lambda: messages.create(tool, ASK, lambda asked: client.messages.create(**asked), named),
        lambda: messages.stream(tool, ASK, stream, named),
        lambda: messages.create_async(tool, ASK, lambda asked: async_client.messages.create(**asked), named),
        lambda: messages.stream_async(tool, ASK, async_stream, named),
        tool.flush,
    )


def litellm(*callbacks: Any) -> Calls:
    """LiteLLM. Its Prometheus callback counts nothing of sync calls."""
    import litellm as tool

    tool.callbacks = list(callbacks)
    asked = {**ASK, "model": f"anthropic/{ASK['model']}", "tools": _openai_tools()}
    options: dict[str, Any] = {"api_key": "fake-bench", "api_base": MODEL_URL, **asked}

    async def async_stream() -> None:
        async for _ in await tool.acompletion(**options, stream=True):
            pass

    return Calls(None, None, lambda: tool.acompletion(**options), async_stream)


def litellm_prometheus() -> Calls:
    """LiteLLM's own Prometheus callback."""
    return litellm("prometheus")


def _openai_tools() -> list[dict[str, Any]]:
    return [
        {"type": "function", "function": {"name": one["name"], "parameters": one["input_schema"]}}
        for one in ASK["tools"]
    ]


def resident_mib() -> float:
    """Memory of this process in MiB; NaN where there is no /proc."""
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:
        return float("nan")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def answer(runner: asyncio.Runner, calls: Calls, line: str) -> float | None:
    """CPU seconds: of the whole process so far, or of this thread in some calls; None for what it cannot.

    Not of the process in few calls: where a system keeps that clock by ticks, it is out by more than they take.
    """
    if line == "settle":
        runner.run(asyncio.sleep(SEND_SECONDS))
        calls.send()
        return time.process_time()
    case, number = line.split()
    if case.startswith("async"):
        return runner.run(_async_seconds(getattr(calls, case), int(number)))
    call = getattr(calls, case)
    return None if call is None else _seconds(call, int(number))


def _seconds(call: Call, number: int) -> float:
    began = time.thread_time()
    for _ in range(number):
        call()
    return time.thread_time() - began


async def _async_seconds(call: AsyncCall, number: int) -> float:
    began = time.thread_time()
    for _ in range(number):
        await call()
    return time.thread_time() - began


def main() -> None:
    """Start, say what that took in CPU seconds and MiB, then answer line by line."""
    out, sys.stdout = sys.stdout, sys.stderr  # answers go to `out`; whatever a tool prints must not mix with them
    calls: Calls = globals()[sys.argv[1]]()
    with asyncio.Runner() as runner:
        print(json.dumps([time.process_time(), resident_mib()]), file=out, flush=True)
        for line in sys.stdin:
            print(json.dumps(answer(runner, calls, line.strip())), file=out, flush=True)
    os._exit(0)  # exporters that wait for their receiver hold up no one


main()
