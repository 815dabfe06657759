"""How much a sales floor asks of its agent: one floor for the live demo, its made-up past and the simulated day.

The reasons in ``alerts/thresholds.yml`` and the traffic of `make truth` speak of the same one.
"""

from __future__ import annotations

PEOPLE = 50
SESSIONS_A_DAY = 4
"""Conversations of one person on a working day."""
SECONDS_OF_WORK = 8 * 3600.0
TASKS_A_SESSION = 3
"""What a person asks in a conversation, on average; each is a task."""

DEMO_PACE = 12
"""How much busier the demo is than such a day, live and in its made-up past: within minutes it has as many
conversations as an alert needs to judge by."""
DEMO_SESSIONS_AN_HOUR = DEMO_PACE * SESSIONS_A_DAY / (SECONDS_OF_WORK / 3600)
"""Of one person in the demo."""
