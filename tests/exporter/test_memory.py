"""What an agent holds in memory does not grow with its work."""

from __future__ import annotations

from itertools import pairwise

from tests.bench import memory


def test_an_agent_holds_no_more_after_much_work_than_after_some() -> None:
    """Thousands of sessions later, none of them, their users, failures, tools and models is held any more.

    What leaks grows in every stretch; memories of a fixed size fill up in one of them.
    """
    looks = memory.held((20_000, 40_000, 60_000, 80_000))
    grown = [after.objects - before.objects for before, after in pairwise(looks)]
    sessions = 20_000 / memory.CALLS_OF_A_SESSION
    assert min(grown) < 0.1 * sessions, grown
