"""Processes that belong together: started in order, started again when one dies, ended together, none left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO

from stack.services import StackService

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 30.0
"""Before a service is started again: it doubles with each death soon after a start."""
SETTLED_SECONDS = 60.0
"""What lives so long has started well: its next death is a first one again."""
SHOWN_DEATHS = 3
"""At this death in a row the end of the log is shown."""
END_SECONDS = 5.0
"""What has not ended by then is killed."""
LOOK_SECONDS = 0.1
"""Between two looks: Python handles a signal that comes just before it waits only once it has waited."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Each ends everything: Ctrl-C, `make down`, and a closed terminal."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Ended:
    """What one process left behind; ``pid`` tells it from the one that was started in its place."""

    name: str
    pid: int
    status: int


@dataclass
class Life:
    """A service and its current process. ``log_from`` is where the process's part of the log begins, in bytes."""

    service: StackService
    process: subprocess.Popen[bytes] | None = None
    log_from: int = 0
    started: float = 0.0
    deaths: int = 0
    start_again_at: float | None = None


class Supervisor:
    """Runs services until a signal comes, or until one dies before all are ready.

    Each writes into ``logs/<name>.log``; the lines of those in ``heard`` are said as well. ``say`` gets what a person
    should know. ``on_restart`` is called after a service was started again.
    """

    def __init__(
        self, services: list[StackService], env: Mapping[str, str], logs: Path, say: Say, heard: tuple[str, ...] = ()
    ) -> None:
        self._lives = {service.name: Life(service) for service in services}
        self._env = dict(env)
        self._logs = logs
        self._say = say
        self._heard = heard
        self._events: SimpleQueue[Ended | int | str] = SimpleQueue()
        self.on_restart: Callable[[StackService], None] = lambda _service: None
        self.are_all_ready = False
        self.is_ending = threading.Event()

    @property
    def pids(self) -> dict[str, int]:
        """Service → pid of its latest process."""
        return {name: life.process.pid for name, life in self._lives.items() if life.process is not None}

    def give_up(self, why: str) -> None:
        """End everything, as a failure; from any thread."""
        self._events.put(why)

    def run(self) -> int:
        """Run; the exit status: 0 after a signal, else that of the service that ended it all, or 1.

        Must be called from the main thread.
        """
        with self._signals():
            try:
                for life in self._lives.values():
                    self._start(life)
                return self._until_the_end()
            finally:
                self.is_ending.set()
                self._end_all()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, lambda number, _frame: self._events.put(number)) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _until_the_end(self) -> int:
        while True:
            match self._next_event():
                case int():
                    return 0
                case str() as why:
                    self._say(why)
                    return 1
                case Ended() as ended if not self.are_all_ready:
                    self._say(
                        f"{ended.name} ended with status {ended.status}, so everything was stopped; the end of its log:"
                    )
                    self._say(self._end_of_log(self._lives[ended.name]))
                    return ended.status if ended.status > 0 else 1
                case Ended() as ended:
                    self._plan_restart(self._lives[ended.name], ended.status)
                case None:
                    self._start_those_due()

    def _next_event(self) -> Ended | int | str | None:
        """The next event, or None when services may have to be started again."""
        try:
            return self._events.get(timeout=LOOK_SECONDS)
        except Empty:
            return None

    def _plan_restart(self, life: Life, status: int) -> None:
        life.deaths = 1 if time.monotonic() - life.started > SETTLED_SECONDS else life.deaths + 1
        pause = min(FIRST_PAUSE_SECONDS * 2 ** (life.deaths - 1), LONGEST_PAUSE_SECONDS)
        life.start_again_at = time.monotonic() + pause
        name = life.service.name
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        self._say(f"{name} {how}; it is started again in {pause:.0f} s")
        if life.deaths == SHOWN_DEATHS:
            self._say(f"{name} has died {life.deaths} times in a row; the end of {self._log(life)}:")
            self._say(self._end_of_log(life))

    def _start_those_due(self) -> None:
        for life in self._lives.values():
            if life.start_again_at is not None and life.start_again_at <= time.monotonic():
                life.start_again_at = None
                self._start(life)
                self.on_restart(life.service)

    def _start(self, life: Life) -> None:
        service = life.service
        path = self._log(life)
        is_first = life.process is None
        is_heard = service.name in self._heard
        with path.open("wb" if is_first else "ab") as log:
            life.log_from = log.tell()
            life.started = time.monotonic()
            life.process = subprocess.Popen(
                service.command,
                cwd=service.folder,
                env=self._env | service.env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if is_heard else log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C in the terminal is ours to pass on
            )
        if is_heard:
            threading.Thread(target=self._hear, args=(life.process.stdout, path), daemon=True).start()
        threading.Thread(target=self._wait, args=(service.name, life.process), daemon=True).start()

    def _hear(self, output: IO[bytes], path: Path) -> None:
        with output, path.open("ab") as log:
            for line in output:
                log.write(line)
                log.flush()
                self._say(line.decode("utf-8", "replace").rstrip("\n"))

    def _wait(self, name: str, process: subprocess.Popen[bytes]) -> None:
        self._events.put(Ended(name, process.pid, process.wait()))

    def _end_all(self) -> None:
        self._signal_all(signal.SIGTERM)
        deadline = time.monotonic() + END_SECONDS
        for life in self._lives.values():
            if life.process is not None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    life.process.wait(max(0.0, deadline - time.monotonic()))
        self._signal_all(signal.SIGKILL)  # what is frozen, does not listen, or was left by a process that ended

    def _signal_all(self, number: signal.Signals) -> None:
        for life in self._lives.values():
            if life.process is not None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(life.process.pid, number)

    def _log(self, life: Life) -> Path:
        return self._logs / f"{life.service.name}.log"

    def _end_of_log(self, life: Life, lines: int = 8) -> str:
        """The last lines of the latest process's own part."""
        with self._log(life).open("rb") as log:
            log.seek(life.log_from)
            text = log.read().decode("utf-8", "replace")
        return "\n".join(f"  {line}" for line in text.splitlines()[-lines:]) or "  (it wrote nothing)"
