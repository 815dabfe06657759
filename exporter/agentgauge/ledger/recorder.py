"""Usage on its way to the ledger: added up in memory, written by one thread, never on the request path."""

from __future__ import annotations

import atexit
import math
import threading
from collections.abc import Callable, Iterable
from time import monotonic

from sqlalchemy.exc import SQLAlchemyError

from agentgauge import metrics
from agentgauge.forks import in_forked_children
from agentgauge.ledger.expiry import Expiry
from agentgauge.ledger.store import Ledger, Usage, UserDay, is_storable

FLUSH_SECONDS = 1.0
FOLLOW_SECONDS = 2.0
SLOW_FACTOR = 20
"""A ledger that takes long to say what people did is asked less often: it is waited for at most 1/20 of the time…"""
LONGEST_FOLLOW_SECONDS = 10.0
"""…but asked at least this often."""
REFRESH_SECONDS = 5.0
EXPIRY_SECONDS = 3600.0
CLOSING_SECONDS = 10.0
FIRST_REFRESH_SECONDS = 2.0
"""How long a process waits at its start for what the ledger holds, so that its first scrape shows it."""
MOST_WAITING = 10_000
"""Users that may wait to be written, each once a day: what comes beyond is dropped and counted."""


class UsageDroppedError(Exception):
    """Usage that could not be kept: too much is waiting, the recorder is closed, or the user id cannot be stored."""


