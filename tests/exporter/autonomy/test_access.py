"""The login token, guesses at it, and where a request comes from."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from starlette.datastructures import Headers

from agentgauge.autonomy.access import (
    FILE_NAME,
    GUESSING_SECONDS,
    MOST_GUESSES,
    VARIABLE,
    Guard,
    TokenError,
    from_our_page,
    token_in,
)

TOKEN = "the-token-of-these-tests"
HOST = "127.0.0.1:8030"


@pytest.fixture(autouse=True)
def _no_token_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


def test_a_token_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    """No default: each installation has its own."""
    token = token_in(tmp_path / "state")
    assert len(token) >= 43  # 32 random bytes
    assert token_in(tmp_path / "state") == token
    assert token_in(tmp_path / "other") != token
    assert stat.S_IMODE((tmp_path / "state" / FILE_NAME).stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "state").iterdir()] == [FILE_NAME]


def test_two_processes_that_start_at_once_have_one_token(tmp_path: Path) -> None:
    """The service and the command that prints the link, for example."""
    barrier = Barrier(8)

    def start(_: int) -> str:
        barrier.wait(timeout=20)
        return token_in(tmp_path)

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(start, range(8)))) == 1


def test_the_environment_has_the_last_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that replicas can share one, and nothing is written."""
    monkeypatch.setenv(VARIABLE, TOKEN)
    assert token_in(tmp_path) == TOKEN
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("where", ["environment", "file"])
def test_a_token_that_can_be_guessed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """And the message does not repeat it."""
    if where == "environment":
        monkeypatch.setenv(VARIABLE, "hunter2")
    else:
        (tmp_path / FILE_NAME).write_text("hunter2\n")
        (tmp_path / FILE_NAME).chmod(0o600)
    with pytest.raises(TokenError, match="shorter than 20 characters") as refused:
        token_in(tmp_path)
    assert "hunter2" not in str(refused.value)


def test_a_token_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """It may be known by now, and the message says what to do."""
    token_in(tmp_path)
    (tmp_path / FILE_NAME).chmod(0o640)
    with pytest.raises(TokenError, match="can be read by other users; delete it"):
        token_in(tmp_path)


def test_after_a_few_wrong_tokens_none_is_looked_at_for_a_minute() -> None:
    """Not even the right one: who guesses learns nothing in that time."""
    clock = [1000.0]
    guard = Guard(TOKEN, lambda: clock[0])
    for _ in range(MOST_GUESSES):
        assert not guard.closed()
        assert not guard.admits("a guess")
    assert guard.closed()
    assert not guard.admits(TOKEN)
    clock[0] += GUESSING_SECONDS
    assert guard.admits(TOKEN)


def test_wrong_tokens_far_apart_shut_nobody_out() -> None:
    """People mistype."""
    clock = [0.0]
    guard = Guard(TOKEN, lambda: clock[0])
    for _ in range(3 * MOST_GUESSES):
        guard.admits("a slip")
        clock[0] += GUESSING_SECONDS / 2
    assert guard.admits(TOKEN)


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
