"""Who is logged in to the page, and links that log in: kept in the ledger, so that all replicas know, and forget."""

from __future__ import annotations

import hashlib
import secrets
from typing import Literal

from sqlalchemy import ColumnElement, and_, delete, select

from agentgauge.ledger.schema import LOGINS
from agentgauge.ledger.store import Ledger

LINK_SECONDS = 600.0
SESSION_SECONDS = 12 * 3600


class Logins:
    """The logins of one agent. Methods work at once and raise SQLAlchemyError when the database cannot.

    What is handed out is random, and only its hash is kept: whoever reads the ledger cannot log in with it.
    """

    def __init__(self, ledger: Ledger, agent: str) -> None:
        self._ledger = ledger
        self._agent = agent

    @property
    def cookie_key(self) -> str:
        """What signs the page's cookies; the same on every replica of this ledger."""
        return self._ledger.secret_for(f"approvals page of {self._agent}").hex()

    def link(self, person: str) -> str:
        """A code that logs this person in once, within LINK_SECONDS."""
        return self._add("link", person, LINK_SECONDS)

    def redeem(self, code: str) -> str | None:
        """Whom a code logs in, which it does once; None if it was used, has expired, or never was."""
        using = delete(LOGINS).where(self._is("link", code)).returning(LOGINS.c.person)
        with self._ledger.writing() as connection:
            return connection.execute(using).scalar_one_or_none()

    def open(self, person: str) -> str:
        """Log somebody in, for SESSION_SECONDS; returns what their browser keeps."""
        return self._add("session", person, SESSION_SECONDS)

    def person(self, session: str) -> str | None:
        """Who is logged in with that; None if they logged out, or the time is over."""
        with self._ledger.reading() as connection:
            return connection.execute(select(LOGINS.c.person).where(self._is("session", session))).scalar_one_or_none()

    def close(self, session: str) -> None:
        """Log somebody out: what their browser kept, or somebody copied from it, is worth nothing any more."""
        with self._ledger.writing() as connection:
            connection.execute(delete(LOGINS).where(self._is("session", session)))

    def close_all(self, person: str) -> None:
        """Log somebody out wherever they are logged in, and end their links."""
        with self._ledger.writing() as connection:
            connection.execute(delete(LOGINS).where(LOGINS.c.agent == self._agent, LOGINS.c.person == person))

    def _add(self, kind: Literal["link", "session"], person: str, seconds: float) -> str:
        secret, now = secrets.token_urlsafe(32), self._ledger.now().timestamp()
        row = {"id": _digest(secret), "agent": self._agent, "kind": kind, "person": person, "until": now + seconds}
        with self._ledger.writing() as connection:
            connection.execute(delete(LOGINS).where(LOGINS.c.agent == self._agent, LOGINS.c.until <= now))
            connection.execute(LOGINS.insert(), row)
        return secret

    def _is(self, kind: Literal["link", "session"], secret: str) -> ColumnElement[bool]:
        now = self._ledger.now().timestamp()
        named = and_(LOGINS.c.id == _digest(secret), LOGINS.c.agent == self._agent, LOGINS.c.kind == kind)
        return and_(named, LOGINS.c.until > now)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
