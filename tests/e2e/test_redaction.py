"""A lexicon and redaction through real processes: from the API into the engine and back, and what is left in the bucket."""

from pathlib import Path

import httpx

from tests import bucket
from tests.e2e.test_pipeline import JOBS, plain, until_final
from tests.recordings import sample
from tests.running import Services, wait_until

LEXICON = {"name": "Names", "corrections": [{"from": "Diane", "to": "415-555-2671"}], "hotwords": ["Jersey"]}


async def test_what_is_redacted_is_nowhere(service: Services, environment: dict[str, str], tmp_path: Path) -> None:
    """The lexicon is used though it is gone by then; the text has a label, the audio is the copy, and the original is deleted."""
    ingest = await service("ingest")
    await service("transcriber")
    async with httpx.AsyncClient(base_url=ingest.url, timeout=90) as client, bucket.opened(environment) as store:
        lexicon = (await client.post("/api/v1/lexicons", json=LEXICON)).json()
        options = {"language": "en", "redact": "phone", "lexicon_id": lexicon["id"]}
        submitted = await client.post(JOBS, files={"file": ("talk.wav", sample())}, data=options)
        await client.delete(lexicon["links"]["self"])
        job = await until_final(client, submitted.json()["id"])
        assert job["status"] == "completed", job["error"]
        assert job["result"]["keys"].keys() == {"transcript", "audio"}

        answer = await client.get(f"{JOBS}/{job['id']}/transcript")
        assert "This is [PHONE] in New Jersey" in answer.json()["text"]
        assert answer.json()["original_text"] is None
        assert "diane" not in plain(answer.text)
        location = (await client.get(f"{JOBS}/{job['id']}/audio")).headers["location"]
        assert job["result"]["keys"]["audio"] in location
        copy = (await client.get(location)).content
        assert copy == await store.get(job["result"]["keys"]["audio"])
        assert len(copy) > 100_000

        async def only_results() -> bool:
            return {found.key async for found in store.objects()} == set(job["result"]["keys"].values())

        await wait_until(only_results, "the original to be gone")
