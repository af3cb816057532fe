"""Webhooks of an earlier service, whose receivers know nothing of events and versions: the body is what its document says."""

from pathlib import PurePath

import httpx

from common.database import Pool
from common.jobs.job import Failure, Job
from common.storage import Storage
from common.transcript import Transcript
from tests.integration.notifier.receiver import Receiver, answering
from tests.recordings import wav
from tests.running import Services, wait_until
from tests.transcribing import TALK, transcribing

BROKEN = Failure("unsupported_media", "The recording cannot be decoded.", retryable=False)


def hear(job: Job) -> Transcript | Failure:
    return BROKEN if PurePath(job.source.filename).stem == "broken" else TALK


async def test_in_the_documents_words(service: Services, pool: Pool, storage: Storage, receiver: Receiver) -> None:
    """What `/result` answers comes by webhook too, signed as all are; a failure has its sentence; a webhook that fails fails no job."""
    ingest = await service("ingest")
    await service("notifier", WEBHOOK_RETRY_DELAY="3600")  # the first, which is refused, does not come again
    receiver.answers.append(answering(500))
    async with httpx.AsyncClient(base_url=ingest.url, timeout=60) as client, transcribing(pool, storage, hear):
        recording = wav(bytes(3200))
        for name in ("talk.wav", "broken.wav"):
            answer = await client.post("/process", params={"webhook_url": receiver.url}, files={"file": (name, recording)})
            assert answer.status_code == 200, answer.text
            job_id = answer.json()["job_id"]
            path = f"/status/{job_id}"

            async def over(path: str = path) -> bool:
                return (await client.get(path)).json()["status"] in {"completed", "failed"}

            await wait_until(over, "the job to end")
            count = 1 if name == "talk.wav" else 2
            received = (await receiver.wait(count))[count - 1]
            assert {"webhook-id", "webhook-timestamp", "webhook-signature"} <= received.headers.keys()
            status = (await client.get(path)).json()
            if name == "talk.wav":
                assert received.event == (await client.get(f"/result/{job_id}")).json()
                assert status["status"] == "completed"
            else:
                assert received.event == {
                    "job_id": job_id,
                    "status": "failed",
                    "completed_at": status["completed_at"],
                    "error_message": BROKEN.message,
                }
