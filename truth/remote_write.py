"""Samples into a running Prometheus, by its remote-write receiver: promtool takes twice as long for blocks of them.

The protocol is https://prometheus.io/docs/specs/prw/remote_write_spec/: a protobuf message in snappy's block format.
Half a million samples a request are encoded as one array; a protobuf library would make an object of each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import requests
from numpy.typing import NDArray

from agentgauge.ops.prometheus import Prometheus, PrometheusError
from truth.histories import Counts, Reals

PROMETHEUS_FLAGS = (
    "--web.enable-remote-write-receiver",
    # What is older than half a block is refused: so that weeks can be sent series by series, a block is longer.
    "--storage.tsdb.min-block-duration=90d",
    "--storage.tsdb.max-block-duration=90d",
)
"""What a Prometheus has to be started with."""
HEADERS = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}
BYTES_AT_ONCE = 8 << 20
SECONDS = 300
"""For one request, on a machine that others keep busy."""

TIMESTAMP_BYTES = 6
"""Of a varint that holds milliseconds from 1971 to 2109."""


@dataclass(frozen=True)
class Samples:
    """A series, and its samples in the order of time: Unix seconds and value."""

    name: str
    labels: Mapping[str, str]
    at: Counts
    values: Reals


def write(prometheus: Prometheus, series: Iterable[Samples]) -> None:
    """Add the samples, each later than those of its series that are there. Raises PrometheusError."""
    waiting: list[bytes] = []
    size = 0
    for one in series:
        if len(one.at):
            waiting.append(_field(1, _time_series(one)))
            size += len(waiting[-1])
        if size >= BYTES_AT_ONCE:
            _post(prometheus, b"".join(waiting))
            waiting, size = [], 0
    if waiting:
        _post(prometheus, b"".join(waiting))


def _post(prometheus: Prometheus, message: bytes) -> None:
    try:
        answer = requests.post(f"{prometheus.url}/api/v1/write", _snappy(message), headers=HEADERS, timeout=SECONDS)
    except requests.RequestException as error:
        raise PrometheusError(f"Prometheus did not take the samples: {error}") from None
    if not answer.ok:
        raise PrometheusError(f"Prometheus did not take the samples: {answer.text.strip() or answer.reason}")


def _time_series(one: Samples) -> bytes:
    labels = sorted({"__name__": one.name, **one.labels}.items())
    named = (_field(1, _field(1, name.encode()) + _field(2, value.encode())) for name, value in labels)
    return b"".join(named) + _samples(one.at, one.values)


def _samples(at: Counts, values: Reals) -> bytes:
    """All samples as the rows of an array: head and length, value as a double, time in milliseconds as a varint."""
    encoded = np.empty((len(at), 12 + TIMESTAMP_BYTES), np.uint8)
    encoded[:, :3] = _tag(2), 10 + TIMESTAMP_BYTES, 1 << 3 | 1
    encoded[:, 3:11] = np.ascontiguousarray(values, "<f8").view(np.uint8).reshape(-1, 8)
    encoded[:, 11] = 2 << 3
    encoded[:, 12:] = _varints(at * 1000)
    return encoded.tobytes()


def _varints(numbers: Counts) -> NDArray[np.uint8]:
    """Seven bits a byte, the lowest first; but for the last byte, the highest bit says that another follows."""
    sevens = numbers[:, np.newaxis] >> np.arange(0, 7 * TIMESTAMP_BYTES, 7) & 0x7F
    sevens[:, :-1] |= 0x80
    return sevens.astype(np.uint8)


def _tag(field: int) -> int:
    return field << 3 | 2


def _field(field: int, content: bytes) -> bytes:
    return bytes((_tag(field),)) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*encoded, number))


def _snappy(content: bytes) -> bytes:
    """In snappy's format and not compressed: it goes to this machine. A literal with four bytes of length is all."""
    return _varint(len(content)) + b"\xfc" + (len(content) - 1).to_bytes(4, "little") + content
