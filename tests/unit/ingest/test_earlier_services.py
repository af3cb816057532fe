"""What the earlier services' words are made of: pure functions from jobs and transcripts to their documents."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec

from common.cleanup import Cleanup, Report, Round
from common.ids import JobId
from common.jobs.job import Failure, Job, Result, Source, Status
from common.jobs.options import Options
from common.transcript import (
    Language,
    Note,
    Segment,
    Transcript,
)
from services.ingest.admin.storage import Amount, StorageDocument
from services.ingest.compat import queue, refusing, storage, words
from services.ingest.problems import Problem

BEGAN = datetime(2026, 1, 15, 10, 30, 0, 120_394, tzinfo=UTC)
ID = JobId(UUID("01a1fc79-ac2b-701c-998d-fef8062222ee"))
BROKEN = Failure("unsupported_media", "The recording cannot be decoded.", retryable=False)
LINES = (Segment(0, 0.0, 4.0, "Hello?", 0.9, (), speaker="A"), Segment(1, 4.0, 9.5, "It is me.", 0.8, (), speaker="B"))
HEARD = Transcript("Hello? It is me.", Language("en", 0.95), 30.0, LINES, (), {"asr": "base"}, {})


def job(
    status: Status = Status.COMPLETED, *, options: Options | None = None, filename: str = "talk.wav", error: Failure | None = None
) -> Job:
    ended = status.final
    return Job(
        id=ID,
        tenant="default",
        revision=1,
        status=status,
        priority=1,
        band=1,
        turn=1,
        options=options or Options(),
        source=Source(filename=filename, content_type="audio/wav", size=960_044, sha256="00" * 32, kind="audio"),
        duration=30.0,
        duration_known=True,
        retention=timedelta(days=1),
        attempt=1,
        max_attempts=3,
        lease_token=None,
        lease_until=None,
        worker=None,
        stage="transcribe" if status is Status.PROCESSING else None,
        progress=100.0 if status is Status.COMPLETED else 45.4,
        result=Result(bucket="b", keys={"transcript": "t"}, language="en", duration=30.0, speakers=2)
        if status is Status.COMPLETED
        else None,
        error=error,
        trace=None,
        created_at=BEGAN,
        queued_at=BEGAN,
        claim_after=BEGAN,
        started_at=None if status is Status.QUEUED else BEGAN + timedelta(seconds=5),
        finished_at=BEGAN + timedelta(seconds=37.1) if ended else None,
        expires_at=None,
        eta=None,
        cache=None,
    )


def test_states_in_their_words() -> None:
    """Every state has one of four words; what went wrong is said of a failed job only, and a cancelled one failed for them."""
    found = {status: words.status(job(status)) for status in Status}
    assert {words.status(job(status), "pending") for status in Status} == {"pending", "processing", "completed", "failed"}
    assert found == {
        "uploading": "queued",
        "queued": "queued",
        "processing": "processing",
        "completed": "completed",
        "failed": "failed",
        "cancelled": "failed",
        "expired": "failed",
    }
    assert words.error(job(Status.FAILED, error=BROKEN)) == BROKEN.message
    assert words.error(job(Status.QUEUED, error=BROKEN)) is None
    assert words.error(job(Status.CANCELLED)) == "The job was cancelled."


def test_refusals_in_their_words() -> None:
    """`{"detail": …}` with the documents' statuses and sentences where they give any, and ours where they do not."""
    answer = refusing.HANDLERS[Problem](None, Problem(404, "job_not_found", "There is no job 7."))
    assert (answer.status_code, answer.content) == (404, {"detail": "Job not found", "code": "job_not_found"})
    large = refusing.HANDLERS[Problem](None, Problem(413, "too_large", "The submission is larger than the limit of 5 bytes.", limit=5))
    assert (large.status_code, large.content["detail"]) == (400, "The submission is larger than the limit of 5 bytes.")
    busy = refusing.HANDLERS[Problem](None, Problem(429, "queue_full", "Full.", headers={"Retry-After": "30"}))
    assert (busy.status_code, busy.headers["Retry-After"]) == (429, "30")


def test_a_queued_transcription() -> None:
    """A job has a result or an error when there is one, times without a zone, and a progress always."""
    assert queue.shown(job(Status.QUEUED)) == {
        "job_id": str(ID),
        "status": "queued",
        "progress": 45,
        "created_at": "2026-01-15T10:30:00",
        "started_at": None,
        "completed_at": None,
    }
    failed = queue.shown(job(Status.FAILED, error=BROKEN))
    assert (failed["error"], failed["completed_at"]) == (BROKEN.message, "2026-01-15T10:30:37")
    result = queue.result(job(), HEARD)
    assert (result["text"], result["language"], result["duration"], result["processing_time"]) == (HEARD.text, "en", 30.0, 32.1)
    assert result["segments"][0] == {"id": 0, "start": 0.0, "end": 4.0, "text": "Hello?", "confidence": 0.9, "words": (), "speaker": "A"}


def test_stored_and_corrected_text() -> None:
    """What was heard and what became of it; post-processing that failed leaves the second null and the job completed."""
    corrected = msgspec.structs.replace(HEARD, text="Hello. It is me.", original_text=HEARD.text)
    found = storage.shown(job(), corrected)
    assert (found["original_text"], found["processed_text"]) == (HEARD.text, "Hello. It is me.")
    same = storage.shown(job(), HEARD)
    assert (same["original_text"], same["processed_text"], same["status"]) == (HEARD.text, HEARD.text, "completed")
    broken = storage.shown(job(), msgspec.structs.replace(HEARD, degradations=(Note("corrections_failed", "No."),)))
    assert (broken["original_text"], broken["processed_text"], broken["error_message"]) == (HEARD.text, None, None)
    failed = storage.shown(job(Status.FAILED, error=BROKEN), None)
    assert (failed["status"], failed["error_message"], failed["original_text"]) == ("failed", BROKEN.message, None)


def test_storage_in_numbers() -> None:
    """Files, bytes, and of the disk as much as an operator has said."""
    amounts = {"audio": Amount(2, 90), "results": Amount(1, 6)}
    document = StorageDocument(
        measured_at=BEGAN, level="critical", capacity_bytes=100, free_bytes=4, total=Amount(3, 96), by_kind=amounts, by_age={}
    )
    found = storage.measured(document)
    assert (found["file_count"], found["total_size_bytes"], found["audio_files"], found["level"]) == (3, 96, 2, "critical")
    assert found["disk"] == {"total_bytes": 100, "used_bytes": 96, "free_bytes": 4, "used_percent": 96.0}
    assert storage.measured(msgspec.structs.replace(document, capacity_bytes=None, free_bytes=None))["disk"] is None


def test_a_cleanup_in_numbers() -> None:
    """The duties' reports, added up."""

    def told(swept: int, error: str | None) -> Report:
        return Report(duty="audio", dry_run=False, scanned=3, swept=swept, failed=1, seconds=0.1, complete=error is None, error=error)

    found = Round(id=ID, request=Cleanup(), requested_at=BEGAN, finished_at=BEGAN, reports=[told(2, None), told(1, "storage away")])
    assert storage.cleaned(found) == {"scanned": 6, "deleted": 3, "failed": 2, "errors": ["storage away"]}
