"""The earlier services' example clients, as their documents have them, against Verbatim: they end well, and read what they look for.

They wait five or ten seconds between two looks, so they run side by side.
"""

import asyncio
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from common.broker import Broker
from common.database import Pool, connect
from common.jobs.job import Failure, Job
from common.storage import Storage
from common.transcript import Transcript
from services.transcriber.archives import Archives
from tests import bucket, recordings
from tests.e2e.contracts.clients import Clients, Ended
from tests.e2e.contracts.node import Node
from tests.running import Services, wait_until
from tests.transcribing import SEGMENTS, TALK, transcribing

NAMES = ("audio.mp3", "call.wav", "call_recording.wav", "audio.wav", "large_video.mp4", "surah_12.mp3", "surah.mp3", "recording.mp3")
BROKEN = Failure("unsupported_media", "The recording cannot be decoded.", retryable=False)
_SHORT = recordings.wav(bytes(320))


@pytest.fixture
async def clients(service: Services, tmp_path: Path) -> Clients:
    """Examples that speak to an ingest of the test's own, with a recording under each name that they use."""
    ingest = await service("ingest")
    found = Clients(ingest.url, tmp_path / "clients")
    found.give(recordings.sample(), *NAMES)
    return found


@pytest.fixture
def in_javascript(clients: Clients, node: Node) -> Clients:
    """The same, for those in JavaScript."""
    return clients.among("javascript", node)


def hear(job: Job) -> Transcript | Failure:
    return BROKEN if job.source.size == len(_SHORT) else TALK


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    """The database that ingest works on."""
    async with connect(database_url, name="test") as opened:
        yield opened


@pytest.fixture
async def storage(environment: dict[str, str]) -> AsyncIterator[Storage]:
    """The bucket that ingest works on."""
    async with bucket.opened(environment) as opened:
        yield opened


@asynccontextmanager
async def cutting(pool: Pool, storage: Storage, amqp_url: str, scratch: Path) -> AsyncIterator[None]:
    """While the block runs, archives are made."""
    stopping = asyncio.Event()
    async with Broker(amqp_url, name="test") as broker:
        running = asyncio.create_task(Archives(pool, storage, broker, scratch).run(stopping))
        try:
            yield
        finally:
            stopping.set()
            await running


def well(ended: Ended) -> Ended:
    assert ended.status == 0, f"{ended.output}\n{ended.errors}"
    return ended


async def until_completed(clients: Clients, snippet: str, job_id: str) -> dict[str, Any]:
    """What an example shows of a job, once that is completed: another example's job, which was, may have come before it."""
    shown: dict[str, Any] = {}

    async def completed() -> bool:
        [found] = well(await clients.run(snippet, job_id=job_id)).answers()
        shown.update(found)
        return bool(found["status"] == "completed")

    await wait_until(completed, f"{snippet} to show a completed job")
    return shown


async def test_four_services_side_by_side(clients: Clients, pool: Pool, storage: Storage, service: Services) -> None:
    """Those of the documents 1, 2, 3 and 5 submit, poll, wait, and read what they came for; of a job that fails they tell it."""
    unlucky = clients.among("unlucky")
    unlucky.give(_SHORT, *NAMES)
    async with transcribing(pool, storage, hear):
        *_, stored = await asyncio.gather(
            failing(unlucky), whisperx(clients), queue(clients), media(clients), clients.run("storage/submit.py")
        )
    well(stored)
    await service("janitor", CLEANUP_INTERVAL_MINUTES="600")
    told: list[dict[str, Any]] = []

    async def carried_out() -> bool:
        told[:] = well(await clients.run("storage/operate.sh")).answers()
        return told[1].get("code") != "no_janitor"  # one that gets no processor time may take longer than such a call waits

    await wait_until(carried_out, "a cleanup in time", limit=120)
    stats, cleaned, health = told
    assert (stats["level"], cleaned["failed"], health["status"]) == ("ok", 0, "healthy")


