"""Feedback for any agent: what people approve, edit and reject shows how to improve the prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentgauge.extras import on_demand

if TYPE_CHECKING:
    from agentgauge.feedback.edit_habits import EditHabit
    from agentgauge.feedback.export import scenarios_of
    from agentgauge.feedback.report import FeedbackReport
    from agentgauge.feedback.themes import theme_of
    from agentgauge.feedback.thumbs import thumbs_since

__all__ = [
    "EditHabit",
    "FeedbackReport",
    "scenarios_of",
    "theme_of",
    "thumbs_since",
]

__getattr__ = on_demand(
    __name__,
    "feedback",
    {
        "edit_habits": ["EditHabit"],
        "export": ["scenarios_of"],
        "report": ["FeedbackReport"],
        "themes": ["theme_of"],
        "thumbs": ["thumbs_since"],
    },
)
