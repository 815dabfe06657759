"""What people decide about an agent's actions; the chat, the command line and the page all use this."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from agentgauge.argument_diff import differences
from agentgauge.autonomy.action import Action, AlreadyDecidedError, UnknownActionError
from agentgauge.autonomy.actions import Actions
from agentgauge.autonomy.effects import Effect, Preview, no_preview, seal
from agentgauge.autonomy.permission import NotPermittedError, Person, check_permission
from agentgauge.autonomy.policy import Policy, is_higher
from agentgauge.autonomy.standing import AutonomyStandings
from agentgauge.vocabulary import AuditVerdict

__all__ = [
    "Action",
    "AlreadyDecidedError",
    "Approvals",
    "InvalidEditError",
    "KeptBackError",
    "NotPermittedError",
    "NotShownError",
    "Person",
    "RiskRaisedError",
    "UnknownActionError",
]


class KeptBackError(UnknownActionError):
    """Nobody may read this suggestion yet, because they could do it for that reason."""

    def __init__(self, action_id: str) -> None:
        super().__init__(
            f"{action_id} is a suggestion, and nobody reads it before it is known what people did; after that, "
            "`agentgauge autonomy comparisons` shows both"
        )


class InvalidEditError(ValueError):
    """The edited arguments do not fit the tool; the message names the field."""


class RiskRaisedError(Exception):
    """The edited arguments carry a higher risk than the proposal, so an edit cannot approve them."""


class NotShownError(Exception):
    """What would happen is not what the person was shown; ``effect`` is what it is now, ``seal`` names it."""

    def __init__(self, message: str, effect: Effect | None, seal: str) -> None:
        super().__init__(message)
        self.effect = effect
        self.seal = seal


class Approvals:
    """The approvals of one agent. Every decision is committed, and may demote the tool, before the call returns.

    ``policy`` returns the one in force. ``check`` raises ValueError, with a message that names the field, for arguments
    that do not fit a tool. ``by`` is the Person who decides, or the name of one without roles; the caller has
    authenticated them. Where ``suggestions_are_secret``, nobody reads one before it was compared with what people did.
    All methods raise SQLAlchemyError when the database cannot; those that decide raise UnknownActionError, and
    AlreadyDecidedError when somebody was faster or it expired.
    """

    def __init__(
        self,
        actions: Actions,
        standings: AutonomyStandings,
        policy: Callable[[], Policy],
        check: Callable[[str, Mapping[str, Any]], object],
        preview: Preview = no_preview,
        *,
        suggestions_are_secret: bool = False,
    ) -> None:
        self._actions = actions
        self._standings = standings
        self._policy = policy
        self._check = check
        self._preview = preview
        self._suggestions_are_secret = suggestions_are_secret

    def waiting(self) -> list[Action]:
        """Those that wait for a decision, oldest first."""
        return self._actions.waiting()

    def get(self, action_id: str) -> Action:
        """One action, waiting or not; UnknownActionError if there is none, KeptBackError if nobody may read it yet."""
        action = self._actions.get(action_id)
        if self._suggestions_are_secret and action.proposal.disposition == "suggested" and action.shadow_match is None:
            raise KeptBackError(action_id)
        return self._actions.as_due(action)

    def effect_of(self, tool: str, arguments: Mapping[str, Any]) -> Effect | None:
        """What a call would do now; None if its arguments say it all. InvalidEditError if it could not be done."""
        try:
            self._check(tool, arguments)
            return self._preview(tool, arguments)
        except Exception as error:  # whatever a tool's preview raises is about these arguments
            raise InvalidEditError(str(error)) from None

    def agreed(self, action: Action) -> list[str]:
        """Who has approved already, of those whom the policy wants."""
        return self._actions.agreed(action)

    def approve(self, action_id: str, by: Person | str, seen: str | None = None) -> Action:
        """Let it happen as proposed; where the policy wants two people, the first of them leaves it undecided.

        ``seen`` is the seal of what the person was shown, where that can be another than this action's. Raises
        NotPermittedError if the policy does not let this person, NotShownError if they were shown something else.
        """
        action = self.get(action_id)
        person = self._permitted(action, by)
        if seen is not None and seen != action.seal:
            message = f"{action_id} would do something else than you were shown; nothing was decided"
            raise NotShownError(message, action.proposal.effect, action.seal)
        people = self._policy().approvals.approvers(action.proposal.risk).people
        if people > 1:
            return self._actions.agree(action_id, person.name, people)
        return self._actions.decide(action_id, "approved", person.name)

    def edit(
        self,
        action_id: str,
        arguments: Mapping[str, Any],
        by: Person | str,
        reason: str | None = None,
        seen: str | None = None,
    ) -> Action:
        """Let it happen with these arguments; with the proposed ones, that is an approval.

        ``seen`` is the seal of what the person was shown; it is needed where that changes by more than they wrote.
        Raises NotPermittedError if the policy does not let this person, InvalidEditError if the arguments do not fit
        the tool, RiskRaisedError if they make it riskier than proposed, NotShownError if ``seen`` is of something else.
        """
        action = self.get(action_id)
        person = self._permitted(action, by)
        proposal = action.proposal
        if not differences(proposal.arguments, arguments):
            return self.approve(action_id, by)
        if self._policy().approvals.approvers(proposal.risk).people > 1:
            raise NotPermittedError(
                f"a call of {proposal.risk} risk takes two people, who have to see the same: reject it, and let the "
                "agent propose it again with these arguments"
            )
        effect = self.effect_of(proposal.tool, arguments)
        risk, why = self._policy().assess(proposal.tool, arguments, effect)
        if is_higher(risk, proposal.risk):
            raise RiskRaisedError(
                f"with these arguments {action_id} would be {_in_words(risk)}, not of {proposal.risk} risk ({why}); "
                "an edit cannot raise the risk: reject it, and let the agent propose it again with these arguments"
            )
        now = seal(proposal.tool, arguments, effect)
        if effect is not None and seen != now and not _as_written(action.shown, effect, arguments):
            message = "with these arguments it would do something else; look at that before you approve it"
            raise NotShownError(message, effect, now)
        return self._actions.decide(action_id, "edited", person.name, arguments, reason, effect)

    def reject(self, action_id: str, by: Person | str, reason: str) -> Action:
        """Do not let it happen; the agent reads the reason. A promoted tool is demoted at once.

        Whoever can log in may reject: that does no harm, and the user may always take back what they asked for.
        """
        self.get(action_id)
        action = self._actions.decide(action_id, "rejected", _person(by).name, reason=reason)
        self._standings.demote_where_due(self._policy(), action.proposal.tool)
        return action

    def audit(self, action_id: str, verdict: AuditVerdict, by: Person | str) -> Action:
        """Judge an action that ran unasked and was sampled for an audit; a problem can demote the tool at once."""
        self.get(action_id)
        action = self._actions.audit(action_id, verdict, _person(by).name)
        self._standings.demote_where_due(self._policy(), action.proposal.tool)
        return action

    def _permitted(self, action: Action, by: Person | str) -> Person:
        """The person, if the action waits and the policy lets them approve it."""
        person = _person(by)
        if action.decision is None:
            check_permission(self._policy().approvals, action.proposal, person, self._actions.now().date())
        return person


def _person(by: Person | str) -> Person:
    return Person(by) if isinstance(by, str) else by


def _as_written(shown: Mapping[str, Any], effect: Effect, arguments: Mapping[str, Any]) -> bool:
    """Whether an edit changes nothing in what was shown but to what the person wrote into the argument of that name."""
    changed = differences(shown, effect)
    return all(one.field in arguments and one.after == arguments[one.field] for one in changed)


def _in_words(risk: str) -> str:
    return "denied" if risk == "denied" else f"of {risk} risk"
