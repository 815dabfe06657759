"""Who may let an action happen: the policy names roles by risk, and nobody approves their own call of high risk."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

from agentgauge.autonomy.action import Proposal
from agentgauge.autonomy.policy import ApprovalRules


class NotPermittedError(PermissionError):
    """This person may not decide that; the message says why, and who may."""


@dataclass(frozen=True)
class Person:
    """Somebody whom the caller has authenticated, with the roles that the policy names."""

    name: str
    roles: Collection[str] = ()


def check_permission(rules: ApprovalRules, proposal: Proposal, person: Person, today: date) -> None:
    """Raise NotPermittedError unless the policy lets this person approve, or edit, that proposal."""
    approvers = rules.approvers(proposal.risk)
    if person.name == proposal.user_id and not approvers.own:
        raise NotPermittedError(
            f"you asked for this yourself, and a call of {proposal.risk} risk is approved by somebody else; "
            "you can reject it"
        )
    roles = {*person.roles, *(one.role for one in rules.delegations if one.to == person.name and one.holds(today))}
    if approvers.roles and roles.isdisjoint(approvers.roles):
        raise NotPermittedError(
            f"a call of {proposal.risk} risk is approved by {' or '.join(approvers.roles)}, and {person.name} has "
            f"{', '.join(sorted(roles)) if roles else 'no role'}; you can reject it"
        )
