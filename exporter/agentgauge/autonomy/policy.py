"""The policy: what an agent may do on its own, in a YAML file that people edit."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import ConfigDict, Field, field_validator, model_validator

from agentgauge.autonomy.actions import Risk
from agentgauge.files.yaml_file import Part, YamlFile

Stage = Literal["shadow", "approval_required", "semi_autonomous", "autonomous"]
Mode = Literal["suggest", "approve", "auto"]
Text = Annotated[str, Field(min_length=1)]

STAGES: tuple[Stage, ...] = get_args(Stage)
MODES: tuple[Mode, ...] = get_args(Mode)
RISKS: tuple[Risk, ...] = get_args(Risk)


class _Part(Part):
    model_config = ConfigDict(strict=True)


class Condition(_Part):
    """Holds for a call when one of its ``arguments`` does.

    ``matches`` is a regular expression to be found in a text; ``above`` is a bound for a number: the argument itself
    or, with ``matches``, what the first group of each match holds.
    """

    arguments: list[Text] = Field(min_length=1)
    matches: str | None = None
    above: float | None = Field(default=None, strict=False)

    @field_validator("matches")
    @classmethod
    def _is_an_expression(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except re.error as error:
            raise ValueError(f"is no regular expression: {error}") from None
        return value

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.matches is None and self.above is None:
            raise ValueError("say what to look for: matches, above, or both")
        if self.matches is not None and self.above is not None and re.compile(self.matches).groups < 1:
            raise ValueError("above needs a group in matches that holds the number, as in (\\d+) ?%")
        return self

    def holds(self, arguments: Mapping[str, Any]) -> bool:
        """Whether a call with these arguments meets the condition."""
        return any(self._meets(value) for name in self.arguments for value in _values(arguments.get(name)))

    def _meets(self, value: Any) -> bool:
        if self.matches is None:
            return _exceeds(value, self.above)
        found = re.finditer(self.matches, _plain(str(value)), re.IGNORECASE)
        return any(self.above is None or _exceeds(match.group(1), self.above) for match in found)


class Rule(_Part):
    """Raises the risk of some calls of a tool, or denies them."""

    when: Condition
    then: Literal["medium", "high", "denied"]
    why: Text


class ToolPolicy(_Part):
    """One tool. ``mode`` is an exception from the stage; ``side_effect: false`` says that calls change nothing.

    ``compared`` are the arguments that count when a suggestion is compared with what a person did; all by default.
    """

    risk: Risk
    side_effect: bool = True
    mode: Mode | None = None
    rules: list[Rule] = Field(default_factory=list)
    compared: list[Text] | None = None

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.risk == "high" and self.mode == "auto":
            raise ValueError("a high-risk tool cannot be set to auto; set it to approve, or lower its risk with reason")
        for rule in self.rules:
            if rule.then != "denied" and not is_higher(rule.then, self.risk):
                raise ValueError(f"a rule can only raise the risk, and {rule.then} is not above {self.risk}")
        return self


class ApprovalRules(_Part):
    """How long a call waits for a person."""

    expire_after_hours: float = Field(default=24.0, gt=0, strict=False)


class Audit(_Part):
    """Which share of the actions that ran unasked, and changed something, people look at afterwards.

    With a ``seed``, the same actions are chosen again; without, chance decides.
    """

    share: float = Field(default=0.1, ge=0, le=1, strict=False)
    seed: int | None = None


class Promotion(_Part):
    """What a tool must have shown in the last ``days`` to run unasked; ``approved`` is a ratio of ``decisions``."""

    days: int = Field(default=30, ge=1)
    decisions: int = Field(default=100, ge=1)
    approved: float = Field(default=0.97, ge=0, le=1, strict=False)
    rejected: int = Field(default=0, ge=0)
    apply: Literal["automatic", "on_confirmation"] = "automatic"


class Demotion(_Part):
    """So many rejections, or audits that found a problem, in the last ``days`` take the freedom back at once."""

    days: int = Field(default=30, ge=1)
    rejected: int = Field(default=1, ge=1)


class Autonomous(_Part):
    """The scope of the stage autonomous: the highest risk that runs alone."""

    run_up_to: Risk = "medium"


class Policy(_Part):
    """The whole file. ``changed_by`` and ``reason`` are of its last edit: the ledger keeps them with the change."""

    changed_by: Text
    reason: Text
    stage: Stage
    autonomous: Autonomous = Autonomous()
    approvals: ApprovalRules = ApprovalRules()
    audit: Audit = Audit()
    promotion: Promotion = Promotion()
    demotion: Demotion = Demotion()
    tools: dict[str, ToolPolicy]

    def assess(self, tool: str, arguments: Mapping[str, Any]) -> tuple[Risk | Literal["denied"], str]:
        """How risky a call is, and why; ``denied`` if it must not happen at all, as with a tool not named here."""
        known = self.tools.get(tool)
        if known is None:
            return "denied", "the policy does not know this tool"
        risk: Risk | Literal["denied"] = known.risk
        why = f"{tool} is of {known.risk} risk"
        for rule in known.rules:
            if is_higher(rule.then, risk) and rule.when.holds(arguments):
                risk, why = rule.then, rule.why
        return risk, why


def is_higher(one: Risk | Literal["denied"], other: Risk | Literal["denied"]) -> bool:
    """Whether a risk is above another; ``denied`` is above all."""
    order = (*RISKS, "denied")
    return order.index(one) > order.index(other)


def load(path: Path, tools: Mapping[str, Collection[str]]) -> Policy:
    """Read and check the policy for an agent with these tools and the names of their arguments.

    Raises YamlFileError at the first thing wrong.
    """
    file = YamlFile.read(path)
    policy = file.parsed(Policy)
    for where, problem in _misfits(policy, tools):
        raise file.error(where, problem)
    return policy


def _misfits(policy: Policy, tools: Mapping[str, Collection[str]]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Where the policy does not fit the agent's tools, and why."""
    for name, tool in policy.tools.items():
        if name not in tools:
            yield ("tools", name), f"there is no such tool; the tools are {', '.join(tools)}"
            continue
        named: dict[tuple[str | int, ...], list[str]] = {("compared",): tool.compared or []}
        named |= {("rules", number, "when", "arguments"): rule.when.arguments for number, rule in enumerate(tool.rules)}
        for where, arguments in named.items():
            for argument in arguments:
                if argument not in tools[name]:
                    there = ", ".join(tools[name])
                    yield ("tools", name, *where), f"{name} has no argument {argument!r}; it has {there}"
    for name in tools:
        if name not in policy.tools:
            yield ("tools",), f"{name} is missing; add it with its risk: low, medium or high"


def _values(argument: Any) -> list[Any]:
    """An argument as the list of its values: those of a list or an object are judged one by one."""
    if isinstance(argument, Mapping):
        return [value for inner in argument.values() for value in _values(inner)]
    if isinstance(argument, list):
        return [value for inner in argument for value in _values(inner)]
    return [] if argument is None else [argument]


def _plain(text: str) -> str:
    """The text as a reader sees it: full-width digits and signs as plain ones, invisible characters dropped."""
    normal = unicodedata.normalize("NFKC", text)
    return "".join(character for character in normal if unicodedata.category(character) != "Cf")


def _exceeds(value: Any, bound: float | None) -> bool:
    """Whether a number is above the bound; what cannot be read as a number is, to be on the safe side."""
    without_thousands = re.sub(r"[.,](?=\d{3}\b)", "", str(value))
    try:
        return bound is None or not float(without_thousands.replace(",", ".")) <= bound
    except ValueError:
        return True
