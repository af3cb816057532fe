"""`kill -9` of ingest: in the middle of an upload, and of the relay that it runs."""

import asyncio
import time

import aio_pika
import asyncpg
import httpx
import msgspec

from common import ids, outbox
from common.database import connect
from common.ids import EventId
from common.outbox import News
from tests import bucket
from tests.recordings import sample
from tests.running import Services, wait_until

JOBS = "/api/v1/jobs"
_EVENTS = 3_000
_HEARD_SECONDS = 2.0  # of the three that who has connected has to say something
_NOBODY_LISTENS = "amqp://guest:guest@127.0.0.1:1/"


async def test_killed_in_the_middle_of_an_upload(service: Services, environment: dict[str, str], database_url: str) -> None:
    """No job appears, and the janitor takes away the parts that were left in the store."""
    ingest = await service("ingest")
    async with bucket.opened(environment) as store:

        async def open_uploads() -> int:
            return len([found async for found in store.open_uploads()])

        async def begun() -> bool:
            return await open_uploads() == 1

        async def swept() -> bool:
            return await open_uploads() == 0 and not [found async for found in store.objects()]

        url = httpx.URL(ingest.url)
        _, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(
            b"POST /api/v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 90000000\r\n\r\n"
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + sample()
        )
        for _ in range(40):
            writer.write(bytes(2**20))
            await writer.drain()
        await wait_until(begun, "the upload to begin")
        ingest.kill()
        writer.close()
        connection = await asyncpg.connect(database_url)
        assert await connection.fetchval("select count(*) from jobs") == 0
        await connection.close()
        await service("janitor", STALE_UPLOAD_HOURS="0.0001", CLEANUP_INTERVAL_MINUTES="0.02")
        await wait_until(swept, "the janitor to abort the upload")


async def test_a_stop_hears_who_has_connected(service: Services) -> None:
    """A request on a connection that was made before the stop is answered, though it comes after; then the service ends."""

    async def heard() -> bool:
        """Unless we stood still for about as long as it waits for who says nothing."""
        ingest = await service("ingest")
        url = httpx.URL(ingest.url)

        async def deaf() -> bool:
            try:
                _, other = await asyncio.open_connection(url.host, url.port)
            except ConnectionRefusedError:
                return True
            other.close()
            return False

        reader, writer = await asyncio.open_connection(url.host, url.port)
        await asyncio.to_thread(httpx.get, f"{ingest.url}/health/live", timeout=60)  # by now the connection before it has been accepted
        stopped = time.monotonic()
        ingest.terminate()
        await wait_until(deaf, "the ingest to take no more connections")
        writer.write(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        in_time = time.monotonic() - stopped < _HEARD_SECONDS
        try:
            answer = await reader.readline()
        except ConnectionResetError:
            answer = b""
        writer.close()
        assert await ingest.gone() == 0
        assert answer.startswith(b"HTTP/1.1 200") or not in_time
        return in_time

    await wait_until(heard, "a request in time", 180)


async def test_killed_relay_loses_no_event(service: Services, environment: dict[str, str], database_url: str) -> None:
    """A relay that dies in the middle of publishing thousands of events leaves the rest to the next: all arrive, at least once."""
    news = [News(EventId(ids.new()), str(ids.new()), b"{}", None) for _ in range(_EVENTS)]
    async with connect(database_url, name="test") as pool, pool.acquire() as connection:
        await outbox.add_many(connection, "job.created", news)

        async def partly() -> bool:
            return bool(await connection.fetchval("select count(*) < $1 from outbox", _EVENTS))

        # It passes over what somebody has locked, so it is not done before it is killed, however late that is.
        async with pool.acquire() as holding, holding.transaction():
            await holding.execute("set local idle_in_transaction_session_timeout = 0")
            await holding.execute("select from outbox order by id desc limit 500 for update")
            ingest = await service("ingest")
            await wait_until(partly, "the first events to be published")
            ingest.kill()
        await service("janitor")

        async def empty() -> bool:
            return bool(await connection.fetchval("select count(*) = 0 from outbox"))

        await wait_until(empty, "the other relay to publish the rest", 120)
    seen: set[str] = set()
    broker = await aio_pika.connect(environment["AMQP_URL"])
    async with broker:
        channel = await broker.channel()
        queue = await channel.get_queue("transcriber.jobs")
        async with asyncio.timeout(120), queue.iterator(no_ack=True) as messages:
            async for message in messages:
                seen.add(str(message.headers["ce-id"]))
                if len(seen) == _EVENTS:
                    break
    assert seen == {str(each.event_id) for each in news}


async def test_submission_while_the_broker_is_away(service: Services, environment: dict[str, str], database_url: str) -> None:
    """A submission is accepted while the broker is away, survives ingest's death, and is announced by the next ingest."""
    cut_off = await service("ingest", AMQP_URL=_NOBODY_LISTENS, until="live")
    async with httpx.AsyncClient(base_url=cut_off.url, timeout=60) as client:
        ready = await client.get("/health/ready")
        assert ready.status_code == 503
        assert ready.json()["broker"].startswith("unavailable")
        job = (await client.post(JOBS, files={"file": ("talk.wav", sample())})).json()
    cut_off.kill()
    await service("ingest")
    broker = await aio_pika.connect(environment["AMQP_URL"])
    async with broker:
        channel = await broker.channel()
        queue = await channel.get_queue("transcriber.jobs")

        async def announced() -> bool:
            message = await queue.get(fail=False, timeout=60)
            return message is not None and msgspec.json.decode(message.body)["id"] == job["id"]

        await wait_until(announced, "the job to be announced")