async def failing(clients: Clients) -> None:
    """Each on its own way to say that its job has failed."""
    text = (Path(__file__).parent / "snippets" / "media" / "poll.py").read_text()
    python, first, media, clips = await asyncio.gather(
        clients.run("queue/poll.py"),
        clients.run("whisperx/poll.py"),
        clients.run("media/poll.py", instead=inside(text)),
        clients.run("segments/poll.py"),
    )
    assert f"Error: {BROKEN.message}" in well(python).output
    assert (first.status, BROKEN.message in first.errors) == (1, True)
    assert "Job failed or not found" in well(media).output
    assert (clips.status, f"Error: {BROKEN.message}" in clips.output) == (1, True)


async def test_in_javascript(in_javascript: Clients, pool: Pool, storage: Storage, node: Node) -> None:
    """Document 2's client in Node reads its transcript; it and document 4's, which is for browsers, tell of a job that fails."""
    in_javascript.give(recordings.sample(), *NAMES)
    unlucky = in_javascript.among("unlucky", node)
    unlucky.give(_SHORT, *NAMES)
    async with transcribing(pool, storage, hear):
        lucky, failed, browser = await asyncio.gather(
            in_javascript.run("queue/poll.cjs"), unlucky.run("queue/poll.cjs"), unlucky.run("segments/poll.mjs")
        )
    assert f"Transcription: {TALK.text}" in well(lucky).output
    assert f"Error: {BROKEN.message}" in well(failed).errors
    assert (browser.status, BROKEN.message in browser.errors) == (1, True)


async def whisperx(clients: Clients) -> None:
    """Polled for, with and without its result, or in the answer; those that are under way, of which there are none."""
    python, submitted, waited = await asyncio.gather(
        clients.run("whisperx/poll.py"), clients.run("whisperx/submit.sh"), clients.run("whisperx/sync.sh")
    )
    assert TALK.text in well(python).output
    [answer] = well(waited).answers()
    assert (answer["text"], "job_id" in answer) == (TALK.text, False)
    [job] = well(submitted).answers()
    assert job["status"] == "in_progress"
    status = await until_completed(clients, "whisperx/status.sh", job["job_id"])
    assert (status["result_available"], "result" in status) == (True, False)
    [whole] = well(await clients.run("whisperx/result.sh", job_id=job["job_id"])).answers()
    assert whole["result"]["result"]["text"] == TALK.text
    [active] = well(await clients.run("whisperx/list.sh")).answers()
    assert active.keys() == {"jobs"}


async def queue(clients: Clients) -> None:
    """Submitted, polled for, listed; the queue itself."""
    python, submitted = await asyncio.gather(clients.run("queue/poll.py"), clients.run("queue/submit.sh"))
    assert f"Transcription: {TALK.text}" in well(python).output
    [job] = well(submitted).answers()
    assert job["status"] == "queued"
    shown = await until_completed(clients, "queue/status.sh", job["job_id"])
    assert (shown["progress"], shown["result"]["text"]) == (100, TALK.text)
    [listed] = well(await clients.run("queue/list.sh")).answers()
    assert {each["status"] for each in listed["jobs"]} == {"completed"}
    [found] = well(await clients.run("queue/queue.sh")).answers()
    assert (found["redis_healthy"], found.keys()) == (True, {"queue_length", "redis_healthy"})
    assert 'verbatim_jobs{status="completed"}' in well(await clients.run("queue/metrics.sh")).output


async def media(clients: Clients) -> None:
    """The example in Python submits, and then polls with a session that it has closed; with its polling inside, it reads the transcript.

    curl refuses the mixture of -F and -G in the example that submits; with the query in its URL, as it is meant, it runs.
    """
    text = (Path(__file__).parent / "snippets" / "media" / "poll.py").read_text()
    meant = '?language=en&webhook_url=https://myapp.com/webhook" \\\n  -F "file=@large_video.mp4"'
    whole, mended, refused, submitted = await asyncio.gather(
        clients.run("media/poll.py"),
        clients.run("media/poll.py", instead=inside(text)),
        clients.run("media/submit.sh"),
        clients.run("media/submit.sh", instead=(_MIXED, meant)),
    )
    assert "Session is closed" in whole.errors
    assert f"Transcript: {TALK.text[:100]}..." in well(mended).output
    assert refused.status == 2
    [job] = well(submitted).answers()
    assert (job["status"], job["filename"]) == ("pending", "large_video.mp4")
    status = await until_completed(clients, "media/status.sh", job["job_id"])
    assert (status["has_result"], status["language"]) == (True, "en")
    [result] = well(await clients.run("media/result.sh", job_id=job["job_id"])).answers()
    assert result["result"]["transcript"] == TALK.text
    [health] = well(await clients.run("media/health.sh")).answers()
    assert health["background_processor"]["max_workers"] > 0


