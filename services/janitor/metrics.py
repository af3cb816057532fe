"""What a janitor tells Prometheus: what each duty does, and when it last got to its end; how full the store is."""

from prometheus_client import Counter, Gauge

from common.cleanup import Report
from common.space import Space

_THINGS = Counter(
    "verbatim_duty_things_total", "Things that a duty has looked at, dealt with, and could not deal with", ["duty", "outcome"]
)
_SECONDS = Counter("verbatim_duty_seconds_total", "Seconds spent on a duty", ["duty"])
_COMPLETE = Gauge("verbatim_duty_complete_timestamp_seconds", "When a duty last got to its end without an error", ["duty"])
_BACKLOG = Gauge(
    "verbatim_duty_backlog_seconds", "How long the thing that had waited longest had been due when the duty came to it", ["duty"]
)
_BYTES = Gauge("verbatim_storage_bytes", "Bytes in the store")
_OBJECTS = Gauge("verbatim_storage_objects", "Objects in the store")
_CAPACITY = Gauge("verbatim_storage_capacity_bytes", "Bytes that the store may hold")


def swept(report: Report) -> None:
    """A sweep is over; dry runs do nothing and count as nothing."""
    if report.dry_run:
        return
    for outcome, count in (("scanned", report.scanned), ("swept", report.swept), ("failed", report.failed)):
        _THINGS.labels(report.duty, outcome).inc(count)
    _SECONDS.labels(report.duty).inc(report.seconds)
    backlog = _BACKLOG.labels(report.duty)
    # A sweep that did not get to its end has not seen everything: what it came upon is at least so late.
    backlog.set(report.backlog_seconds if report.complete else max(report.backlog_seconds, _value(backlog)))
    if report.complete and report.error is None:
        _COMPLETE.labels(report.duty).set_to_current_time()


def _value(gauge: Gauge) -> float:
    """What it says now."""
    return next(sample.value for metric in gauge.collect() for sample in metric.samples)


def measured(space: Space) -> None:
    """What is in the store."""
    _BYTES.set(space.bytes)
    _OBJECTS.set(space.objects)
    if space.capacity is not None:
        _CAPACITY.set(space.capacity)
