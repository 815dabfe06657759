"""What is spent and reserved of each budget, in the ledger, so that all replicas draw on one sum."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, and_, delete, func, select, update

from agentgauge.ledger.schema import BUDGET_ACCOUNTS, BUDGET_HOLDS, USAGE
from agentgauge.ledger.store import Ledger

Kind = Literal["session", "user_day"]

LEASE = timedelta(minutes=15)
"""How long a reserve is held for a process that never says what the call cost; the SDKs give a call up after ten."""


@dataclass(frozen=True)
class Account:
    """The budget of one session, or of one user's UTC day, and the USD at which it stops; None: it never does."""

    kind: Kind
    holder: str
    day: date | None
    stop: float | None = field(compare=False)


class SpentError(Exception):
    """There is nothing left of an account; if ``is_reserved``, what is left is reserved for calls that are running."""

    def __init__(self, account: Account, is_reserved: bool) -> None:
        super().__init__(account, is_reserved)
        self.account = account
        self.is_reserved = is_reserved


class Accounts:
    """The accounts of one agent. Methods work at once and raise SQLAlchemyError when the database cannot."""

    def __init__(self, ledger: Ledger, agent: str) -> None:
        self._ledger = ledger
        self._agent = agent

    def take(self, spent: Mapping[Account, float], usd: float) -> str:
        """Add what was ``spent`` since the last time, and reserve ``usd`` in each account; returns the reserve's id.

        Raises SpentError, and changes nothing, if in one of them what is spent and reserved has reached the stop. So
        the stop is exceeded by one reserve at most, however many ask at once. Name sessions before users' days:
        everybody locks accounts in this order.
        """
        hold = uuid.uuid4().hex
        now = self._ledger.now()
        with self._ledger.writing() as connection:
            for account, since in spent.items():
                self._add(connection, account, since)  # which locks the account to the end of the transaction
                if account.stop is not None and not self._has_room(connection, account):
                    raise SpentError(account, self._spent(connection, account) < account.stop)
                until = (now + LEASE).timestamp()
                row = self._key(account) | {"id": hold, "usd": usd, "until": until}
                connection.execute(BUDGET_HOLDS.insert().values(row))
        return hold

    def settle(self, hold: str, spent: Mapping[Account, float]) -> None:
        """Give a reserve back and add what was ``spent`` instead; one whose lease has run out only adds."""
        with self._ledger.writing() as connection:
            for account, since in spent.items():
                self._add(connection, account, since)
            connection.execute(delete(BUDGET_HOLDS).where(BUDGET_HOLDS.c.id == hold))

    def _add(self, connection: Connection, account: Account, usd: float) -> None:
        key = self._key(account)
        content = {"spent_usd": usd, "at": self._ledger.now().timestamp()}
        inserting = self._ledger.upserting(BUDGET_ACCOUNTS).values(key | content)
        adding = {"spent_usd": BUDGET_ACCOUNTS.c.spent_usd + usd, "at": content["at"]}
        connection.execute(inserting.on_conflict_do_update(index_elements=list(key), set_=adding))

    def _has_room(self, connection: Connection, account: Account) -> bool:
        hold, now = BUDGET_HOLDS.c, self._ledger.now().timestamp()
        connection.execute(delete(BUDGET_HOLDS).where(self._of(account, BUDGET_HOLDS), hold.until <= now))
        held = select(func.coalesce(func.sum(hold.usd), 0.0)).where(self._of(account, BUDGET_HOLDS)).scalar_subquery()
        here, stop = BUDGET_ACCOUNTS.c.spent_usd, account.stop
        room = [self._of(account, BUDGET_ACCOUNTS), here + held < stop]
        if account.kind == "user_day":
            # What was spent without a reserve counts, too, as soon as it is written.
            room.append(func.coalesce(self._usage(account), 0.0) + held < stop)
        return connection.execute(update(BUDGET_ACCOUNTS).where(*room).values(at=now)).rowcount == 1

    def _spent(self, connection: Connection, account: Account) -> float:
        here = select(BUDGET_ACCOUNTS.c.spent_usd).where(self._of(account, BUDGET_ACCOUNTS))
        spent: float = connection.execute(here).scalar_one()
        if account.kind == "user_day":
            spent = max(spent, connection.execute(select(func.coalesce(self._usage(account), 0.0))).scalar_one())
        return spent

    def _usage(self, account: Account) -> Any:
        day = "" if account.day is None else account.day.isoformat()
        user = (USAGE.c.agent == self._agent, USAGE.c.user_id == account.holder, USAGE.c.day == day)
        return select(USAGE.c.cost_usd).where(*user).scalar_subquery()

    def _key(self, account: Account) -> dict[str, str]:
        day = "" if account.day is None else account.day.isoformat()
        return {"agent": self._agent, "kind": account.kind, "holder": account.holder, "day": day}

    def _of(self, account: Account, table: Any) -> ColumnElement[bool]:
        return and_(*(table.c[name] == value for name, value in self._key(account).items()))
