"""What trials say of a new version of the prompts: on what people objected to, and on everything else."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any

from agentgauge.evals.comparison import DEFAULT_LIMITS, Comparison, compare
from agentgauge.evals.history import Trial, Version
from agentgauge.evals.report import comparison_as_json, evidence_missing, points, times, why_worse


@dataclass(frozen=True)
class Evidence:
    """Two versions beside each other: on the scenarios of the lesson, and on the agent's own; None without suites."""

    before: Version
    after: Version
    lesson: Comparison
    rest: Comparison | None

    @property
    def is_gain(self) -> bool:
        """Whether it is shown to be better on the lesson, and not to be worse elsewhere."""
        return self.lesson.verdict == "better" and (self.rest is None or self.rest.verdict in ("better", "as good"))

    @property
    def is_loss(self) -> bool:
        """Whether it is shown to be worse somewhere, or to cost too much."""
        return "worse" in (self.lesson.verdict, None if self.rest is None else self.rest.verdict)

    @property
    def why_no_gain(self) -> str:
        """What speaks against the new version, or is missing, on one line; empty if it is a gain."""
        parts = []
        if self.lesson.verdict == "worse":
            parts.append(f"it is worse on what people objected to: {why_worse(self.lesson)}")
        elif self.lesson.verdict != "better":
            parts.append("no gain is shown on what people objected to")
        if self.rest is not None and self.rest.verdict == "worse":
            parts.append(f"it is worse on the agent's own scenarios: {why_worse(self.rest)}")
        elif self.rest is not None and self.rest.verdict == "no evidence":
            parts.append(f"on the agent's own scenarios, {evidence_missing(self.rest)}")
        return "; ".join(parts)

    def __str__(self) -> str:
        """Both verdicts, a line each, with the intervals."""
        lines = [f"on what people objected to: {_in_words(self.lesson)}"]
        if self.rest is not None:
            lines.append(f"on the agent's own scenarios: {_in_words(self.rest)}")
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """The same for other programs."""
        sides = {"lesson": self.lesson, "own_suites": self.rest}
        return {
            "before": str(self.before),
            "after": str(self.after),
            "played": self.after.is_played,
            "recorded": self.after.is_recorded,
            **{name: None if one is None else comparison_as_json(one) for name, one in sides.items()},
            "is_gain": self.is_gain,
        }


def _in_words(comparison: Comparison) -> str:
    cost = next(drift for drift in comparison.drifts if drift.name == "cost")
    return f"{comparison.verdict}; trials passed {points(comparison.difference)}, cost {times(cost.ratio)}"


def evidence(
    before: tuple[Version, Sequence[Trial]], after: tuple[Version, Sequence[Trial]], lesson: Collection[str]
) -> Evidence:
    """Compare two versions by their trials; ``lesson`` are the scenarios that stand for what people objected to."""
    (old, old_trials), (new, new_trials) = before, after
    limits = replace(DEFAULT_LIMITS, latency=inf) if old.is_recorded or new.is_recorded else DEFAULT_LIMITS

    def on(of_lesson: bool) -> Comparison | None:
        then, now = (
            [one for one in side if (one.scenario in lesson) == of_lesson] for side in (old_trials, new_trials)
        )
        return compare(then, now, limits) if then and now else None

    of_lesson = on(True)
    if of_lesson is None:
        raise ValueError("no trial of a scenario of the lesson")
    return Evidence(old, new, of_lesson, on(False))
