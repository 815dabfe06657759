"""Whose alerts these are and where everything runs: the names and URLs that rules, pages and configuration carry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

LONGEST_SCRAPE_SECONDS = 60
"""Scrapes further apart leave the shortest windows with too few samples for an increase."""
OLDEST_PROMETHEUS = "2.42"
OLDEST_VMALERT = "1.112"
"""Older ones refuse ``keep_firing_for``."""


@dataclass(frozen=True)
class Deployment:
    """The agents of one scrape job and the programs around them. URLs are written without a trailing slash.

    ``apps`` maps an agent to what ``agentgauge --app`` takes; commands of an agent that is not in it have no ``--app``.
    ``targets`` are the agents' metrics endpoints (host:port); none: Prometheus reads them from ``targets/agents.yml``.
    ``pager`` is the webhook's base URL; ``incidents`` is where people open the bundle's pager, empty
    without it; ``secrets`` is the folder of Alertmanager's secrets as Alertmanager sees it.
    ``examples`` are the tools, models, suite and log that commands on pages name; where one is missing, a word in
    capitals stands for it.
    ``remote_write`` is where Prometheus writes to instead of judging by the rules itself, as ``tenant`` if that is not
    empty.
    ``demo`` adds what only the Sales Companion has, such as its faults. ``speed`` shortens every duration, for drills.
    """

    agents: tuple[str, ...]
    job: str
    grafana: str
    runbooks: str
    prometheus: str
    alertmanager: str
    pager: str
    incidents: str = ""
    targets: tuple[str, ...] = ()
    apps: Mapping[str, str] = field(default_factory=dict)
    secrets: str = "/etc/alertmanager/secrets"
    examples: Mapping[str, str] = field(default_factory=dict)
    remote_write: str = ""
    tenant: str = ""
    demo: bool = False
    speed: float = 1

    def command(self, agent: str) -> str:
        """How the command line of this agent begins."""
        return f"agentgauge --app {self.apps[agent]}" if agent in self.apps else "agentgauge"


DEMO = Deployment(
    agents=("sales_companion",),
    job="agents",
    grafana="http://127.0.0.1:3000",
    runbooks="http://127.0.0.1:8020",
    prometheus="http://127.0.0.1:9090",
    alertmanager="http://127.0.0.1:9093",
    pager="http://pager:8010",
    incidents="http://127.0.0.1:8010",
    apps={"sales_companion": "sample_agent.app:app"},
    examples={
        "tool": "get_deal_history",
        "looping_tool": "search_emails",
        "acting_tool": "draft_email",
        "cheaper_model": "claude-haiku-5-5",
        "better_model": "claude-sonnet-5-5",
        "suite": "sales",
        "log": ".stack/logs/agent.log",
    },
    demo=True,
)
"""The Sales Companion on one machine, with the pager by its name in Compose: what is committed is rendered for it."""
