"""Tells whether a call was reported before, by another instrumentation that stands beside the one that does."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from agentgauge.pricing import TokenUsage

V = TypeVar("V")

MOST_CALLS = 200
"""Calls of one model or tool that are remembered: those that may still be reported a second time."""

MOST_NAMES = 300
MOST_SCOPES = 10


@dataclass(frozen=True)
class Reported:
    """A call of a model or a tool as one instrumentation, ``scope``, reports it; times in nanoseconds since 1970.

    ``usage`` is None if it does not tell the tokens, ``response`` is the provider's id of the answer.
    """

    scope: str
    name: str
    started: int
    ended: int
    failed: bool
    usage: TokenUsage | None = None
    response: str | None = None


class SameCalls:
    """The last calls that were counted, with who has reported each.

    Not every framework makes its span the current one; the span of its SDK is not a child of it then. Two reports are
    of one call if the provider's id of the answer is the same; or else if they have one name and overlap in time, and
    agree on the tokens and on whether it failed. Nobody reports one call twice, so that as many are counted as each of
    them reports, even if calls that run at once are mistaken for one another.
    """

    def __init__(self) -> None:
        # Name → the scope that was the first to report a call → the calls, each with the scopes that did so later.
        self._named: OrderedDict[str, OrderedDict[str, deque[tuple[Reported, set[str]]]]] = OrderedDict()

    def add(self, call: Reported) -> None:
        """It is counted."""
        scopes = _kept(self._named, call.name, OrderedDict, MOST_NAMES)
        calls = _kept(scopes, call.scope, lambda: deque(maxlen=MOST_CALLS), MOST_SCOPES)
        calls.append((call, set()))

    def holds(self, call: Reported) -> bool:
        """Whether another scope has reported it; this one has, too, from now on."""
        for first, calls in list(self._named.get(call.name, {}).items()):
            for known, later in list(calls) if first != call.scope else ():
                if call.scope not in later and _are_one(known, call):
                    later.add(call.scope)
                    return True
        return False


def _kept(values: OrderedDict[str, V], key: str, make: Callable[[], V], most: int) -> V:
    """The value of a key, made if there is none; the one that was not asked for the longest is dropped if too many."""
    value = values.setdefault(key, make())
    values.move_to_end(key)
    if len(values) > most:
        values.popitem(last=False)
    return value


def _are_one(one: Reported, other: Reported) -> bool:
    if one.response is not None and other.response is not None:
        return one.response == other.response
    if one.failed != other.failed or one.started > other.ended or other.started > one.ended:
        return False
    if one.usage is None or other.usage is None:
        return True
    return (one.usage.prompt, one.usage.output) == (other.usage.prompt, other.usage.output)
