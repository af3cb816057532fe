"""What chaos finds of jobs that should be gone, and of messages that were given up."""

import pytest

from bench.chaos.remains import of_letters, of_tables
from common import ids
from common.database import Pool

INTO = "insert into idempotency_keys (tenant, key, expires_at, fingerprint, job_id, answer) values ('a', 'b', now(), '', $1, $2)"
LETTER = (
    "insert into dead_letters (id, queue, reason, event_type, headers, body)"
    " values ($1, 'transcriber.jobs', 'delivery_limit', 'job.created', '{}', '')"
)


@pytest.mark.parametrize(("answered", "found"), [(True, 1), (False, 0)])
async def test_bodies_are_looked_through(pool: Pool, *, answered: bool, found: int) -> None:
    """A deleted job may be named where that is so by design, and nowhere told of in a body."""
    gone = ids.new()
    async with pool.acquire() as connection:
        await connection.execute(INTO, gone, b'{"id": "%s"}' % str(gone).encode() if answered else None)
        verdict = await of_tables(connection, {str(gone)})
    assert len(verdict.wrong) == found


async def test_dead_letters_are_told(pool: Pool) -> None:
    """None is no complaint; one that a janitor recorded is told with what it was, and one that a purge took away, too."""
    async with pool.acquire() as connection:
        assert (await of_letters(connection, [])).wrong == []
        await connection.execute(LETTER, ids.new())
        recorded, purged = (await of_letters(connection, ["1 in notifier.dead"])).wrong
    assert "job.created" in recorded
    assert "transcriber.jobs, delivery_limit" in recorded
    assert purged == "1 in notifier.dead"
