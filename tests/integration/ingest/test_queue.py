"""The queue over HTTP: what waits, who works, and each job's own place in it."""

from datetime import UTC, datetime, timedelta

import asyncpg
import httpx
import pytest

from common import database, ids
from common.jobs import queue, store
from common.jobs.job import Result
from tests.jobs import HOUR, claimed, queued

RESULT = Result(bucket="bucket", keys={"transcript": "results/a/b/transcript.json"}, language="en", duration=10_000.0, speakers=1)
EMPTY = {"jobs": 0, "audio_seconds": 0.0}


async def test_an_empty_queue(client: httpx.AsyncClient) -> None:
    """Nothing waits, nobody works, and what has not been measured is null."""
    answer = await client.get("/api/v1/queue")
    assert answer.status_code == 200
    assert answer.json() == {
        "waiting": {"high": EMPTY, "normal": EMPTY, "low": EMPTY, "total": EMPTY},
        "active": EMPTY,
        "workers": [],
        "speed": None,
        "eta": None,
        "eta_errors": None,
    }


async def test_position_and_eta(client: httpx.AsyncClient, database_url: str) -> None:
    """With a worker and a measured speed, a queued job says when it is its turn, in answers of all kinds; a claimed one does not."""
    async with database.connect(database_url, name="test") as pool, pool.acquire() as connection:
        await queue.beat(connection, ids.new(), name="test", slots=1, jobs_per_tenant=None, lasting=HOUR)
        await queued(connection)
        job = await claimed(connection)
        # Ten times as fast as it plays, and so long that the seconds which a machine may stand still are nothing beside it.
        await connection.execute("update jobs set claimed_at = now() - interval '1000 seconds'")
        await store.finish(connection, job, RESULT)
        first, second = await queued(connection, tenant="another"), await queued(connection)
        await connection.execute("update jobs set duration = 600 where status = 'queued'")

        shown = (await client.get(f"/api/v1/jobs/{second.id}")).json()
        assert shown["position"] == 2
        expected = datetime.now(UTC) + timedelta(seconds=120)
        assert datetime.fromisoformat(shown["eta"]) == pytest.approx(expected, abs=timedelta(seconds=50))
        assert (shown["source"]["duration"], shown["source"]["duration_estimated"]) == (600.0, True)
        [listed, done] = (await client.get("/api/v1/jobs")).json()["jobs"]
        assert (listed["position"], done["position"], done["eta"]) == (2, None, None)
        assert (done["source"]["duration"], done["source"]["duration_estimated"]) == (10_000.0, False)

        seen = (await client.get("/api/v1/queue")).json()
        assert seen["waiting"]["normal"] == seen["waiting"]["total"] == {"jobs": 2, "audio_seconds": 1200.0}
        [worker] = seen["workers"]
        assert (worker["slots"], worker["active"], worker["idle"]) == (1, 0, True)
        assert seen["speed"] == {"measured_jobs": 1, "per_job": pytest.approx(10, rel=0.1), "total": pytest.approx(10, rel=0.1)}
        assert seen["eta"] is not None

        assert (await claimed(connection)).id == first.id
        await store.finish(connection, await claimed(connection), RESULT)  # the job whose ETA was told
        over = (await client.get(f"/api/v1/jobs/{second.id}")).json()
        assert (over["status"], over["position"], over["eta"]) == ("completed", None, None)
        assert (await client.get("/api/v1/queue")).json()["eta_errors"]["jobs"] == 1


async def test_a_submission_is_told_its_place(client: httpx.AsyncClient, sample: bytes, database: asyncpg.Connection) -> None:
    """The answer to a POST has the position already; another submission stands behind it."""
    for position in (1, 2):
        answer = await client.post("/api/v1/jobs", files={"file": ("talk.wav", sample)})
        assert answer.status_code == 202
        assert answer.json()["position"] == position
        assert answer.json()["eta"] is None  # nobody works
    assert await database.fetchval("select count(*) from jobs where eta is not null") == 0


async def test_another_tenants_cancelled_job_moves_everybody_up(client: httpx.AsyncClient, database_url: str) -> None:
    """Positions are counted when they are asked for."""
    async with database.connect(database_url, name="test") as pool, pool.acquire() as connection:
        first, second = await queued(connection, tenant="another"), await queued(connection)
        assert (await client.get(f"/api/v1/jobs/{second.id}")).json()["position"] == 2
        await store.cancel(connection, first.id, "another")
        assert (await client.get(f"/api/v1/jobs/{second.id}")).json()["position"] == 1
