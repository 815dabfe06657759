"""The policy that the Sales Companion is shipped with."""

from __future__ import annotations

from sample_agent.app import app
from sample_agent.sales.tools import SALES_TOOLS


def test_the_sales_companions_policy_asks_for_every_write() -> None:
    """The stage of the demo, and the numbers of the specification."""
    shipped = app().policy_source()()
    assert shipped.stage == "approval_required"
    assert {name: tool.risk for name, tool in shipped.tools.items() if tool.side_effect} == {
        "draft_email": "medium",
        "send_email": "high",
        "update_crm": "medium",
    }
    assert {name: tool.risk for name, tool in shipped.tools.items()} == {tool.name: tool.risk for tool in SALES_TOOLS}
    assert shipped.assess("draft_email", {"body": "Three years at up to 10 % less."})[0] == "medium"
    assert shipped.assess("draft_email", {"body": "You would have it at half price."})[0] == "high"
    assert shipped.assess("update_crm", {"text": "agreed: $66,000 less"})[0] == "high"
    rule = shipped.promotion
    assert (rule.days, rule.decisions, rule.approved, rule.rejected) == (30, 100, 0.97, 0)
