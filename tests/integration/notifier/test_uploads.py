"""Uploads of results to pre-signed URLs: at a real store, and at what pretends to be one."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import aioboto3
import pytest
from aiohttp import web
from botocore.config import Config

from common.database import Pool
from common.due import Due, announce
from common.errors import TransientError
from common.jobs import removal, store
from common.jobs.document import public
from common.jobs.job import Job, Result, Upload
from common.storage import Storage
from common.storage_keys import transcript_key
from deploy.local.stack import Stack
from services.ingest import deliveries as shown
from services.notifier.health import PATIENCE
from services.notifier.outgoing import Outgoing, opened
from services.notifier.schedule import Schedule
from tests.integration.notifier.conftest import LIMIT, Delivery, Notifier, Tried, delivery, due_now, wanting
from tests.integration.notifier.receiver import Receiver, answering
from tests.integration.notifier.test_outgoing import BROKEN, raw, saying
from tests.integration.notifier.test_payloads import Away
from tests.jobs import claimed, reread
from tests.running import wait_until
from tests.skew import clock_off

TRANSCRIPT = json.dumps({"text": "Grüße & <Küsse>", "segments": []}, ensure_ascii=False, indent=1).encode()


@pytest.fixture
async def s3(stack: Stack) -> AsyncIterator[Any]:
    """The submitter's own client of a store."""
    client = aioboto3.Session().client(
        "s3",
        endpoint_url=stack.s3.endpoint_url,
        aws_access_key_id=stack.s3.access_key,
        aws_secret_access_key=stack.s3.secret_key,
        region_name="us-east-1",
        config=Config(signature_version="s3v4"),
    )
    async with client as made:
        yield made


async def completed(pool: Pool, storage: Storage, url: str, transcript: bytes = TRANSCRIPT, **wanted: Any) -> Job:
    """A completed job whose result is to be sent to `url`."""
    async with pool.acquire() as connection:
        await wanting(connection, None, upload_presigned_url=url, **wanted)
        job = await claimed(connection)
        assert job.lease_token is not None
        key = transcript_key(job.id, job.lease_token)
        await storage.put(key, transcript, content_type="application/json")
        result = Result(bucket=storage.bucket, keys={"transcript": key}, language="en", duration=1.0, speakers=0)
        done = await store.finish(connection, job, result)
        assert done is not None
        assert public(done).upload == Upload(state="pending")
        return done


async def uploaded(pool: Pool, notifier: Notifier, job: Job) -> tuple[Upload, Delivery]:
    """What came of it, on the job and in the log."""
    await notifier.take_in(job)
    return await tried(pool, notifier, job)


async def tried(pool: Pool, notifier: Notifier, job: Job) -> tuple[Upload, Delivery]:
    """The same for one that has been taken in."""
    await notifier.run()
    found = await delivery(pool, job)
    assert found is not None
    async with pool.acquire() as connection:
        told = public(await reread(connection, job)).upload
    assert told is not None
    return told, found


async def signed(s3: Any, bucket: str, *, key: str = "mine/a b+c&d=ü'().json", method: str = "put_object", seconds: int = 600) -> str:
    url: str = await s3.generate_presigned_url(method, Params={"Bucket": bucket, "Key": key}, ExpiresIn=seconds)
    return url


async def test_at_a_real_store(pool: Pool, storage: Storage, notifier: Notifier, s3: Any, bucket: str) -> None:
    """The transcript arrives as it is stored, byte for byte, with its type, under a URL that must not be respelled."""
    url = await signed(s3, bucket)
    job = await completed(pool, storage, url)
    told, found = await uploaded(pool, notifier, job)

    assert (told.state, told.code, found.state) == ("delivered", None, "delivered")
    assert told.at is not None
    there = await s3.get_object(Bucket=bucket, Key="mine/a b+c&d=ü'().json")
    assert await there["Body"].read() == TRANSCRIPT
    assert there["ContentType"] == "application/json"
    assert "X-Amz" not in str(public(job))


