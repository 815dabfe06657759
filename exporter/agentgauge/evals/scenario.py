"""Scenarios: what an agent is asked, and what a right answer looks like. YAML that people write."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

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
    """One scenario. The first seven fields are what everybody writes; all others may be left out.

    ``expected_tool_sequence`` must be called in this order, whatever is called in between. ``expected_output_contains``
    are phrases, in any case, of all that the agent said. ``max_turns`` counts the model's turns over all the scenario,
    ``max_cost`` is USD. ``expected_arguments`` is by tool: some call of it holds these values (a text holds the phrase,
    a list holds the entries). ``turns`` are what the user says after the first answer. ``approvals`` are given to the
    actions that wait, in their order; when there are no more, nobody answers. ``fault`` is in force from the start.
    ``judge`` is a criterion for a model that judges, where one is asked.
    """

    name: Name
    input: Text
    expected_tools: list[Name]
    expected_output_contains: list[Text]
    max_turns: int = Field(ge=1)
    max_cost: float = Field(gt=0)
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


def load(folder: Path, tools: Collection[str], faults: Collection[str] = ()) -> list[Scenario]:
    """All scenarios of a folder's ``*.yml`` files, each of which holds one or a list of them, by name.

    ``tools`` and ``faults`` are those that a scenario may name. Raises ScenarioError at the first thing wrong.
    """
    if not folder.is_dir():
        raise ScenarioError(f"there is no folder {folder}; create it and put scenarios there as *.yml files")
    found: dict[str, Scenario] = {}
    for path in sorted(folder.glob("*.yml")):
        for scenario, block in _read(path, tools, faults):
            if scenario.name in found:
                raise block.error("name", f"another scenario is called {scenario.name!r}; give each its own name")
            found[scenario.name] = scenario
    if not found:
        raise ScenarioError(f"{folder} holds no scenarios; write some there as *.yml files")
    return [found[name] for name in sorted(found)]


def _read(path: Path, tools: Collection[str], faults: Collection[str]) -> Iterator[tuple[Scenario, Block]]:
    """Yield the scenarios of a file, each with its place."""
    file = read_yaml(path, name=str(path), error_class=ScenarioError)
    for block in file.items if isinstance(file.value, list) else [file]:
        if not isinstance(block.value, dict):
            raise block.error((), "expected a scenario: name, input, expected_tools …")
        scenario = parsed(block, Scenario)
        for field, problem in _problems(scenario, tools, faults):
            raise block.error(field, problem)
        yield scenario, block


def _problems(
    scenario: Scenario, tools: Collection[str], faults: Collection[str]
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield what a scenario says that cannot be: unknown names, and fields that contradict each other."""
    for field in ("expected_tools", "expected_tool_sequence", "forbidden_tools", "expected_arguments"):
        for number, tool in enumerate(getattr(scenario, field)):
            place = (field, tool if field == "expected_arguments" else number)
            if tool not in tools:
                yield place, f"there is no tool {tool!r}; the tools are {', '.join(sorted(tools))}"
            if field == "forbidden_tools" and tool in scenario.expected_tools:
                yield place, f"{tool} is in expected_tools as well; it can only be one of the two"
    if scenario.fault is not None and scenario.fault not in faults:
        yield ("fault",), f"there is no fault {scenario.fault!r}; the faults are {', '.join(sorted(faults)) or 'none'}"
    for number, approval in enumerate(scenario.approvals):
        if (approval.decision == "edit") != bool(approval.arguments):
            yield ("approvals", number), "arguments say what an edit changes: give them with edit, and only there"