class Recorder:
    """Keeps one agent's usage until its thread writes it, every second; the thread calls the refreshers, too.

    ``refreshers`` set what is shown from what the ledger holds, every few seconds. What people do to the agent is
    followed more often, by the followers: each is one cheap query.

    What waits is added up by user and day, so a ledger that cannot be reached costs nothing until MOST_WAITING users
    wait. Faults go to ``on_fault``; nothing raises. A database that fails once does not count: what it did not take
    or give is there the next time. A forked child starts empty, with its own thread once it has something to write.
    """

    _waiting: dict[UserDay, Usage]
    _lock: threading.RLock  # not Lock: what is collected as garbage meanwhile may count, too
    _using_ledger: threading.Lock
    _stopping: threading.Event
    _refreshed: threading.Event
    _thread: threading.Thread | None
    _failed: set[Callable[[], object]]  # of what is done again and again: what the database failed the last time

    def __init__(
        self,
        ledger: Ledger,
        agent: str,
        refreshers: Iterable[Callable[[], None]],
        on_fault: Callable[[Exception], None],
        flush_seconds: float = FLUSH_SECONDS,
    ) -> None:
        self._ledger = ledger
        self._agent = agent
        self._expiry = Expiry(ledger, agent)
        self._refreshers = list(refreshers)
        self._followers: list[Callable[[], object]] = []
        self._writers: list[Callable[[], None]] = []
        self._on_fault = on_fault
        self._flush_seconds = flush_seconds
        self._closed = False
        self._begin_empty()
        self._start()
        in_forked_children(self._begin_empty)
        atexit.register(self.close)

    def add(
        self, user_id: str, *, sessions: int = 0, turns: int = 0, cost_usd: float = 0.0, failed: bool = False
    ) -> None:
        """Take usage of today, or that a request ``failed`` now; returns at once, whatever the database does."""
        try:
            now = self._ledger.now()
            turn_at = now.timestamp() if turns else None
            failed_at = now.timestamp() if failed else None
            with self._lock:
                kept = self._keep((now.date(), user_id), Usage(sessions, turns, cost_usd, turn_at, turn_at, failed_at))
            self.start()
            if not kept:
                self._on_fault(UsageDroppedError())
        except Exception as fault:
            self._on_fault(fault)

    def add_feedback(self, user_id: str | None, rating: str, reason: str, session_id: str | None = None) -> bool:
        """Commit a thumb before returning; False if the ledger could not take it."""
        try:
            if user_id is not None and not is_storable(user_id):
                self._on_fault(UsageDroppedError())
                user_id = None  # the thumb counts all the same
            rating, reason = (
                value if value in label.values else metrics.OTHER
                for label, value in zip(metrics.FEEDBACK.labels, (rating, reason), strict=True)
            )
            session = session_id if session_id is not None and is_storable(session_id) else None
            self._ledger.add_feedback(self._agent, user_id, rating, reason, session)
        except Exception as fault:
            self._on_fault(fault)
            return False
        return True

    def flush(self) -> None:
        """Write what waits, now; it waits on if the ledger cannot take it."""
        self._call([self._write_usage, *self._writers])

    def refresh(self) -> None:
        """Call each refresher now; one that fails does not keep the next from its turn."""
        self._call(self._refreshers)

    def follow(self) -> None:
        """Call each follower now, likewise."""
        self._call(self._followers)

    def call(self, work: Callable[[], None]) -> None:
        """Call this one now, alone with the ledger as the refreshers are; a fault goes to ``on_fault``."""
        with self._using_ledger:
            try:
                work()
            except Exception as fault:
                self._on_fault(fault)

    def add_refresher(self, refresher: Callable[[], None]) -> None:
        """Call this one, too, from the next time on."""
        self._refreshers.append(refresher)

    def add_follower(self, follower: Callable[[], object]) -> None:
        """Call this one every FOLLOW_SECONDS from now on."""
        self._followers.append(follower)

    def add_writer(self, writer: Callable[[], None]) -> None:
        """Call this one whenever what waits is written, at the end, too."""
        self._writers.append(writer)

    def start(self) -> None:
        """Start the thread if this process has none yet: a forked child does so with its first session."""
        if self._thread is None:
            with self._lock:
                if self._thread is None and not self._closed:
                    self._start()

    def wait_for_first_refresh(self) -> None:
        """Start the thread if need be, and wait until it has shown what the ledger holds, or FIRST_REFRESH_SECONDS."""
        self.start()
        self._refreshed.wait(FIRST_REFRESH_SECONDS)

    def close(self) -> None:
        """Write what waits and end the thread; usage that comes later is dropped and counted."""
        atexit.unregister(self.close)
        with self._lock:
            self._closed = True
            thread = self._thread
        self._stopping.set()
        if thread is not None:
            thread.join(CLOSING_SECONDS)
        self._ledger.close()

    def _call(self, each: Iterable[Callable[[], object]]) -> None:
        """Call what is called again and again; only at the end, what fails once has failed for good."""
        with self._using_ledger:
            for one in list(each):
                try:
                    one()
                except (SQLAlchemyError, OSError) as fault:
                    if one in self._failed or self._closed:
                        self._on_fault(fault)
                    self._failed.add(one)
                except Exception as fault:
                    self._on_fault(fault)
                else:
                    self._failed.discard(one)

    def _write_usage(self) -> None:
        with self._lock:
            batch, self._waiting = self._waiting, {}
        try:
            self._ledger.add_usage(self._agent, batch)
        except Exception:
            with self._lock:
                dropped = sum(not self._keep(key, usage) for key, usage in batch.items())
            for _ in range(dropped):
                self._on_fault(UsageDroppedError())
            raise

    def _keep(self, key: UserDay, usage: Usage) -> bool:
        if self._closed or not math.isfinite(usage.cost_usd):
            return False
        if key not in self._waiting and (len(self._waiting) >= MOST_WAITING or not is_storable(key[1])):
            return False
        self._waiting.setdefault(key, Usage()).add(usage)
        return True

    def _begin_empty(self) -> None:
        """As at the start: what waited in a parent process, and the thread and locks, are the parent's."""
        self._waiting = {}
        self._lock = threading.RLock()
        self._using_ledger = threading.Lock()
        self._stopping = threading.Event()
        self._refreshed = threading.Event()
        self._thread = None
        self._failed = set()

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="agentgauge-ledger", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self.refresh()
        self._refreshed.set()
        follow_at = expire_at = monotonic()
        refresh_at = monotonic() + REFRESH_SECONDS
        while not self._stopping.wait(self._flush_seconds):
            self.flush()
            if (began := monotonic()) >= follow_at:
                self.follow()
                follow_at = monotonic() + pause_after(monotonic() - began)
            if monotonic() >= refresh_at:
                refresh_at = monotonic() + REFRESH_SECONDS
                self.refresh()
            if monotonic() >= expire_at:
                expire_at = monotonic() + EXPIRY_SECONDS
                self._call([self._expiry.delete])
        self.flush()


def pause_after(seconds: float) -> float:
    """How long not to ask a ledger that took so many seconds to say what people did."""
    return min(max(FOLLOW_SECONDS, seconds * SLOW_FACTOR), LONGEST_FOLLOW_SECONDS)
