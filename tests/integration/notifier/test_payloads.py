"""What a webhook has in it: the transcript when asked, a link to one that is large; verified by two independent receivers."""

from datetime import datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest
from standardwebhooks import Webhook
from svix.webhooks import Webhook as Svix

from common.database import Pool
from common.errors import TransientError
from common.jobs import store
from common.jobs.document import public
from common.jobs.job import Job, Result
from common.storage import Storage
from common.storage_keys import transcript_key
from common.transcript import Language, Transcript, encode
from services.notifier.outgoing import Outgoing
from services.notifier.presigned import lives_until
from services.notifier.schedule import Schedule
from tests.integration.notifier.conftest import SECRET, Notifier, due_now, wanting
from tests.integration.notifier.receiver import Received, Receiver, answering
from tests.jobs import BROKEN, claimed
from tests.skew import clock_off

TRANSCRIPT = msgspec.json.format(encode(Transcript("Grüße", Language("de", 0.5), 1.5, (), (), {}, {})), indent=1)


async def completed(pool: Pool, storage: Storage, url: str | None, *, retention: timedelta = timedelta(hours=1), **options: Any) -> Job:
    """A completed job with a transcript in the bucket."""
    async with pool.acquire() as connection:
        await wanting(connection, url, retention=retention, **options)
        job = await claimed(connection)
        assert job.lease_token is not None
        key = transcript_key(job.id, job.lease_token)
        await storage.put(key, TRANSCRIPT, content_type="application/json")
        result = Result(bucket=storage.bucket, keys={"transcript": key}, language="en", duration=1.0, speakers=0)
        done = await store.finish(connection, job, result)
        assert done is not None
        return done


async def told(notifier: Notifier, receiver: Receiver, job: Job, kind: str = "job.completed") -> Received:
    """What the receiver gets, once two independent receivers have verified it."""
    count = len(receiver.received)
    await notifier.take_in(job, kind, data=msgspec.json.encode(public(job)))
    await notifier.run()
    [*_, call] = await receiver.wait(count + 1)
    for verifier in (Webhook(SECRET), Svix(SECRET)):
        verifier.verify(call.body, dict(call.headers))
    return call


async def test_thin_unless_asked(pool: Pool, storage: Storage, notifier: Notifier, receiver: Receiver) -> None:
    """The job alone, with its sequence number."""
    job = await completed(pool, storage, receiver.url)
    call = await told(notifier, receiver, job)
    assert list(call.event) == ["type", "timestamp", "version", "data"]
    assert call.event["data"]["revision"] == job.revision > 0


async def test_full_when_asked(pool: Pool, storage: Storage, notifier: Notifier, receiver: Receiver) -> None:
    """The transcript comes along as it is stored, the same in every attempt, and none of it is kept with the delivery."""
    receiver.answers.append(answering(500))
    job = await completed(pool, storage, receiver.url, webhook_payload="full")
    first = await told(notifier, receiver, job)
    assert first.body.endswith(b',"transcript":' + TRANSCRIPT + b"}")
    assert first.event["data"]["id"] == str(job.id)
    assert "Gr" not in await pool.fetchval("select convert_from(body, 'UTF8') from deliveries")

    await due_now(pool)
    await notifier.run()
    second = receiver.received[1]
    assert (second.body, second.headers["webhook-id"]) == (first.body, first.headers["webhook-id"])

    await storage.delete_prefix("results/")
    await pool.execute("update deliveries set state = 'pending', due_at = now()")
    await pool.execute("update jobs set status = 'expired', result = null")
    assert "transcript" not in (await told(notifier, receiver, job)).event


async def test_full_for_an_endpoint(pool: Pool, storage: Storage, notifier: Notifier, receiver: Receiver) -> None:
    """An endpoint that asked for it gets it beside others that did not, under one id; of jobs that failed there is nothing to add."""
    await pool.execute(
        "insert into endpoints (id, tenant, url, events, description, payload)"
        " values (gen_random_uuid(), 'default', $1, '{job.completed,job.failed}', '', 'full')",
        f"{receiver.url}/full",
    )
    job = await completed(pool, storage, f"{receiver.url}/thin")
    await notifier.take_in(job)
    await notifier.take_in(job, "job.failed", b"{}")
    await notifier.run()
    found = {(call.path.rpartition("/")[2], call.event["type"]): call for call in receiver.received}
    has = {key: "transcript" in call.event for key, call in found.items()}
    assert has == {
        ("full", "job.completed"): True,
        ("thin", "job.completed"): False,
        ("full", "job.failed"): False,
        ("thin", "job.failed"): False,
    }
    assert found["full", "job.completed"].headers["webhook-id"] == found["thin", "job.completed"].headers["webhook-id"]


