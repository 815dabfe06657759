"""Who is paged: what fires, less what Alertmanager mutes because its cause fires too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from alerts.catalog import ALERTS
from truth.replay import Firing

FOREVER = 1 << 62


@dataclass(frozen=True)
class Page:
    """One notification: an alert fires and is not muted. Seconds as in ``Firing``."""

    firing: Firing
    at: int


def pages(firings: Sequence[Firing]) -> Iterator[Page]:
    """The first moment of each firing at which nothing mutes it, if there is one."""
    for firing in firings:
        at = firing.begins
        for begins, ends in sorted(_muted(firing, firings)):
            if begins <= at < ends:
                at = ends
        if at < (FOREVER if firing.ends is None else firing.ends):
            yield Page(firing, at)


def _muted(firing: Firing, firings: Iterable[Firing]) -> Iterator[tuple[int, int]]:
    """When a cause of it fires: Alertmanager's inhibition, as the catalog says it."""
    for cause in firings:
        source = _BY_NAME[cause.alert]
        if firing.alert in source.inhibits and all(
            cause.label(name) == firing.label(name) for name in source.inhibit_equal
        ):
            yield cause.begins, FOREVER if cause.ends is None else cause.ends


_BY_NAME = {alert.name: alert for alert in ALERTS}
