"""What dashboards mark on their time series."""

from __future__ import annotations

from dashboards import queries
from dashboards.model import Annotation
from dashboards.style import BLUE, GREY, PURPLE, RED

GENERATED_VERSION = 'version="generated-history"'
"""The version that history made up for a demonstration is recorded under, so that nobody takes it for measured."""

FIRING_ALERTS = Annotation(
    "Firing alerts",
    RED,
    'ALERTS{<where>, alertstate="firing", severity!="none"}',
    "{{alertname}} {{tool}} {{model}} {{suite}}",
)

DEPLOYS = Annotation(
    "Deploys",
    BLUE,
    """
max by (agent, version, prompt_version) (<build_info>{<where>, version!="generated-history"})
unless
max by (agent, version, prompt_version) (<build_info>{<where>} offset 1m)
""",
    "{{agent}} {{version}}, prompts {{prompt_version}}",
)

GENERATED_HISTORY = Annotation(
    "Generated history",
    GREY,
    f"max by (agent) (<build_info>{{<where>, {GENERATED_VERSION}}})",
    "{{agent}}: history generated for the demonstration, not measured",
)

AUTONOMY_CHANGES = Annotation(
    "Promotions and demotions",
    PURPLE,
    f"{queries.increase('autonomy_changes', '1m', 'agent, tool, direction')} > 0",
    "{{tool}} {{direction}}",
)

EVERYWHERE = (FIRING_ALERTS, DEPLOYS, GENERATED_HISTORY)
