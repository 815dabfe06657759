"""What is reserved of a budget before the model is called, and settled by what the call has cost."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from math import ceil
from time import monotonic
from typing import Self
from weakref import WeakKeyDictionary

from sqlalchemy.exc import SQLAlchemyError

from agentgauge.cost.accounts import Account, Accounts, SpentError
from agentgauge.pricing import PriceTable, TokenUsage
from agentgauge.session import Session, billed_to

log = logging.getLogger(__name__)

BYTES_PER_TOKEN = 3
"""Fewer than a token of any usual language has in UTF-8 as JSON, so that a prompt is rather taken to be too long."""

REST_SECONDS = 10.0
"""How long a ledger that could not be reached is not asked again: each time, a user waits for its time-out."""

TINY_USD = 1e-9
"""What sums of floats leave over when all is given back."""


def tokens_at_most(sent: object) -> int:
    """About how many tokens a prompt has at most: all that is sent, as it would be written in JSON."""
    return ceil(len(json.dumps(sent, ensure_ascii=False, default=str).encode()) / BYTES_PER_TOKEN)


def usd_at_most(prices: PriceTable, model: str, prompt: int, output: int, provider: str | None) -> float | None:
    """What a call of so many tokens costs at most, whatever of it the prompt cache takes; None without a price."""
    kinds = (
        TokenUsage(input=prompt, output=output),
        TokenUsage(cache_write_5m=prompt, output=output),
        TokenUsage(cache_write_1h=prompt, output=output),
    )
    return max((usd for kind in kinds if (usd := prices.cost_usd(model, kind, provider)) is not None), default=None)


@dataclass(eq=False)
class Share:
    """What a part of the work may cost; ``spent`` and ``held`` are what it has, and what is reserved of it, in USD."""

    usd: float
    spent: float = 0.0
    held: float = 0.0


class NotSharedError(Exception):
    """The ledger cannot be reached, and this process has had all that it may spend of an account until it can."""


class ShareSpentError(Exception):
    """There is nothing left of a share, or what is left is reserved."""

    def __init__(self, share: Share) -> None:
        super().__init__(share)
        self.share = share


_shares: ContextVar[tuple[Share, ...]] = ContextVar("agentgauge_budget_shares", default=())


@contextmanager
def sharing(usd: float) -> Iterator[Share]:
    """See ``Budgets.share``."""
    if not usd > 0:
        raise ValueError(f"a share of {usd} USD: expected more than 0")
    share = Share(usd)
    token = _shares.set((*_shares.get(), share))
    try:
        yield share
    finally:
        _shares.reset(token)


@dataclass(frozen=True, eq=False)
class Held:
    """A reserve that is held: in this process, and under ``hold`` in the ledger unless that could not be reached."""

    session: Session
    accounts: Sequence[Account]
    shares: Sequence[Share]
    usd: float
    hold: str | None


class Reserves:
    """What calls that are running have reserved: in this process, and with a ledger for all replicas.

    A ledger that cannot be reached is logged, and this process goes on by what it knows; it is asked again every
    REST_SECONDS, so that its time-out is waited for by one call then and not by each. Of a user's day it may then
    spend ``alone`` of the stop: so processes that know nothing of each other exceed a stop by so much each, and by one
    reserve. A conversation has its whole budget, because it is seldom in two processes.
    """

    def __init__(self, accounts: Accounts | None, alone: float) -> None:
        self._accounts = accounts
        self._alone = alone
        self._lock = threading.RLock()
        self._writing = threading.RLock()  # one of our calls at a time: SQLite lets none of those that wait go first
        self._held: dict[Account, float] = {}
        self._unwritten_held: dict[Account, float] = {}
        self._owed: dict[Account, float] = {}  # spent, and not written to the ledger yet
        self._noted: WeakKeyDictionary[Session, float] = WeakKeyDictionary()
        self._unsettled: list[str] = []  # reserves to give back in the ledger once it can be reached
        self._is_down = False
        self._ask_again_at = 0.0  # of the monotonic clock

    def take(self, session: Session, spent: dict[Account, float], cost: float, usd: float) -> Held:
        """Reserve ``usd``; ``spent`` is what this process knows of each account, ``cost`` all that the session cost.

        Raises SpentError or ShareSpentError, and reserves nothing, if one of them has nothing left; NotSharedError if
        the ledger cannot be reached and this process has had its part.
        """
        shares = _shares.get()
        with self._lock:
            for share in shares:
                if share.spent + share.held >= share.usd:
                    raise ShareSpentError(share)
            for account, so_far in spent.items():
                if account.stop is not None and so_far + self._held.get(account, 0.0) >= account.stop:
                    raise SpentError(account, so_far < account.stop)
            self._hold(spent, shares, usd)
        accounts = list(spent)
        try:
            hold = self._take(session, accounts, cost, usd)
        except BaseException:
            with self._lock:
                self._hold(spent, shares, -usd)
            raise
        return Held(session, accounts, shares, usd, hold)

    def settle(self, held: Held, cost: float, bill: float) -> None:
        """Give a reserve back: the call cost ``bill``, and its session ``cost`` in all."""
        with self._lock:
            self._hold(held.accounts, held.shares, -held.usd)
            for share in held.shares:
                share.spent += bill
            self._note(held.session, held.accounts, cost)
            if held.hold is None:
                _add(self._unwritten_held, held.accounts, -held.usd)
        if (hold := held.hold) is not None:

            def give_back(at: Accounts, owed: Mapping[Account, float]) -> str:
                at.settle(hold, owed)
                return hold

            with self._turn() as may_ask:
                if not may_ask or self._write(held.accounts, give_back) is None:
                    self._unsettled.append(hold)

    def _hold(self, accounts: Sequence[Account] | dict[Account, float], shares: Sequence[Share], usd: float) -> None:
        _add(self._held, accounts, usd)
        for share in shares:
            share.held += usd

    def _take(self, session: Session, accounts: Sequence[Account], cost: float, usd: float) -> str | None:
        """Reserve in the ledger, or off it as long as this process may; None if it is not in the ledger."""
        if self._accounts is None:
            return None
        with self._turn() as may_ask:
            with self._lock:
                self._note(session, accounts, cost)
            hold = self._write(accounts, lambda at, owed: at.take(owed, usd)) if may_ask else None
            if hold is None:
                with self._lock:
                    for account in accounts:
                        owed = self._owed.get(account, 0.0) + self._unwritten_held.get(account, 0.0)
                        of_a_day = account.kind == "user_day" and account.stop is not None
                        if of_a_day and owed >= self._alone * (account.stop or 0.0):
                            raise NotSharedError
                    _add(self._unwritten_held, accounts, usd)
            return hold

    def _note(self, session: Session, accounts: Sequence[Account], cost: float) -> None:
        """Owe the ledger what a session spent since the last time."""
        if self._accounts is not None:
            _add(self._owed, accounts, max(0.0, cost - self._noted.get(session, 0.0)))
            self._noted[session] = max(cost, self._noted.get(session, 0.0))

    @contextmanager
    def _turn(self) -> Iterator[bool]:
        """Whether to ask the ledger, one call at a time; not, and without waiting, while it is known to be down."""
        if not self._writing.acquire(blocking=not self._is_down):
            yield False
            return
        try:
            yield not self._is_down or monotonic() >= self._ask_again_at
        finally:
            self._writing.release()

    def _write(
        self, accounts: Sequence[Account], write: Callable[[Accounts, Mapping[Account, float]], str]
    ) -> str | None:
        """Write to the ledger, with what it is owed; None if it cannot be reached."""
        if self._accounts is None:
            return None
        with self._lock:
            owed = {account: self._owed.get(account, 0.0) for account in accounts}
        try:
            while self._unsettled:
                self._accounts.settle(self._unsettled[-1], {})
                self._unsettled.pop()
            hold = write(self._accounts, owed)
        except SQLAlchemyError as error:
            self._ask_again_at = monotonic() + REST_SECONDS
            self._log_once(f"budgets are not shared with other replicas: the ledger fails ({type(error).__name__})")
            return None
        except SpentError:
            self._is_down = False  # it has answered
            raise
        with self._lock:
            for account, usd in owed.items():
                _add(self._owed, [account], -usd)
        self._is_down = False
        return hold

    def _log_once(self, message: str) -> None:
        if not self._is_down:
            self._is_down = True
            log.warning(message)


def _add(sums: dict[Account, float], accounts: Sequence[Account] | dict[Account, float], usd: float) -> None:
    """Add to the sum of each account; what comes to nothing is left out."""
    for account in accounts:
        sums[account] = sums.get(account, 0.0) + usd
        if sums[account] <= TINY_USD:
            del sums[account]


@dataclass(eq=False)
class Reserve:
    """A call of the model within its budget: ``with`` or ``async with`` around it, until its answer is read whole.

    ``usd`` is what the call may cost at most. Its bill is what the calls made inside are counted with; where none is
    counted although nothing failed, as for a model without a price, the call is taken to have cost ``usd``.
    """

    usd: float
    _take: Callable[[float], Held | None]
    _settle: Callable[[Held, float, bool], None]
    _held: Held | None = None
    _bill: float | None = None
    _scope: AbstractContextManager[None] | None = field(default=None)

    def bill(self, usd: float) -> None:
        """Take what a call cost; several are added up."""
        self._bill = (self._bill or 0.0) + usd

    def __enter__(self) -> Self:
        self._held = self._take(self.usd)
        self._begin()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        self._end()
        self._give_back(kind)

    async def __aenter__(self) -> Self:
        self._held = await asyncio.to_thread(self._take, self.usd)
        self._begin()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        self._end()
        await asyncio.shield(asyncio.to_thread(self._give_back, kind))

    def _begin(self) -> None:
        self._scope = billed_to(self)
        self._scope.__enter__()

    def _end(self) -> None:
        if self._scope is not None:
            self._scope.__exit__(None, None, None)

    def _give_back(self, kind: type[BaseException] | None) -> None:
        if self._held is None:
            return
        is_unknown = self._bill is None and kind is None
        self._settle(self._held, self.usd if is_unknown else self._bill or 0.0, is_unknown)
