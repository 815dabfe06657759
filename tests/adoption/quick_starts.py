"""One small agent for each adapter, as it is before and after its quick start; the same for other tools.

Each asks a model one question, at MODEL_URL, prints ``answered``, and waits for a line on its input.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass


@dataclass(frozen=True)
class QuickStart:
    """``packages`` are what the agent needs before, ``added`` what is installed besides; ``{wheel}`` is ours."""

    name: str
    packages: tuple[str, ...]
    added: tuple[str, ...]
    before: str
    after: str

    @property
    def lines(self) -> int:
        """How many lines are new or different after it."""
        pairs = difflib.ndiff(self.before.splitlines(), self.after.splitlines())
        return sum(line.startswith("+ ") and bool(line[2:].strip()) for line in pairs)


GAUGE = """\
from agentgauge import AgentGauge
{imports}
gauge = AgentGauge("quick_start")
gauge.serve()
"""


def _ours(
    name: str, extra: str, packages: tuple[str, ...], before: str, changed: dict[str, str], imports: str = ""
) -> QuickStart:
    """The agent after: the gauge below its imports, and what is replaced."""
    after = before
    for old, new in changed.items():
        assert old in after, f"{name}: {old!r} is not in its agent"
        after = after.replace(old, new)
    head, body = after.split("\n\n", 1)
    after = f"{head}\n{GAUGE.format(imports=imports)}\n{body}"
    return QuickStart(name, packages, (f"agentgauge[{extra}] @ {{wheel}}",), before, after)


def _adapter(module: str, function: str) -> str:
    return f"from agentgauge.adapters.{module} import {function}"


ANTHROPIC = """\
import os
from anthropic import Anthropic

client = Anthropic(api_key="k", base_url=os.environ["MODEL_URL"])
asked = [{"role": "user", "content": "When does Globex renew?"}]
client.messages.create(model="claude-opus-5", max_tokens=100, messages=asked)
print("answered", flush=True)
input()
"""
OPENAI = """\
import os
from openai import OpenAI

client = OpenAI(api_key="k", base_url=os.environ["MODEL_URL"] + "/v1")
asked = [{"role": "user", "content": "When does Globex renew?"}]
client.chat.completions.create(model="gpt-5-mini", messages=asked)
print("answered", flush=True)
input()
"""
LANGGRAPH = """\
import os
from langchain.agents import create_agent
from langchain_openai import ChatOpenAI

model = ChatOpenAI(model="gpt-5-mini", api_key="k", base_url=os.environ["MODEL_URL"] + "/v1")
agent = create_agent(model)
asked = {"messages": [{"role": "user", "content": "When does Globex renew?"}]}
agent.invoke(asked)
print("answered", flush=True)
input()
"""
LITELLM = """\
import os
import litellm

asked = [{"role": "user", "content": "When does Globex renew?"}]
litellm.completion("openai/gpt-5-mini", api_key="k", api_base=os.environ["MODEL_URL"] + "/v1", messages=asked)
print("answered", flush=True)
input()
"""
OPENAI_AGENTS = """\
import os
import agents
from openai import AsyncOpenAI

client = AsyncOpenAI(api_key="k", base_url=os.environ["MODEL_URL"] + "/v1")
agents.set_default_openai_client(client, use_for_tracing=False)
agent = agents.Agent("bot", model="gpt-5-mini")
agents.Runner.run_sync(agent, "When does Globex renew?")
print("answered", flush=True)
input()
"""
PYDANTIC_AI = """\
import os
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

provider = OpenAIProvider(base_url=os.environ["MODEL_URL"] + "/v1", api_key="k")
agent = Agent(OpenAIChatModel("gpt-5-mini", provider=provider))
agent.run_sync("When does Globex renew?")
print("answered", flush=True)
input()
"""

OURS = (
    _ours(
        "Anthropic SDK",
        "anthropic",
        ("anthropic",),
        ANTHROPIC,
        {'["MODEL_URL"])': '["MODEL_URL"], middleware=[gauge.anthropic()])'},
    ),
    _ours(
        "OpenAI SDK",
        "openai",
        ("openai",),
        OPENAI,
        {'"/v1")': '"/v1", http_client=http_client(gauge))'},
        _adapter("openai", "http_client"),
    ),
    _ours(
        "LangChain, LangGraph",
        "langchain",
        ("langchain", "langchain-openai"),
        LANGGRAPH,
        {"agent.invoke(asked)": 'agent.invoke(asked, config={"callbacks": [callback_handler(gauge)]})'},
        _adapter("langchain", "callback_handler"),
    ),
    _ours(
        "LiteLLM",
        "litellm",
        ("litellm",),
        LITELLM,
        {"\nasked =": "\nlitellm.callbacks = [callback(gauge)]\nasked ="},
        _adapter("litellm", "callback"),
    ),
    _ours(
        "OpenAI Agents SDK",
        "openai,openai-agents",
        ("openai-agents",),
        OPENAI_AGENTS,
        {"\nclient =": "\nagents.add_trace_processor(trace_processor(gauge))\nclient ="},
        _adapter("openai_agents", "trace_processor"),
    ),
    _ours(
        "pydantic-ai",
        "pydantic-ai",
        ("pydantic-ai-slim[openai]",),
        PYDANTIC_AI,
        {"provider=provider))": "provider=provider), capabilities=[capability(gauge)])"},
        _adapter("pydantic_ai", "capability"),
    ),
)
"""The quick starts of docs/frameworks.md whose agents talk to a model over HTTP."""

AGENTO11Y = """\
import os
from openai import OpenAI
from agento11y import Client, ClientConfig
from agento11y_openai import OpenAIOptions, chat

agento11y = Client(ClientConfig())
client = OpenAI(api_key="k", base_url=os.environ["MODEL_URL"] + "/v1")
asked = [{"role": "user", "content": "When does Globex renew?"}]
chat.completions.create(
    agento11y,
    {"model": "gpt-5-mini", "messages": asked},
    lambda request: client.chat.completions.create(**request),
    OpenAIOptions(agent_name="quick_start"),
)
print("answered", flush=True)
input()
"""

OTHERS = (
    QuickStart(
        "OpenLIT",
        ("openai",),
        ("openlit",),
        OPENAI,
        OPENAI.replace("\n\nclient", '\nimport openlit\n\nopenlit.init(otlp_endpoint=os.environ["OTLP_URL"])\nclient'),
    ),
    QuickStart(
        "OpenLLMetry (traceloop-sdk)",
        ("openai",),
        ("traceloop-sdk", "httpx"),  # it imports httpx and does not require it
        OPENAI,
        OPENAI.replace(
            "\n\nclient",
            '\nfrom traceloop.sdk import Traceloop\n\nTraceloop.init(app_name="quick_start", '
            'api_endpoint=os.environ["OTLP_URL"])\nclient',
        ),
    ),
    QuickStart("agento11y (agento11y-openai)", ("openai",), ("agento11y-openai",), OPENAI, AGENTO11Y),
)
"""The same agent on the OpenAI SDK with other tools, as their own READMEs begin."""
