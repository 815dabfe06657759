"""Conversations that went wrong, kept for the people who mend the agent: bounded, redacted, and in the ledger alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentgauge.extras import on_demand

if TYPE_CHECKING:
    from agentgauge.transcripts.policy import TranscriptPolicy
    from agentgauge.transcripts.redaction import redact
    from agentgauge.transcripts.store import Transcripts, UnknownTranscriptError
    from agentgauge.transcripts.transcript import LookUp, Occasion, Transcript

__all__ = [
    "LookUp",
    "Occasion",
    "Transcript",
    "TranscriptPolicy",
    "Transcripts",
    "UnknownTranscriptError",
    "redact",
]

__getattr__ = on_demand(
    __name__,
    "ledger",
    {
        "policy": ["TranscriptPolicy"],
        "redaction": ["redact"],
        "store": ["Transcripts", "UnknownTranscriptError"],
        "transcript": ["LookUp", "Occasion", "Transcript"],
    },
)
