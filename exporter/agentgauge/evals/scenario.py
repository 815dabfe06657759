"""Scenarios: what an agent is asked, and what a correct answer looks like, in YAML files that people write."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from agentgauge.files.yaml_file import Block, YamlFileError, read_yaml
from agentgauge.files.yaml_model import parsed

ToolMatch = Literal["strict", "unordered", "subset", "superset"]
"""How the tools called must match ``expected_tools``, a tool named twice counting twice.

``strict``: the same, in this order. ``unordered``: the same, in any order. ``subset``: no other than these.
``superset``: at least these.
"""

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]


class ScenarioError(YamlFileError):
    """A suite that cannot be used; the message says file, line and field, what is wrong and what to write."""


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Approval(_Document):
    """What the scripted approver says to an action that waits; ``edit`` replaces these arguments of it."""

    decision: Literal["approve", "reject", "edit"]
    arguments: dict[str, Any] = {}
    reason: str = ""


def _decision_alone(value: Any) -> Any:
    return {"decision": value} if isinstance(value, str) else value


class Scenario(_Document):
    """One scenario: ``name``, ``input``, and at least one demand; each demand works alone and beside the others.

    ``expected_output_contains`` are phrases that the agent must say, in upper or lower case. ``max_turns`` counts the
    model's turns in the whole scenario, ``max_cost`` is USD. The tools of ``expected_tool_sequence`` must all be
    called, in this order, with any others in between. ``expected_arguments`` is by tool: one of its calls must have
    these values (a text must contain the phrase, a list the entries). ``turns`` are what the user says after the first
    answer. ``approvals`` are the answers to the actions that wait, in order; further actions get no answer. ``fault``
    is in force from the start. ``judge`` is a criterion for a model that judges, where one is asked.
    """

    name: Name
    input: Text
    expected_tools: list[Name] = []
    expected_output_contains: list[Text] = []
    max_turns: int | None = Field(default=None, ge=1)
    max_cost: float | None = Field(default=None, gt=0)
    expected_tool_sequence: list[Name] = []
    expected_arguments: dict[Name, dict[str, Any]] = {}
    forbidden_tools: list[Name] = []
    match: ToolMatch = "superset"
    turns: list[Text] = []
    approvals: list[Annotated[Approval, BeforeValidator(_decision_alone)]] = []
    fault: str | None = None
    judge: Text | None = None
    trials: int | None = Field(default=None, ge=1, le=100)
    tags: list[Name] = []

    @property
    def demands_without_judge(self) -> bool:
        """Whether anything is demanded that a check can see."""
        # With any match but superset, no tool at all is a demand, too.
        demands = (
            self.expected_tools,
            self.match != "superset",
            self.expected_output_contains,
            self.max_turns,
            self.max_cost,
            self.expected_tool_sequence,
            self.expected_arguments,
            self.forbidden_tools,
        )
        return any(demands)

    @model_validator(mode="after")
    def _demands_something(self) -> Scenario:
        # Without a demand every answer would pass.
        if not (self.demands_without_judge or self.judge):
            raise ValueError("demands nothing, so every answer would pass; add expected_tools, for example")
        return self


Dataset = Path | Callable[[], Iterable[Scenario]]
"""Where scenarios come from: a YAML file, a folder of ``*.yml`` files, or a function that makes them."""


def load(dataset: Dataset, tools: Collection[str], faults: Collection[str] = ()) -> list[Scenario]:
    """The scenarios of a dataset by name; a file holds one of them or a list.

    ``tools`` and ``faults`` are those that a scenario may name. Raises ScenarioError at the first thing wrong, and what
    a function raises.
    """
    by_name: dict[str, Scenario] = {}
    for scenario, block in _all(dataset, tools, faults):
        if scenario.name in by_name:
            raise block.error("name", f"another scenario is called {scenario.name!r}; give each its own name")
        by_name[scenario.name] = scenario
    if not by_name:
        raise ScenarioError(f"{name_of(dataset)} holds no scenarios; write some there as *.yml files")
    return [by_name[name] for name in sorted(by_name)]


def name_of(dataset: Dataset) -> str:
    """What errors call a dataset."""
    return str(dataset) if isinstance(dataset, Path) else f"{getattr(dataset, '__qualname__', dataset)}()"


def _all(dataset: Dataset, tools: Collection[str], faults: Collection[str]) -> Iterator[tuple[Scenario, Block]]:
    """Yield the scenarios, each with its place."""
    if not isinstance(dataset, Path):
        for number, scenario in enumerate(dataset()):
            block = Block(name_of(dataset), (number,), number + 1, {}, error_class=ScenarioError)
            yield _checked(scenario, block, tools, faults), block
        return
    if not dataset.exists():
        raise ScenarioError(f"there is no folder {dataset}; create it and put scenarios there as *.yml files")
    for path in sorted(dataset.glob("*.yml")) if dataset.is_dir() else [dataset]:
        yield from _read(path, tools, faults)


def _read(path: Path, tools: Collection[str], faults: Collection[str]) -> Iterator[tuple[Scenario, Block]]:
    """Yield the scenarios of a file, each with its place."""
    file = read_yaml(path, name=str(path), error_class=ScenarioError)
    for block in file.items if isinstance(file.value, list) else [file]:
        if not isinstance(block.value, dict):
            raise block.error((), "expected a scenario: name, input, expected_tools …")
        yield _checked(parsed(block, Scenario), block, tools, faults), block


def _checked(scenario: Scenario, block: Block, tools: Collection[str], faults: Collection[str]) -> Scenario:
    """The scenario; raises ScenarioError if it names something unknown or contradicts itself."""
    for field, problem in _problems(scenario, tools, faults):
        raise block.error(field, problem)
    return scenario


def _problems(
    scenario: Scenario, tools: Collection[str], faults: Collection[str]
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield the fields that name something unknown or contradict another, each with the problem."""
    for field in ("expected_tools", "expected_tool_sequence", "forbidden_tools", "expected_arguments"):
        for number, tool in enumerate(getattr(scenario, field)):
            place = (field, tool if field == "expected_arguments" else number)
            if tool not in tools:
                yield place, f"there is no tool {tool!r}; the tools are {', '.join(sorted(tools))}"
            for other in ("expected_tools", "expected_tool_sequence"):
                if field == "forbidden_tools" and tool in getattr(scenario, other):
                    yield place, f"{tool} is in {other} as well; it can only be one of the two"
    if scenario.fault is not None and scenario.fault not in faults:
        yield ("fault",), f"there is no fault {scenario.fault!r}; the faults are {', '.join(sorted(faults)) or 'none'}"
    for number, approval in enumerate(scenario.approvals):
        if (approval.decision == "edit") != bool(approval.arguments):
            yield ("approvals", number), "arguments say what an edit changes: give them with edit, and only there"
