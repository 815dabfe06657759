"""Compares what the agent suggested with what people did: as the system of record has it, or as they say.

Where the system of record is read, a suggestion is kept from everybody until what a person did is known, so nobody can
have done it because it was suggested.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, get_args

from agentgauge.argument_diff import differences, differing_fields
from agentgauge.autonomy.action import Action, AlreadyDecidedError
from agentgauge.autonomy.actions import NOBODY, AlreadyComparedError
from agentgauge.autonomy.parts import Autonomy
from agentgauge.autonomy.real_actions import RealAction
from agentgauge.vocabulary import ShadowDifference, ShadowMatch

log = logging.getLogger(__name__)

COMPARE_SECONDS = 60.0
"""How often a running agent looks in the system of record."""

DIFFERENCES: tuple[ShadowDifference, ...] = get_args(ShadowDifference)
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


class ReadFromRecordsError(Exception):
    """What people did is read in the system of record, so nobody says it by hand."""

    def __init__(self) -> None:
        super().__init__(
            "this agent reads what people did in the system of record: just do it there; "
            "`agentgauge autonomy comparisons` shows how it compares with the suggestion"
        )


def record(autonomy: Autonomy, action_id: str, done: Mapping[str, Any] | None, by: str) -> tuple[Action, list[str]]:
    """Commit what a person says they did, None for something else; returns where that differs from the suggestion.

    Raises ReadFromRecordsError if the agent reads that in the system of record, UnknownActionError, and
    AlreadyDecidedError if it is not a suggestion or was compared before.
    """
    if autonomy.real_actions is not None:
        raise ReadFromRecordsError
    proposal = autonomy.actions.get(action_id).proposal
    how, counting = _judged(autonomy, proposal.tool, proposal.arguments, done)
    return autonomy.actions.compare(action_id, _match(counting, done), done, by, how), counting


def compare_with_records(autonomy: Autonomy, look: int = 0) -> int:
    """Compare suggestions with what people did since, as the system of record has it; returns how many were compared.

    Of the looks that a process counts from 0, an old suggestion is part of fewer: of every fourth, after three hours.

    Nothing that a person did is compared with two suggestions of a tool. Without anything done, a suggestion waits for
    the policy's ``shadow.wait_hours``. Raises SQLAlchemyError when the ledger cannot be reached; an error of the hook
    is logged, and it is asked again the next time.
    """
    if autonomy.real_actions is None:
        return 0
    overdue = autonomy.actions.now() - timedelta(hours=autonomy.policy().shadow.wait_hours)
    compared = 0
    for suggestion in autonomy.actions.to_compare():
        hours = (autonomy.actions.now() - suggestion.at) // timedelta(hours=1)
        if suggestion.at > overdue and look % (1 + hours) != 0:
            continue  # thousands may wait for a day, and each is a question to somebody else's system
        try:
            done = {one.id: one for one in autonomy.real_actions(suggestion)}
        except Exception as error:  # of the adopter's own code, whatever it is
            log.warning("real_actions could not say what people did: %s", type(error).__name__)
            continue
        taken = autonomy.actions.real_ids(suggestion.proposal.tool) if done else set()
        real = next((one for number, one in done.items() if number not in taken), None)
        if real is not None or suggestion.at <= overdue:
            compared += _compare(autonomy, suggestion, real)
    return compared


def difference(suggested: Mapping[str, Any], done: Mapping[str, Any]) -> ShadowDifference:
    """How far the one is from the other: the worst of all fields, whichever of them count for the match."""
    in_essence = differing_fields(suggested, done)
    kinds = [_kind(one.before, one.after) for one in differences(suggested, done) if one.field in in_essence]
    return max(kinds, key=DIFFERENCES.index, default="none")


def differing(autonomy: Autonomy, action: Action) -> list[str]:
    """The fields that count for the match and are not the same in a suggestion that was compared."""
    done = action.decided_arguments if action.real is None else action.real.effect
    suggested = action.proposal.arguments if action.real is None else action.shown
    return _judged(autonomy, action.proposal.tool, suggested, done)[1]


def _compare(autonomy: Autonomy, suggestion: Action, real: RealAction | None) -> bool:
    """Commit a comparison; False if another replica was faster, with this suggestion or with what the person did."""
    done, by = (None, NOBODY) if real is None else (real.effect, real.by)
    how, counting = _judged(autonomy, suggestion.proposal.tool, suggestion.shown, done)
    try:
        autonomy.actions.compare(suggestion.id, _match(counting, done), None, by, how, real)
    except (AlreadyDecidedError, AlreadyComparedError):
        return False
    return True


def _judged(
    autonomy: Autonomy, tool: str, suggested: Mapping[str, Any], done: Mapping[str, Any] | None
) -> tuple[ShadowDifference, list[str]]:
    """How far what a person did is from the suggestion, and the fields that differ and count; None did nothing."""
    if done is None:
        return "nothing_done", list(suggested)
    known = autonomy.policy().tools.get(tool)
    named = [] if known is None else known.compared or []
    compared = [field for field in named if field in suggested or field in done]
    return difference(suggested, done), differing_fields(suggested, done, compared or None)


def _match(counting: Sequence[str], done: Mapping[str, Any] | None) -> ShadowMatch:
    return "misaligned" if done is None or counting else "aligned"


def _kind(suggested: Any, done: Any) -> ShadowDifference:
    if _is_number(suggested) and _is_number(done):
        return "number"
    if not (isinstance(suggested, str) and isinstance(done, str)):
        return "choice"
    # One word is a name, a kind or an address; several are a text.
    if min(len(suggested.split()), len(done.split())) <= 1:
        return "choice"
    return "wording" if sorted(_NUMBER.findall(suggested)) == sorted(_NUMBER.findall(done)) else "number"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
