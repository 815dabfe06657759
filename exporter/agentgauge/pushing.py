"""Short jobs: what a process counted is added to what earlier runs of its job left at Prometheus' Pushgateway.

The Pushgateway replaces what it holds. A job whose counters begin at 0 each time would show its last run alone there,
and two runs that did the same would be no increase.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.request import urlopen

from prometheus_client import CollectorRegistry, Metric, push_to_gateway
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

log = logging.getLogger("agentgauge")

ADDS_UP = ("counter", "histogram")
OF_THE_GATEWAY = ("job", "instance")
"""Labels that it puts on what is pushed."""


class Pushing:
    """Pushes a registry; what earlier runs left is read before the first push, and a further one replaces the first."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._left: dict[tuple[str, str], dict[str, Metric]] = {}

    def push(self, url: str, job: str, timeout: float) -> bool:
        """Whether the Pushgateway has it now; why not is logged."""
        url = url if "://" in url else f"http://{url}"
        try:
            if (url, job) not in self._left:
                self._left[url, job] = _left(url.rstrip("/"), job, timeout)
            whole = CollectorRegistry()
            whole.register(_Sum(self._registry, self._left[url, job]))
            push_to_gateway(url, job, whole, timeout=timeout)
        except (OSError, ValueError) as fault:
            log.warning("job %s: the Pushgateway did not take what was counted: %s", job, fault)
            return False
        return True


def _left(url: str, job: str, timeout: float) -> dict[str, Metric]:
    """What the job left there that adds up, by name, without the labels of the Pushgateway."""
    with urlopen(f"{url}/metrics", timeout=timeout) as answer:  # noqa: S310 - the user's own address
        text = answer.read().decode()
    left: dict[str, Metric] = {}
    for family in text_string_to_metric_families(text):
        samples = [
            sample
            for sample in family.samples
            if sample.labels.get("job") == job and not sample.labels.get("instance") and not _is_a_time(sample)
        ]
        if family.type in ADDS_UP and samples:
            left[family.name] = _with(family, (sample._replace(labels=_own(sample)) for sample in samples))
    return left


class _Sum(Collector):
    """Of what adds up, the values of a registry and those that were left; gauges are the registry's."""

    def __init__(self, registry: CollectorRegistry, left: dict[str, Metric]) -> None:
        self._registry = registry
        self._left = left

    def collect(self) -> Iterator[Metric]:
        left = dict(self._left)
        for family in self._registry.collect():
            before = left.pop(family.name, None) if family.type in ADDS_UP else None
            yield _with(family, _added(family.samples, () if before is None else before.samples))
        yield from left.values()


def _added(samples: Iterable[Sample], before: Iterable[Sample]) -> Iterator[Sample]:
    earlier = {_series(sample): sample for sample in before}
    for sample in samples:
        if not _is_a_time(sample):
            known = earlier.pop(_series(sample), None)
            yield sample if known is None else sample._replace(value=sample.value + known.value)
    yield from earlier.values()


def _with(family: Metric, samples: Iterable[Sample]) -> Metric:
    made = Metric(family.name, family.documentation, family.type)
    made.samples = list(samples)
    return made


def _series(sample: Sample) -> Any:
    return sample.name, frozenset(sample.labels.items())


def _own(sample: Sample) -> dict[str, str]:
    return {name: value for name, value in sample.labels.items() if name not in OF_THE_GATEWAY}


def _is_a_time(sample: Sample) -> bool:
    """When a counter was created: the sum of several runs has no such time."""
    return sample.name.endswith("_created")