async def test_refused_by_a_real_store(pool: Pool, storage: Storage, notifier: Notifier, s3: Any, stack: Stack, bucket: str) -> None:
    """A URL for another method, or signed by nobody whom the store knows: over at once, and told apart."""
    stranger = aioboto3.Session().client(
        "s3",
        endpoint_url=stack.s3.endpoint_url,
        aws_access_key_id="nobody",
        aws_secret_access_key="nothing",
        region_name="us-east-1",
        config=Config(signature_version="s3v4"),
    )
    async with stranger as other:
        strange = await signed(other, bucket)
    cases = {
        "upload_signature_mismatch": await signed(s3, bucket, method="get_object"),
        "upload_forbidden": strange,
    }
    for code, url in cases.items():
        told, found = await uploaded(pool, notifier, await completed(pool, storage, url))
        assert (told.state, told.code) == ("failed", code), found
        answer = found.tried[0].answer
        assert answer is not None
        for part in urlsplit(url).query.split("&"):
            value = part.partition("=")[2]
            assert len(value) < 6 or value not in answer
        assert not [entry async for entry in storage.objects("mine/")]


async def test_only_the_databases_clock(
    pool: Pool, storage: Storage, outgoing: Outgoing, s3: Any, bucket: str, database_url: str, receiver: Receiver
) -> None:
    """An hour between the clocks of database and services: the URL's end, the schedule and signatures go by the database's."""
    notifier = Notifier(pool, outgoing, storage, schedule=Schedule())
    url = await signed(s3, bucket)
    await clock_off(pool, database_url, "1 hour")
    told, found = await uploaded(pool, notifier, await completed(pool, storage, url))
    assert (told.code, found.tried[0].status) == ("upload_url_expired", None)

    receiver.answers.append(answering(500))
    async with pool.acquire() as connection:
        await wanting(connection, receiver.url)
        job = await claimed(connection)
        await store.finish(connection, job, Result(bucket="b", keys={"transcript": "t"}, language="en", duration=1, speakers=0))
    await notifier.take_in(job)
    await notifier.run()
    [call] = receiver.received
    now = await pool.fetchval("select extract(epoch from now())")
    assert abs(int(call.headers["webhook-timestamp"]) - now) < 60
    # Rows are made by the true clock: the hour is in what is left.
    wait = await pool.fetchval("select available_at - created_at - interval '1 hour' from outbox where type = 'delivery.due'")
    assert timedelta(seconds=5) <= wait <= timedelta(seconds=6)

    # The other way round the store is the one that says that it is too late.
    await clock_off(pool, database_url, "0 hours")
    job = await completed(pool, storage, await signed(s3, bucket, seconds=1))
    await notifier.take_in(job)
    here = await pool.fetchval("select pg_catalog.now() + interval '1100 milliseconds'")

    async def over() -> bool:
        late: bool = await pool.fetchval("select pg_catalog.now() > $1", here)
        return late

    await wait_until(over, "the URL to expire")
    await clock_off(pool, database_url, "-1 hour")
    await due_now(pool)
    told, found = await tried(pool, notifier, job)
    assert (told.code, found.tried[0].status) == ("upload_url_expired", 403)


async def test_byte_for_byte(pool: Pool, storage: Storage, notifier: Notifier, receiver: Receiver) -> None:
    """The path and the query reach the store in the spelling in which they were signed, with a length and no signature of ours."""
    seen: list[web.Request] = []

    async def look(request: web.Request) -> web.Response:
        seen.append(request)
        return web.Response(status=200)

    receiver.answers.append(look)
    path = "/b/a%2Fb%20c+d%7e~'()/%C3%BC?X-Amz-Credential=A%2fB&x=%41;y&X-Amz-Signature=5d672d79+/=&z"
    large = b"[" + b"1," * 3_000_000 + b"1]"
    told, _ = await uploaded(pool, notifier, await completed(pool, storage, receiver.url.removesuffix("/webhook") + path, large))

    assert told.state == "delivered"
    [request] = seen
    assert (request.method, request.raw_path) == ("PUT", path)
    [received] = receiver.received
    assert received.body == large
    assert (received.headers["content-length"], received.headers["content-type"]) == (str(len(large)), "application/json")
    assert not {"transfer-encoding", "webhook-id", "webhook-signature", "traceparent", "authorization"} & set(received.headers)


