"""Guesses at a token, and where a request comes from."""

from __future__ import annotations

import pytest
from starlette.datastructures import Headers

from agentgauge.autonomy.access import (
    GUESSING_SECONDS,
    MOST_CLIENTS,
    MOST_GUESSES,
    Throttle,
    TooManyGuessesError,
    from_our_page,
)

HOST = "127.0.0.1:8030"


def test_after_a_few_wrong_tokens_a_client_waits_for_a_minute() -> None:
    """Others do not."""
    clock = [1000.0]
    throttle = Throttle(lambda: clock[0])
    for _ in range(MOST_GUESSES):
        throttle.check("one")
        throttle.wrong("one")
    with pytest.raises(TooManyGuessesError, match="try again in a minute"):
        throttle.check("one")
    throttle.check("other")
    clock[0] += GUESSING_SECONDS
    throttle.check("one")


def test_wrong_tokens_far_apart_shut_nobody_out() -> None:
    """People mistype."""
    clock = [0.0]
    throttle = Throttle(lambda: clock[0])
    for _ in range(3 * MOST_GUESSES):
        throttle.check("one")
        throttle.wrong("one")
        clock[0] += GUESSING_SECONDS / 2


def test_a_flood_of_clients_fills_no_memory() -> None:
    """Those that were quiet for longest are forgotten, and who guesses now is not."""
    throttle = Throttle(lambda: 0.0)
    for number in range(3 * MOST_CLIENTS):
        throttle.wrong(f"client {number}")
        if number % (MOST_CLIENTS // 2) == 0:
            throttle.wrong("one")
    with pytest.raises(TooManyGuessesError):
        throttle.check("one")
    assert throttle.clients <= MOST_CLIENTS


@pytest.mark.parametrize(
    ("headers", "ours"),
    [
        ({"origin": f"http://{HOST}", "sec-fetch-site": "same-origin"}, True),
        ({"origin": f"http://{HOST}"}, True),  # a browser that does not know the other header
        ({"origin": "http://evil.example", "sec-fetch-site": "cross-site"}, False),
        ({"origin": "http://127.0.0.1:3000", "sec-fetch-site": "same-site"}, False),  # another port of this machine
        ({"origin": "http://127.0.0.1:3000"}, False),
        ({"origin": f"http://{HOST}", "sec-fetch-site": "cross-site"}, False),
        ({"origin": "null", "sec-fetch-site": "same-origin"}, False),
        ({"sec-fetch-site": "same-origin"}, False),
        ({}, False),
    ],
)
def test_only_a_form_of_this_host_and_port_is_ours(headers: dict[str, str], ours: bool) -> None:
    """What a browser says of where a request comes from, a page cannot forge."""
    assert from_our_page(Headers({"host": HOST, **headers})) is ours
