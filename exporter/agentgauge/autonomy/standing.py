"""The agent's standing: its stage and what its tools have earned, read from the ledger; and what changes it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, cast

from agentgauge import metrics
from agentgauge.argument_diff import differences, flattened
from agentgauge.autonomy import promotion
from agentgauge.autonomy.actions import Actions, TrackRecord
from agentgauge.autonomy.changes import Changes, StateChange
from agentgauge.autonomy.gate import AutonomyStanding, mode_of
from agentgauge.autonomy.policy import Policy
from agentgauge.ledger.outbox import Measurement
from agentgauge.vocabulary import Direction, Mode, Stage

STAGE = "stage"
POLICY = "policy"
TOOL = "tool:"
"""What a change is of: the stage, the policy file, or a tool, as ``tool:send_email``."""

RULE = "the policy's rule"
"""Who promotes and demotes when no person does."""


class NotEarnedError(Exception):
    """A tool cannot be promoted yet; the message says what is missing."""


@dataclass(frozen=True)
class Explanation:
    """What a tool may do and why; ``missing`` is what keeps it from a promotion, empty if it has earned it.

    ``share`` is how many of its calls run unasked so far if it was promoted.
    """

    tool: str
    stage: Stage
    mode: Mode
    record: TrackRecord
    since: datetime
    missing: tuple[str, ...]
    last_change: StateChange | None
    share: float = 1.0


class AutonomyStandings:
    """Reads and changes the standing of one agent. All methods raise SQLAlchemyError when the database cannot."""

    def __init__(self, actions: Actions, changes: Changes) -> None:
        self._actions = actions
        self._changes = changes
        self._noted: Policy | None = None

    def now(self, policy: Policy) -> AutonomyStanding:
        """The standing as of now: a tool whose demotion is due is demoted, whether or not that is recorded yet."""
        state = self._changes.state()
        demoted = {tool for tool in policy.tools if _is(state, tool, "demoted")}
        demoted |= {tool for tool, _ in self._due_for_demotion(policy, state)}
        promoted = {tool for tool in policy.tools if _is(state, tool, "promoted")} - demoted
        now, canary = self._actions.now(), policy.promotion.canary
        shares = {tool: promotion.canary_share(canary, now - state[TOOL + tool].at) for tool in promoted}
        return AutonomyStanding(_stage(policy, state), frozenset(promoted), frozenset(demoted), shares)

    def note_policy(self, policy: Policy) -> None:
        """Record the policy if the ledger has another as the last one; a stage that it changed is in force from now."""
        if policy == self._noted:
            return
        document = policy.model_dump(mode="json", exclude={"changed_by", "reason"})
        last = self._changes.last(POLICY)
        before = {} if last is None else json.loads(last.after)
        if document != before:
            by, what = policy.changed_by, "; ".join(_differences(before, document))
            reason = f"{policy.reason} ({what})" if before else policy.reason
            after = json.dumps(document)
            first = self._changes.record(POLICY, None if last is None else last.after, after, by, reason)
            if first and before and before.get("stage") != policy.stage:
                self.set_stage(policy, policy.stage, by, policy.reason)
        self._noted = policy

    def set_stage(self, policy: Policy, stage: Stage, by: str, reason: str) -> None:
        """Put the agent in a stage; it holds until the next change, here or in the policy file."""
        last = self._changes.last(STAGE)
        if stage != (policy.stage if last is None else last.after):
            self._changes.record(STAGE, None if last is None else last.after, stage, by, reason)

    def promote(self, policy: Policy, tool: str, by: str, reason: str) -> None:
        """Let a tool run unasked in the stage semi_autonomous; NotEarnedError if its record does not allow it."""
        state = self._changes.state()
        record, _ = self._record_for_promotion(policy, tool, state)
        lacks = promotion.missing(policy, tool, record)
        if lacks:
            raise NotEarnedError(f"{tool} has not earned it; it needs {'; and '.join(lacks)}")
        self._change(state, tool, "promoted", by, f"{reason}: {promotion.figures(record)}")

    def demote(self, tool: str, by: str, reason: str) -> None:
        """Let every call of a tool wait for a person, until it has earned its promotion again."""
        self._change(self._changes.state(), tool, "demoted", by, reason)

    def demote_where_due(self, policy: Policy, *tools: str) -> None:
        """Demote tools that run unasked and were rejected, failed an audit, or that nobody looks at any more.

        Without names, look at all tools.
        """
        state = self._changes.state()
        for tool, reason in self._due_for_demotion(policy, state):
            if not tools or tool in tools:
                self._change(state, tool, "demoted", RULE, reason)

    def promote_where_earned(self, policy: Policy) -> None:
        """Promote the tools that have earned it, if the policy wants that done without asking."""
        state = self._changes.state()
        standing = self.now(policy)
        if policy.promotion.apply != "automatic" or standing.stage not in ("semi_autonomous", "autonomous"):
            return
        for tool in policy.tools:
            if mode_of(policy, standing, tool) == "approve":
                record, _ = self._record_for_promotion(policy, tool, state)
                if not promotion.missing(policy, tool, record):
                    self._change(state, tool, "promoted", RULE, promotion.figures(record))

    def explain(self, policy: Policy, tool: str) -> Explanation:
        """What a tool may do now, its figures, and what is missing for more."""
        state = self._changes.state()
        record, since = self._record_for_promotion(policy, tool, state)
        lacks = tuple(promotion.missing(policy, tool, record))
        standing = self.now(policy)
        mode = mode_of(policy, standing, tool)
        share = standing.shares.get(tool, 1.0)
        return Explanation(tool, standing.stage, mode, record, since, lacks, state.get(TOOL + tool), share)

    def _due_for_demotion(self, policy: Policy, state: Mapping[str, StateChange]) -> Iterator[tuple[str, str]]:
        """Tools that run unasked, by promotion or in the stage autonomous, and why they should not any more."""
        stage = _stage(policy, state)
        for tool, known in policy.tools.items():
            promoted = _is(state, tool, "promoted")
            if not promoted and (stage != "autonomous" or known.risk == "low" or _is(state, tool, "demoted")):
                continue
            began = state.get(TOOL + tool if promoted else STAGE)
            since = _later(self._days_ago(policy.demotion.days), began)
            if reason := promotion.demotes(policy, self._actions.track_record(tool, since)):
                yield tool, reason
            elif promoted and self._has_lapsed(policy, tool, state[TOOL + tool]):
                days = policy.promotion.lapses_after_days
                yield tool, f"its promotion lapsed: in {days} days nobody decided on a call of it or audited one"

    def _has_lapsed(self, policy: Policy, tool: str, promoted: StateChange) -> bool:
        since = self._days_ago(policy.promotion.lapses_after_days)
        return promoted.at <= since and not self._actions.judged_since(tool, since)

    def _record_for_promotion(
        self, policy: Policy, tool: str, state: Mapping[str, StateChange]
    ) -> tuple[TrackRecord, datetime]:
        """The record that counts for a promotion, and since when: after a demotion, counting starts again."""
        whole = self._days_ago(policy.promotion.days)
        since = _later(whole, state.get(TOOL + tool) if _is(state, tool, "demoted") else None)
        record = self._actions.track_record(tool, since, policy.tools[tool].risk)
        if since > whole:
            # What spoke against it before its demotion still does.
            against = self._actions.track_record(tool, whole)
            record = replace(record, rejected=against.rejected, problems=against.problems)
        return record, since

    def _change(self, state: Mapping[str, StateChange], tool: str, after: Direction, by: str, reason: str) -> None:
        last = state.get(TOOL + tool)
        before = None if last is None else last.after
        if before != after:
            counted = Measurement(metrics.AUTONOMY_CHANGES, (tool, after))
            self._changes.record(TOOL + tool, before, after, by, reason, counted)

    def _days_ago(self, days: int) -> datetime:
        return self._actions.now() - timedelta(days=days)


def _stage(policy: Policy, state: Mapping[str, StateChange]) -> Stage:
    return cast(Stage, state[STAGE].after) if STAGE in state else policy.stage


def _is(state: Mapping[str, StateChange], tool: str, what: Direction) -> bool:
    change = state.get(TOOL + tool)
    return change is not None and change.after == what


def _later(earliest: datetime, change: StateChange | None) -> datetime:
    return earliest if change is None else max(earliest, change.at)


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """What differs between two policies, as ``tools.send_email.risk: medium → high``."""
    for one in differences(flattened(before), flattened(after)):
        yield f"{one.field}: {_short(one.before)} → {_short(one.after)}"


def _short(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value)
