"""What is in use in this process: the sessions that are open."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar
from weakref import WeakSet

from agentgauge.forks import in_forked_children

T = TypeVar("T")


class LiveSet(Generic[T]):
    """Objects from when they are added until they are discarded or nobody holds them; safe to use from any thread.

    A forked child starts without its parent's.
    """

    _objects: WeakSet[T]
    _lock: threading.RLock

    def __init__(self) -> None:
        self._begin_empty()
        in_forked_children(self._begin_empty)

    def add(self, one: T) -> None:
        """It is in use from now on."""
        with self._lock:
            self._objects.add(one)

    def discard(self, one: T) -> None:
        """It is no longer in use; does nothing if it was not."""
        with self._lock:
            self._objects.discard(one)

    def all(self) -> list[T]:
        """Those that are in use now, in no particular order."""
        with self._lock:
            return list(self._objects)

    def _begin_empty(self) -> None:
        self._objects = WeakSet()
        self._lock = threading.RLock()
