"""Connections to PostgreSQL that notice a server which keeps them and answers nothing.

A machine that swaps, or a server that was stopped where it is, acknowledges every byte: no time-out of TCP ends that.
A statement may take as long as it needs, so a long wait alone is no fault: it ends when a new connection gets no
answer either.
"""

from __future__ import annotations

from collections.abc import Generator
from time import monotonic
from typing import Any

import psycopg
from psycopg.errors import ConnectionTimeout

LOOK_SECONDS = 5.0
"""How long to wait for an answer before looking whether the server answers anybody."""
CONNECT_SECONDS = 5


class AnsweringConnection(psycopg.Connection[Any]):
    """A connection that is closed, with an OperationalError, when its server does not answer any more."""

    def wait(self, gen: Generator[Any, Any, Any], *arguments: Any, **options: Any) -> Any:
        """Wait as psycopg does, and look every LOOK_SECONDS without an answer whether there will be one."""
        return super().wait(self._looking(gen), *arguments, **options)

    def _looking(self, gen: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """The same generator; it is resumed with nothing while nothing comes."""
        look_at = monotonic() + LOOK_SECONDS
        ready: Any = None
        while True:
            try:
                wanted = gen.send(ready)
            except StopIteration as end:
                return end.value
            ready = yield wanted
            if ready:
                look_at = monotonic() + LOOK_SECONDS
            elif monotonic() > look_at:
                self._look()
                look_at = monotonic() + LOOK_SECONDS

    def _look(self) -> None:
        known: dict[str, Any] = {
            **self.info.get_parameters(),
            "password": self.info.password,
            "connect_timeout": CONNECT_SECONDS,
        }
        try:
            psycopg.connect(**known).close()
        except ConnectionTimeout as error:
            self.pgconn.finish()
            raise psycopg.OperationalError("the server keeps the connection and does not answer") from error
        except psycopg.OperationalError:
            return  # it refused, so it answers
