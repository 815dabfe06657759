"""What the pager asks of others: Alertmanager to be silent, and whoever is next to take over."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import Any

import httpx2 as httpx

from alerts.pager.incidents import Alarm
from alerts.pager.notification import Page

TIMEOUT_SECONDS = 10.0


class OutwardError(Exception):
    """Somebody else did not do what was asked; the message says who and why."""


async def still_fires(alertmanager: str, page: Page) -> bool:
    """Whether Alertmanager has the alert of a page; True as well where it cannot be asked: who is next must know."""
    labels = {"alertname": page.alert} | page.labels
    matchers = [f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in labels.items()]
    try:
        async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS) as client:
            response = await client.get(f"{alertmanager}/api/v2/alerts", params={"filter": matchers})
        return not response.is_success or response.json() != []
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        return True


async def silence(alertmanager: str, page: Page, begin: datetime, end: datetime, by: str, why: str) -> None:
    """Silence one alert by its labels, as ``amtool silence add`` does; OutwardError if Alertmanager does not."""
    labels = {"alertname": page.alert} | page.labels
    await _post(
        f"{alertmanager}/api/v2/silences",
        {
            "matchers": [
                {"name": name, "value": value, "isRegex": False, "isEqual": True} for name, value in labels.items()
            ],
            "startsAt": begin.isoformat(),
            "endsAt": end.isoformat(),
            "createdBy": by,
            "comment": why,
        },
    )


async def escalate(url: str, line: str, alarm: Alarm) -> None:
    """Hand over an alarm; OutwardError if nobody takes it."""
    await _post(url, {"text": line, "alarm": asdict(alarm)})


async def _post(url: str, body: dict[str, Any]) -> None:
    try:
        async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS) as client:
            response = await client.post(url, json=body)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise OutwardError(f"{url} does not answer: {error}") from error
    if not response.is_success:
        raise OutwardError(f"{url} answered {response.status_code}: {response.text[:200].strip()}")
