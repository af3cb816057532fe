"""Who has waited long in a band goes on to the next, batch after batch."""

from common.database import Pool
from services.janitor.duties.lift import AFTER, Lift
from services.janitor.sweeper import Sweeper
from tests.jobs import queued, reread


async def test_all_that_have_waited_go_one_band_up(pool: Pool, sweeper: Sweeper) -> None:
    """Of more tenants than a batch has room for; who has not waited for so long stays, and a dry run says as much and moves nobody."""
    async with pool.acquire() as connection:
        for number in range(101):
            await queued(connection, tenant=f"t{number}", priority="low")
        await connection.execute("update jobs set band_since = now() - $1::interval", AFTER)
        young = await queued(connection, tenant="young", priority="low")
        bands = "select array_agg(distinct band) from jobs where tenant <> 'young'"
        for dry_run, swept, band in ((True, 101, 2), (False, 101, 1), (False, 0, 1)):
            report = await sweeper.sweep(Lift(), dry_run=dry_run)
            assert report is not None
            assert (report.swept, report.complete) == (swept, True)
            assert await connection.fetchval(bands) == [band]
        assert await reread(connection, young) == young
