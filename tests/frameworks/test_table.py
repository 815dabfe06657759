"""The table of docs/frameworks.md says what each adapter records, no more and no less."""

from __future__ import annotations

import importlib
import pkgutil
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import agents
import litellm
import pytest
from agents import Agent as SdkAgent
from agents import ModelSettings, OpenAIChatCompletionsModel, Runner, function_tool
from anthropic import AsyncAnthropic
from claude_agent_sdk import ClaudeAgentOptions, create_sdk_mcp_server, query
from claude_agent_sdk import tool as claude_tool_named
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.litellm import LiteLLM
from llama_index_instrumentation import get_dispatcher
from mcp import Client
from mcp.server import MCPServer
from openai import AsyncOpenAI
from pydantic import SecretStr
from pydantic_ai import Agent as PydanticAgent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from agentgauge import AgentGauge, adapters
from agentgauge.adapters import claude_agent_sdk, langchain, llama_index, mcp, openai_agents, pydantic_ai
from agentgauge.adapters import litellm as litellm_adapter
from agentgauge.adapters import openai as openai_adapter
from tests.frameworks.bills import CHAT_USAGE, OPUS, OPUS_USAGE, SOL
from tests.frameworks.figures import total
from tests.frameworks.provider import Provider

# LiteLLM's own types and clients warn when they are first used.
pytestmark = [pytest.mark.filterwarnings(f"ignore::{kind}") for kind in ("UserWarning", "DeprecationWarning")]

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "frameworks.md").read_text(encoding="utf-8")
COLUMNS = ("Model calls", "Tokens and cost", "Retries", "First token", "Tools")
QUIET = {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}
SAYS: list[Any] = [{"role": "user", "content": "When does Globex renew?"}]


def rows() -> list[dict[str, str]]:
    """The table, a dictionary a row."""
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("|")
    ]
    head, _, *body = lines
    return [dict(zip(head, row, strict=True)) for row in body]


ROWS = {row["Adapter"].strip("`"): row for row in rows()}


