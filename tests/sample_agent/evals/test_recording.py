"""Answers of a model recorded over HTTP and replayed: byte by byte, offline, and a changed prompt is a miss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import pytest
from anthropic import APIStatusError, AsyncAnthropic, DefaultAsyncHttpxClient

from agentgauge.evals.recorded_request import RecordedRequest
from agentgauge.evals.recording import Recording

KEY = "sk-ant-0123456789abcdefghijklmnop"
NOWHERE = "http://127.0.0.1:1"
ASKED: dict[str, Any] = {
    "model": "claude-opus-5-5",
    "max_tokens": 200,
    "system": "You sell.\nBe brief.",
    "messages": [{"role": "user", "content": "Tell me about the Globex account"}],
    "tools": [{"name": "search_crm_contacts", "description": "Looks up.", "input_schema": {"type": "object"}}],
}


def client(recording: Recording, url: str) -> AsyncAnthropic:
    """The real SDK through a recording, without retries."""
    http = DefaultAsyncHttpxClient(transport=recording.transport())
    return AsyncAnthropic(api_key="fake-key", base_url=url, max_retries=0, http_client=http)


async def answer(recording: Recording, url: str, **changed: Any) -> bytes:
    """The bytes of an answer."""
    async with client(recording, url) as sdk:
        raw = await sdk.messages.with_raw_response.create(**{**ASKED, **changed})
        return bytes(raw.http_response.content)


async def streamed(recording: Recording, url: str) -> tuple[bytes, str]:
    """The bytes of a streamed answer, and the last message as the SDK puts it together."""
    async with client(recording, url) as sdk:
        async with sdk.messages.with_streaming_response.create(**ASKED, stream=True) as raw:
            body = b"".join([chunk async for chunk in raw.iter_bytes()])
        async with sdk.messages.stream(**ASKED) as stream:
            return body, (await stream.get_final_message()).to_json()


async def test_a_replay_is_byte_exact_and_asks_nobody(fake_api: str, tmp_path: Path) -> None:
    """Plain and streamed; the address that would answer does not exist."""
    recording = Recording(tmp_path, "record")
    plain, stream = await answer(recording, fake_api), await streamed(recording, fake_api)
    replay = Recording(tmp_path, "replay")
    assert await answer(replay, NOWHERE) == plain
    assert await streamed(replay, NOWHERE) == stream
    assert replay.misses == []


async def test_a_request_recorded_twice_is_answered_twice_in_turn(tmp_path: Path) -> None:
    """So a replay has the noise of the model; the third time it says that it knows no more."""
    numbers = iter(range(9))
    inner = httpx2.MockTransport(lambda _request: httpx2.Response(200, json={"number": next(numbers)}))
    request = httpx2.Request("POST", "https://model.invalid/v1/messages", json=ASKED)
    recorder = Recording(tmp_path, "record").transport(inner)
    said = [(await recorder.handle_async_request(request)).json() for _ in range(2)]
    replay = Recording(tmp_path, "replay")
    transport = replay.transport()
    assert [(await transport.handle_async_request(request)).json() for _ in range(2)] == said
    assert (await transport.handle_async_request(request)).status_code == 424
    assert replay.misses[0].changes == ("asked more often than the 2 times it was recorded",)


def test_a_synchronous_client_is_recorded_as_well(tmp_path: Path) -> None:
    """What one kind recorded, the other replays."""
    inner = httpx2.MockTransport(lambda _request: httpx2.Response(200, json={"said": "hello"}))
    request = httpx2.Request("POST", "https://model.invalid/v1/messages", json=ASKED)
    Recording(tmp_path, "record").sync_transport(inner).handle_request(request)
    assert Recording(tmp_path, "replay").sync_transport().handle_request(request).json() == {"said": "hello"}


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"system": "You sell.\nBe long."}, "system prompt: -Be brief. / +Be long."),
        ({"model": "claude-haiku-5-5"}, "model claude-opus-5-5 → claude-haiku-5-5"),
        ({"tools": []}, "tool search_crm_contacts gone"),
        ({"max_tokens": 300}, "max_tokens 200 → 300"),
        ({"messages": [{"role": "user", "content": "Hello"}]}, "messages: 0 of 1 as recorded, where there were 1"),
    ],
)
async def test_a_changed_request_is_a_miss_that_says_what_changed_and_what_it_would_cost(
    fake_api: str, tmp_path: Path, changed: dict[str, Any], says: str
) -> None:
    """By the recorded request that is most like it."""
    await answer(Recording(tmp_path, "record"), fake_api)
    replay = Recording(tmp_path, "replay")
    with pytest.raises(APIStatusError, match="not recorded in"):
        await answer(replay, NOWHERE, **changed)
    (miss,) = replay.misses
    assert miss.changes == (says,)
    assert miss.cost_usd is not None
    assert 0 < miss.cost_usd < 0.1


def files(folder: Path) -> list[str]:
    """What the files of a recording hold."""
    return [path.read_text(encoding="utf-8") for path in folder.iterdir()]


async def test_neither_keys_nor_what_users_wrote_are_kept(tmp_path: Path) -> None:
    """The policy can keep texts, and can take more out of answers."""
    said = f"Use {KEY}, Jane."
    inner = httpx2.MockTransport(lambda _request: httpx2.Response(200, headers={"x-request-id": KEY}, text=said))
    body = {**ASKED, "metadata": {"user_id": "ann@example.com"}}
    headers = {"x-api-key": KEY}
    request = httpx2.Request("POST", "https://model.invalid/v1/messages", headers=headers, json=body)
    await Recording(tmp_path, "record").transport(inner).handle_async_request(request)
    (kept,) = files(tmp_path)
    for secret in (KEY, "Globex", "ann@example.com"):
        assert secret not in kept
    policy = Recording(tmp_path / "own", "record", keep_texts=True, scrub=lambda text: text.replace("Jane", "NAME"))
    recorded = await policy.transport(inner).handle_async_request(request)
    (kept,) = files(tmp_path / "own")
    assert "Globex" in kept
    assert recorded.text == f"Use {KEY}, NAME."
    replayed = await Recording(tmp_path / "own", "replay").transport().handle_async_request(request)
    assert replayed.content == recorded.content


def test_who_asks_is_no_part_of_what_is_asked() -> None:
    """The same question of another user has the same answer."""
    first, second = (RecordedRequest.of("/v1/messages", {**ASKED, "metadata": {"user_id": one}}) for one in "ab")
    assert first == second


async def test_an_error_of_the_provider_is_not_kept(tmp_path: Path) -> None:
    """It would be replayed for ever."""
    inner = httpx2.MockTransport(lambda _request: httpx2.Response(529, json={}))
    request = httpx2.Request("POST", "https://model.invalid/v1/messages", json=ASKED)
    await Recording(tmp_path, "record").transport(inner).handle_async_request(request)
    assert files(tmp_path) == []
