"""What must not cross a fork: locks held by threads that the child lacks, and connections."""

from __future__ import annotations

import os
from collections.abc import Callable
from weakref import WeakMethod


def in_forked_children(method: Callable[[], None]) -> None:
    """Call a bound method in every child forked from now on, for as long as its object lives."""
    reference = WeakMethod(method)

    def call() -> None:
        alive = reference()
        if alive is not None:
            alive()

    if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
        os.register_at_fork(after_in_child=call)
