"""A job's webhooks through the real API, with a real notifier and a receiver that answers as it is told."""

from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import msgspec

from common.broker import Broker
from common.storage import Storage
from tests.integration.ingest.test_jobs import JOBS, finish, submit
from tests.integration.notifier.receiver import answering, receiving
from tests.running import RunningService, Services, wait_until
from tests.tap import tap


async def only_delivery(client: httpx.AsyncClient, job_id: str) -> dict[str, Any] | None:
    answer = await client.get(f"{JOBS}/{job_id}/deliveries")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["deliveries"]
    assert len(found) < 2
    return found[0] if found else None


async def delivery_that_is(client: httpx.AsyncClient, job_id: str, state: str, attempts: int) -> dict[str, Any]:
    async def there() -> bool:
        found = await only_delivery(client, job_id)
        return found is not None and (found["state"], len(found["attempts"])) == (state, attempts)

    await wait_until(there, f"the delivery to be {state} after {attempts} attempts")
    found = await only_delivery(client, job_id)
    assert found is not None
    return found


async def test_attempts_are_shown_and_made_again(
    client: httpx.AsyncClient, service: Services, store: Storage, sample: bytes, database_url: str
) -> None:
    """Every attempt is visible with what came of it; a webhook that failed or was delivered is sent once more, the same as before.

    However many attempts were made before, it has all its retries again.
    """
    await service("notifier", WEBHOOK_ALLOW_NETWORKS="127.0.0.0/8", WEBHOOK_MAX_RETRIES="1", WEBHOOK_RETRY_DELAY="0")
    async with receiving() as receiver:
        receiver.answers.extend([answering(500, "out of order")] * 2)
        job = await submit(client, sample, webhook_url=f"{receiver.url}?token=secret")
        await finish(database_url, store, job["id"])
        failed = await delivery_that_is(client, job["id"], "failed", 2)
        assert "secret" not in failed["endpoint"]
        assert failed["event_type"] == "job.completed"
        assert failed["next_attempt_at"] is None
        for number, attempt in enumerate(failed["attempts"], start=1):
            assert (attempt["attempt"], attempt["status"], attempt["answer"], attempt["error"]) == (number, 500, "out of order", None)
        receiver.answers.append(answering(503))
        for made in (4, 5):
            again = await client.post(failed["links"]["redeliver"])
            assert (again.status_code, again.json()["state"]) == (202, "pending")
            delivered = await delivery_that_is(client, job["id"], "delivered", made)
            assert [attempt["attempt"] for attempt in delivered["attempts"]] == list(range(1, made + 1))
            assert delivered["attempts"][-1]["status"] == 204
    assert len({call.headers["webhook-id"] for call in receiver.received}) == 1
    assert len({call.body for call in receiver.received}) == 1


async def test_an_upload_beside_a_full_webhook(
    client: httpx.AsyncClient,
    ingest: RunningService,
    service: Services,
    store: Storage,
    sample: bytes,
    database_url: str,
    broker: Broker,
) -> None:
    """The transcript is PUT where the submitter wants it, and comes with the webhook; the job and its log say so, and show no secret."""
    async with receiving() as receiver, tap(broker, "#") as heard:
        notifier = await service("notifier", WEBHOOK_ALLOW_NETWORKS="127.0.0.0/8")
        receiver.answers.append(
            answering(403, "<Error><Code>AccessDenied</Code><Message>No</Message><RequestId>5d672d79</RequestId></Error>")
        )
        url = f"{receiver.url}/put?X-Amz-Signature=5d672d79"
        job = await submit(client, sample, upload_presigned_url=url)
        assert job["upload"] == {"state": "pending", "code": None, "at": None}
        await finish(database_url, store, job["id"])
        failed = await delivery_that_is(client, job["id"], "failed", 1)
        assert (failed["kind"], failed["code"], failed["attempts"][0]["answer"]) == ("upload", "upload_forbidden", "AccessDenied: No")
        shown = (await client.get(f"{JOBS}/{job['id']}")).json()
        assert (shown["upload"]["state"], shown["upload"]["code"], shown["status"]) == ("failed", "upload_forbidden", "completed")
        again = await client.post(failed["links"]["redeliver"])
        assert (again.json()["state"], again.json()["code"]) == ("pending", None)
        await delivery_that_is(client, job["id"], "delivered", 2)
        shown = await client.get(f"{JOBS}/{job['id']}")
        assert shown.json()["upload"]["state"] == "delivered"
        transcript = (await client.get(f"{JOBS}/{job['id']}/transcript")).content
        assert [call.body for call in receiver.received] == [transcript] * 2

        # The field that needs the other may come before it.
        full = await submit(client, sample, webhook_payload="full", expires_in="0", webhook_url=receiver.url)
        assert full["options"] == {"webhook_payload": "full", "expires_in": 0}
        await finish(database_url, store, full["id"])
        assert (await receiver.wait(3))[2].event["transcript"] == msgspec.json.decode(transcript)

        log = await client.get(f"{JOBS}/{job['id']}/deliveries")
        events = await heard.until(6)
        for text in (shown.text, log.text, ingest.log, notifier.log, *(event.body.decode() for event in events)):
            assert "5d672d79" not in text


async def test_redelivering_what_is_pending_changes_nothing(client: httpx.AsyncClient, sample: bytes, database: asyncpg.Connection) -> None:
    """Asked twice, one attempt is announced."""
    job = await submit(client, sample)
    delivery_id = uuid4()
    await database.execute(
        "insert into deliveries (id, job_id, event_id, event_type, endpoint, lane, body, state, attempt, finished_at)"
        " values ($1, $2, $1, 'job.completed', 'https://u:p@example.com/hook', 'a', '', 'delivered', 1, now())",
        delivery_id,
        job["id"],
    )
    await database.execute("create table seen as select * from outbox where false")
    await database.execute("create rule keep as on insert to outbox do also insert into seen select new.*")
    url = f"/api/v1/deliveries/{delivery_id}/redeliver"
    first, second = await client.post(url), await client.post(url)
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json() == second.json()
    assert first.json()["endpoint"] == "https://example.com/hook"
    assert await database.fetchval("select count(*) from seen where type = 'delivery.due'") == 1


async def test_a_delivery_that_is_not_there(client: httpx.AsyncClient, sample: bytes) -> None:
    """A job without webhooks has an empty list; an unknown delivery is a 404."""
    job = await submit(client, sample)
    assert (await client.get(f"{JOBS}/{job['id']}/deliveries")).json() == {"deliveries": []}
    answer = await client.post(f"/api/v1/deliveries/{uuid4()}/redeliver")
    assert (answer.status_code, answer.json()["code"]) == (404, "delivery_not_found")
