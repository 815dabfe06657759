"""PromQL for panels: ``alerts.promql`` templates with one more hole, ``<metric>{<where>, …}``.

``<where>`` becomes the matchers of the dashboard's variables, as far as the metric carries such a label:
``job=~"$job", instance=~"$instance", agent=~"$agent"``, and ``tool=~"$tool"`` where there is a tool.
"""

from __future__ import annotations

import re

from agentgauge import metrics
from agentgauge.metrics import MetricSpec
from alerts import promql
from alerts.promql import PromqlError

_SELECTED = re.compile(r"<(?P<metric>[a-z_]+)(?P<part>\.[a-z]+)?>\{<where>")


def fill(template: str, variables: tuple[str, ...], **values: object) -> str:
    """Fill a panel's template for a dashboard with these variables; PromqlError as in ``alerts.promql.fill``."""

    def select(match: re.Match[str]) -> str:
        spec = getattr(metrics, match["metric"].upper(), None)
        if not isinstance(spec, MetricSpec):
            raise PromqlError(f"<{match['metric']}>: agentgauge.metrics has no {match['metric'].upper()}")
        return f"<{match['metric']}{match['part'] or ''}>{{{where(spec, variables)}"

    return promql.fill(_SELECTED.sub(select, template), **values)


def where(spec: MetricSpec, variables: tuple[str, ...]) -> str:
    """The matchers of those variables that are labels of the metric's series."""
    carried = promql.TARGET_LABELS | set(spec.label_names)
    return ", ".join(f'{name}=~"${name}"' for name in variables if name in carried)
