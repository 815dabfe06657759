"""What nobody takes in hand is said again, and to somebody else."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from alerts.pager import html, outward
from alerts.pager.incidents import to_escalate
from alerts.pager.notification import in_iso
from alerts.pager.store import Store

CHECK_SECONDS = 5.0


@dataclass(frozen=True)
class Escalation:
    """What happens to a critical alarm that nobody has acknowledged ``after`` it began: it is printed again.

    An alarm that Alertmanager no longer has is left alone: it is over, and the notification of that is on its way.

    It is posted to ``url`` as well, if there is one, as JSON, until that answers with success.
    """

    after: timedelta
    url: str = ""


async def keep_escalating(escalation: Escalation, store: Store, alertmanager: str, show: Callable[[str], None]) -> None:
    """Look every few seconds, until it is cancelled. ``alertmanager`` is its URL; empty where it is not known."""
    while True:
        now = datetime.now(UTC)
        try:
            for alarm in to_escalate(store.alarms(), now, escalation.after):
                if alertmanager and not await outward.still_fires(alertmanager, alarm.page):
                    continue
                line = f"{alarm.page.first_line}: nobody has acknowledged it for {html.age(alarm.began_at, now)}"
                if escalation.url:
                    await outward.escalate(escalation.url, line, alarm)
                store.escalate([alarm.id], in_iso(now))
                show(f"ESCALATED {line}")
        except (outward.OutwardError, sqlite3.Error) as error:
            show(f"NOT ESCALATED: {error}; trying again")
        await asyncio.sleep(CHECK_SECONDS)
