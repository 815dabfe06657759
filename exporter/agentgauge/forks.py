"""What must not cross a fork: locks held by threads that the child lacks, and connections."""

from __future__ import annotations

import os
from collections.abc import Callable
from weakref import WeakMethod


def in_forked_children(method: Callable[[], None]) -> None:
    """Call a bound method in every child forked from now on, for as long as its object lives."""
    if _CAN_FORK:
        os.register_at_fork(after_in_child=_weakly(method))


def around_forks(before: Callable[[], None], after: Callable[[], None], in_child: Callable[[], None]) -> None:
    """Call an object's methods before each fork from now on, and after it in the parent and in the child, likewise."""
    if _CAN_FORK:
        os.register_at_fork(before=_weakly(before), after_in_parent=_weakly(after), after_in_child=_weakly(in_child))


_CAN_FORK = hasattr(os, "register_at_fork")  # not on Windows


def _weakly(method: Callable[[], None]) -> Callable[[], None]:
    """Calls a bound method if its object is alive."""
    reference = WeakMethod(method)

    def call() -> None:
        alive = reference()
        if alive is not None:
            alive()

    return call
