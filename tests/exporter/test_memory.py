"""What an agent holds in memory does not grow with its work."""

from __future__ import annotations

from tests.bench import memory


def test_an_agent_holds_no_more_after_much_work_than_after_some() -> None:
    """Thousands of sessions later, none of them, their users, failures, tools and models is held any more.

    Memories of a fixed size fill up in the first twenty thousand calls: the first look is after that.
    """
    some, much = memory.held((40_000, 80_000))
    assert much.objects < 1.005 * some.objects
