"""What exporters send: an OTLP request for traces, as protobuf or as JSON, made into finished spans."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from google.protobuf.json_format import Parse, ParseError
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from agentgauge.otel import spellings
from agentgauge.otel.reading import FinishedSpan

MOST_BYTES = 4 * 1024 * 1024
"""Of a request, before it is inflated and after."""

GZIP = 16 + zlib.MAX_WBITS


class PayloadError(Exception):
    """What was sent is not what it says it is."""


class TooLargeError(Exception):
    """It is larger than ``MOST_BYTES``, or would be."""


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
    """The finished spans of a request; raises PayloadError if it is none."""
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
    return [
        Received(service, _finished(span, scope.scope.name))
        for resource in request.resource_spans
        for service in [_service(resource.resource.attributes)]
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def _service(attributes: Iterable[Any]) -> str | None:
    said = _values(attributes, frozenset({spellings.SERVICE})).get(spellings.SERVICE)
    return said if isinstance(said, str) and said else None


def _finished(span: Span, scope: str) -> FinishedSpan:
    exceptions = [event for event in span.events if event.name == "exception"]
    told = _values(exceptions[-1].attributes, frozenset({spellings.EXCEPTION})) if exceptions else {}
    exception = told.get(spellings.EXCEPTION)
    return FinishedSpan(
        attributes=_values(span.attributes, spellings.ATTRIBUTES),
        started=span.start_time_unix_nano,
        ended=span.end_time_unix_nano,
        trace=span.trace_id,
        id=span.span_id,
        parent=span.parent_span_id or None,
        failed=span.status.code == Status.STATUS_CODE_ERROR,
        exception=exception if isinstance(exception, str) else None,
        scope=scope,
        events={event.name: event.time_unix_nano for event in span.events if event.name in spellings.EVENTS},
    )


def _values(attributes: Iterable[Any], wanted: frozenset[str]) -> Mapping[str, str | int | float | bool]:
    """Those that are wanted and hold one plain value."""
    plain = ("string_value", "int_value", "double_value", "bool_value")
    return {
        one.key: getattr(one.value, kind)
        for one in attributes
        if one.key in wanted and (kind := one.value.WhichOneof("value")) in plain
    }
