"""What Prometheus costs the agent when it asks."""

from __future__ import annotations

from dataclasses import dataclass
from time import process_time
from typing import Any

from prometheus_client import CollectorRegistry

from agentgauge import AgentGauge, TokenUsage, llm_step
from agentgauge.exposition import metrics_wsgi
from sample_agent.sales.tools import SALES_TOOLS

TOOLS = [tool.name for tool in SALES_TOOLS]
MODELS = ("claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5")
USAGE = TokenUsage(input=800, cache_read=6000, cache_write_5m=400, output=250)


@dataclass(frozen=True)
class Scrape:
    """The fastest answer of several, in CPU seconds; how many series it holds, and how many bytes."""

    seconds: float
    series: int
    size: int


def scrape(rounds: int) -> Scrape:
    """Ask an agent with seven tools and three models, which has worked since it was asked last."""
    registry = CollectorRegistry()
    gauge = AgentGauge("bench", tools=TOOLS, models=MODELS, registry=registry)
    app = metrics_wsgi(registry)
    seconds = float("inf")
    text = b""
    for _ in range(rounds):
        work(gauge)
        started = process_time()
        text = answer(app)
        seconds = min(seconds, process_time() - started)
    series = sum(not line.startswith(b"#") for line in text.splitlines())
    return Scrape(seconds, series, len(text))


def answer(app: Any) -> bytes:
    """What a scrape of this app of WSGI is answered."""
    asked = {"REQUEST_METHOD": "GET", "PATH_INFO": "/metrics", "QUERY_STRING": ""}
    return b"".join(app(asked, lambda *_: None))


def work(gauge: AgentGauge) -> None:
    """A session with each tool and each model, once with success and once without."""
    with gauge.session(user_id="rep-1") as session, session.task() as task, task.turn():
        for tool in TOOLS:
            with gauge.tool_call(tool):
                pass
            with gauge.tool_call(tool) as failing:
                failing.fail("ConnectionError")
        for model in MODELS:
            with llm_step("planning"):
                gauge.llm_call(model).finish(USAGE)
            gauge.llm_call(model).fail("overloaded_error")
        session.feedback("up")
