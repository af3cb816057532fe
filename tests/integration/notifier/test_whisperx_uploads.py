"""Results of the first earlier service's clients, on their way to the addresses that the clients named."""

from pathlib import Path

import httpx

from common.database import Pool
from common.storage import Storage
from common.transcript import encode
from tests.e2e.contracts.clients import Clients
from tests.integration.notifier.receiver import Receiver, answering
from tests.recordings import sample
from tests.running import RunningService, Services, wait_until
from tests.transcribing import TALK, transcribing

HEAR, JOBS = "/v1/audio/transcriptions", "/v1/jobs"
EXAMPLES = {
    "whisperx/submit-and-upload.sh": "https://your-bucket.s3.amazonaws.com/...",
    "whisperx/callback.py": "https://my-bucket.s3.amazonaws.com/...",
}
"""With the address that each of them has in its place."""


async def test_results_go_out(service: Services, pool: Pool, storage: Storage, receiver: Receiver, tmp_path: Path) -> None:
    """Alone, beside storage, where nothing is stored, and by the document's examples; an address that refuses the result fails no job."""
    ingest, keeps_none = await service("ingest"), await service("ingest", JOB_RESULT_RETENTION_SECONDS="0")
    await service("notifier", WEBHOOK_ALLOW_NETWORKS="127.0.0.0/8")
    address = {"upload_presigned_url": receiver.url}
    async with httpx.AsyncClient(base_url=ingest.url, timeout=60) as client:
        ways: list[tuple[RunningService, dict[str, str]]] = [(ingest, {}), (ingest, {"stored_output": "true"}), (keeps_none, {})]
        for count, (door, fields) in enumerate(ways, 1):
            answer = await client.post(f"{door.url}{HEAR}", files={"file": ("audio.mp3", sample())}, data=address | fields)
            assert answer.json()["status"] == "in_progress"
            async with transcribing(pool, storage):
                received = await receiver.wait(count)
            assert received[-1].body == encode(TALK)
            job = (await client.get(f"{JOBS}/{answer.json()['job_id']}")).json()
            assert job["status"] == "completed"
            assert ("result" in job, "result_note" in job) == ((False, True) if door is keeps_none else (True, False))

        clients = Clients(ingest.url, tmp_path / "clients")
        clients.give(sample(), "audio.mp3")
        for count, (example, theirs) in enumerate(EXAMPLES.items(), 4):
            before = "import requests\n" if example.endswith("py") else ""
            ended = await clients.run(example, before=before, instead=(theirs, receiver.url))
            assert ended.status == 0, ended.errors
            async with transcribing(pool, storage):
                await receiver.wait(count)

        receiver.answers.append(answering(403))
        answer = await client.post(HEAR, files={"file": ("audio.mp3", sample())}, data=address)
        async with transcribing(pool, storage):
            await receiver.wait(6)
        job_id = answer.json()["job_id"]

        async def told() -> bool:
            job = (await client.get(f"/api/v1/jobs/{job_id}")).json()
            return bool(job["upload"]["state"] == "failed")

        await wait_until(told, "the job to say that its result did not arrive")
        job = (await client.get(f"{JOBS}/{job_id}")).json()
        assert job["result"]["result"]["text"] == TALK.text