def test_every_adapter_has_a_row_and_every_row_an_adapter() -> None:
    """What is not documented does not exist for its users."""
    modules = {f"agentgauge.adapters.{one.name}" for one in pkgutil.iter_modules(adapters.__path__)}
    assert {name for name in ROWS if name.startswith("agentgauge.")} == {
        name for name in modules if not name.rpartition(".")[2].startswith("_")
    }
    assert set(ROWS) == set(RUNS)


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_what_a_row_says_to_install_exists(row: dict[str, str]) -> None:
    """An extra of the package."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    (named,) = re.findall(r"agentgauge\[(.*)\]", row["`pip install`"])
    assert set(named.split(",")) <= set(extras)


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_its_lines_are_those_of_the_example(row: dict[str, str]) -> None:
    """At most five; the names that they import are public."""
    section = PAGE.partition(f"\n## {row['Framework'].replace(', ', ' and ')}\n")[2].partition("\n## ")[0]
    code = re.findall(r"```python\n(.*?)```", section, re.DOTALL)[0]
    lines = [line for line in code.splitlines() if line]
    assert len(lines) == int(row["Lines"]) <= 5
    for module, names in re.findall(r"from (agentgauge\.adapters\.\w+) import (.*)", code):
        assert set(names.split(", ")) <= set(importlib.import_module(module).__all__)


def when_renews(account: str) -> str:
    """When an account renews."""
    return "March"


@claude_tool_named("when_renews", "When an account renews", {"account": str})
async def claude_tool(asked: dict[str, Any]) -> dict[str, Any]:
    """The same, as a tool of the Claude Agent SDK."""
    return {"content": [{"type": "text", "text": when_renews(asked["account"])}]}


async def anthropic_run(gauge: AgentGauge, url: str) -> None:
    """The SDK itself runs no tool."""
    async with AsyncAnthropic(api_key="k", base_url=url, max_retries=1, middleware=[gauge.anthropic()]) as client:
        for _ in range(2):
            async with client.messages.stream(model=OPUS, max_tokens=100, messages=SAYS) as stream:
                await stream.until_done()


async def openai_run(gauge: AgentGauge, url: str) -> None:
    """Nor does this one."""
    http = openai_adapter.async_http_client(gauge)
    async with AsyncOpenAI(api_key="k", base_url=f"{url}/v1", max_retries=1, http_client=http) as client:
        for _ in range(2):
            async for _chunk in await client.chat.completions.create(
                model=SOL, messages=SAYS, stream=True, stream_options={"include_usage": True}
            ):
                pass


async def langchain_run(gauge: AgentGauge, url: str) -> None:
    """A graph whose model streams."""
    named = tool(when_renews)
    model = ChatOpenAI(
        model=SOL,
        api_key=SecretStr("k"),
        base_url=f"{url}/v1",
        max_retries=1,
        streaming=True,
        stream_usage=True,
        use_responses_api=False,
    ).bind_tools([named])

    async def think(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("think", think)
    graph.add_node("tools", ToolNode([named]))
    graph.add_edge(START, "think")
    graph.add_conditional_edges("think", tools_condition)
    graph.add_edge("tools", "think")
    asked: Any = {"messages": [HumanMessage("When does Globex renew?")]}
    await graph.compile().ainvoke(asked, {"callbacks": [langchain.callback_handler(gauge)]})


async def litellm_run(gauge: AgentGauge, url: str) -> None:
    """LiteLLM runs no tool, either."""
    handler = litellm_adapter.callback(gauge)
    litellm.callbacks = [handler]
    for _ in range(2):
        async for _chunk in await litellm.acompletion(
            f"openai/{SOL}",
            messages=SAYS,
            api_key="k",
            api_base=f"{url}/v1",
            stream=True,
            stream_options={"include_usage": True},
            max_retries=1,
        ):
            pass
    await litellm.litellm_core_utils.logging_worker.GLOBAL_LOGGING_WORKER.flush()
    litellm.callbacks = []


async def agents_run(gauge: AgentGauge, url: str) -> None:
    """A run that streams."""
    agents.set_trace_processors([openai_agents.trace_processor(gauge)])
    client = AsyncOpenAI(api_key="k", base_url=f"{url}/v1", max_retries=1)
    agent = SdkAgent(
        name="seller",
        model=OpenAIChatCompletionsModel(SOL, client),
        model_settings=ModelSettings(include_usage=True),
        tools=[function_tool(when_renews)],
    )
    streamed = Runner.run_streamed(agent, "When does Globex renew?")
    async for _ in streamed.stream_events():
        pass
    agents.set_trace_processors([])


async def pydantic_run(gauge: AgentGauge, url: str) -> None:
    """A run that streams."""
    client = AsyncOpenAI(api_key="k", base_url=f"{url}/v1", max_retries=1)
    model = OpenAIChatModel(SOL, provider=OpenAIProvider(openai_client=client))
    agent = PydanticAgent(model, tools=[when_renews], capabilities=[pydantic_ai.capability(gauge)])
    async with agent.run_stream("When does Globex renew?") as streamed:
        await streamed.get_output()


async def llama_run(gauge: AgentGauge, url: str) -> None:
    """A call that asks for a tool, and one that streams."""
    llama_index.watch(gauge)
    model = LiteLLM(model=f"openai/{SOL}", api_key="k", api_base=f"{url}/v1", max_retries=2, temperature=1)
    named = FunctionTool.from_defaults(when_renews)
    await model.achat_with_tools([named], "When does Globex renew?")
    await named.acall(account="Globex")
    async for _ in await model.astream_chat([ChatMessage(role="user", content="When does Globex renew?")]):
        pass
    get_dispatcher().event_handlers.pop()
    get_dispatcher().span_handlers.pop()


async def claude_run(gauge: AgentGauge, url: str) -> None:
    """A turn of the program."""
    with tempfile.TemporaryDirectory() as home:
        options = ClaudeAgentOptions(
            model=OPUS,
            cwd=home,
            env={"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": "k", "HOME": home} | QUIET,
            mcp_servers={"crm": create_sdk_mcp_server("crm", tools=[claude_tool])},
            allowed_tools=["mcp__crm__when_renews"],
            setting_sources=[],
        )
        async for _ in claude_agent_sdk.watched(gauge, query(prompt="When does Globex renew?", options=options)):
            pass


async def mcp_run(gauge: AgentGauge, _url: str) -> None:
    """MCP knows tools, and no models."""
    server = MCPServer("crm")
    server.tool()(when_renews)
    async with Client(server) as client:
        await mcp.call_tool(gauge, client, "when_renews", {"account": "Globex"})


RUNS: dict[str, Callable[[AgentGauge, str], Awaitable[None]]] = {
    "gauge.anthropic()": anthropic_run,
    "agentgauge.adapters.openai": openai_run,
    "agentgauge.adapters.langchain": langchain_run,
    "agentgauge.adapters.litellm": litellm_run,
    "agentgauge.adapters.openai_agents": agents_run,
    "agentgauge.adapters.pydantic_ai": pydantic_run,
    "agentgauge.adapters.llama_index": llama_run,
    "agentgauge.adapters.claude_agent_sdk": claude_run,
    "agentgauge.adapters.mcp": mcp_run,
}
"""The adapter of each row → a run of two streamed calls, a tool between them, and an attempt that is made again."""


@pytest.mark.parametrize("adapter", RUNS)
async def test_a_run_records_what_the_row_says(gauge: AgentGauge, url: str, provider: Provider, adapter: str) -> None:
    """Each column, yes or no."""
    claude = adapter == "agentgauge.adapters.claude_agent_sdk"
    provider.usage = OPUS_USAGE if claude or adapter == "gauge.anthropic()" else CHAT_USAGE
    name = "mcp__crm__when_renews" if claude else "when_renews"
    provider.failures, provider.tools = [500], [(name, {"account": "Globex"})]
    await RUNS[adapter](gauge, url)
    assert len(provider.asked) == (0 if adapter == "agentgauge.adapters.mcp" else 3)
    series = {
        "Model calls": "agent_llm_calls_total",
        "Tokens and cost": "agent_llm_cost_usd_total",
        "Retries": "agent_llm_errors_total",
        "First token": "agent_llm_time_to_first_token_seconds_count",
        "Tools": "agent_tool_calls_total",
    }
    recorded = {column: "yes" if total(gauge.registry, series[column]) else "no" for column in COLUMNS}
    assert recorded == {column: ROWS[adapter][column] for column in COLUMNS}


def test_importing_the_library_imports_no_framework() -> None:
    """Each is loaded by its own adapter alone."""
    frameworks = [
        "agents",
        "claude_agent_sdk",
        "langchain_core",
        "litellm",
        "llama_index",
        "mcp",
        "openai",
        "pydantic_ai",
    ]
    code = (
        "import sys, agentgauge.adapters; from agentgauge import AgentGauge; AgentGauge('a');"
        f"print([name for name in {frameworks} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
