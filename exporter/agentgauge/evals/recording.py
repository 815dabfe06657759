"""Records what a model answers over HTTP, and answers from that later: byte by byte, offline, for nothing.

Give ``recording.transport()`` to the SDK's HTTP client in an agent's ``trials``:

    AsyncAnthropic(http_client=DefaultAsyncHttpxClient(transport=candidate.recording.transport()))

and ``agentgauge eval run --record DIR`` or ``--replay DIR`` does the rest. A request that was recorded several times is
answered with each of its answers in turn, so a replay has the noise of the model, too.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import httpx2

from agentgauge.evals.recorded_request import RecordedRequest
from agentgauge.files.data_file import read_json
from agentgauge.files.watched_file import write_json
from agentgauge.pricing import PriceTable, TokenUsage

KEPT_HEADERS = ("content-type",)
SECRETS = re.compile(r"\b(sk|pk|key|token)-[A-Za-z0-9_-]{16,}")
MANIFEST = "recording.json"

Mode = Literal["record", "replay"]
Scrub = Callable[[str], str]
"""Text of an answer → the text that is kept. The default takes out what looks like a key."""


def without_secrets(text: str) -> str:
    """A text without what looks like a key."""
    return SECRETS.sub(r"\1-REMOVED", text)


@dataclass(frozen=True)
class Miss:
    """A request that was not recorded. ``changes`` says how it differs from the recorded one that is most like it."""

    request: RecordedRequest
    changes: tuple[str, ...]
    cost_usd: float | None


class Recording:
    """A folder with a file for each request, and its answers.

    ``keep_texts`` keeps what users and tools said as it is, for a better account of what changed; otherwise it is kept
    as hashes. Answers hold what the model said, after ``scrub``; keys and other headers are never kept.
    """

    def __init__(self, folder: Path, mode: Mode, *, scrub: Scrub = without_secrets, keep_texts: bool = False) -> None:
        self.folder = folder
        self.mode = mode
        self.misses: list[Miss] = []
        self.requests = 0
        self._scrub = scrub
        self._keep_texts = keep_texts
        self._answered: Counter[str] = Counter()
        self._lock = threading.RLock()  # not Lock: what is collected as garbage meanwhile may come here, too
        if mode == "record":
            folder.mkdir(parents=True, exist_ok=True)

    def transport(self, inner: httpx2.AsyncBaseTransport | None = None) -> httpx2.AsyncBaseTransport:
        """For an asynchronous client; ``inner`` is what requests go through while they are recorded."""
        return _AsyncTransport(self, inner or httpx2.AsyncHTTPTransport())

    def sync_transport(self, inner: httpx2.BaseTransport | None = None) -> httpx2.BaseTransport:
        """The same for a synchronous client."""
        return _Transport(self, inner or httpx2.HTTPTransport())

    @property
    def model(self) -> str | None:
        """What answered when this was recorded; None if nothing says so."""
        file = self.folder / MANIFEST
        return str(read_json(file)["model"]) if file.exists() else None

    def note_model(self, model: str) -> None:
        """Keep what answered, for the version that a replay is called."""
        write_json(self.folder / MANIFEST, {"model": model})

    def read(self, request: httpx2.Request) -> RecordedRequest:
        """The request, as far as an answer depends on it."""
        try:
            body = json.loads(request.content or b"{}")
        except ValueError:
            body = {"content": request.content.hex()}
        return RecordedRequest.of(request.url.path, body, keep_texts=self._keep_texts)

    def keep(self, asked: RecordedRequest, response: httpx2.Response, body: bytes) -> bytes:
        """Write an answer down; returns the body as a replay will give it. Errors of the provider are not kept."""
        if response.status_code >= 400:
            return body
        try:
            kept = self._scrub(body.decode())
            written: dict[str, Any] = {"text": kept}
        except UnicodeDecodeError:
            kept, written = None, {"base64": base64.b64encode(body).decode()}
        headers = {name: value for name, value in response.headers.items() if name.lower() in KEPT_HEADERS}
        with self._lock:
            document = self._load(asked.key) or {"request": asdict(asked), "answers": []}
            document["answers"].append({"status": response.status_code, "headers": headers, **written})
            write_json(self._file(asked.key), document)
            self.requests += 1
        return body if kept is None else kept.encode()

    def answer(self, asked: RecordedRequest) -> httpx2.Response:
        """The next recorded answer; a miss is noted, and answered with an error that no SDK retries."""
        with self._lock:
            document = self._load(asked.key)
            answers = document["answers"] if document else []
            number = self._answered[asked.key]
            self._answered[asked.key] += 1
            self.requests += 1
        if number < len(answers):
            kept = answers[number]
            body = kept["text"].encode() if "text" in kept else base64.b64decode(kept["base64"])
            return httpx2.Response(kept["status"], headers=kept["headers"], content=body)
        miss = self._miss(asked, number)
        with self._lock:
            self.misses.append(miss)
        message = f"not recorded in {self.folder}: {'; '.join(miss.changes)}"
        error = {"type": "error", "error": {"type": "not_recorded", "message": message}}
        return httpx2.Response(424, headers={"x-should-retry": "false"}, json=error)

    def _miss(self, asked: RecordedRequest, number: int) -> Miss:
        recorded = [self._load(path.stem) for path in self.folder.glob("*.json") if path.name != MANIFEST]
        pairs = [(_request(one["request"]), one) for one in recorded if one]
        if not pairs:
            return Miss(asked, ("nothing is recorded there",), None)
        nearest, document = min(pairs, key=lambda pair: len(pair[0].differences(asked)))
        if nearest.key == asked.key:
            changes: tuple[str, ...] = (f"asked more often than the {number} times it was recorded",)
        else:
            changes = tuple(nearest.differences(asked)) or ("who asked, or a text that is kept as a hash",)
        usage = _usage(document["answers"][0].get("text", ""))
        cost = None if usage is None else PriceTable().cost_usd(asked.model, usage)
        return Miss(asked, changes, cost)

    def _file(self, key: str) -> Path:
        return self.folder / f"{key}.json"

    def _load(self, key: str) -> dict[str, Any] | None:
        file = self._file(key)
        loaded: dict[str, Any] | None = read_json(file) if file.exists() else None
        return loaded


def _request(document: dict[str, Any]) -> RecordedRequest:
    return RecordedRequest(**{**document, "messages": tuple(document["messages"])})


def _usage(answer: str) -> TokenUsage | None:
    """The tokens that a recorded answer took, JSON or stream: the largest numbers that it names."""
    said = [
        max(map(int, re.findall(rf'"(?:{names})":\s*(\d+)', answer)), default=0)
        for names in ("input_tokens|prompt_tokens", "output_tokens|completion_tokens")
    ]
    return TokenUsage(input=said[0], output=said[1]) if any(said) else None


class _AsyncTransport(httpx2.AsyncBaseTransport):
    def __init__(self, recording: Recording, inner: httpx2.AsyncBaseTransport) -> None:
        self._recording = recording
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        await request.aread()
        asked = self._recording.read(request)
        if self._recording.mode == "replay":
            return self._recording.answer(asked)
        request.headers["accept-encoding"] = "identity"  # what is kept can then be read
        response = await self._inner.handle_async_request(request)
        body = await response.aread()
        await response.aclose()
        return _as_kept(response, self._recording.keep(asked, response, body))

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Transport(httpx2.BaseTransport):
    def __init__(self, recording: Recording, inner: httpx2.BaseTransport) -> None:
        self._recording = recording
        self._inner = inner

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        request.read()
        asked = self._recording.read(request)
        if self._recording.mode == "replay":
            return self._recording.answer(asked)
        request.headers["accept-encoding"] = "identity"  # what is kept can then be read
        response = self._inner.handle_request(request)
        body = response.read()
        response.close()
        return _as_kept(response, self._recording.keep(asked, response, body))

    def close(self) -> None:
        self._inner.close()


def _as_kept(response: httpx2.Response, body: bytes) -> httpx2.Response:
    """The answer with a body that was read whole, and so has other lengths and encodings than were announced."""
    announced = ("content-length", "content-encoding", "transfer-encoding")
    headers = [(name, value) for name, value in response.headers.multi_items() if name.lower() not in announced]
    return httpx2.Response(response.status_code, headers=headers, content=body)
