"""What a conversation and a user's day may cost, and what happens beyond: a warning, fewer requests, or a stop.

What a call of the model may cost is reserved before it and settled after it, in the ledger, so that calls that run at
once, here or on other replicas, cannot spend the same dollar twice. Nothing else waits for the ledger while a user
waits: a thread reads from it what users spent on all replicas and who is throttled, and what this process spends in
between is added up in memory.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from math import ceil
from pathlib import Path
from weakref import WeakKeyDictionary, WeakSet

from pydantic import Field

from agentgauge.cost.accounts import Account, Accounts, SpentError
from agentgauge.cost.reserving import (
    Held,
    NotSharedError,
    Reserve,
    Reserves,
    Share,
    ShareSpentError,
    sharing,
    tokens_at_most,
    usd_at_most,
)
from agentgauge.cost.throttles import Level, Throttle, Throttles, end_of_day
from agentgauge.files.yaml_file import read_yaml
from agentgauge.files.yaml_model import Part, parsed
from agentgauge.gauge import AgentGauge
from agentgauge.ledger.store import is_storable
from agentgauge.session import Session

log = logging.getLogger(__name__)

SET_BY = "the budget"
STATES: Mapping[Level, str] = {"throttle": "throttled", "stop": "stopped"}


class Budget(Part):
    """USD from which on a user is warned, throttled and stopped.

    Without ``throttle`` or ``stop``, that never happens; ``Budgets`` says where a user is warned without ``warn``.
    """

    warn: float | None = Field(default=None, gt=0)
    throttle: float | None = Field(default=None, gt=0)
    stop: float | None = Field(default=None, gt=0)

    def level(self, usd: float) -> Level | None:
        """What such a spend leads to, a warning aside."""
        if self.stop is not None and usd >= self.stop:
            return "stop"
        return "throttle" if self.throttle is not None and usd >= self.throttle else None


class BudgetPolicy(Part):
    """The whole file. ``contact`` is whom users can ask for more.

    ``unpriced_call_usd`` is what a call of a model without a price counts as here. ``alone`` is the share of a user's
    daily stop that each process may spend while it cannot reach the ledger, where all replicas add up what they spend.
    """

    session: Budget
    user_day: Budget
    seconds_between_requests: float = Field(gt=0)
    contact: str = Field(min_length=1)
    unpriced_call_usd: float = Field(default=0.05, gt=0)
    alone: float = Field(default=0.05, ge=0, le=1)


def load(path: Path) -> BudgetPolicy:
    """Read the file; raises YamlFileError at the first thing wrong with it."""
    file = read_yaml(path)
    policy = parsed(file, BudgetPolicy)
    for name in ("session", "user_day"):
        budget: Budget = getattr(policy, name)
        given = [(level, usd) for level in ("warn", "throttle", "stop") if (usd := getattr(budget, level)) is not None]
        for (milder, low), (harder, high) in pairwise(given):
            if high <= low:
                raise file.error([name, harder], f"{high:g} has to be more than {milder}, which is {low:g}")
    return policy


class BudgetReachedError(Exception):
    """The user has to wait, or to stop; the message is for the user."""


@dataclass(frozen=True)
class _Limit:
    """Why somebody is throttled or stopped, and how that ends, in words for the user."""

    level: Level
    why: str
    ends: str


@dataclass(frozen=True)
class _Shared:
    """What all replicas share, as last read: USD by user on a UTC day, and the throttles.

    Of users who have not been here, only those are known who have reached a limit.
    """

    day: date | None = None
    spent: Mapping[str, float] = field(default_factory=dict)
    throttles: tuple[Throttle, ...] = ()


class Budgets:
    """Keeps the sessions of one agent within a policy. Its methods are about the session in force.

    A policy that does not say where users are warned warns them where people are alerted: in a session at the limit in
    force, ``gauge.limits.cost_usd``, and on a day at ``gauge.limits.of_a_user_day``. Without a ledger, a user's day is
    what this process saw of it. ``now`` is the time in UTC, by default the ledger's.
    """

    def __init__(self, policy: BudgetPolicy, gauge: AgentGauge, now: Callable[[], datetime] | None = None) -> None:
        self._policy = policy
        self._gauge = gauge
        self._usual_of_session = policy.session.warn or gauge.limits.cost_usd
        self._usual_of_day = policy.user_day.warn or gauge.limits.of_a_user_day
        limits = (self._usual_of_day, policy.user_day.throttle, policy.user_day.stop)
        self._first_limit = min(limit for limit in limits if limit is not None)
        self._ledger = gauge.ledger
        self._throttles = Throttles(gauge.ledger, gauge.agent) if gauge.ledger is not None else None
        self._now = now or (gauge.ledger.now if gauge.ledger is not None else lambda: datetime.now(UTC))
        accounts = Accounts(gauge.ledger, gauge.agent) if gauge.ledger is not None else None
        self._reserves = Reserves(accounts, policy.alone)
        self._shared = _Shared()
        self._lock = threading.Lock()
        self._added: dict[tuple[date, str], float] = {}
        self._noted: WeakKeyDictionary[Session, float] = WeakKeyDictionary()
        self._unbilled: WeakKeyDictionary[Session, float] = WeakKeyDictionary()
        self._last_request: dict[str, datetime] = {}
        self._warned_sessions: WeakSet[Session] = WeakSet()
        self._warned_users: dict[str, date] = {}

    def admit(self) -> None:
        """Let a new request begin, or raise BudgetReachedError: its user is stopped, or throttled and too early."""
        self.check()
        session = self._gauge.current_session()
        if session is None:
            return
        limit = next((limit for limit in self._limits(session) if limit.level == "throttle"), None)
        if limit is None:
            return
        who, now = session.user_id or session.id, self._now()
        pause = timedelta(seconds=self._policy.seconds_between_requests)
        wait = self._last_request.get(who, now - pause) + pause - now
        if wait > timedelta():
            raise BudgetReachedError(
                f"I can take one request every {pause.total_seconds():g} seconds from you: {limit.why}. Please ask "
                f"again in {ceil(wait.total_seconds())} seconds. {limit.ends} {self._ask_for_more()}"
            )
        self._last_request[who] = now

    def check(self) -> None:
        """Let a call of the model be made, or raise BudgetReachedError if its user or session is stopped."""
        session = self._gauge.current_session()
        if session is None:
            return
        self._note(session)
        for limit in self._limits(session):
            if limit.level == "stop":
                raise self._stopped(limit)

    def reserve(
        self,
        model: str,
        *,
        max_tokens: int,
        sent: object = None,
        input_tokens: int | None = None,
        provider: str | None = None,
    ) -> Reserve:
        """Reserve what one call of the model may cost: ``async with budgets.reserve(…):`` or ``with``, around the call.

        The upper bound is ``max_tokens`` of answer and ``input_tokens`` of prompt, or what ``sent`` (system prompt,
        tools, messages) comes to at most; a model without a price counts as the policy's ``unpriced_call_usd``.
        Entering does what ``check`` does, and raises BudgetReachedError, too, if what is spent and reserved has reached
        a stop: it is exceeded by one call's reserve at most. A process that dies gives its reserves back within
        ``LEASE``. A session of the same id in another process draws on the same budget.
        """
        prompt = tokens_at_most(sent) if input_tokens is None else input_tokens
        usd = usd_at_most(self._gauge.prices, model, prompt, max_tokens, provider)
        return Reserve(self._policy.unpriced_call_usd if usd is None else usd, self._take, self._settle)

    def share(self, usd: float) -> AbstractContextManager[Share]:
        """Give a part of the work, such as a subagent, at most so many USD of what its session has left.

        ``with gauge.subagent("researcher"), budgets.share(0.20):`` – calls that are reserved inside draw on the share
        and on the budgets around it, and raise BudgetReachedError when one of them is spent. Shares can be nested; one
        belongs to this process.
        """
        return sharing(usd)

    def warning(self) -> str | None:
        """A sentence for the user at the end of a request, the first time that there is something to warn of."""
        session = self._gauge.current_session()
        if session is None:
            return None
        self._note(session)
        usual = self._usual_of_session
        if (cost := self._cost(session)) >= usual and session not in self._warned_sessions:
            self._warned_sessions.add(session)
            return (
                f"Note: this conversation has cost ${cost:.2f} so far, and ${usual:.2f} is usual. "
                "For another topic, please start a new one."
            )
        usual, user, today = self._usual_of_day, session.user_id, self._now().date()
        if user is not None and self._warned_users.get(user) != today:
            spent = self._spent(user)
            if spent >= usual:
                self._warned_users[user] = today
                return f"Note: you have used ${spent:.2f} today, and ${usual:.2f} is usual."
        return None

    def refresh(self) -> None:
        """Read what users spent and who is throttled, and throttle whoever's day is over budget, for all replicas.

        Raises what the database raises, and then all stays as it was.
        """
        if self._ledger is None or self._throttles is None:
            return
        with self._lock:
            written = dict(self._added)  # just before, by the same thread
            here = {user for session in self._noted if (user := session.user_id) is not None}
        here.update(user for _, user in written)
        # Most users are far from every limit and not here: thousands of them would be read for nothing.
        day = self._ledger.today()
        spent = self._ledger.spend_today(self._gauge.agent, at_least=self._first_limit, and_of=sorted(here))
        throttles = self._with_budgets(self._throttles, spent)
        self._log_changes(set(throttles) - set(self._shared.throttles))
        with self._lock:
            self._shared = _Shared(day, spent, tuple(throttles))
            rest = {key: usd - written.get(key, 0.0) for key, usd in self._added.items()}
            self._added = {key: usd for key, usd in rest.items() if usd > 0}

    def _with_budgets(self, throttles: Throttles, spent: Mapping[str, float]) -> list[Throttle]:
        """The throttles there are, after everybody whose day is over budget has got one."""
        current = throttles.current()
        known = {(throttle.user_id, throttle.level) for throttle in current}
        over = {(user, level): usd for user, usd in spent.items() if (level := self._policy.user_day.level(usd))}
        for user, level in over.keys() - known:
            reason = f"spent ${over[user, level]:.2f} today"
            throttles.put_first(user, level, end_of_day(self._now()), SET_BY, reason)
        return current if over.keys() <= known else throttles.current()

    def _limits(self, session: Session) -> Iterator[_Limit]:
        if level := self._policy.session.level(self._cost(session)):
            yield self._session_over(level)
        user, now = session.user_id, self._now()
        if user is None:
            return
        own = [throttle for throttle in self._shared.throttles if throttle.user_id == user]
        level = self._policy.user_day.level(self._spent(user))
        if level and level not in {throttle.level for throttle in own}:
            yield _day_over(level)
        for throttle in own:
            if throttle.lifted_by is None and (throttle.until is None or throttle.until > now):
                yield _day_over(throttle.level) if throttle.set_by == SET_BY else _set_by_people(throttle)

    def _session_over(self, level: Level) -> _Limit:
        usd = getattr(self._policy.session, level)
        why = f"this conversation has reached its budget of ${usd:.2f}"
        return _Limit(level, why, "A new conversation starts at zero.")

    def _take(self, usd: float) -> Held | None:
        """Reserve for a call that the session in force makes; None outside of sessions."""
        self.check()
        session = self._gauge.current_session()
        if session is None:
            return None
        try:
            return self._reserves.take(session, self._accounts(session), self._cost(session), usd)
        except ShareSpentError as error:
            why = f"this part of the work has reached its budget of ${error.share.usd:.2f}"
            limit = _Limit("stop", why, "The rest of the work can go on.")
        except SpentError as error:
            limit = _still_running(error.account) if error.is_reserved else self._over(error.account)
        except NotSharedError:
            why = "I cannot look up at present what I have spent for you elsewhere"
            limit = _Limit("stop", why, "Please try again in a minute.")
        raise self._stopped(limit)

    def _settle(self, held: Held, bill: float, is_unknown: bool) -> None:
        if is_unknown:
            with self._lock:
                self._unbilled[held.session] = self._unbilled.get(held.session, 0.0) + bill
        self._note(held.session)
        self._reserves.settle(held, self._cost(held.session), bill)

    def _accounts(self, session: Session) -> dict[Account, float]:
        """The budgets that a call of the session draws on, and what this process knows to be spent of each."""
        of_session = Account("session", _storable(session.id), None, self._policy.session.stop)
        accounts = {of_session: self._cost(session)}
        user = session.user_id
        if user is not None:
            lifted = {throttle.level for throttle in self._shared.throttles if throttle.user_id == user}
            stop = None if "stop" in lifted else self._policy.user_day.stop  # people's word counts more than the file's
            accounts[Account("user_day", _storable(user), self._now().date(), stop)] = self._spent(user)
        return accounts

    def _over(self, account: Account) -> _Limit:
        return _day_over("stop") if account.kind == "user_day" else self._session_over("stop")

    def _stopped(self, limit: _Limit) -> BudgetReachedError:
        return BudgetReachedError(f"I have to stop here: {limit.why}. {limit.ends} {self._ask_for_more()}")

    def _cost(self, session: Session) -> float:
        """What a session cost, with the calls whose price nobody knows, in USD."""
        return session.cost_usd + self._unbilled.get(session, 0.0)

    def _spent(self, user: str) -> float:
        """What a user spent today, in USD."""
        today = self._now().date()
        with self._lock:
            shared = self._shared.spent.get(user, 0.0) if self._shared.day == today else 0.0
            return shared + self._added.get((today, user), 0.0)

    def _note(self, session: Session) -> None:
        """Add what a session cost since the last time to its user's day."""
        if session.user_id is None:
            return
        cost = self._cost(session)
        key = (self._now().date(), session.user_id)
        with self._lock:
            self._added[key] = self._added.get(key, 0.0) + cost - self._noted.get(session, 0.0)
            self._noted[session] = cost

    def _ask_for_more(self) -> str:
        return f"If you need more, please ask {self._policy.contact}."

    def _log_changes(self, changed: Iterable[Throttle]) -> None:
        for throttle in sorted(changed, key=lambda one: one.since):
            user = self._ledger.pseudonym(throttle.user_id) if self._ledger else ""
            if throttle.lifted_by is not None:
                log.warning("user %s is not %s any more", user, STATES[throttle.level])
            else:
                until = f"until {throttle.until:%Y-%m-%d %H:%M} UTC" if throttle.until else "until somebody lifts it"
                log.warning("user %s is %s %s, set by %s", user, STATES[throttle.level], until, throttle.set_by)


def _storable(name: str) -> str:
    """An id as the ledger can keep it."""
    return name if is_storable(name) else hashlib.sha256(name.encode(errors="replace")).hexdigest()


def _still_running(account: Account) -> _Limit:
    """What is left of a budget may be used up by calls that are running."""
    of = "for today" if account.kind == "user_day" else "of this conversation"
    why = f"what I am doing for you elsewhere may use up what is left of the budget {of}"
    return _Limit("stop", why, "Please ask again when that has ended.")


def _day_over(level: Level) -> _Limit:
    return _Limit(level, "you have reached your budget for today", "It starts again at 00:00 UTC.")


def _set_by_people(throttle: Throttle) -> _Limit:
    ends = f"at {throttle.until:%H:%M UTC on %d %B}" if throttle.until else "when they lift it"
    return _Limit(throttle.level, "the people who run me have set a limit for you", f"That ends {ends}.")
