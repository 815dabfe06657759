"""Which conversations show what an alert is about, and the command that prints them: never on a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agentgauge.vocabulary import Reason, TranscriptCause


@dataclass(frozen=True)
class Sought:
    """Which conversations show what an alert is about; ``reason`` is that of a thumb."""

    cause: TranscriptCause
    reason: Reason | None = None

    @property
    def arguments(self) -> str:
        """What follows ``agentgauge`` in the command that lists them; of thumbs, it prints the answers themselves."""
        if self.cause == "thumbs_down":
            return "transcripts answers" + (f" --reason {self.reason}" if self.reason else "")
        return f"transcripts list --cause {self.cause}"


OF_ALERTS: Mapping[str, Sought] = {
    "AgentAllToolCallsFailing": Sought("failed"),
    "AgentApprovalRateLow": Sought("rejected"),
    "AgentLatencySpike": Sought("slow"),
    "AgentNegativeFeedbackHigh": Sought("thumbs_down"),
    "AgentSessionLooping": Sought("looping"),
    "AgentTaskCompletionLow": Sought("failed"),
    "AgentToolLatencyHigh": Sought("slow"),
    "AgentWrongAnswersReported": Sought("thumbs_down", "wrong_answer"),
}
"""Alerts of which a conversation tells more than a figure."""
