"""What the adapters of frameworks have in common: names of errors and of tools, and calls that are under way."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from agentgauge.gauge import AgentGauge
from agentgauge.session import Subagent, current_scope

T = TypeVar("T")

MOST_TOOLS = 200
"""How many tools an adapter registers by itself; a framework may make tools up as it goes."""

MOST_UNDER_WAY = 10_000
"""How many calls an adapter keeps until they end; the oldest are given up, as frameworks lose some of theirs."""


def error_type_of(error: BaseException) -> str:
    """The provider's code if the exception of its SDK carries one, else the exception's class."""
    body = getattr(error, "body", None)
    inner = body.get("error") if isinstance(body, dict) and isinstance(body.get("error"), dict) else body
    candidates: tuple[Any, ...] = (getattr(error, "code", None),)
    if isinstance(inner, dict):
        candidates = (inner.get("code"), inner.get("type"), *candidates)
    return next((code for code in candidates if isinstance(code, str) and not code.isdigit()), type(error).__name__)


@dataclass(frozen=True)
class Delegate:
    """A subagent that a framework runs, by its name; ``around`` is the one that was in force when its run began."""

    name: str
    around: Subagent | None


def delegate(name: str) -> Delegate:
    """The subagent of a run that begins here."""
    return Delegate(name, current_scope().subagent)


def at_work(gauge: AgentGauge, subagent: Delegate | None) -> AbstractContextManager[None]:
    """What is called inside belongs to this subagent; None is whoever is in force, the agent itself mostly.

    One that came into force since the run began, by ``gauge.subagent()``, is further in, and stays.
    """
    if subagent is None or current_scope().subagent is not subagent.around:
        return nullcontext()
    return gauge.subagent(subagent.name)


class SeenTools:
    """Registers the tools that a framework runs, so that each has series of its own."""

    def __init__(self, gauge: AgentGauge) -> None:
        self._gauge = gauge
        self._seen: set[str] = set()

    def add(self, name: str) -> str:
        """Returns the name."""
        if name not in self._seen and len(self._seen) < MOST_TOOLS:
            self._seen.add(name)
            self._gauge.register_tools([name])
        return name


class UnderWay(Generic[T]):
    """Calls that have begun, by what the framework calls them."""

    def __init__(self) -> None:
        self._calls: OrderedDict[Hashable, T] = OrderedDict()

    def begin(self, key: Hashable, call: T) -> None:
        """Keep a call until its end."""
        self._calls[key] = call
        if len(self._calls) > MOST_UNDER_WAY:
            self._calls.popitem(last=False)

    def get(self, key: Hashable) -> T | None:
        """The call; None if it is not kept."""
        return self._calls.get(key)

    def end(self, key: Hashable) -> T | None:
        """The call, which is kept no longer; None if it was not."""
        return self._calls.pop(key, None)
