"""What people's decisions say about the prompts: where planning fails, what people edit, and what to change."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median

from agentgauge.autonomy.action import Action
from agentgauge.autonomy.actions import TrackRecord
from agentgauge.feedback.edit_habits import EditHabit, changes
from agentgauge.feedback.themes import theme_of
from agentgauge.feedback.theming import ThemeOf

LEAST_TIMES = 3
"""Fewer cases may be chance: no improvement is suggested for them."""
LEAST_SHARE = 0.5
"""A change counts as a habit from this share of a tool's edits on."""

THUMB_REMEDIES = {
    "wrong_answer": "check the age of what the tools return (cache, source) before you change a prompt",
    "too_slow": "the prompts are not at fault: look at latency per tool, or plan with a faster model",
    "tone": "describe the tone of answers in the system prompt, with an example",
    "incomplete": "say in the system prompt what every answer must contain",
}


@dataclass(frozen=True)
class PlanningFailure:
    """A theme of rejections: ``times`` of so many ``rejections`` of a tool under a prompt version."""

    prompt_version: str
    tool: str
    theme: str
    times: int
    rejections: int
    remedy: str


@dataclass(frozen=True)
class ParameterChange:
    """What edits have in common: ``times`` of so many ``edits`` of a tool under a prompt version.

    ``by`` is the median share by which a text or number grew or shrank, where it is known. ``put_in`` are the words
    that were put into a text, where they were the same in all of these edits.
    """

    prompt_version: str
    tool: str
    field: str
    what: str
    times: int
    edits: int
    by: float | None
    put_in: str = ""

    def __str__(self) -> str:
        """As in "body shortened by 40 % in 8 of 10 edits of draft_email"."""
        by = "" if self.by is None else f" by {100 * self.by:.0f} %"
        return f"{self.what}{by} in {self.times} of {self.edits} edits of {self.tool}"


@dataclass(frozen=True)
class FeedbackReport:
    """What people decided, by prompt version, and suggested improvements.

    ``improvements`` are for the version in force only: the faults of an older one may be fixed.
    """

    in_force: str
    records: Mapping[str, TrackRecord]
    failures: tuple[PlanningFailure, ...]
    changes: tuple[ParameterChange, ...]
    thumbs: Mapping[tuple[str, str], int]
    improvements: tuple[str, ...]


def report(
    decided: Iterable[Action],
    thumbs: Mapping[tuple[str, str], int],
    records: Mapping[str, TrackRecord],
    in_force: str,
    theme: ThemeOf = theme_of,
) -> FeedbackReport:
    """Sum up decisions, thumbs by rating and reason, and track records by prompt version."""
    decided = list(decided)
    failures = planning_failures((action for action in decided if action.decision == "rejected"), theme)
    edits = parameter_changes(action for action in decided if action.decision == "edited")
    improvements = (
        *(_improvement_of_planning(one) for one in failures if counts(one, in_force)),
        *(_improvement_of_parameters(one) for one in edits if is_habit(one, in_force)),
        *_improvements_of_thumbs(thumbs),
    )
    return FeedbackReport(in_force, records, failures, edits, thumbs, improvements)


def planning_failures(rejected: Iterable[Action], theme: ThemeOf = theme_of) -> tuple[PlanningFailure, ...]:
    """Rejections by version, tool and theme of the reason, the most frequent first."""
    themes: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    remedies = {}
    for action in rejected:
        one = theme(action.reason)
        themes[action.proposal.prompt_version, action.proposal.tool][one.name] += 1
        remedies[one.name] = one.remedy
    found = [
        PlanningFailure(version, tool, name, times, counts.total(), remedies[name].format(tool=tool))
        for (version, tool), counts in themes.items()
        for name, times in counts.items()
    ]
    return tuple(sorted(found, key=lambda one: (-one.times, one.prompt_version, one.tool, one.theme)))


def parameter_changes(edited: Iterable[Action]) -> tuple[ParameterChange, ...]:
    """Edits by version, tool and what they changed, the most frequent first."""
    edits: Counter[tuple[str, str]] = Counter()
    habits: list[tuple[str, str, EditHabit]] = []
    for action in edited:
        version, tool = action.proposal.prompt_version, action.proposal.tool
        edits[version, tool] += 1
        habits += [(version, tool, one) for one in changes(action.proposal.arguments, action.final_arguments)]
    put_in = Counter((version, tool, one.field, words) for version, tool, one in habits for words in set(one.put_in))
    made: dict[tuple[str, str, str, str, str], list[EditHabit]] = defaultdict(list)
    for version, tool, one in habits:
        usual = [words for words in dict.fromkeys(one.put_in) if put_in[version, tool, one.field, words] >= LEAST_TIMES]
        for words in usual:
            made[version, tool, one.field, f"“{words}” added to {one.field}", words].append(EditHabit("", one.field))
        if not usual or len(usual) < len(set(one.put_in)):
            # What only one person wrote once stays theirs: it is counted, and not quoted.
            made[version, tool, one.field, one.what, ""].append(one)
    found = [
        ParameterChange(version, tool, field, what, len(alike), edits[version, tool], _median(alike), words)
        for (version, tool, field, what, words), alike in made.items()
    ]
    return tuple(sorted(found, key=lambda one: (-one.times, one.prompt_version, one.tool, one.what)))


def _median(alike: list[EditHabit]) -> float | None:
    known = [change.by for change in alike if change.by is not None]
    return median(known) if known else None


def counts(one: PlanningFailure | ParameterChange, in_force: str) -> bool:
    """Whether it happened under the prompts in force, and too often for chance."""
    return one.prompt_version == in_force and one.times >= LEAST_TIMES


def is_habit(one: ParameterChange, in_force: str) -> bool:
    """Whether it also makes up a good part of the tool's edits."""
    return counts(one, in_force) and one.times >= LEAST_SHARE * one.edits


def _improvement_of_planning(one: PlanningFailure) -> str:
    return f"{one.tool} was rejected as {one.theme!r} {one.times} times of {one.rejections}: {one.remedy}."


def _improvement_of_parameters(one: ParameterChange) -> str:
    if one.put_in:
        return f"{one}: say in the description of {one.tool}: {addition(one)}."
    return f"{one}: say in the description of {one.tool} how {one.field} has to be."


def addition(one: ParameterChange) -> str:
    """What to add where, as in "add the tag #renewal to text"; ``put_in`` must not be empty."""
    is_tag = one.put_in.startswith("#") and " " not in one.put_in
    return f"add the tag {one.put_in} to {one.field}" if is_tag else f"add “{one.put_in}” to {one.field}"


def _improvements_of_thumbs(thumbs: Mapping[tuple[str, str], int]) -> list[str]:
    return [
        f"{thumbs['down', reason]} thumbs down for {reason}: {remedy}."
        for reason, remedy in THUMB_REMEDIES.items()
        if thumbs.get(("down", reason), 0) >= LEAST_TIMES
    ]
