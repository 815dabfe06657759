"""What exporters send: an OTLP request for traces, as protobuf or as JSON, made into finished spans."""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from google.protobuf.json_format import Parse, ParseError
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from agentgauge.exemplars import Exemplar
from agentgauge.otel import spellings
from agentgauge.otel.reading import FinishedSpan

MOST_BYTES = 4 * 1024 * 1024
"""Of a request, before it is inflated and after."""

MOST_SPANS = 20_000
"""Of a request: more fit into it only if they say nothing, and take a hundred times the memory that they did there."""

LONGEST_VALUE = 256
"""Characters of a value that is kept: names and ids are shorter, and a text is not wanted."""

LONGEST_ID = 32
"""Bytes of an id: those of OTLP have 16 or 8, and some more as the JSON is read here."""

_HEX_IDS = re.compile(r"[0-9a-fA-F]{32} [0-9a-fA-F]{16}")

GZIP = 16 + zlib.MAX_WBITS


class PayloadError(Exception):
    """What was sent is not what it says it is."""


class TooLargeError(Exception):
    """It is larger than ``MOST_BYTES``, or would be; or it holds more than ``MOST_SPANS``."""


class Received(NamedTuple):
    """A span, and the service whose span it is, if its resource says so."""

    service: str | None
    span: FinishedSpan


def inflated(body: bytes) -> bytes:
    """A gzipped body as it was; never takes more memory than a body may have."""
    inflater = zlib.decompressobj(GZIP)
    try:
        inside = inflater.decompress(body, MOST_BYTES + 1)
    except zlib.error:
        raise PayloadError("the body is not gzip, though Content-Encoding says so") from None
    if len(inside) > MOST_BYTES:
        raise TooLargeError
    if not inflater.eof or inflater.unused_data:
        raise PayloadError("the gzip of the body is cut off, or more than one")
    return inside


def spans_of(body: bytes, *, as_json: bool) -> list[Received]:
    """The finished spans of a request; raises PayloadError if it is none, TooLargeError if they are too many."""
    request = ExportTraceServiceRequest()
    try:
        if as_json:
            # Ids are hexadecimal there, and base64 to the parser: other bytes, but the same for the same id.
            Parse(body, request, ignore_unknown_fields=True)
        else:
            request.ParseFromString(body)
    except (ParseError, DecodeError, UnicodeDecodeError, RecursionError):
        form = "JSON" if as_json else "protobuf"
        raise PayloadError(f"the body is not an ExportTraceServiceRequest in {form}") from None
    if _is_too_much(request):
        raise TooLargeError
    return [
        Received(service, _finished(span, scope.scope.name))
        for resource in request.resource_spans
        for service in [_service(resource.resource.attributes)]
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def _is_too_much(request: ExportTraceServiceRequest) -> bool:
    """Whether it holds more spans than it may, or as many empty things that could hold some."""
    resources = request.resource_spans
    return (
        len(resources) > MOST_SPANS
        or sum(len(resource.scope_spans) for resource in resources) > MOST_SPANS
        or sum(len(scope.spans) for resource in resources for scope in resource.scope_spans) > MOST_SPANS
    )


def _service(attributes: Iterable[Any]) -> str | None:
    said = _values(attributes, frozenset({spellings.SERVICE})).get(spellings.SERVICE)
    return said if isinstance(said, str) and said else None


def _finished(span: Span, scope: str) -> FinishedSpan:
    exceptions = [event for event in span.events if event.name == "exception"]
    attributes = _values(exceptions[-1].attributes, frozenset({spellings.EXCEPTION})) if exceptions else {}
    exception = attributes.get(spellings.EXCEPTION)
    return FinishedSpan(
        attributes=_values(span.attributes, spellings.ATTRIBUTES),
        started=span.start_time_unix_nano,
        ended=span.end_time_unix_nano,
        trace=_id(span.trace_id),
        id=_id(span.span_id),
        parent=_id(span.parent_span_id),
        failed=span.status.code == Status.STATUS_CODE_ERROR,
        exception=exception if isinstance(exception, str) else None,
        scope=scope[:LONGEST_VALUE],
        events={event.name: event.time_unix_nano for event in span.events if event.name in spellings.EVENTS},
        exemplar=_exemplar(span),
    )


def _id(sent: bytes) -> bytes | None:
    return sent if 0 < len(sent) <= LONGEST_ID else None


def _exemplar(span: Span) -> Exemplar | None:
    if len(span.trace_id) == 24:  # hexadecimal that was read as base64
        trace, id = base64.b64encode(span.trace_id).decode(), base64.b64encode(span.span_id).decode()
    else:
        trace, id = span.trace_id.hex(), span.span_id.hex()
    return {"trace_id": trace, "span_id": id} if _HEX_IDS.fullmatch(f"{trace} {id}") else None


def _values(attributes: Iterable[Any], wanted: frozenset[str]) -> Mapping[str, str | int | float | bool]:
    """Those that are wanted and hold one plain value that may be a name, an id or a number."""
    plain = ("string_value", "int_value", "double_value", "bool_value")
    values = {
        one.key: getattr(one.value, kind)
        for one in attributes
        if one.key in wanted and (kind := one.value.WhichOneof("value")) in plain
    }
    return {key: value for key, value in values.items() if not (isinstance(value, str) and len(value) > LONGEST_VALUE)}