async def test_a_link_by_the_databases_clock(
    pool: Pool, storage: Storage, outgoing: Outgoing, receiver: Receiver, database_url: str
) -> None:
    """A link's signature ends when the webhook says that it does, also where the notifier's clock is an hour behind the database's."""
    notifier = Notifier(pool, outgoing, storage, schedule=Schedule(), most_bytes=0)
    job = await completed(pool, storage, receiver.url, webhook_payload="full", retention=timedelta(hours=3))
    await clock_off(pool, database_url, "1 hour")
    await notifier.take_in(job, data=msgspec.json.encode(public(job)))
    await due_now(pool)
    await notifier.run()
    [call] = receiver.received
    link = call.event["transcript_url"]
    ends = lives_until(link["url"])
    assert ends is not None
    assert timedelta(0) <= ends - datetime.fromisoformat(link["expires_at"]) <= timedelta(minutes=1)


@pytest.mark.parametrize("retention", [timedelta(hours=2), timedelta(0)])
async def test_a_large_one(pool: Pool, storage: Storage, outgoing: Outgoing, receiver: Receiver, retention: timedelta) -> None:
    """A transcript over the limit is behind a link that needs no key, works until the result expires, and for an hour at the least."""
    notifier = Notifier(pool, outgoing, storage, schedule=Schedule(), most_bytes=len(TRANSCRIPT) - 1)
    job = await completed(pool, storage, receiver.url, webhook_payload="full", retention=retention)
    call = await told(notifier, receiver, job)
    assert list(call.event) == ["type", "timestamp", "version", "data", "transcript_url"]
    link = call.event["transcript_url"]
    assert link["size"] == len(TRANSCRIPT)
    async with httpx.AsyncClient(timeout=60) as client:
        assert (await client.get(link["url"])).content == TRANSCRIPT
    expected = retention or timedelta(hours=1)
    assert abs(await pool.fetchval("select $1::timestamptz - now()", datetime.fromisoformat(link["expires_at"])) - expected) < timedelta(
        minutes=1
    )
    kept = await pool.fetchval("select keep_until - now() from deliveries")
    assert timedelta(minutes=59) < kept <= timedelta(hours=1)


async def test_as_the_earlier_service(pool: Pool, storage: Storage, outgoing: Outgoing, notifier: Notifier, receiver: Receiver) -> None:
    """How a job ended as clients of the earlier service know it: the result, a link to a large one, or why there is none; signed too."""
    job = await completed(pool, storage, receiver.url, webhook_payload="process")
    call = await told(notifier, receiver, job)
    assert list(call.event) == ["job_id", "completed_at", "result", "status"]
    assert (call.event["job_id"], call.event["status"]) == (str(job.id), "completed")
    assert (call.event["result"]["transcript"], call.event["result"]["job_id"]) == ("Grüße", str(job.id))
    assert call.event["completed_at"] == call.event["result"]["processing_completed_at"]

    short = Notifier(pool, outgoing, storage, schedule=Schedule(), most_bytes=10)
    large = await told(short, receiver, await completed(pool, storage, receiver.url, webhook_payload="process"))
    assert large.event["result"] is None
    async with httpx.AsyncClient(timeout=60) as client:
        assert (await client.get(large.event["result_url"])).content == TRANSCRIPT

    async with pool.acquire() as connection:
        await wanting(connection, receiver.url, webhook_payload="process")
        broken = await store.fail(connection, await claimed(connection), BROKEN)
        await wanting(connection, receiver.url, webhook_payload="process")
        cancelled = await store.cancel(connection, (await claimed(connection)).id, "default")
    for ended, kind, message in (broken, "job.failed", BROKEN.message), (cancelled, "job.cancelled", "The job was cancelled."):
        assert ended is not None
        call = await told(notifier, receiver, ended, kind)
        assert (call.event["status"], call.event["error_message"]) == ("failed", message)
        assert list(call.event) == ["job_id", "completed_at", "error_message", "status"]


class Away(Storage):
    """A store that cannot be reached just now."""

    def __init__(self, real: Storage) -> None:
        self._real = real

    async def size(self, key: str) -> int:
        raise TransientError("storage_unavailable", f"{key} cannot be read.")

    async def presign(self, key: str, **said: Any) -> str:
        return await self._real.presign(key, **said)


async def test_a_store_that_is_away(pool: Pool, storage: Storage, outgoing: Outgoing, receiver: Receiver) -> None:
    """An outage of the store delays no webhook: there is a link in place of the transcript."""
    notifier = Notifier(pool, outgoing, Away(storage), schedule=Schedule())
    job = await completed(pool, storage, receiver.url, webhook_payload="full")
    link = (await told(notifier, receiver, job)).event["transcript_url"]
    assert link["size"] is None