async def test_tried_again_while_it_lives(pool: Pool, storage: Storage, notifier: Notifier, receiver: Receiver) -> None:
    """A store that is out of order is asked again; the second time it takes the result."""
    receiver.answers.append(answering(503, "<Error><Code>SlowDown</Code><Message>Reduce your rate</Message></Error>"))
    job = await completed(pool, storage, f"{receiver.url}?X-Amz-Signature=5d672d79")
    told, found = await uploaded(pool, notifier, job)
    assert (told.state, found.tried) == ("pending", [Tried(503, "SlowDown: Reduce your rate", None)])

    await due_now(pool)
    await notifier.run()
    found_again = await delivery(pool, job)
    assert found_again is not None
    assert (found_again.state, found_again.attempt) == ("delivered", 2)
    assert [call.body for call in receiver.received] == [TRANSCRIPT] * 2


async def test_our_own_store_is_away(pool: Pool, storage: Storage, outgoing: Outgoing, receiver: Receiver) -> None:
    """It costs the receiver none of his attempts, be there but one: the same is made when the store is back."""
    away = Notifier(pool, outgoing, Away(storage), schedule=Schedule(()))
    job = await completed(pool, storage, receiver.url)
    told, found = await uploaded(pool, away, job)
    assert (told.state, found) == ("pending", Delivery("pending", 0, []))

    back = Notifier(pool, outgoing, storage, schedule=Schedule(()))
    await due_now(pool)
    told, found = await tried(pool, back, job)
    assert (told.state, found) == ("delivered", Delivery("delivered", 1, [Tried(204, "", None)]))


class Refusing(Away):
    """A store that has the object and does not give it."""

    async def size(self, key: str) -> int:
        return await self._real.size(key)

    async def read(self, key: str) -> AsyncGenerator[bytes, None]:
        if key:
            raise TransientError("storage_unavailable", f"The store answered InternalError for {key}.")
        yield b""


@pytest.mark.parametrize("broken", [Away, Refusing])
async def test_our_own_store_never_gives_it(
    pool: Pool, storage: Storage, outgoing: Outgoing, receiver: Receiver, broken: type[Away]
) -> None:
    """It is asked ever more seldom, and nobody is called; after days the upload has failed, by our own fault, and its job expires."""
    notifier = Notifier(pool, outgoing, broken(storage), schedule=Schedule())
    job = await completed(pool, storage, receiver.url, retention=timedelta(0))
    await receiver.stop()  # whoever called all the same would have to record that nobody is there
    await notifier.take_in(job)
    async with pool.acquire() as connection:
        for away, wait in ((None, 30), (timedelta(minutes=10), 600), (timedelta(days=4), 3_600)):
            await connection.execute("update deliveries set postponed_since = now() - $1::interval", away)
            await due_now(pool)
            told, found = await tried(pool, notifier, job)
            assert (told.state, found) == ("pending", Delivery("pending", 0, []))
            waits = await connection.fetchval("select due_at - now() from deliveries")
            assert wait / 2 < waits.total_seconds() < 2 * wait
            assert await removal.delivered(connection, after=None, limit=9) == []

        await connection.execute("update deliveries set postponed_since = now() - $1::interval", PATIENCE)
        await due_now(pool)
        told, found = await tried(pool, notifier, job)
        assert (told.state, told.code, found.state, found.attempt) == ("failed", "result_unavailable", "failed", 1)
        assert [due.id for due in await removal.delivered(connection, after=None, limit=9)] == [job.id]
        assert await removal.promised(connection, [job.id], unheard=PATIENCE) == set()
        assert await connection.fetchval("select count(*) from lanes") == 0


async def test_a_url_that_ends_while_our_own_store_is_away(
    pool: Pool, storage: Storage, outgoing: Outgoing, notifier: Notifier, receiver: Receiver
) -> None:
    """That is not held against the submitter, but when it is asked for once more it is the URL."""
    job = await completed(pool, storage, receiver.url)
    await uploaded(pool, Notifier(pool, outgoing, Away(storage), schedule=Schedule()), job)
    await pool.execute("update deliveries set endpoint = endpoint || '?X-Amz-Date=20200101T000000Z&X-Amz-Expires=60'")
    await due_now(pool)
    told, found = await tried(pool, notifier, job)
    assert (told.state, told.code, found.attempt) == ("failed", "result_unavailable", 1)

    async with pool.acquire() as connection, connection.transaction():
        delivery_id = await connection.fetchval("select id from deliveries")
        await connection.fetchval(shown.SQL["redeliver"], delivery_id)
        await announce(connection, str(job.id), Due(delivery_id, 2))
    told, found = await tried(pool, notifier, job)
    assert (told.code, found.attempt) == ("upload_url_expired", 2)
    assert receiver.received == []


