"""What an agent says of itself, once, so that commands, evaluations and approvals work for it.

    from agentgauge import AgentApp, Tool

    app = AgentApp("support_bot", ledger="sqlite:///support_bot.sqlite", tools=[Tool("refund", …, risk="high")])

``agentgauge --app my_agent:app ops spend`` then answers for this agent. Importing this module is light: SQLAlchemy,
pydantic and the model provider's SDK are loaded by the methods that need them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from agentgauge.tool import Tool

if TYPE_CHECKING:
    from agentgauge.autonomy.effects import Simulate
    from agentgauge.autonomy.parts import Autonomy, RealActions
    from agentgauge.autonomy.policy import Policy
    from agentgauge.autonomy.supervisor import Supervisor
    from agentgauge.cost.budgets import BudgetPolicy, Budgets
    from agentgauge.cost.tiers import TierPolicy
    from agentgauge.evals.checks import Scorer
    from agentgauge.evals.history import Version
    from agentgauge.evals.recording import Recording
    from agentgauge.evals.scenario import Dataset, Scenario
    from agentgauge.evals.transcript import TrialTranscript
    from agentgauge.gauge import AgentGauge
    from agentgauge.ledger import Ledger
    from agentgauge.prompts.library import PromptLibrary, Prompts, PromptSource
    from agentgauge.vocabulary import Stage

__all__ = ["AgentApp", "AppError", "Candidate", "Check", "PromptFolder", "RunTool", "Tool", "TrialRunner", "Trials"]

Preview = Callable[[str, Mapping[str, Any]], Mapping[str, Any] | None]
"""(tool, arguments) → what such a call would do now, as plain fields; None if the arguments say it all."""

T = TypeVar("T")

DEFAULT_STATE = Path(".agentgauge")

Check = Callable[[str, Mapping[str, Any]], object]
"""(tool, arguments) → anything; raises ValueError, with a message that names the field, if they do not fit."""

RunTool = Callable[[str, Mapping[str, Any]], Awaitable[Any] | Any]
"""(tool, arguments) → the tool's result, which can be written as JSON; raises what the tool raises."""


class AppError(Exception):
    """An AgentApp that cannot be found or used for what was asked; the message says what to do."""


@dataclass(frozen=True)
class PromptFolder:
    """Versions of prompts: ``path`` holds folders v1, v2, …, each with ``<text>.md`` for every text and tools.yml."""

    path: Path
    texts: Sequence[str] = ("system",)


@dataclass(frozen=True)
class Candidate:
    """What is put on trial.

    ``prompts`` are None for an agent without prompt versions. ``model`` replaces the one that plans and answers;
    ``tiers`` (step → tier) are those of the steps that do not run on the configured tier. ``recording``: the HTTP
    client of the model's SDK takes its ``transport()``, so that answers are recorded, or replayed without the model.
    """

    agent_version: str
    prompts: Prompts | None = None
    model: str | None = None
    tiers: Mapping[str, str] = field(default_factory=dict)
    recording: Recording | None = None

    @property
    def replays(self) -> bool:
        """Whether recorded answers stand for the model: no key is needed, and nothing is asked."""
        return self.recording is not None and self.recording.mode == "replay"


class TrialRunner(Protocol):
    """A candidate that is ready to answer scenarios, any number at a time.

    It may have ``remarks``, a sequence of texts that the report of a run shows, such as what was not tested.
    """

    @property
    def version(self) -> Version:
        """What is on trial: the agent's own version, that of its prompts, the model that plans."""

    async def answer(self, scenario: Scenario) -> TrialTranscript:
        """Have a new conversation do what the scenario says; an exception says nothing about the agent."""

    async def judge(self, model: str, prompt: str) -> tuple[str, float]:
        """Ask a model; returns its answer and what that cost in USD."""


Trials = Callable[[Candidate], AbstractAsyncContextManager[TrialRunner]]


