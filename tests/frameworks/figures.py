"""What a registry shows, in a form that a test can compare as a whole."""

from __future__ import annotations

from prometheus_client import CollectorRegistry


def shown(registry: CollectorRegistry, name: str) -> dict[tuple[str, ...], float]:
    """The values of a series by its labels but ``agent``, in the order of the metric; zeros left out."""
    return {
        tuple(value for label, value in sample.labels.items() if label != "agent"): sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == name and sample.value
    }


def total(registry: CollectorRegistry, name: str) -> float:
    """The sum of a series over all its labels."""
    return sum(shown(registry, name).values())
