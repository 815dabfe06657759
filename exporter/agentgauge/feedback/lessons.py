"""What the decisions on the prompts in force ask for: each lesson with the decisions that it was drawn from."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from agentgauge.autonomy.action import Action
from agentgauge.feedback.edit_habits import changes
from agentgauge.feedback.export import demands, scenario_of
from agentgauge.feedback.report import (
    LEAST_TIMES,
    ParameterChange,
    PlanningFailure,
    addition,
    counts,
    is_habit,
    parameter_changes,
    planning_failures,
)
from agentgauge.feedback.themes import THEMES, theme_of
from agentgauge.feedback.theming import ThemeOf

MOST_SCENARIOS = 10
"""Of a lesson: each is tried several times on two versions, and more of the same tell little more."""
MOST_QUOTED = 3
"""Reasons of reviewers that a lesson quotes, the most frequent first."""

RULES = {theme.name: theme for theme in THEMES}


@dataclass(frozen=True)
class Lesson:
    """One thing that people objected to, or changed, again and again in what a tool was called with.

    ``theme`` is what the report calls it, ``times`` of so many rejections or edits (``of``) of the tool. ``reasons``
    are the reviewers' own words. ``rule`` is a sentence for the model, made from these and from the edits alone;
    ``of_tool`` says that it belongs in the tool's description, and not into the system prompt. ``expected`` are
    arguments that a call must have from now on, as far as the edits tell. A lesson of thumbs down is of no tool, and
    has what the users ``said`` in place of ``actions``.
    """

    kind: Literal["rejected", "edited", "rated"]
    prompt_version: str
    tool: str
    theme: str
    times: int
    of: int
    reasons: tuple[str, ...]
    rule: str
    of_tool: bool
    expected: Mapping[str, Any]
    actions: tuple[Action, ...]
    said: tuple[tuple[str, ...], ...] = ()

    def __str__(self) -> str:
        """As in "update_crm: “#renewal” added to text in 4 of 4 edits"."""
        if self.kind == "edited":
            return f"{self.tool}: {self.theme} in {self.times} of {self.of} edits"
        if self.kind == "rated":
            return f"answers: thumbs down for {self.theme!r} {self.times} times"
        return f"{self.tool}: rejected as {self.theme!r} {self.times} times of {self.of}"


def lessons(decided: Iterable[Action], in_force: str, theme: ThemeOf = theme_of) -> list[Lesson]:
    """The lessons of these decisions for the prompts in force, the most frequent first; what happened once is none."""
    decided = [action for action in decided if action.proposal.prompt_version == in_force]
    rejected, edited = ([one for one in decided if one.decision == word] for word in ("rejected", "edited"))
    drawn = [
        *(_of_rejections(one, rejected, theme) for one in planning_failures(rejected, theme) if counts(one, in_force)),
        *(_of_edits(one, edited) for one in parameter_changes(edited) if is_habit(one, in_force)),
    ]
    # Without a reason there is nothing to say to the model.
    return sorted((one for one in drawn if one.rule), key=lambda one: -one.times)


def scenarios(lesson: Lesson, tools: Collection[str]) -> list[dict[str, Any]]:
    """Scenarios that a version passes which has learned the lesson, from the newest conversations behind it.

    ``tools`` are those that a scenario may expect. The same conversation makes one scenario.
    """
    made: dict[str, dict[str, Any]] = {}
    for scenario in _each(lesson, tools):
        said = json.dumps([scenario["input"], scenario.get("turns", [])])
        if said not in made and len(made) < MOST_SCENARIOS:
            made[said] = scenario
    return list(made.values())


def _each(lesson: Lesson, tools: Collection[str]) -> Iterator[dict[str, Any]]:
    """Yield a scenario for each conversation behind a lesson that was stored, the newest first."""
    for action in reversed(lesson.actions):
        scenario = scenario_of(action, tools)
        if scenario is not None:
            yield scenario | (demands(lesson.tool, lesson.expected, lesson.rule) if lesson.kind == "edited" else {})
    for number, (first, *rest) in enumerate(lesson.said, start=1):
        judge = f"A user who asks this has no cause to rate the answer down for “{lesson.theme}”."
        named = {"name": f"rated_{lesson.theme}_{number}", "input": first, "turns": rest}
        yield {**named, "judge": judge, "approvals": ["approve"] * (1 + len(rest)), "tags": ["rated"]}


def _of_rejections(failure: PlanningFailure, rejected: Sequence[Action], theme: ThemeOf) -> Lesson:
    cases = tuple(
        one for one in rejected if one.proposal.tool == failure.tool and theme(one.reason).name == failure.theme
    )
    reasons = _reasons(cases)
    known = RULES.get(failure.theme)
    rule = known.rule if known else ""
    quoted = f"Reviewers rejected it with: {_quoted(reasons)}." if reasons else ""
    return Lesson(
        kind="rejected",
        prompt_version=failure.prompt_version,
        tool=failure.tool,
        theme=failure.theme,
        times=failure.times,
        of=failure.rejections,
        reasons=reasons,
        rule=" ".join(one for one in (rule, quoted) if one),
        of_tool=known is None or known.of_tool,
        expected={},
        actions=cases,
    )


def _of_edits(change: ParameterChange, edited: Sequence[Action]) -> Lesson:
    cases = tuple(one for one in edited if one.proposal.tool == change.tool and _has(one, change))
    reasons = _reasons(cases)
    expected: dict[str, Any] = {}
    value = _usual_value(change.field, cases)
    if change.put_in:
        expected, rule = {change.field: change.put_in}, addition(change)
    elif value is not None:
        expected, rule = {change.field: value}, f"set {change.field} to {_shown(value)}"
    else:
        by = "" if change.by is None else f" by {100 * change.by:.0f} %"
        rule = f"mind {change.field}: people had to change it ({change.what}{by})"
    # Where the edits say exactly what is wanted, the reasons for it are no news to the model.
    quoted = f" Reviewers gave as reason: {_quoted(reasons)}." if reasons and not expected else ""
    return Lesson(
        kind="edited",
        prompt_version=change.prompt_version,
        tool=change.tool,
        theme=change.what,
        times=change.times,
        of=change.edits,
        reasons=reasons,
        rule=f"{rule[0].upper()}{rule[1:]}.{quoted}",
        of_tool=True,
        expected=expected,
        actions=cases,
    )


def _has(action: Action, change: ParameterChange) -> bool:
    """Whether an edit made this change."""
    made = [one for one in changes(action.proposal.arguments, action.final_arguments) if one.field == change.field]
    if change.put_in:
        return any(change.put_in in one.put_in for one in made)
    return any(one.what == change.what for one in made)


def _usual_value(field: str, cases: Sequence[Action]) -> Any:
    """What all of these edits set a field to; None if they differ, or are too few to be quoted."""
    values = {json.dumps(one.final_arguments.get(field), sort_keys=True) for one in cases}
    if len(cases) < LEAST_TIMES or len(values) != 1:
        return None
    return json.loads(values.pop())


def _reasons(cases: Sequence[Action]) -> tuple[str, ...]:
    said = Counter(" ".join(one.reason.split()) for one in cases if one.reason and one.reason.strip())
    return tuple(reason for reason, _ in said.most_common(MOST_QUOTED))


def _quoted(reasons: Sequence[str]) -> str:
    return ", ".join(f"“{reason}”" for reason in reasons)


def _shown(value: Any) -> str:
    return f"“{value}”" if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
