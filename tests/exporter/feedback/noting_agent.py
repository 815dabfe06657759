"""A small agent that keeps to the descriptions of its tools, for `agentgauge --app noting_agent:app` in these tests."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from agentgauge.agent_app import AgentApp, Candidate, PromptFolder, Tool, TrialRunner
from agentgauge.evals.history import Version, played
from agentgauge.evals.scenario import Scenario
from agentgauge.evals.transcript import Called, Said, TrialTranscript


def app() -> AgentApp:
    """The agent in the folder that the test names."""
    here = Path(os.environ["NOTING_FOLDER"])
    return AgentApp(
        "noting",
        f"sqlite:///{here / 'ledger.sqlite'}",
        tools=[Tool("note", {"properties": {"text": {"type": "string"}}}, risk="medium")],
        state=here / "state",
        prompts=PromptFolder(here / "prompts"),
        suites={"own": own_scenarios},
        trials=on_trial,
    )


def own_scenarios() -> list[Scenario]:
    """So many that five trials of each are evidence."""
    return [Scenario(name=f"own_{number}", input=f"Note {number}", expected_tools=["note"]) for number in range(7)]


@asynccontextmanager
async def on_trial(candidate: Candidate) -> AsyncIterator[TrialRunner]:
    """The agent with other prompts."""
    yield _Noting(candidate)


class _Noting:
    def __init__(self, candidate: Candidate) -> None:
        assert candidate.prompts is not None
        model = played("small") if os.environ.get("NOTING_PLAYED") else "small"
        self.version = Version(candidate.agent_version, candidate.prompts.version, model)
        self._description = candidate.prompts.tool_descriptions["note"]

    async def answer(self, scenario: Scenario) -> TrialTranscript:
        """Note what the user says, with the tag if the description asks for it; nothing if it forbids that."""
        said = Said("user", scenario.input)
        if "Do not call it" in self._description:
            return TrialTranscript((said, Said("agent", "I do not.")), 1, 0.01)
        tag = " #renewal" if "#renewal" in self._description else ""
        call = Called("note", {"text": f"{scenario.input}{tag}"}, "noted")
        return TrialTranscript((said, call, Said("agent", "Noted.")), 2, 0.01)

    async def judge(self, model: str, prompt: str) -> tuple[str, float]:
        """Draft what the test says."""
        return os.environ["NOTING_DRAFT"], 0.01
