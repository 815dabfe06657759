"""The policy: what an agent may do without asking, in a YAML file that people edit.

The risk of a tool is declared on its ``Tool``. The policy file may raise it, and may lower it with a reason; a tool
that the file does not mention is ruled by its own risk.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, ValidationInfo, field_validator, model_validator

from agentgauge.autonomy.effects import Effect
from agentgauge.autonomy.expressions import check_expression
from agentgauge.autonomy.price_words import largest_price_change
from agentgauge.files.watched_file import WatchedFile
from agentgauge.files.yaml_file import read_yaml
from agentgauge.files.yaml_model import Part, parsed
from agentgauge.tool import Tool
from agentgauge.vocabulary import RISKS, Mode, Risk, Stage

LONGEST_SEARCHED = 10_000
"""Characters of a text in which an expression is searched for."""
Text = Annotated[str, Field(min_length=1)]


class _Part(Part):
    model_config = ConfigDict(strict=True)


class Condition(_Part):
    """Holds for a call when one of its ``arguments`` does, or one of the fields of its ``effect``.

    The effect is what the tool's preview says: the recipient behind the number of a draft. Where nobody can say what
    a call would do, a rule on its effect holds.

    ``matches`` is a regular expression that is searched for in a text; ``above`` is a bound for a number: the argument
    itself or, with ``matches``, what the first group of each match holds. ``price_change_above`` is a bound in per cent
    for the price changes that a text speaks of; one whose size cannot be read is above it, see ``price_words``. A text
    of more than LONGEST_SEARCHED characters would take too long to search, and holds: nobody gets around a rule by
    writing more.
    """

    arguments: list[Text] = Field(default_factory=list)
    effect: list[Text] = Field(default_factory=list)
    matches: str | None = None
    above: float | None = Field(default=None, strict=False)
    price_change_above: float | None = Field(default=None, ge=0, strict=False)

    @field_validator("matches")
    @classmethod
    def _is_an_expression(cls, value: str | None) -> str | None:
        check_expression(value or "")
        return value

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.arguments or self.effect):
            raise ValueError("say where to look: arguments, or fields of the effect")
        if self.price_change_above is not None and (self.matches, self.above) != (None, None):
            raise ValueError("price_change_above stands alone; write another rule for matches or above")
        if (self.matches, self.above, self.price_change_above) == (None, None, None):
            raise ValueError("say what to look for: matches, above or both, or price_change_above")
        if self.matches is not None and self.above is not None and re.compile(self.matches).groups < 1:
            raise ValueError("above needs a group in matches that holds the number, as in (\\d+) ?%")
        return self

    def holds(self, arguments: Mapping[str, Any], effect: Effect | None = None) -> bool:
        """Whether a call with these arguments, which would do this, meets the condition."""
        if self.effect and effect is None:
            return True
        looked_at = [arguments.get(name) for name in self.arguments]
        looked_at += [(effect or {}).get(name) for name in self.effect]
        return any(self._meets(value) for one in looked_at for value in _values(one))

    def _meets(self, value: Any) -> bool:
        if self.matches is None and self.price_change_above is None:
            return _exceeds(value, self.above)
        text = _plain(str(value))
        if len(text) > LONGEST_SEARCHED:
            return True
        if self.price_change_above is not None:
            return largest_price_change(text) > self.price_change_above
        matches = re.finditer(self.matches or "", text, re.IGNORECASE)
        return any(self.above is None or _exceeds(match.group(1), self.above) for match in matches)


class Rule(_Part):
    """Raises the risk of some calls of a tool, or denies them."""

    when: Condition
    then: Literal["medium", "high", "denied"]
    why: Text


class ToolRules(_Part):
    """What the file says of one tool. ``mode`` is an exception from the stage.

    ``risk`` may be left out; below the risk that the tool declares, it needs ``lowered_because``. ``compared`` are the
    arguments that count when a suggestion is compared with what a person did; all by default.
    """

    risk: Risk | None = None
    lowered_because: Text | None = None
    mode: Mode | None = None
    rules: list[Rule] = Field(default_factory=list)
    compared: list[Text] | None = None


class ToolPolicy(ToolRules):
    """The rules of one tool as they are in force: with its risk, and whether a call changes anything."""

    risk: Risk
    side_effect: bool = True

    def possible_risks(self) -> tuple[Risk, ...]:
        """The risks that a call of it can have: its own, and those that a rule raises it to."""
        raised = {rule.then for rule in self.rules}
        return tuple(risk for risk in RISKS if risk == self.risk or risk in raised)

    def can_wait(self) -> bool:
        """Whether some call of it can wait for people, in some stage and whatever the agent has earned."""
        if self.mode == "auto":
            return len(self.possible_risks()) > 1  # an exception is for calls of the tool's own risk
        return self.mode == "approve" or (self.mode is None and (self.side_effect or self.possible_risks() != ("low",)))


class Approvers(_Part):
    """Who may let calls of one risk happen: those with one of the ``roles``, or everybody who can log in.

    ``own`` says whether the user who asked for a call may approve it as well; ``people`` is how many it takes.
    """

    roles: list[Text] = Field(default_factory=list)
    own: bool
    people: int = Field(default=1, ge=1, le=2)


class Delegation(_Part):
    """Somebody stands in for those with a role, up to and including the day ``until`` (UTC)."""

    role: Text
    to: Text
    until: Text
    why: Text

    @field_validator("until")
    @classmethod
    def _is_a_day(cls, value: str) -> str:
        try:
            date.fromisoformat(value)
        except ValueError:
            raise ValueError(f"expected a day such as 2026-12-31, not {value!r}") from None
        return value

    def holds(self, today: date) -> bool:
        """Whether it is in force on that day."""
        return today <= date.fromisoformat(self.until)


class ApprovalRules(_Part):
    """How long a call waits for a person, and who may let it happen, by its risk."""

    expire_after_hours: float = Field(default=24.0, gt=0, strict=False)
    low: Approvers = Approvers(own=True)
    medium: Approvers = Approvers(own=True)
    high: Approvers = Approvers(own=False)
    delegations: list[Delegation] = Field(default_factory=list)

    @field_validator("low", "medium", "high", mode="before")
    @classmethod
    def _completed(cls, value: Any, field: ValidationInfo) -> Any:
        """What a file leaves out is as for the risk: nobody approves their own call of high risk."""
        return {"own": field.field_name != "high"} | value if isinstance(value, dict) else value

    def approvers(self, risk: Risk) -> Approvers:
        """Who may let calls of this risk happen."""
        return {"low": self.low, "medium": self.medium, "high": self.high}[risk]


class Audit(_Part):
    """The share of the actions that ran unasked, and changed something, which people look at afterwards.

    With a ``seed``, the same actions are chosen each time; without one, they are chosen at random.
    """

    share: float = Field(default=0.1, ge=0, le=1, strict=False)
    seed: int | None = None


class Canary(_Part):
    """A promoted tool runs unasked in ``share`` of its calls at first, in all of them ``days`` later."""

    share: float = Field(default=0.25, gt=0, le=1, strict=False)
    days: float = Field(default=7.0, gt=0, strict=False)


class Shadow(_Part):
    """For so many hours after a suggestion a person may do the same; later, that counts as nothing done."""

    wait_hours: float = Field(default=24.0, gt=0, strict=False)


class Promotion(_Part):
    """What a tool must have shown in the last ``days`` to run unasked; ``approved`` is a ratio of ``decisions``.

    ``surely`` is the ratio that the record has to make likely as well: the lower bound of Wilson's 95 % interval. So
    few decisions promote nothing, however few a file asks for; proposals that expired and suggestions that people did
    otherwise count against it there. A file that asks for less than these defaults says why, in ``loosened_because``.

    A promotion begins with a ``canary``, and lapses when for ``lapses_after_days`` nobody but the users themselves has
    decided on a call of the tool or audited one.
    """

    days: int = Field(default=30, ge=1)
    decisions: int = Field(default=100, ge=1)
    approved: float = Field(default=0.97, ge=0, le=1, strict=False)
    rejected: int = Field(default=0, ge=0)
    surely: float = Field(default=0.9, ge=0, le=1, strict=False)
    apply: Literal["automatic", "on_confirmation"] = "automatic"
    canary: Canary = Canary()
    lapses_after_days: int = Field(default=30, ge=1)
    loosened_because: Text | None = None

    @model_validator(mode="after")
    def _says_why_it_is_loose(self) -> Self:
        least = {name: field.default for name, field in type(self).model_fields.items()}
        loose = [name for name in ("decisions", "approved", "surely") if getattr(self, name) < least[name]]
        loose += ["rejected"] if self.rejected > least["rejected"] else []
        if loose and self.loosened_because is None:
            name, value = loose[0], getattr(self, loose[0])
            raise ValueError(
                f"{name}: {value:g} lets a tool run unasked sooner than {least[name]:g} does; "
                "say why beside it: loosened_because: …"
            )
        return self


class Demotion(_Part):
    """``rejected`` rejections, or audits that found a problem, in the last ``days`` demote the tool at once."""

    days: int = Field(default=30, ge=1)
    rejected: int = Field(default=1, ge=1)


class Autonomous(_Part):
    """The scope of the stage autonomous: the highest risk that runs alone; high needs ``loosened_because``."""

    run_up_to: Risk = "medium"
    loosened_because: Text | None = None

    @model_validator(mode="after")
    def _says_why_it_is_loose(self) -> Self:
        if self.run_up_to == "high" and self.loosened_because is None:
            raise ValueError("run_up_to: high lets every tool run unasked; say why beside it: loosened_because: …")
        return self


class _Rules(_Part):
    """What holds for the whole agent; these defaults are in force where a file says nothing, or there is none."""

    changed_by: Text
    reason: Text
    stage: Stage = "approval_required"
    autonomous: Autonomous = Autonomous()
    approvals: ApprovalRules = ApprovalRules()
    shadow: Shadow = Shadow()
    audit: Audit = Audit()
    promotion: Promotion = Promotion()
    demotion: Demotion = Demotion()


class _File(_Rules):
    """The whole file."""

    tools: dict[str, ToolRules] = Field(default_factory=dict)


class Policy(_Rules):
    """The policy in force, with the rules of every tool of the agent.

    ``changed_by`` and ``reason`` are of the last edit of the file: the ledger keeps them with the change.
    """

    tools: dict[str, ToolPolicy]

    def reads_effect(self, tool: str) -> bool:
        """Whether it takes the effect of a call of this tool to say how risky it is."""
        known = self.tools.get(tool)
        return known is not None and any(rule.when.effect for rule in known.rules)

    def assess(
        self, tool: str, arguments: Mapping[str, Any], effect: Effect | None = None
    ) -> tuple[Risk | Literal["denied"], str]:
        """How risky a call is, and why; ``denied`` if it must not run at all, as with a tool the agent lacks."""
        known = self.tools.get(tool)
        if known is None:
            return "denied", "the agent has no such tool"
        risk: Risk | Literal["denied"] = known.risk
        why = f"{tool} is of {known.risk} risk"
        for rule in known.rules:
            if is_higher(rule.then, risk) and rule.when.holds(arguments, effect):
                risk, why = rule.then, rule.why
        return risk, why


def is_higher(one: Risk | Literal["denied"], other: Risk | Literal["denied"]) -> bool:
    """Whether a risk is above another; ``denied`` is above all."""
    order = (*RISKS, "denied")
    return order.index(one) > order.index(other)


def load(path: Path, tools: Sequence[Tool]) -> Policy:
    """Read and check the policy of an agent with these tools; raises YamlFileError at the first mistake."""
    file = read_yaml(path)
    rules = parsed(file, _File)
    by_name = {tool.name: tool for tool in tools}
    for name, of_tool in rules.tools.items():
        if name not in by_name:
            raise file.error(("tools", name), f"there is no such tool; the tools are {', '.join(by_name)}")
        for where, problem in _mistakes(by_name[name], of_tool):
            raise file.error(("tools", name, *where), problem)
    return _in_force(rules, tools)


def default_policy(tools: Sequence[Tool]) -> Policy:
    """The policy of an agent without a policy file: every call waits that is not of low risk."""
    return _in_force(_File(changed_by="the default policy", reason="the agent has no policy file"), tools)


def policy_source(
    path: Path | None, tools: Sequence[Tool], on_read: Callable[[bool], object] = lambda _usable: None
) -> Callable[[], Policy]:
    """What returns the policy in force: the last version of the file that could be used, or the default policy.

    A call costs one ``stat`` while the file is unchanged. ``on_read`` is called once a version of it, with whether that
    can be used. Raises YamlFileError if the first version has a mistake: an
    agent does not start on a policy that cannot be used.
    """
    if path is None:
        policy = default_policy(tools)
        return lambda: policy
    return WatchedFile.keeping_last(path, lambda file: load(file, tools), on_read).value


def _in_force(rules: _File, tools: Sequence[Tool]) -> Policy:
    """The rules, completed by what the tools say of themselves."""
    in_force = {}
    for tool in tools:
        of_tool = rules.tools.get(tool.name, ToolRules())
        fields = {name: getattr(of_tool, name) for name in ToolRules.model_fields}
        in_force[tool.name] = ToolPolicy(
            **fields | {"risk": of_tool.risk or tool.risk, "side_effect": tool.side_effect}
        )
    of_agent = {name: getattr(rules, name) for name in _Rules.model_fields}
    return Policy(**of_agent, tools=in_force)


def _mistakes(tool: Tool, rules: ToolRules) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Where the rules do not fit the tool, and why."""
    risk = rules.risk or tool.risk
    if is_higher(tool.risk, risk) and rules.lowered_because is None:
        yield (
            ("risk",),
            f"{tool.name} declares {tool.risk} risk; to lower it to {risk}, say why beside it: lowered_because: …",
        )
    if risk == "high" and rules.mode == "auto":
        yield (
            ("mode",),
            "a high-risk tool cannot be set to auto; set it to approve, or lower its risk with lowered_because",
        )
    named: dict[tuple[str | int, ...], list[str]] = {("compared",): rules.compared or []}
    for number, rule in enumerate(rules.rules):
        if rule.then != "denied" and not is_higher(rule.then, risk):
            yield ("rules", number, "then"), f"a rule can only raise the risk, and {rule.then} is not above {risk}"
        named["rules", number, "when", "arguments"] = rule.when.arguments
    for where, arguments in named.items():
        for argument in arguments:
            if argument not in tool.argument_names:
                known = ", ".join(tool.argument_names)
                yield where, f"{tool.name} has no argument {argument!r}; it has {known}"


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
