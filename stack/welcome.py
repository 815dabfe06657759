"""What a start says: that it goes on, while it takes long, and where everything is, once it is up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from stack.layout import Layout, Ports

SILENCE_SECONDS = 10.0
"""Whoever waits is told after so long that it goes on, and with what."""

Say = Callable[[str], None]


class Progress:
    """Passes on what is said, and repeats the last of it while nothing new comes; ``clock`` is in seconds."""

    def __init__(self, say: Say, clock: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._clock = clock
        self._lock = threading.Lock()
        self._doing, self._heard = "starting", clock()
        self.began = clock()

    def say(self, text: str) -> None:
        """Pass a line on."""
        with self._lock:
            self._doing, self._heard = text.strip(), self._clock()
            self._say(text)

    def remind(self) -> None:
        """Say that it goes on, if nothing was said for long."""
        with self._lock:
            if self._clock() - self._heard >= SILENCE_SECONDS:
                self._heard = self._clock()
                self._say(f"  it goes on after {self._doing!r}; {self.seconds:.0f} s so far")

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return self._clock() - self.began

    @contextmanager
    def reminding(self) -> Iterator[Callable[[], None]]:
        """Remind for as long as the block runs, or until what it gives is called."""
        over = threading.Event()

        def watch() -> None:
            while not over.wait(1):
                self.remind()

        threading.Thread(target=watch, daemon=True).start()
        try:
            yield over.set
        finally:
            over.set()


def welcome(layout: Layout, board: str, seconds: float, *, alertmanager_has_pages: bool = False) -> str:
    """Where everything is, and what to try; ``seconds`` is how long the start took.

    Debian's Alertmanager is built without its pages: there the link is to its alerts as JSON.
    """
    alertmanager = f"{layout.alertmanager}/" if alertmanager_has_pages else f"{layout.alertmanager}/api/v2/alerts"
    return f"""
Everything is up, after {seconds:.0f} s.

  dashboards    {layout.dashboards}/   {board}
  runbooks      {layout.runbooks}/
  pages         {layout.pager}/   (they are printed here, too; python -m stack link logs you in)
  Prometheus    {layout.prometheus}/
  Alertmanager  {alertmanager}   (what it was told; the pages are for people)
  /metrics      http://127.0.0.1:{layout.ports.metrics}/metrics
  approvals     {layout.agent}/approvals/   (agentgauge approvals link logs you in)

Try, in another terminal (first: {_first(layout)}):
  python -m sample_agent chat                  talk to the Sales Companion
  python -m sample_agent fault inject looping  break it: the page comes in under a minute
  python -m sample_agent fault clear           mend it
  make page                                    the whole story, unattended

Ctrl-C stops everything.
"""


def _first(layout: Layout) -> str:
    """What makes the commands of another terminal reach this stack, on whatever ports it is."""
    activate = ". .venv/bin/activate"
    if layout.ports == Ports():
        return activate
    return f"{activate}; export AGENTGAUGE_AGENT={layout.agent} AGENTGAUGE_PROMETHEUS={layout.prometheus}"