_MIXED = '" \\\n  -F "file=@large_video.mp4" \\\n  -G -d "language=en" \\\n  -d "webhook_url=https://myapp.com/webhook"'
_POLLING = "    # Poll for completion"


def inside(text: str) -> tuple[str, str]:
    """The part of the example that polls, moved into the block in which its session is open."""
    polling = text[text.index(_POLLING) : text.index("# Run the example")]
    return polling, "".join(f"    {line}" if line.strip() else line for line in polling.splitlines(keepends=True))


async def test_clips(clients: Clients, pool: Pool, storage: Storage, amqp_url: str, tmp_path: Path) -> None:
    """A recording is submitted, polled for, downloaded in clips, described, and cleared away."""
    async with transcribing(pool, storage), cutting(pool, storage, amqp_url, tmp_path):
        output = well(await clients.run("segments/poll.py")).output
    assert all(line in output for line in (f"Surah None: {len(SEGMENTS)} ayahs", "Jobs reset: 0", "Jobs deleted: 1"))
    with zipfile.ZipFile(clients.folder / "result.zip") as zipped:
        assert [name for name in zipped.namelist() if name.startswith("clips/")] == [
            "clips/0001-SPEAKER_00.mp3",
            "clips/0002-SPEAKER_01.mp3",
        ]


async def test_clips_in_a_browser(in_javascript: Clients, pool: Pool, storage: Storage, amqp_url: str, tmp_path: Path) -> None:
    """The same with a browser's objects, and the page goes to the download."""
    in_javascript.give(recordings.sample(), *NAMES)
    async with transcribing(pool, storage), cutting(pool, storage, amqp_url, tmp_path):
        output = well(await in_javascript.run("segments/poll.mjs")).output
    assert all(line in output for line in (f"Surah null: {len(SEGMENTS)} ayahs", "Jobs reset: 0", "Jobs deleted: 1"))
    assert "/download" in output.partition("Went to: ")[2]


async def test_clips_step_by_step(clients: Clients, pool: Pool, storage: Storage, amqp_url: str, tmp_path: Path) -> None:
    """The requests one by one, and before and after the migration from the synchronous call."""
    async with transcribing(pool, storage), cutting(pool, storage, amqp_url, tmp_path):
        [submitted] = well(await clients.run("segments/submit.sh")).answers()
        job_id = submitted["job_id"]
        assert submitted == {"success": True, "job_id": job_id, "status": "queued", "message": "Job queued for processing"}
        well(await clients.run("segments/sync.py", before="import requests\n"))
        with zipfile.ZipFile(clients.folder / "result.zip") as zipped:
            assert "metadata.json" in zipped.namelist()
        well(await clients.run("segments/async.py", before="import requests\n"))
        status = await until_completed(clients, "segments/status.sh", job_id)
        assert status["download_url"] == f"/jobs/{job_id}/download"
        well(await clients.run("segments/download.sh", job_id=job_id))
        assert zipfile.is_zipfile(clients.folder / "result.zip")
        [metadata] = well(await clients.run("segments/metadata.sh", job_id=job_id)).answers()
        assert [ayah["filename"] for ayah in metadata["ayahs"]] == ["clips/0001-SPEAKER_00.mp3", "clips/0002-SPEAKER_01.mp3"]
        [listed] = well(await clients.run("segments/list.sh")).answers()
        assert listed["total"] == 3
        [resumed] = well(await clients.run("segments/resume.sh")).answers()
        assert (resumed["success"], resumed["jobs_reset"], resumed["worker_running"]) == (True, 0, True)
        [cleared] = well(await clients.run("segments/clear.sh")).answers()
        assert cleared["jobs_deleted"] >= 2