@dataclass(frozen=True)
class AgentApp:
    """An agent as AgentGauge knows it.

    ``name`` is the label ``agent`` of its metrics; ``ledger`` is a URL (``sqlite:///ledger.sqlite``,
    ``postgresql+psycopg://…``). ``state`` is a folder for transcripts, people who log in and eval judgements. Files:
    ``policy`` (without one, tools of low risk run and the others wait for approval), ``prompts``, ``models`` and
    ``budgets``. ``suites`` is name → dataset: a folder of scenario files, one file (also of Inspect AI or promptfoo),
    or a function that returns scenarios; ``faults`` are those that a scenario may name. ``scorers`` is name → a check
    of your own, which every scenario has to pass besides its demands: (scenario, transcript) → what is wrong, or None.
    ``check`` decides whether arguments fit a tool, by its JSON schema if left out; ``preview`` says what a call would
    do, that of the tool if left out. ``real_actions`` reads in the system of record what people did about the matter of
    a suggestion; with ``simulate``, which says what a suggested call would have come to, the agent goes on after it.
    ``run_tool`` runs a tool, ``trials`` puts a candidate on trial.
    """

    name: str
    ledger: str
    tools: Sequence[Tool] = ()
    version: str = "unknown"
    state: Path = DEFAULT_STATE
    policy: Path | None = None
    prompts: PromptFolder | None = None
    models: Path | None = None
    budgets: Path | None = None
    suites: Mapping[str, Dataset] = field(default_factory=dict)
    scorers: Mapping[str, Scorer] = field(default_factory=dict)
    faults: Sequence[str] = ()
    check: Check | None = None
    preview: Preview | None = None
    real_actions: RealActions | None = None
    simulate: Simulate | None = None
    run_tool: RunTool | None = None
    trials: Trials | None = None

    def __post_init__(self) -> None:
        names = [tool.name for tool in self.tools]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"AgentApp {self.name!r}: the tool {twice[0]!r} is declared twice; tool names must differ")

    @property
    def tool_names(self) -> list[str]:
        """The names of the tools, in the order in which they are declared."""
        return [tool.name for tool in self.tools]

    def tool(self, name: str) -> Tool:
        """The tool of this name; raises AppError if there is none."""
        for tool in self.tools:
            if tool.name == name:
                return tool
        known = f"the tools are {', '.join(self.tool_names)}" if self.tools else "it has no tools"
        raise AppError(f"{self.name} has no tool {name!r}; {known}")

    def argument_schemas(self) -> dict[str, Mapping[str, Any]]:
        """Tool → JSON schema of its arguments."""
        return {tool.name: tool.arguments for tool in self.tools}

    def check_arguments(self, tool: str, arguments: Mapping[str, Any]) -> None:
        """Check the arguments of a call; raises ValueError if they do not fit, AppError if there is no such tool."""
        if self.check is not None:
            self.check(tool, arguments)
        else:
            self.tool(tool).check(arguments)

    def preview_call(self, tool: str, arguments: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """What a call would do now, as plain fields; None if its arguments say it all.

        Raises what is wrong with a call that could not be carried out.
        """
        if self.preview is not None:
            return self.preview(tool, arguments)
        of_tool = self.tool(tool).preview
        return None if of_tool is None else of_tool(arguments)

    def open_ledger(self) -> Ledger:
        """Open the ledger; the caller closes it. Raises LedgerError if it cannot be opened."""
        from agentgauge.ledger import Ledger

        return Ledger.open(self.ledger)

    def policy_source(self, gauge: AgentGauge | None = None) -> Callable[[], Policy]:
        """What returns the policy in force, or the default one; raises YamlFileError for a mistake in it.

        With a ``gauge``, that shows when a later version of the file cannot be used.
        """
        from agentgauge.autonomy.policy import policy_source

        if gauge is None or self.policy is None:
            return policy_source(self.policy, self.tools)
        name = self.policy.name
        source = policy_source(self.policy, self.tools, lambda usable: gauge.show_config(name, usable=usable))
        if gauge.recorder is not None:
            gauge.recorder.add_follower(source)  # so that a bad edit shows before the next request
        return source

    def autonomy(self, ledger: Ledger, gauge: AgentGauge | None = None) -> Autonomy:
        """What the agent may do alone, and what people decided; raises YamlFileError if the policy cannot be used.

        A running agent gives its ``gauge``, which shows when a later version of the policy cannot be used.
        """
        return self._autonomy(ledger, self.policy_source(gauge))

    def supervisor(self, gauge: AgentGauge, *, stage: Stage | None = None) -> Supervisor:
        """What runs the agent's tool calls under its policy, for ``ToolRequests``; each is counted as a tool call.

        ``stage`` is used instead of the policy's. Raises AppError without ``run_tool``, or if the gauge has no ledger
        to keep what waits in, and YamlFileError if the policy cannot be used.
        """
        from agentgauge.autonomy.supervisor import Supervisor, in_thread_if_plain

        run_tool = self._declared(self.run_tool, "run_tool", "a function: (tool, arguments) → its result")
        if gauge.ledger is None:
            raise AppError(f"{self.name} needs a ledger for approvals: AgentGauge({self.name!r}, ledger=app.ledger)")
        source = self.policy_source(gauge)

        def policy() -> Policy:
            return source() if stage is None else source().model_copy(update={"stage": stage})

        async def run(tool: str, arguments: Mapping[str, Any]) -> Any:
            with gauge.tool_call(tool):
                return await in_thread_if_plain(run_tool, tool, arguments)

        autonomy = self._autonomy(gauge.ledger, policy)
        return Supervisor(gauge, autonomy, run, self.check_arguments, self.version)

    def prompt_library(self) -> PromptLibrary:
        """The versions of the prompts; raises AppError if the agent declares none."""
        from agentgauge.prompts.library import PromptLibrary

        folder = self._declared(self.prompts, "prompts", "PromptFolder(Path('prompts'))")
        return PromptLibrary(folder.path, folder.texts, self.tool_names)

    def prompts_in_force(self, gauge: AgentGauge) -> PromptSource:
        """What gives requests their prompts: the version that the ledger says, followed, and shown on the build info.

        Without a ledger it is the newest. Raises AppError if the agent declares none, PromptError for incomplete ones.
        """
        library = self.prompt_library()
        if gauge.ledger is None or gauge.recorder is None:
            return library.load
        from agentgauge.prompts.activations import PromptActivations
        from agentgauge.prompts.library import ActivePrompts

        activations = PromptActivations(gauge.ledger, self.name)
        active = ActivePrompts(
            library,
            activations,
            lambda version: gauge.set_build_info(self.version, version),
            lambda usable: gauge.show_config(library.name, usable=usable),
        )
        gauge.recorder.add_follower(active.refresh)
        return active

    def tier_policy(self) -> TierPolicy:
        """The model of each step; raises AppError if the agent declares none, YamlFileError for a bad one."""
        from agentgauge.cost import tiers

        return tiers.load(self._declared(self.models, "models", "Path('models.yml')"), self.tool_names)

    def budget_policy(self) -> BudgetPolicy:
        """What sessions and users may cost; raises AppError if the agent declares none, YamlFileError for a bad one."""
        from agentgauge.cost import budgets

        return budgets.load(self._declared(self.budgets, "budgets", "Path('budgets.yml')"))

    def budgets_in_force(self, gauge: AgentGauge) -> Budgets:
        """What keeps sessions and users within their budgets, followed in the gauge's ledger if it has one.

        Raises AppError if the agent declares none, YamlFileError for a bad file.
        """
        from agentgauge.cost.budgets import Budgets

        budgets = Budgets(self.budget_policy(), gauge)
        if gauge.recorder is not None:
            gauge.recorder.add_refresher(budgets.refresh)
            # What people throttle is followed sooner than what users spend.
            gauge.on_operation("throttle", lambda _operation: budgets.refresh())
            gauge.on_operation("unthrottle", lambda _operation: budgets.refresh())
        return budgets

    def scenarios(self, suite: str) -> list[Scenario]:
        """The scenarios of a suite; raises AppError for an unknown suite, ScenarioError for a bad file."""
        if suite not in self.suites:
            known = (
                f"the suites are {', '.join(self.suites)}" if self.suites else "it declares none: AgentApp(suites=…)"
            )
            raise AppError(f"{self.name} has no suite {suite!r}; {known}")
        return self.load_scenarios(self.suites[suite])

    def load_scenarios(self, folder: Dataset) -> list[Scenario]:
        """The scenarios of a dataset, checked against this agent's tools and faults; raises ScenarioError."""
        from agentgauge.evals import foreign, scenario

        return scenario.load(foreign.recognised(folder), self.tool_names, self.faults)

    def on_trial(self, candidate: Candidate) -> AbstractAsyncContextManager[TrialRunner]:
        """A candidate ready for trials; raises AppError if the agent does not say how to run one."""
        return self._declared(self.trials, "trials", "a function: (candidate) → async context manager")(candidate)

    def _autonomy(self, ledger: Ledger, policy: Callable[[], Policy]) -> Autonomy:
        from agentgauge.autonomy.parts import Autonomy

        return Autonomy.on(
            ledger, self.name, policy, self.check_arguments, self.preview_call, self.real_actions, self.simulate
        )

    def _declared(self, value: T | None, field_name: str, example: str) -> T:
        if value is None:
            raise AppError(f"{self.name} declares no {field_name}; add {field_name}={example} to its AgentApp")
        return value
