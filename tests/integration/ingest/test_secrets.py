"""Keys, tokens and URLs with passwords reach neither logs nor events nor traces."""

import asyncpg
import httpx

from common.broker import Broker
from services.ingest.auth import create_key
from tests.e2e.test_trace import collector
from tests.integration.ingest.test_links import site
from tests.running import Services, wait_until
from tests.tap import tap

JOBS = "/api/v1/jobs"
SECRET = "hunter2"  # never anything but a secret
WRONG = "vb_wrong-" + SECRET


async def test_secrets_stay_secret(service: Services, sample: bytes, database: asyncpg.Connection, broker: Broker) -> None:
    """Submissions that succeed and fail, with secrets wherever they may stand, leave none in log lines, events, spans or answers."""
    key = await create_key(database, tenant="a", name="", scopes=("read", "write"))
    async with tap(broker, "#") as heard, collector() as otlp, site(sample) as url:
        ingest = await service("ingest", AUTH="on", OTEL_EXPORTER_OTLP_ENDPOINT=otlp.url)
        headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": SECRET}
        source = f"{url.replace('//', '//user:' + SECRET + '@')}/talk.wav?token={SECRET}"
        hook = f"https://user:{SECRET}@hook.example/{SECRET}?token={SECRET}"
        async with httpx.AsyncClient(base_url=ingest.url, timeout=30) as client:
            answers = [
                await client.post(
                    JOBS, json={"source": {"url": f"{url}/guarded/talk.wav?token={SECRET}"}, "webhook_url": hook}, headers=headers
                ),
                await client.post(
                    JOBS, json={"source": {"url": source.replace("talk", "gone")}}, headers={"Authorization": f"Bearer {key}"}
                ),
                await client.post(JOBS, json={"source": {"url": f"gopher://{SECRET}"}}, headers={"Authorization": f"Bearer {key}"}),
                await client.post(
                    JOBS, files={"file": ("a", sample)}, data={"webhook_url": hook}, headers={"Authorization": f"Bearer {key}"}
                ),
                await client.get(f"{JOBS}?token={SECRET}", headers={"Authorization": f"Bearer {key}"}),
                await client.get(JOBS, headers={"Authorization": f"Bearer {WRONG}"}),
            ]
            assert [answer.status_code for answer in answers] == [202, 422, 422, 202, 422, 401]
            signatures = await signed_in_parts(client, sample, {"Authorization": f"Bearer {key}"})
        events = await heard.until(3)
        await wait_until(lambda: len(otlp.spans) >= 6, "the spans to be exported")
        ingest.terminate()
        assert await ingest.gone() == 0
    places = {
        "logs": ingest.log,
        "events": "".join(f"{event.body.decode()} {event.headers}" for event in events),
        "traces": "".join(str(span) for _, span in otlp.spans),
        "answers": "".join(f"{answer.text} {answer.headers}" for answer in answers),
    }
    for place, text in places.items():
        assert len(text) > 100, place
        for secret in (SECRET, key, key.removeprefix("vb_")[:12], "X-Amz-Signature", *signatures):
            assert secret not in text, place


async def signed_in_parts(client: httpx.AsyncClient, sample: bytes, headers: dict[str, str]) -> list[str]:
    """The signatures of the addresses by which an upload came, of which a job was made."""
    begun = (await client.post("/api/v1/uploads", json={"size": len(sample)}, headers=headers)).json()
    urls = [part["url"] for part in begun["urls"]]
    async with httpx.AsyncClient() as anybody:
        await anybody.put(urls[0], content=sample)
    assert (await client.post(begun["links"]["complete"], headers=headers)).status_code == 200
    assert (await client.post(JOBS, json={"source": {"upload_id": begun["id"]}}, headers=headers)).status_code == 202
    return [httpx.URL(url).params["X-Amz-Signature"] for url in urls]
