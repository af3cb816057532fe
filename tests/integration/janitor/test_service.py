"""`python -m services.janitor` as a real process."""

import asyncio
import subprocess
import sys
from datetime import timedelta
from typing import get_args

import msgspec
import psutil
from aio_pika import Message
from aiohttp import web

from common import cleanup, outbox, topology
from common.broker import Broker
from common.cleanup import Cleanup, DutyName, Report
from common.database import Pool
from common.jobs import store
from common.jobs.job import Job, Status
from common.storage import Storage
from deploy.local.stack import Stack
from services.janitor.duties.reissue import PATIENCE
from tests.gateway import gateway
from tests.jobs import announced, claimed, finished_with_bytes, forget_events, queued, reread
from tests.running import RunningService, Services, wait_until
from tests.tap import tap

PAST = timedelta(seconds=-1)
NEVER = "600"


async def expired(pool: Pool, *jobs: Job) -> bool:
    async with pool.acquire() as connection:
        return {(await reread(connection, job)).status for job in jobs} == {Status.EXPIRED}


async def request_cleanup(pool: Pool, body: bytes) -> None:
    async with pool.acquire() as connection:
        await outbox.add(connection, "cleanup.requested", subject="janitor", data=body)


def reports(output: bytes) -> dict[str, Report]:
    found = [msgspec.json.decode(line, type=Report) for line in output.splitlines()]
    return {report.duty: report for report in found}


async def test_a_lost_job_is_offered_again_within_seconds(service: Services, pool: Pool, broker: Broker) -> None:
    """From the end of a dead worker's lease to the new token, with everything at its default, and not with the next cleanup."""
    await service("janitor")
    async with tap(broker, "job.requeued") as heard, pool.acquire() as connection:
        await queued(connection)
        lost = await claimed(connection, lease=timedelta(seconds=1))
        [message] = await heard.until(1)  # within a minute; the cleanup comes every ten
        late = await connection.fetchval("select clock_timestamp() - $1::timestamptz", lost.lease_until)
    assert message.headers["ce-subject"] == str(lost.id)
    assert late > timedelta(0)


async def test_it_lets_others_go_first(service: Services) -> None:
    """On a machine that it shares it gets processor time after those for whom somebody waits."""
    janitor = await service("janitor")
    assert psutil.Process(janitor.pid).nice() == min(19, psutil.Process().nice() + 10)


async def test_purged_tokens_come_back(service: Services, pool: Pool, broker: Broker) -> None:
    """Every message of the queue is lost; soon after the jobs have waited long enough, each has a token again."""
    async with pool.acquire() as connection:
        for _ in range(5):
            await queued(connection)
    await service("janitor")
    await wait_until(lambda: ready(broker, 5), "the first tokens")
    async with await broker.channel() as channel:
        await (await channel.get_queue(topology.TRANSCRIBER_JOBS.name, ensure=False)).purge()
    await wait_until(lambda: ready(broker, 5), "new tokens", limit=PATIENCE.total_seconds() + 60)


async def ready(broker: Broker, count: int) -> bool:
    return await broker.ready(topology.TRANSCRIBER_JOBS) == count


async def test_it_cleans_up_at_its_start_and_on_request(service: Services, pool: Pool, storage: Storage, broker: Broker) -> None:
    """A restart forgets nothing, and nobody has to wait for the interval; a request for a dry run changes nothing."""
    async with pool.acquire() as connection:
        first = await finished_with_bytes(connection, storage, retention=PAST)
    janitor = await service("janitor", CLEANUP_INTERVAL_MINUTES=NEVER, LOG_FORMAT="json")
    await wait_until(lambda: expired(pool, first), "the sweep at the start")
    await wait_until(lambda: has_swept(janitor, "expire"), "its end")

    async with pool.acquire() as connection:
        second = await finished_with_bytes(connection, storage, retention=PAST)
    await request_cleanup(pool, b'{"dry_run": true}')
    await wait_until(lambda: has_swept(janitor, "measure", dry_run=True), "the end of the dry run")
    assert not await expired(pool, second)
    async with pool.acquire() as connection:
        await cleanup.ask(connection, Cleanup(duties=("expire",)))
    await wait_until(lambda: carried_out(pool), "the request to be carried out, to its end")
    assert await expired(pool, second)

    # One that took longer than the broker waits for an ack comes again.
    async with pool.acquire() as connection, connection.transaction():
        done = await cleanup.ask(connection, Cleanup(duties=("expire",)))
        await cleanup.finish(connection, done, [])
        third = await finished_with_bytes(connection, storage, retention=PAST)
        await cleanup.ask(connection, Cleanup(duties=("measure",)))
    await wait_until(lambda: carried_out(pool), "the request after it")
    assert not await expired(pool, third)


def has_swept(janitor: RunningService, duty: DutyName, *, dry_run: bool = False) -> bool:
    """Whether it got to the end of a sweep."""
    return f'"duty": "{duty}", "dry_run": {msgspec.json.encode(dry_run).decode()}' in janitor.log


async def carried_out(pool: Pool) -> bool:
    """All that was asked for."""
    left: bool = await pool.fetchval("select exists (select from cleanups where finished_at is null)")
    return not left


