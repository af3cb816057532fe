"""What the earlier services' words are made of: pure functions from jobs and transcripts to their documents."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from common.cleanup import Cleanup, Report, Round
from common.errors import PermanentError
from common.ids import JobId
from common.jobs.job import Failure, Job, Result, Source, Status
from common.jobs.options import Options
from common.references.lines import ReferenceDigest
from common.rendering import process
from common.transcript import (
    Diagnostics,
    Language,
    Note,
    ReferenceLine,
    ReferenceReport,
    Repeated,
    Segment,
    Sentence,
    Topic,
    Transcript,
    Unmatched,
)
from deploy.local.service import REPOSITORY
from services.ingest.admin.storage import Amount, StorageDocument
from services.ingest.clearing import Cleared
from services.ingest.compat import media, queue, refusing, segments, storage, words
from services.ingest.compat.references import References, number_in, parse
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
    assert (failed["error"], failed["progress"], failed["completed_at"]) == (BROKEN.message, 45, "2026-01-15T10:30:37")
    result = queue.result(job(), HEARD)
    assert (result["text"], result["language"], result["duration"], result["processing_time"]) == (HEARD.text, "en", 30.0, 32.1)
    assert result["segments"][0] == {"id": 0, "start": 0.0, "end": 4.0, "text": "Hello?", "confidence": 0.9, "words": (), "speaker": "A"}


def test_a_media_file() -> None:
    """Its status tells the step in words, its result has topics, languages and models; a webhook's address is shown without its secrets."""
    options = Options(language="en", webhook_url="https://user:secret@example.com/hook?token=1")
    shown = media.shown(job(Status.PROCESSING, options=options))
    assert (shown["status"], shown["progress_percentage"], shown["current_step"]) == ("processing", 45, "Transcribing audio")
    assert (shown["webhook_url"], shown["language"], shown["has_result"]) == ("https://example.com/hook", "en", False)
    assert (shown["created_at"], shown["completed_at"]) == ("2026-01-15T10:30:00.120Z", None)
    topic = Topic(summary="Hello?", start=0.5, end=9.5, seconds=8.0, sentences=(Sentence(0.5, 4.0, "Hello?"),))
    found = msgspec.to_builtins(process.result(job(), msgspec.structs.replace(HEARD, topics=(topic,))))
    assert found["topics"] == [{"summary": "Hello?", "seconds": 0.5, "sentences": ["Hello?"]}]
    assert found["language_detection"] == {"language": "en", "confidence": 0.95}
    assert (found["source_type"], found["filename"], found["file_size"]) == ("audio", "talk.wav", 960_044)
    assert found["models_used"] == {"whisper": "base", "spacy": "sentencex"}
    assert (found["job_id"], found["processing_completed_at"]) == (str(ID), "2026-01-15T10:30:37.220Z")
    assert found["whisper_segments"][1]["text"] == "It is me."
    assert media.unfinished(job(Status.QUEUED))["message"] == "Job is waiting to be processed"


def report() -> ReferenceReport:
    lines = [
        ReferenceLine(number=0, text="In the name", start=1.0, end=6.2, coverage=1.0, readings=1, cutoff_uncertain=False),
        ReferenceLine(number=2, text="of the line", start=7.0, end=9.5, coverage=0.9, readings=2, cutoff_uncertain=True),
    ]
    diagnostics = Diagnostics(
        lines=4,
        found=2,
        coverage=0.5,
        missing=(1, 3),
        repeated=(Repeated(2, 10.0, 12.0),),
        unmatched=(Unmatched(13.0, 14.0, "Well."),),
        last_end=9.5,
        input_end=1215.0,
    )
    return ReferenceReport(tuple(lines), diagnostics)


def test_the_clips_of_a_known_text() -> None:
    """One for each line that was found, the opening formula told apart, with what is uncertain and what was not found."""
    known = msgspec.structs.replace(HEARD, reference=report())
    options = Options(reference=ReferenceDigest(4, "00" * 32))
    found = segments.metadata(job(options=options, filename="surah_12.mp3"), known)
    assert (found["surah_number"], found["total_ayahs"], found["transcription"]) == (12, 1, HEARD.text)
    assert found["ayahs"] == [
        {
            "surah_number": 12,
            "ayah_number": 0,
            "ayah_text": "In the name",
            "filename": "clips/line-0000.mp3",
            "is_basmala": True,
            "duration_seconds": 5.2,
            "cutoff_uncertain": False,
        },
        {
            "surah_number": 12,
            "ayah_number": 2,
            "ayah_text": "of the line",
            "filename": "clips/line-0002.mp3",
            "is_basmala": False,
            "duration_seconds": 2.5,
            "cutoff_uncertain": True,
        },
    ]
    assert found["diagnostics"] == {
        "audio_input_end_timestamp": "00:20:15.000",
        "last_ayah_end_timestamp": "00:00:09.500",
        "coverage": 0.5,
        "missing_ayahs": [1, 3],
        "repeated_ayahs": [{"ayah_number": 2, "start_timestamp": "00:00:10.000", "end_timestamp": "00:00:12.000"}],
        "unmatched_spans": [{"text": "Well.", "start_timestamp": "00:00:13.000", "end_timestamp": "00:00:14.000"}],
    }


