"""Carries out what people do to an agent, in each of its processes."""

from __future__ import annotations

from collections.abc import Callable

from agentgauge.ops.operations import Kind, Operation, Operations

Listener = Callable[[Operation], object]


class Follower:
    """Calls the listeners of each operation that comes after the follower was made, in order.

    Faults of a listener go to ``on_fault``; the next listener is called all the same. Raises SQLAlchemyError when made
    while the database does not answer.
    """

    def __init__(self, operations: Operations, on_fault: Callable[[Exception], None]) -> None:
        self._operations = operations
        self._on_fault = on_fault
        self._listeners: list[tuple[Kind, Listener]] = []
        self._seen = operations.newest_number()

    def add_listener(self, kind: Kind, listener: Listener) -> None:
        """Call this for each operation of a kind, on the thread that calls ``follow``."""
        self._listeners.append((kind, listener))

    def follow(self) -> None:
        """Carry out what is new; raises SQLAlchemyError when the database does not answer."""
        for operation in self._operations.since(self._seen):
            self._seen = operation.number
            for kind, listener in list(self._listeners):
                if kind == operation.kind:
                    try:
                        listener(operation)
                    except Exception as fault:
                        self._on_fault(fault)
