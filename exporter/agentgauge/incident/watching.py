"""Waits until an alert is over."""

from __future__ import annotations

import time
from collections.abc import Callable

LOOK_EVERY_SECONDS = 1.0
SAY_EVERY_SECONDS = 10.0


def watch(
    fires: Callable[[], bool],
    patience_seconds: float,
    say: Callable[[float], None],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> float | None:
    """Seconds until it no longer ``fires``; None if it still does when the patience ends.

    ``say`` is told every ten seconds how long it has been. Raises what ``fires`` raises.
    """
    began = clock()
    said = 0.0
    while True:
        is_firing, waited = fires(), clock() - began
        if not is_firing:
            return waited
        if waited >= patience_seconds:
            return None
        if waited >= said + SAY_EVERY_SECONDS:
            said = waited
            say(waited)
        sleep(min(LOOK_EVERY_SECONDS, patience_seconds - waited))