def test_the_clips_without_one() -> None:
    """One for each segment, numbered from 1; nothing is said of a text that nobody gave."""
    found = segments.metadata(job(), HEARD)
    assert [(each["ayah_number"], each["filename"], each["duration_seconds"]) for each in found["ayahs"]] == [
        (1, "clips/0001-A.mp3", 4.0),
        (2, "clips/0002-B.mp3", 5.5),
    ]
    assert (found["surah_number"], found["total_ayahs"]) == (None, 2)
    assert found["diagnostics"] == {"audio_input_end_timestamp": "00:00:30.000", "last_ayah_end_timestamp": "00:00:09.500"}


def test_a_job_is_done_when_its_zip_is() -> None:
    """Until then it is processing; a zip that cannot be made is a failure, and one of nothing is not."""
    waiting = Problem(202, "archive_not_ready", "The archive is being made; ask again.")
    assert segments.shown(job(), waiting)["status"] == "processing"
    assert segments.shown(job(), None)["download_url"] == f"/jobs/{ID}/download"
    broken = segments.shown(job(), Problem(409, "archive_failed", "The archive cannot be made: no."))
    assert (broken["status"], broken["error"]) == ("failed", "The archive cannot be made: no.")
    assert segments.shown(job(), Problem(409, "nothing_to_cut", "There is nothing to cut."))["status"] == "completed"
    assert segments.shown(job(Status.FAILED, error=BROKEN), None)["error"] == BROKEN.message


def test_reference_texts(tmp_path: Path) -> None:
    """Chosen by the first number in a recording's name; lines are numbered from 1, or as they say; a wrong file stops the start."""
    (tmp_path / "012.txt").write_text("0\tIn the name\n\nFirst line\nSecond line\n7\tSeventh\nEighth\n")
    found = References.read(str(tmp_path))
    assert found.of("surah_12.mp3") == parse("0\tIn the name\nFirst line\nSecond line\n7\tSeventh\nEighth")
    assert [line["number"] for line in found.of("12 - live.wav") or []] == [0, 1, 2, 7, 8]
    assert (found.of("surah_13.mp3"), found.of("talk.mp3"), References.read(None).of("12.mp3")) == (None, None, None)
    assert (number_in("surah_012_ayah_3.mp3"), number_in("talk.mp3")) == (12, None)
    example = References.read(str(REPOSITORY / "docs" / "examples")).of("surah_112.mp3")
    assert [line["number"] for line in example or []] == [0, 1, 2, 3, 4]
    (tmp_path / "13.txt").write_text("1\tFirst\n1\tSecond\n")
    with pytest.raises(PermanentError, match=r"REFERENCE_TEXTS_DIR: 13.txt: .* number 1"):
        References.read(str(tmp_path))
    (tmp_path / "13.txt").unlink()
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(PermanentError, match="REFERENCE_TEXTS_DIR"):
        References.read(str(tmp_path))
    with pytest.raises(PermanentError, match="REFERENCE_TEXTS_DIR"):
        References.read(str(tmp_path / "nothing"))


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


def test_jobs_that_were_cleared() -> None:
    """Counted, and no success when something could not be deleted."""
    some, not_all = segments.emptied(Cleared(deleted=2, objects=5)), segments.emptied(Cleared(deleted=2, objects=5, failed=1))
    assert some == {
        "success": True,
        "message": "Cleared 2 finished job(s) and removed 5 file(s)",
        "jobs_deleted": 2,
        "files_removed": 5,
    }
    assert not_all == some | {"success": False}


def test_every_row_of_the_table_names_a_test_that_exists() -> None:
    """docs/api/earlier-services.md says where each thing in the documents is tested, and the tests are there."""
    table = (REPOSITORY / "docs" / "api" / "earlier-services.md").read_text()
    named = set(re.findall(r"`(test_\w+\.py)::(test_\w+)`", table))
    there = {
        (path.name, name)
        for path in (REPOSITORY / "tests").rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)\(", path.read_text(), re.MULTILINE)
    }
    assert len(named) > 10
    assert named <= there, named - there
