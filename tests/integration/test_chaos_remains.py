"""What chaos finds of jobs that should be gone."""

import pytest

from bench.chaos.remains import of_tables
from common import ids
from common.database import Pool

INTO = "insert into idempotency_keys (tenant, key, expires_at, fingerprint, job_id, answer) values ('a', 'b', now(), '', $1, $2)"


@pytest.mark.parametrize(("answered", "found"), [(True, 1), (False, 0)])
async def test_bodies_are_looked_through(pool: Pool, *, answered: bool, found: int) -> None:
    """A deleted job may be named where that is so by design, and nowhere told of in a body."""
    gone = ids.new()
    async with pool.acquire() as connection:
        await connection.execute(INTO, gone, b'{"id": "%s"}' % str(gone).encode() if answered else None)
        verdict = await of_tables(connection, {str(gone)})
    assert len(verdict.wrong) == found
