"""What happened in a trial: who said what, which tools the agent called, what it cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Said:
    """A message of the user or the agent, or a decision of the approver."""

    by: Literal["user", "agent", "approver"]
    text: str


@dataclass(frozen=True)
class Called:
    """A tool call that the agent made, and what came back; ``ok`` is False if it failed or was not allowed."""

    tool: str
    arguments: Mapping[str, Any]
    result: str
    ok: bool = True


@dataclass(frozen=True)
class TrialTranscript:
    """One trial in the order it happened; ``turns`` are the model's, ``cost_usd`` is that of the session."""

    steps: tuple[Said | Called, ...]
    turns: int
    cost_usd: float

    @property
    def output(self) -> str:
        """All that the agent said."""
        return "\n".join(step.text for step in self.steps if isinstance(step, Said) and step.by == "agent")

    @property
    def calls(self) -> list[Called]:
        """The tool calls."""
        return [step for step in self.steps if isinstance(step, Called)]

    def as_json(self) -> dict[str, Any]:
        """The same as JSON values; ``from_json`` reads them."""
        return {**asdict(self), "steps": [asdict(step) for step in self.steps]}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> TrialTranscript:
        """Read what ``as_json`` wrote."""
        steps = tuple(Said(**step) if "by" in step else Called(**step) for step in document["steps"])
        return cls(steps, document["turns"], document["cost_usd"])
