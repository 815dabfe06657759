"""One process of an agent as people operate it: it follows what they do, and is registered where they look for it."""

from __future__ import annotations

import atexit
import functools
from collections.abc import Callable
from pathlib import Path

from agentgauge.ledger.recorder import Recorder
from agentgauge.ledger.store import Ledger
from agentgauge.ops.control import Control
from agentgauge.ops.follower import Follower, Listener
from agentgauge.ops.operations import Kind, Operation, Operations
from agentgauge.ops.registration import Registration, new_id
from agentgauge.ops.replicas import Replica, Replicas
from agentgauge.session import Session
from agentgauge.telemetry import Telemetry


class Operated:
    """Made once for each AgentGauge that has a ledger. Raises SQLAlchemyError if the database does not answer then."""

    def __init__(
        self, telemetry: Telemetry, ledger: Ledger, recorder: Recorder, control: Control, version: str
    ) -> None:
        self._telemetry = telemetry
        self._recorder = recorder
        self._control = control
        self._version = version
        self._replicas = Replicas(ledger, telemetry.agent)
        self._registration: Registration | None = None
        self._on_session_ended: list[Callable[[Session], object]] = []
        self._follower = Follower(Operations(ledger, telemetry.agent), functools.partial(telemetry.swallow, "ledger"))
        self._follower.add_listener("end_session", self._end_session)
        recorder.add_follower(self._follower.follow)
        recorder.add_follower(self._renew)

    def on_operation(self, kind: Kind, listener: Listener) -> None:
        """Call ``listener`` for each operation of this kind from now on, on the recorder's thread."""
        self._follower.add_listener(kind, listener)

    def on_session_ended(self, listener: Callable[[Session], object]) -> None:
        """Call ``listener`` with each session that people end, closed already, on the recorder's thread."""
        self._on_session_ended.append(listener)

    def register(
        self, address: str, certificate: str | None = None, serve_child: Callable[[], str] | None = None
    ) -> None:
        """Write the address of this process into the ledger and renew it from now on; see Registration."""
        self.unregister()
        pem = None if certificate is None else Path(certificate).read_text(encoding="ascii")
        here = Replica(new_id(), address, self._version, self._replicas.now(), pem)
        self._registration = Registration(self._replicas, self._control, here, serve_child)
        atexit.register(self.unregister)  # after the recorder's, so called before it
        with self._telemetry.swallowing("ledger"):
            self._renew()

    def unregister(self) -> None:
        """Take this process out of the ledger; does nothing if it is not there."""
        atexit.unregister(self.unregister)
        ended, self._registration = self._registration, None
        if ended is not None:
            with self._telemetry.swallowing("ledger"):
                ended.end()

    def _renew(self) -> None:
        if self._registration is not None:
            self._registration.renew()

    def _end_session(self, operation: Operation) -> None:
        for session in self._telemetry.live.all():
            if session.id == operation.detail["session"]:
                session.end_by_operator()
                for listener in list(self._on_session_ended):
                    with self._telemetry.swallowing("session"):
                        listener(session)
