"""What Prometheus is told of a sweep."""

from typing import Any

import msgspec
import pytest
from prometheus_client import REGISTRY

from common.cleanup import Report
from services.janitor import metrics

REPORT = Report(duty="lost", dry_run=False, scanned=7, swept=4, failed=2, seconds=1.5, backlog_seconds=90.0, complete=True, error=None)


def told() -> dict[str, Any]:
    things = {
        outcome: REGISTRY.get_sample_value("verbatim_duty_things_total", {"duty": REPORT.duty, "outcome": outcome})
        for outcome in ("scanned", "swept", "failed")
    }
    rest = ("verbatim_duty_seconds_total", "verbatim_duty_backlog_seconds", "verbatim_duty_complete_timestamp_seconds")
    return things | {name: REGISTRY.get_sample_value(name, {"duty": REPORT.duty}) for name in rest}


def test_a_sweep_counts_and_a_dry_run_does_not() -> None:
    """What was looked at, dealt with and could not be, the time that it took, and, unless it broke off, when it ended."""
    metrics.swept(REPORT)
    first = told()
    metrics.swept(msgspec.structs.replace(REPORT, dry_run=True))
    assert told() == first
    metrics.swept(msgspec.structs.replace(REPORT, complete=False))
    second = told()
    grown = {name: second[name] - first[name] for name in ("scanned", "swept", "failed", "verbatim_duty_seconds_total")}
    assert grown == pytest.approx({"scanned": 7, "swept": 4, "failed": 2, "verbatim_duty_seconds_total": 1.5})
    assert second["verbatim_duty_complete_timestamp_seconds"] == first["verbatim_duty_complete_timestamp_seconds"]


def test_a_sweep_that_broke_off_never_looks_better_than_the_one_before() -> None:
    """It may not have come to what had waited longest: what it says can only raise how late things are."""
    for complete, seconds, expected in ((True, 90.0, 90), (False, 0.0, 90), (False, 3.0, 90), (False, 100.0, 100), (True, 3.0, 3)):
        metrics.swept(msgspec.structs.replace(REPORT, complete=complete, backlog_seconds=seconds))
        assert told()["verbatim_duty_backlog_seconds"] == expected
