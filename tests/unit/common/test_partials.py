"""Segments in notifications."""

from common import ids
from common.ids import JobId
from common.jobs.partials import PartialSegment, decode, payloads

JOB = JobId(ids.new())


def test_nothing_is_too_long_to_be_notified() -> None:
    """Postgres takes less than 8,000 bytes: many go into several payloads in their order, and one that cannot be speech is cut."""
    segments = [PartialSegment(start=float(number), end=number + 0.5, text="𝄞\x00" * 50 * number) for number in range(30)]
    found = list(payloads(JOB, segments))
    assert 1 < len(found) < len(segments)
    assert all(len(payload.encode()) < 8_000 for payload in found)
    told = [segment for payload in found for segment in decode(payload).segments]
    assert [segment.start for segment in told] == [segment.start for segment in segments]
    assert [len(segment.text) for segment in told] == [min(1_000, len(segment.text)) for segment in segments]
    assert {decode(payload).job_id for payload in found} == {str(JOB)}


def test_few_go_together() -> None:
    """What was heard in one moment is one notification; nothing is none."""
    few = [PartialSegment(start=1.0, end=2.0, text="Hello.", channel=1)] * 3
    assert [decode(payload).segments for payload in payloads(JOB, few)] == [tuple(few)]
    assert list(payloads(JOB, [])) == []