async def test_hostile_stores(
    pool: Pool, storage: Storage, notifier: Notifier, receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is no store costs an attempt, and whatever it says, nothing of the URL's query is kept or logged."""

    async def echo(request: web.Request) -> web.Response:
        return web.Response(status=500, text=f"cannot {request.method} {request.url} {request.raw_path}")

    receiver.answers.extend([echo, answering(302, Location="http://169.254.169.254/")])
    secret = "?X-Amz-Signature=5d672d79&X-Amz-Credential=AKIDEXAMPLE%2F20261121"
    large = b" " * 5_000_000
    jobs = [await completed(pool, storage, receiver.url + secret, large) for _ in range(2)]
    for job in jobs:
        await uploaded(pool, notifier, job)
    for case in ("is no HTTP server", "closes at once", "sends two lengths"):
        async with raw(BROKEN[case]) as url:
            told, _ = await uploaded(pool, notifier, await completed(pool, storage, url + secret, large))
            assert told.state == "pending"
    async with raw(saying(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 100000000\r\n\r\n", b"x" * 65_536, repeat=100)) as url:
        told, found = await uploaded(pool, notifier, await completed(pool, storage, url + secret, large))
        assert (told.code, len(found.tried[0].answer or "")) == ("upload_forbidden", 2_048)
    kept = " ".join(str(dict(row)) for row in await pool.fetch("select * from delivery_attempts"))
    for text in (kept, capsys.readouterr().out):
        for word in ("5d672d79", "AKIDEXAMPLE"):
            assert word not in text
    assert {call.path for call in receiver.received} == {"/webhook"}


async def test_where_it_may_not_go(pool: Pool, storage: Storage, receiver: Receiver) -> None:
    """The guard of webhooks is that of uploads: what is not public is not called, and the job says why."""
    async with opened(limit=LIMIT, allowed=()) as guarded:
        notifier = Notifier(pool, guarded, storage, schedule=Schedule())
        for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "169.254.169.254"):
            told, _ = await uploaded(pool, notifier, await completed(pool, storage, receiver.url.replace("127.0.0.1", host)))
            assert (told.state, told.code) == ("failed", "address_refused")
    assert receiver.received == []


async def test_nothing_left_to_send(pool: Pool, storage: Storage, notifier: Notifier, receiver: Receiver) -> None:
    """A result that has gone meanwhile is said to be gone, and so is an expired one; a job that failed has nothing to upload."""
    job = await completed(pool, storage, receiver.url)
    await storage.delete_prefix(f"results/{job.id}.")
    told, _ = await uploaded(pool, notifier, job)
    assert told.code == "result_gone"

    expired = await completed(pool, storage, receiver.url)
    await pool.execute("update jobs set status = 'expired', result = null, expired_at = now() where id = $1", expired.id)
    told, _ = await uploaded(pool, notifier, expired)
    assert (told.state, told.code) == ("failed", "result_gone")

    async with pool.acquire() as connection:
        await wanting(connection, None, upload_presigned_url=receiver.url)
        broken = await claimed(connection)
        failed = await store.cancel(connection, broken.id, "default")
    assert failed is not None
    assert public(failed).upload is None
    await notifier.take_in(failed, "job.cancelled")
    assert await delivery(pool, failed) is None
    assert receiver.received == []


async def test_a_job_that_is_deleted_while_it_is_uploaded(pool: Pool, storage: Storage, notifier: Notifier, receiver: Receiver) -> None:
    """Who deletes it and who tells it of its upload lock it first, so neither waits for the other; there is nobody left to tell."""
    job = await completed(pool, storage, receiver.url)
    await notifier.take_in(job)

    async def waits() -> bool:
        found: int = await pool.fetchval(
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        )
        return found == 1

    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("set local deadlock_timeout = '10ms'")
        await connection.execute("select from jobs where id = $1 for update", job.id)
        running = asyncio.create_task(notifier.run())
        await wait_until(waits, "the answer to be recorded")
        await connection.execute("delete from jobs where id = $1", job.id)
    await running
    assert len(receiver.received) == 1
    assert await pool.fetchval("select count(*) from deliveries") == 0