async def test_requests_that_make_no_sense_are_put_aside(service: Services, pool: Pool, storage: Storage, broker: Broker) -> None:
    """They go to the dead letters, what is no event at all included, and the next request is carried out, which records them."""
    janitor = await service("janitor", CLEANUP_INTERVAL_MINUTES=NEVER, LOG_FORMAT="json")
    await wait_until(lambda: has_swept(janitor, "dead_letters"), "the sweep at the start, which would record some of them")
    async with pool.acquire() as connection:
        job = await finished_with_bytes(connection, storage, retention=PAST)
    for body in (b"not json", b'{"dry_run": "perhaps"}', b'{"what": 1}'):
        await request_cleanup(pool, body)
    async with await broker.channel() as channel:
        exchange = await channel.get_exchange(topology.EXCHANGE, ensure=False)
        await exchange.publish(Message(b"{}"), "cleanup.requested")
    dead = topology.Queue(topology.JANITOR_COMMANDS.dead, ())

    async def put_aside() -> bool:
        return await broker.ready(dead) == 4

    await wait_until(put_aside, "the dead letters")
    await request_cleanup(pool, b"{}")
    await wait_until(lambda: expired(pool, job), "the sweep on request")

    async def recorded() -> bool:
        found = await pool.fetch("select queue, reason, body from dead_letters")
        assert {(row["queue"], row["reason"]) for row in found} <= {("janitor.commands", "rejected")}
        return {row["body"] for row in found} == {b"not json", b'{"dry_run": "perhaps"}', b'{"what": 1}', b"{}"}

    await wait_until(recorded, "the dead letters to be recorded")
    assert await broker.ready(dead) == 0


async def test_janitors_share_the_work_and_survive_each_other(service: Services, pool: Pool, storage: Storage) -> None:
    """Two that sweep all the time expire every job once; when one is killed, the other goes on."""
    one = await service("janitor", CLEANUP_INTERVAL_MINUTES="0.002")
    await service("janitor", CLEANUP_INTERVAL_MINUTES="0.002")
    async with pool.acquire() as connection:
        jobs = [await finished_with_bytes(connection, storage, retention=PAST) for _ in range(40)]
        one.kill()
        jobs += [await finished_with_bytes(connection, storage, retention=PAST) for _ in range(20)]
    await wait_until(lambda: expired(pool, *jobs), "every job to expire")
    assert [found.key async for found in storage.objects()] == []


async def test_sigterm_ends_it_soon_and_well(service: Services) -> None:
    """The exit status is 0, whatever it was waiting for."""
    janitor = await service("janitor")
    janitor.terminate()
    assert await janitor.gone() == 0


async def test_one_sweep_by_hand(environment: dict[str, str], pool: Pool, storage: Storage) -> None:
    """`sweep --dry-run` reports every duty as a line of JSON and keeps everything; `sweep` does it."""
    async with pool.acquire() as connection:
        job = await finished_with_bytes(connection, storage, retention=PAST)
        await forget_events(connection)

    def sweep(*arguments: str) -> dict[str, Report]:
        command = [sys.executable, "-m", "services.janitor", "sweep", *arguments]
        done = subprocess.run(command, env=environment, check=True, timeout=60, capture_output=True)
        return reports(done.stdout)

    told = await asyncio.to_thread(sweep, "--dry-run")
    assert set(told) == set(get_args(DutyName))
    assert told["expire"].swept == 1
    assert not await expired(pool, job)
    async with pool.acquire() as connection:
        assert await announced(connection) == []
    assert (await asyncio.to_thread(sweep))["expire"].swept == 1
    assert await expired(pool, job)


async def test_missing_settings_are_told_all_at_once() -> None:
    """It does not start, and names what it lacks."""
    command = [sys.executable, "-m", "services.janitor"]
    done = await asyncio.to_thread(subprocess.run, command, env={}, timeout=60, capture_output=True, check=False)
    assert done.returncode != 0
    assert b"DATABASE_URL is not set" in done.stderr
    assert b"AMQP_URL is not set" in done.stderr


async def test_the_slow_duties_never_hold_up_the_rescue(service: Services, pool: Pool, storage: Storage, stack: Stack) -> None:
    """While the cleanup waits for a store that does not answer, a lost job is rescued as ever."""
    waiting = asyncio.Event()

    def deletes(request: web.Request) -> bool:
        if "delete" in request.query:
            waiting.set()
        return waiting.is_set()

    async def rescued() -> bool:
        async with pool.acquire() as connection:
            return (await reread(connection, lost)).status is Status.QUEUED

    async with gateway(stack.s3.endpoint_url or "", storage) as (between, url):
        between.stuck = deletes
        async with pool.acquire() as connection:
            await finished_with_bytes(connection, storage, retention=PAST)
        janitor = await service("janitor", until="live", S3_ENDPOINT_URL=url)
        async with asyncio.timeout(60):
            await waiting.wait()
        async with pool.acquire() as connection:
            await queued(connection)
            lost = await claimed(connection, lease=PAST)
        await wait_until(rescued, "the rescue")
        async with pool.acquire() as connection:
            assert await store.counts(connection) == {"completed": 1, "queued": 1}
        janitor.kill()
