"""`agentgauge init` in repositories on the frameworks: what it adds runs on the real packages, and counts once."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from tests.exporter.starting.repositories import init, metrics_after, repository
from tests.frameworks.bills import CHAT_USAGE, RESPONSE_USAGE
from tests.frameworks.provider import Provider


class Repository(NamedTuple):
    """Files, where Python finds them, and what has the agent answer one question."""

    files: dict[str, str]
    path: str
    answer: str


OPENAI_ASYNC = Repository(
    {
        "pyproject.toml": '[project]\nname = "shop"\nversion = "2.0"\ndependencies = ["openai"]\n',
        "src/shop/__init__.py": "",
        "src/shop/clients.py": """\
import os

import openai


class Models:
    def __init__(self, name: str) -> None:
        self.name = name
        self.client = openai.AsyncOpenAI(api_key="k", base_url=os.environ["MODEL_URL"] + "/v1", max_retries=0)

    async def ask(self, question: str) -> str:
        answer = await self.client.responses.create(model=self.name, input=question)
        return answer.output_text
""",
    },
    "src",
    "import asyncio\nfrom shop.clients import Models\nasyncio.run(Models('gpt-6-sol').ask('x'))\n",
)

LANGGRAPH = Repository(
    {
        "requirements.txt": "langgraph\nlangchain-openai\n",
        "graph.py": """\
import os
from typing import TypedDict

from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph


class State(TypedDict):
    question: str
    answer: str


model = ChatOpenAI(model="gpt-6-sol", api_key="k", base_url=os.environ["MODEL_URL"] + "/v1", max_retries=0)


def think(state: State) -> dict:
    return {"answer": model.invoke(state["question"]).text}


workflow = StateGraph(State)
workflow.add_node("think", think)
workflow.add_edge(START, "think")
workflow.add_edge("think", END)
app = workflow.compile()
""",
    },
    "",
    "from graph import app\nassert app.invoke({'question': 'x'})['answer']\n",
)

PYDANTIC_AI = Repository(
    {
        "bot/__init__.py": "",
        "bot/agent.py": """\
import os

from openai import AsyncOpenAI
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

client = AsyncOpenAI(api_key="k", base_url=os.environ["MODEL_URL"] + "/v1", max_retries=0)
agent = Agent(
    OpenAIChatModel("gpt-6-sol", provider=OpenAIProvider(openai_client=client)),
    system_prompt="Be brief.",
)
""",
    },
    "",
    "from bot.agent import agent\nagent.run_sync('x')\n",
)

LITELLM = Repository(
    {
        "bot.py": """\
import os

from litellm import completion


def answer(question):
    asked = [{"role": "user", "content": question}]
    return completion(model="openai/gpt-6-sol", messages=asked, api_key="k", api_base=os.environ["MODEL_URL"] + "/v1")
""",
    },
    "",
    """
import threading
from litellm.integrations.custom_logger import CustomLogger
from bot import answer, litellm
told = threading.Event()


class Last(CustomLogger):
    def log_success_event(self, **call):
        told.set()


litellm.callbacks.append(Last())  # calls are told a moment later, on a thread of LiteLLM's: to the adapter first
answer("x")
assert told.wait(30)
""",
)

OPENAI_AGENTS = Repository(
    {
        "bot.py": """\
import os

from agents import Agent, OpenAIChatCompletionsModel, Runner
from openai import AsyncOpenAI

client = AsyncOpenAI(api_key="k", base_url=os.environ["MODEL_URL"] + "/v1", max_retries=0)
agent = Agent(name="bot", model=OpenAIChatCompletionsModel(model="gpt-6-sol", openai_client=client))


def answer(question):
    return Runner.run_sync(agent, question).final_output
""",
    },
    "",
    "import bot\nbot.answer('x')\n",
)


@pytest.mark.parametrize(
    ("written", "usage"),
    [
        pytest.param(OPENAI_ASYNC, RESPONSE_USAGE, id="openai"),
        pytest.param(LANGGRAPH, CHAT_USAGE, id="langgraph"),
        pytest.param(PYDANTIC_AI, CHAT_USAGE, id="pydantic-ai"),
        pytest.param(LITELLM, CHAT_USAGE, id="litellm"),
        pytest.param(OPENAI_AGENTS, CHAT_USAGE, id="openai-agents"),
    ],
)
def test_one_question_is_one_call(
    tmp_path: Path, provider: Provider, url: str, written: Repository, usage: dict[str, object]
) -> None:
    """After `init --yes` and nothing by hand; a second run has nothing to do."""
    folder = repository(tmp_path / "bot", written.files)
    done = init(folder, "--yes")
    assert done.exit_code == 0, done.output
    provider.usage = usage
    shown = metrics_after(folder, written.answer, path=written.path, MODEL_URL=url, LITELLM_LOCAL_MODEL_COST_MAP="True")
    calls = [
        line for line in shown.splitlines() if line.startswith("agent_llm_calls_total{") and not line.endswith(" 0.0")
    ]
    assert [line.rpartition(" ")[2] for line in calls] == ["1.0"], shown
    assert 'model="gpt-6-sol",outcome="success"' in calls[0]
    assert len(provider.asked) == 1
    assert "there is nothing to do" in init(folder, "--yes").stdout


def test_a_client_that_a_watched_framework_may_use_is_listed(tmp_path: Path) -> None:
    """Both adapters would count its calls."""
    folder = repository(tmp_path / "bot", PYDANTIC_AI.files)
    shown = init(folder, "--dry-run").stdout
    assert "bot/agent.py:8: not changed: it may serve pydantic-ai, whose own adapter counts its calls" in shown


def test_two_graphs_are_left_to_people(tmp_path: Path) -> None:
    """One may run inside the other, whose handler it has then."""
    text = LANGGRAPH.files["graph.py"]
    folder = repository(tmp_path / "bot", {"graph.py": text + "other = workflow.compile()\n"})
    shown = init(folder, "--yes").stdout
    assert "graph.py:4: imports langchain: give each run of a graph or a model the handler" in shown
    assert "callback_handler" not in (folder / "graph.py").read_text(encoding="utf-8")
