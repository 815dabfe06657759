"""Words with a closed set of values, each declared once.

Labels of metrics, arguments of the public functions, columns of the ledger and fields of YAML files take their values
from here. Each word is a ``Literal`` for the type checker and a tuple of the same values for code that lists them.
"""

from __future__ import annotations

from typing import Literal, get_args

Step = Literal["planning", "tool_arguments", "synthesis", "classification"]
"""What an LLM call is for."""

StepLabel = Step | Literal["other"]
"""A step, or ``other`` for a call that no ``llm_step`` surrounds."""

TokenKind = Literal["input", "cache_read", "cache_write_5m", "cache_write_1h", "output"]
"""Kinds of billed tokens, disjoint: ``input`` is the uncached part of the prompt."""

TaskOutcome = Literal["completed", "fallback", "failed", "abandoned"]
"""How a user's request ended."""

SessionLimit = Literal["tool_calls", "cost", "cost_runaway"]
"""What a session can have too much of."""

Rating = Literal["up", "down"]
"""A thumb."""

Reason = Literal["wrong_answer", "too_slow", "tone", "incomplete", "none", "other"]
"""Why a user gave it."""

CacheResult = Literal["hit", "miss", "expired", "bypass"]
"""How a look-up in the cache of tool results went."""

Risk = Literal["low", "medium", "high"]
"""How much harm a call of a tool can do; in rising order."""

Stage = Literal["shadow", "approval_required", "semi_autonomous", "autonomous"]
"""How much an agent may do on its own; in rising order."""

Mode = Literal["suggest", "approve", "auto"]
"""What one tool may do now; in rising order."""

Disposition = Literal["suggested", "auto", "approval", "denied"]
"""What the policy decided about a proposed action."""

Decision = Literal["approved", "edited", "rejected", "expired"]
"""What people decided about it; ``expired`` if nobody did in time."""

AuditVerdict = Literal["ok", "problem"]
"""Whether a sampled automatic action was right."""

ShadowMatch = Literal["aligned", "misaligned"]
"""Whether a person did what the agent suggested."""

ShadowDifference = Literal["none", "wording", "number", "choice", "nothing_done"]
"""How what a person did differs at most from what the agent suggested; in rising order.

``wording`` is the same in other words, ``number`` another amount, price or date, ``choice`` another recipient, object
or kind; ``nothing_done`` is said when no person did anything of that sort in time.
"""

Direction = Literal["promoted", "demoted"]
"""Which way a tool's autonomy changed."""

MCPMethod = Literal[
    "initialize",
    "ping",
    "server/discover",
    "tools/list",
    "tools/call",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "prompts/list",
    "prompts/get",
    "completion/complete",
    "other",
]
"""What a client asks an MCP server; ``initialize`` is connecting to it."""

TranscriptText = Literal["none", "ids", "redacted", "full"]
"""How much of a conversation that went wrong is kept; in rising order."""

TranscriptCause = Literal["thumbs_down", "rejected", "failed", "looping", "slow"]
"""Why it is kept."""

FaultSite = Literal["tool", "llm", "session", "task", "feedback", "pricing", "ledger", "transcript", "other"]
"""The part of the library in which a fault was swallowed."""

Refusal = Literal["unauthorized", "unsupported", "too_large", "too_slow", "malformed", "busy"]
"""Why the gateway did not take spans."""

STEPS: tuple[Step, ...] = get_args(Step)
TOKEN_KINDS: tuple[TokenKind, ...] = get_args(TokenKind)
TASK_OUTCOMES: tuple[TaskOutcome, ...] = get_args(TaskOutcome)
SESSION_LIMITS: tuple[SessionLimit, ...] = get_args(SessionLimit)
RATINGS: tuple[Rating, ...] = get_args(Rating)
REASONS: tuple[Reason, ...] = get_args(Reason)
CACHE_RESULTS: tuple[CacheResult, ...] = get_args(CacheResult)
RISKS: tuple[Risk, ...] = get_args(Risk)
STAGES: tuple[Stage, ...] = get_args(Stage)
MODES: tuple[Mode, ...] = get_args(Mode)
DISPOSITIONS: tuple[Disposition, ...] = get_args(Disposition)
DECISIONS: tuple[Decision, ...] = get_args(Decision)
AUDIT_VERDICTS: tuple[AuditVerdict, ...] = get_args(AuditVerdict)
SHADOW_MATCHES: tuple[ShadowMatch, ...] = get_args(ShadowMatch)
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
MCP_METHODS: tuple[MCPMethod, ...] = get_args(MCPMethod)
TRANSCRIPT_TEXTS: tuple[TranscriptText, ...] = get_args(TranscriptText)
TRANSCRIPT_CAUSES: tuple[TranscriptCause, ...] = get_args(TranscriptCause)
FAULT_SITES: tuple[FaultSite, ...] = get_args(FaultSite)
REFUSALS: tuple[Refusal, ...] = get_args(Refusal)

COHORT_WEEKS: tuple[str, ...] = tuple(map(str, range(8)))
"""The weeks of the adoption by cohort: how many weeks ago people came first, and how many weeks later it is."""
