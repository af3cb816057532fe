"""The earlier services' example clients, as their documents have them, against Verbatim: they end well, and read what they look for.

They wait five or ten seconds between two looks, so they run side by side.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from common.database import Pool, connect
from common.storage import Storage
from tests import bucket, recordings
from tests.e2e.contracts.clients import Clients, Ended
from tests.e2e.contracts.node import Node
from tests.running import Services
from tests.transcribing import TALK, transcribing


@pytest.fixture
async def clients(service: Services, tmp_path: Path, node: Node) -> Clients:
    """Examples that speak to an ingest of the test's own, with a recording under each name that they use."""
    ingest = await service("ingest")
    found = Clients(ingest.url, tmp_path / "clients", node)
    names = ("call.wav", "call_recording.wav", "audio.wav", "large_video.mp4", "surah_12.mp3", "surah.mp3", "recording.mp3")
    found.give(recordings.sample(), *names)
    return found


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


def well(ended: Ended) -> Ended:
    assert ended.status == 0, f"{ended.output}\n{ended.errors}"
    return ended


async def test_the_queue_and_the_storage(clients: Clients, pool: Pool, storage: Storage) -> None:
    """Those of the transcription queue, and of the service that stores and corrects."""
    async with transcribing(pool, storage):
        python, node, submitted, stored = await asyncio.gather(
            clients.run("queue/poll.py"),
            clients.run("queue/poll.cjs"),
            clients.run("queue/submit.sh"),
            clients.run("storage/submit.py"),
        )
        for ended in (python, node):
            assert f"Transcription: {TALK.text}" in well(ended).output
        well(stored)
        [job] = well(submitted).answers()
        assert job["status"] == "queued"
    [shown] = well(await clients.run("queue/status.sh", job_id=job["job_id"])).answers()
    assert (shown["status"], shown["progress"], shown["result"]["text"]) == ("completed", 100, TALK.text)
    [listed] = well(await clients.run("queue/list.sh")).answers()
    assert [each["status"] for each in listed["jobs"]] == ["completed"] * 4
    [queue] = well(await clients.run("queue/queue.sh")).answers()
    assert queue == {"queue_length": 0, "redis_healthy": True}
    assert 'verbatim_jobs{status="completed"} 4.0' in well(await clients.run("queue/metrics.sh")).output


async def test_operating_the_storage(clients: Clients, service: Services) -> None:
    """Statistics, a cleanup and health, one after the other."""
    await service("janitor", CLEANUP_INTERVAL_MINUTES="600")
    stats, cleaned, health = well(await clients.run("storage/operate.sh")).answers()
    assert stats["file_count"] == 0
    assert cleaned == {"scanned": 0, "deleted": 0, "failed": 0, "errors": []}
    assert health["status"] == "healthy"
