"""All that a registry shows, so that two ways to record the same can be compared series by series."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

TIMES = ("_seconds_bucket", "_seconds_sum", "_created", "_timestamp_seconds")
"""Endings of series that depend on the clock: of these, that there were as many is all that can agree."""


def counted(registry: CollectorRegistry) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every series but those of the clock, zeros left out."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): round(sample.value, 9)
        for metric in registry.collect()
        for sample in metric.samples
        if sample.value and not sample.name.endswith(TIMES)
    }
