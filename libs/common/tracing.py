"""One trace per job, from the POST through queue and engine to the webhook.

The W3C context is stored with the outbox row at its insert and carried in AMQP headers, by hand: OpenTelemetry's aio-pika instrumentation
knows only callbacks and would overwrite the stored context. Spans are made whether or not an exporter is configured, so that every job,
log line and event has a trace id; without one they are not recorded, and say so to whom they are passed on (`sampled`), unless who called
records the trace.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Literal

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode

from common.envelope import Event

Kind = Literal["server", "client", "producer", "consumer", "internal"]

_KINDS: dict[Kind, SpanKind] = {
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
    "internal": SpanKind.INTERNAL,
}


_TRACER = trace.get_tracer("verbatim")
"""A stand-in until `provider` has installed the process's own; asking anew for each span would cost more than the span."""


@contextmanager
def provider(service: str, otlp_endpoint: str | None) -> Iterator[None]:
    """Install the process's tracer for the time of the block; what is still buffered is exported at its end."""
    if not otlp_endpoint:
        trace.set_tracer_provider(_Unrecorded())
        yield
        return
    tracer_provider = TracerProvider(resource=Resource.create({"service.name": f"verbatim-{service}"}), sampler=ParentBased(ALWAYS_ON))
    exporter = OTLPSpanExporter(endpoint=f"{otlp_endpoint.rstrip('/')}/v1/traces")
    tracer_provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=1_000))
    trace.set_tracer_provider(tracer_provider)
    try:
        yield
    finally:
        tracer_provider.shutdown()


def span(
    name: str, *, kind: Kind = "internal", parent: str | None = None, link: str | None = None, **attributes: Any
) -> AbstractContextManager[Span]:
    """A span, the current one in the block. `parent` and `link` are traceparents; without a parent it continues the current span, if any.

    A server's does not: where a large body was waited for, a connection goes on in that request's context, and the next one would be in it.
    Nor does a consumer's: what it deals with says whose it is.
    """
    current = _TRACER.start_span(
        name,
        context=_context(parent) if parent is not None else Context() if kind in {"server", "consumer"} else None,
        kind=_KINDS[kind],
        links=[] if link is None else [Link(trace.get_current_span(_context(link)).get_span_context())],
        attributes=attributes,
    )
    return trace.use_span(current, end_on_exit=True)


def record(name: str, *, start_ns: int, end_ns: int, **attributes: Any) -> None:
    """A finished span under the current one, for work that was timed elsewhere (Unix nanoseconds)."""
    _TRACER.start_span(name, start_time=start_ns, attributes=attributes).end(end_time=end_ns)


def failed(current: Span, code: str, message: str) -> None:
    """Mark a span as failed without an exception."""
    current.set_attribute("error.type", code)
    current.set_status(Status(StatusCode.ERROR, message))


def current_traceparent() -> str | None:
    """The current span as a W3C traceparent, to be stored or sent along."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier.get("traceparent")


def current_within(traceparent: str | None) -> str | None:
    """The current span when it is in the same trace as `traceparent`, else `traceparent`; without one, the current span."""
    current = current_traceparent()
    if traceparent is None or (current is not None and current.split("-")[1] == traceparent.split("-")[1]):
        return current
    return traceparent


def current_trace_id() -> str | None:
    """The current trace's id in hex, for logs and answers."""
    context = trace.get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else None


def describe_message(current: Span, event: Event) -> None:
    """Attributes of OpenTelemetry's messaging conventions."""
    current.set_attributes(
        {
            "messaging.system": "rabbitmq",
            "messaging.destination.name": event.type,
            "messaging.message.id": str(event.id),
            "verbatim.job_id": event.subject,
        }
    )


class _Unrecorded(trace.TracerProvider, trace.NoOpTracer):
    """Where nobody exports: spans that are ids and no more, which cost a fraction of those that the SDK decides not to record."""

    def __init__(self) -> None:
        self._ids = RandomIdGenerator()

    def get_tracer(self, *_: Any, **__: Any) -> trace.Tracer:
        return self

    def start_span(self, name: str, context: Context | None = None, *_: Any, **__: Any) -> Span:  # noqa: ARG002 - of no use to ids
        parent = trace.get_current_span(context).get_span_context()
        return NonRecordingSpan(
            SpanContext(
                parent.trace_id or self._ids.generate_trace_id(),
                self._ids.generate_span_id(),
                is_remote=False,
                trace_flags=parent.trace_flags,
                trace_state=parent.trace_state,
            )
        )


def _context(traceparent: str) -> Context:
    return propagate.extract({"traceparent": traceparent}, context=Context())
