"""What a tool has earned, judged by the policy's rules and put in words. Pure functions of figures."""

from __future__ import annotations

from datetime import timedelta
from math import sqrt

from agentgauge.autonomy.actions import TrackRecord
from agentgauge.autonomy.policy import Canary, Policy


def missing(policy: Policy, tool: str, record: TrackRecord) -> list[str]:
    """What keeps a tool with this record from a promotion, a sentence each; empty if it has earned it."""
    rule, known = policy.promotion, policy.tools[tool]
    if known.mode is not None:
        return [f"another policy: there, its mode is always {known.mode}"]
    if known.risk == "high":
        return ["a lower risk: people decide on each call of a high-risk tool"]
    lacks = []
    if record.decisions < rule.decisions:
        more = _times(rule.decisions - record.decisions, "more decision")
        lacks.append(f"{more}: {record.decisions} of {rule.decisions} were made")
    if record.decisions and approved_share(record) < rule.approved:
        share, least = _told_apart(approved_share(record), rule.approved)
        lacks.append(f"more approvals: {share} of {least}; an edit does not count as one")
    elif record.decisions >= rule.decisions and surely_approved(record) < rule.surely:
        share, least = _told_apart(surely_approved(record), rule.surely)
        lacks.append(
            f"more decisions like these: they make a share of {share} likely, and {least} are needed{_against(record)}"
        )
    if record.rejected > rule.rejected:
        lacks.append(f"fewer rejections: {record.rejected}, and {rule.rejected} are allowed")
    if record.problems:
        lacks.append(f"clean audits: {_times(record.problems, 'audit')} found a problem")
    return lacks


def demotes(policy: Policy, record: TrackRecord) -> str | None:
    """Why this record, since a tool runs unasked, takes that back; None if it does not."""
    against = record.rejected + record.problems
    if against < policy.demotion.rejected:
        return None
    return (
        f"{_times(record.rejected, 'rejection')} and {_times(record.problems, 'audit')} that found a problem "
        f"in the last {policy.demotion.days} days"
    )


def approved_share(record: TrackRecord) -> float:
    """Approvals among the decisions: an edit is a decision, but no approval. 0 without decisions."""
    return record.approved / record.decisions if record.decisions else 0.0


def surely_approved(record: TrackRecord) -> float:
    """The share of approvals that a record makes likely: the lower bound of Wilson's 95 % interval; 0 without any."""
    # What nobody decided in time and what people did otherwise was not approved either.
    number, z = record.decisions + record.expired + record.misaligned, 1.959964
    if not number:
        return 0.0
    share = record.approved / number
    middle = share + z * z / (2 * number)
    return (middle - z * sqrt(share * (1 - share) / number + (z / (2 * number)) ** 2)) / (1 + z * z / number)


def canary_share(canary: Canary, promoted_for: timedelta) -> float:
    """The share of a tool's calls that runs unasked so long after its promotion: it grows evenly to all of them."""
    grown = min(1.0, max(0.0, promoted_for / timedelta(days=canary.days)))
    return canary.share + (1 - canary.share) * grown


def figures(record: TrackRecord) -> str:
    """A record as a sentence."""
    own = f"; {record.own} more by the user who had asked do not count" if record.own else ""
    own += f"; {record.lower} more as of a lower risk than today's do not count" if record.lower else ""
    own += f"; {_times(record.misaligned, 'suggestion')} that people did otherwise" if record.misaligned else ""
    return (
        f"{_times(record.decisions, 'decision')}: {record.approved} approved ({approved_share(record):.1%}), "
        f"{record.edited} edited, {record.rejected} rejected; {record.expired} expired undecided{own}"
    )


def _against(record: TrackRecord) -> str:
    against = [f"{record.expired} that expired"] if record.expired else []
    against += [f"{_times(record.misaligned, 'suggestion')} that people did otherwise"] if record.misaligned else []
    return f"; {' and '.join(against)} count against it" if against else ""


def _told_apart(share: float, least: float) -> tuple[str, str]:
    """Two ratios as percentages, with as many digits as it takes to see which is the lesser."""
    for digits in range(1, 10):
        if f"{share:.{digits}%}" != f"{least:.{digits}%}":
            break
    return f"{share:.{digits}%}", f"{least:.{digits}%}"


def _times(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
