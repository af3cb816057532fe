"""`Idempotency-Key`: however often a request is sent, it is carried out once, and each copy gets the first answer.

A key is leased to the request that carries it out, and the lease is renewed while the recording travels. The answer is recorded in the
transaction that creates the job, guarded by the lease: a process that dies earlier leaves a lease that runs out, one that dies later has
left both. A process that slept past its lease finds that the key is no longer its own, and its job is rolled back. Only success is
remembered: after a refusal nothing has happened, and the key may be used for the request as it should have been.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import msgspec
import structlog

from common import ids
from common.database import AWAY, Connection, Pool, Queries
from common.ids import JobId, LeaseToken
from services.ingest.problems import Problem

SQL = Queries(Path(__file__).with_name("idempotency.sql"))
LEASE = timedelta(seconds=20)
REPLAYED = "Idempotency-Replayed"
_MAX_LENGTH = 255

log = structlog.get_logger(__name__)


class Answered(msgspec.Struct, frozen=True):
    """What the first request with the key asked for, and the answer it got, which is forgotten once the job has expired or was deleted."""

    fingerprint: bytes
    job_id: JobId
    body: bytes | None


class Held:
    """The key is this request's to answer."""

    def __init__(self, tenant: str, key: str, token: LeaseToken, kept: timedelta) -> None:
        self.mine = (tenant, key, token)
        self._kept = kept

    async def answer(self, connection: Connection, answered: Answered) -> None:
        """Within the transaction that creates the job. Raises `Problem` 409 when another request has taken the key meanwhile."""
        row = await connection.fetchrow(SQL["answer_key"], *self.mine, self._kept, answered.fingerprint, answered.job_id, answered.body)
        if row is None:
            raise in_flight()


def valid(key: str) -> str:
    """The key, if it is one. Raises `Problem` 400."""
    if not 1 <= len(key) <= _MAX_LENGTH or not key.isascii() or not key.isprintable():
        raise Problem(
            400, "invalid_idempotency_key", f"An Idempotency-Key is 1 to {_MAX_LENGTH} printable ASCII characters; a UUID does well."
        )
    return key


@asynccontextmanager
async def hold(pool: Pool, tenant: str, key: str, *, kept: timedelta) -> AsyncIterator[Held | Answered]:
    """The key for the time of the block, or what was answered to it, for as long as that is `kept`.

    Raises `Problem` 409 while another request has it.
    """
    found = await _reserve(pool, tenant, key, kept)
    if isinstance(found, Answered):
        yield found
        return
    renewing = asyncio.create_task(_renew(pool, found), name="renew-idempotency-key")
    try:
        yield found
    except BaseException:
        # Guarded by the lease: what a lost commit may have answered stays.
        await asyncio.shield(_release(pool, found))
        raise
    finally:
        renewing.cancel()


def in_flight() -> Problem:
    """409: not an answer yet, but soon."""
    return Problem(
        409,
        "idempotency_key_in_use",
        "A request with this Idempotency-Key is still being carried out; ask again with the same one.",
        headers={"Retry-After": "2"},
    )


def another_request() -> Problem:
    """422: the key stands for something else."""
    return Problem(
        422,
        "idempotency_key_reused",
        "This Idempotency-Key was used for another recording or other options; every submission needs a key of its own.",
        field="Idempotency-Key",
    )


async def _reserve(pool: Pool, tenant: str, key: str, kept: timedelta) -> Held | Answered:
    token = LeaseToken(ids.new())
    async with pool.acquire() as connection:
        while True:
            if await connection.fetchrow(SQL["reserve_key"], tenant, key, token, LEASE) is not None:
                return Held(tenant, key, token, kept)
            row = await connection.fetchrow(SQL["read_key"], tenant, key)
            if row is None:
                continue  # released between the two statements
            if row["fingerprint"] is None:
                raise in_flight()
            return Answered(row["fingerprint"], JobId(row["job_id"]), row["answer"])


async def _renew(pool: Pool, held: Held) -> None:
    while True:
        await asyncio.sleep(LEASE.total_seconds() / 4)
        try:
            await pool.execute(SQL["renew_key"], *held.mine, LEASE)
        except AWAY as error:  # the commit will tell whether the key is still ours
            log.warning("idempotency key not renewed", error=repr(error))


async def _release(pool: Pool, held: Held) -> None:
    with contextlib.suppress(*AWAY):  # then the lease runs out
        await pool.execute(SQL["release_key"], *held.mine)
