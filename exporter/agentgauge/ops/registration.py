"""The registration of this process in the ledger: where it can be asked, and with which token."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from time import monotonic
from urllib.parse import urlsplit

from agentgauge.forks import in_forked_children
from agentgauge.http_guard import LOOPBACK
from agentgauge.ops.control import Control
from agentgauge.ops.replicas import Replica, Replicas

RENEW_SECONDS = 5.0


class Registration:
    """Keeps the address of one process in the ledger, and its control endpoint open to those who read it there.

    A forked child registers itself, with an address that ``serve_child`` gives: it is called on the thread that calls
    ``renew``, and starts a server in the child. Without it, a child is not registered.
    """

    def __init__(
        self, replicas: Replicas, control: Control, replica: Replica, serve_child: Callable[[], str] | None = None
    ) -> None:
        self._replicas = replicas
        self._control = control
        self._serve_child = serve_child
        self._is_child = False
        self._renew_at = 0.0
        self._replica: Replica | None = None
        self._take(replica)
        in_forked_children(self._begin_in_child)

    def renew(self) -> None:
        """Renew what is due; raises SQLAlchemyError when the database does not answer."""
        if self._replica is None or monotonic() < self._renew_at:
            return
        if self._is_child:
            if self._serve_child is None:
                self._replica = None
                return
            started = replace(self._replica, id=new_id(), address=self._serve_child(), started_at=self._replicas.now())
            self._take(started)
            self._is_child = False
        self._renew_at = monotonic() + RENEW_SECONDS
        self._replicas.renew(self._replica)

    def end(self) -> None:
        """Take the process out of the ledger and close its control endpoint; raises what the database raises."""
        ended, self._replica, self._control.token = self._replica, None, None
        if ended is not None and not self._is_child:
            self._replicas.remove(ended.id)

    def _take(self, replica: Replica) -> None:
        self._replica = replica
        self._control.hosts = frozenset(LOOPBACK) | {urlsplit(replica.address).hostname or ""}
        self._control.token = self._replicas.token(replica.id)

    def _begin_in_child(self) -> None:
        # The parent's id, address and token are not this process's.
        self._is_child, self._renew_at, self._control.token = True, 0.0, None


def new_id() -> str:
    """An id for a replica."""
    return uuid.uuid4().hex
